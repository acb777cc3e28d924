#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "client/call/verb.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/call/fake_coordinator.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Two trials that have reported `loss` and `val/top1`.
class MetricsTest : public ::testing::Test {
 protected:
  MetricsTest() {
    coordinator_.trials.OnListTrials = [](const auto&, auto* response) {
      response->add_trials()->set_name("experiments/1/trials/1");
      response->add_trials()->set_name("experiments/1/trials/2");
      return absl::OkStatus();
    };
    coordinator_.metrics.OnListMetrics = [](const auto&, auto* response) {
      response->add_metrics("loss");
      response->add_metrics("val/top1");
      return absl::OkStatus();
    };
    coordinator_.metrics.OnQueryMetrics = [this](const auto& request, auto* response) {
      const int call = ++calls_;
      if (call >= away_from_ && call < back_at_) return Away();
      for (const char* name : {"loss", "val/top1"}) {
        const bool wanted = request.metrics().empty() ||
                            std::find(request.metrics().begin(), request.metrics().end(), name) !=
                                request.metrics().end();
        if (!wanted) continue;
        v1::MetricSeries& series = *response->add_series();
        series.set_metric(name);
        series.add_steps(10);
        series.add_values(0.5);
      }
      return absl::OkStatus();
    };
  }

  absl::StatusOr<ExitCode> Metrics(Arguments arguments) {
    arguments.insert(arguments.end(), {"--server", coordinator_.address()});
    return RunMetrics(fake_.cli(), arguments);
  }
  std::string out() const { return fake_.out.str(); }

  FakeCoordinator coordinator_;
  FakeCli fake_;
  std::atomic<int> calls_ = 0;
  int away_from_ = 1'000'000;
  int back_at_ = 1'000'000;
};

TEST_F(MetricsTest, RefusesAMetricThatNobodyReportedAndOffersTheNearest) {
  const absl::Status status = Metrics({"trial/1.1", "--name", "val/topl"}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound, Reason("METRIC_NOT_FOUND")));
  EXPECT_THAT(status.message(), AllOf(HasSubstr("val/topl"), HasSubstr("val/top1")));
  EXPECT_EQ(out(), "");
}

TEST_F(MetricsTest, NamesAllMetricsIfNoneIsNear) {
  EXPECT_THAT(Metrics({"trial/1.1", "--name", "speed_of_light"}).status().message(),
              HasSubstr("there are loss, val/top1"));
}

TEST_F(MetricsTest, TakesTheMetricsThatAreNamed) {
  EXPECT_THAT(Metrics({"exp/1", "--name", "loss", "-o", "csv"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_EQ(out(), "trial,metric,step,value\ntrial/1.1,loss,10,0.5\ntrial/1.2,loss,10,0.5\n");
}

TEST_F(MetricsTest, JsonSaysWhichTrialASeriesIsOf) {
  EXPECT_THAT(Metrics({"exp/1", "-o", "json"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("\"trial\": \"experiments/1/trials/1\""),
                           HasSubstr("\"trial\": \"experiments/1/trials/2\"")));
}

TEST_F(MetricsTest, DrawsAPlot) {
  EXPECT_THAT(Metrics({"exp/1", "--plot", "--name", "loss"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(out(), AllOf(HasSubstr("loss\n"), HasSubstr("* trial/1.1"), HasSubstr("step")));
}

TEST_F(MetricsTest, WatchOutlastsAnOutageAndDetachesAtCtrlC) {
  away_from_ = 2;
  back_at_ = 200;
  fake_.on_sleep = [this](int) {
    if (calls_ > 200) fake_.Press();
  };
  EXPECT_THAT(Metrics({"trial/1.1", "-w"}), IsOkAndHolds(ExitCode::kDetached));
  EXPECT_THAT(fake_.err.str(), AllOf(HasSubstr("waiting for the coordinator"),
                                     HasSubstr("`cvctl metrics -w trial/1.1` comes back")));
}

TEST_F(MetricsTest, WatchFailsIfNobodyAnswersAtFirst) {
  away_from_ = 1;
  EXPECT_THAT(Metrics({"trial/1.1", "-w"}),
              StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
}

}  // namespace
}  // namespace cvtrain::client
