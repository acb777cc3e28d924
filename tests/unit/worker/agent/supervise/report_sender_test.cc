#include "worker/agent/supervise/report_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/errors.h"
#include "common/memory_file_system.h"
#include "tests/support/fake_random.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/agent/supervise/fake_client.h"

namespace cvtrain::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

AttemptKey Key(int64_t attempt = 1) {
  return {.attempt = AttemptName(TrialName(ExperimentName(1), 2), attempt), .generation = 7};
}

class ReportSenderTest : public ::testing::Test {
 protected:
  ReportSenderTest()
      : sender_({.worker = "workers/w1"},
                *Spool::Open(files_, "/spool", random_, {}, NullTelemetry()), client_, mailbox_,
                random_,
                {.refused = [this](const AttemptKey& key,
                                   const absl::Status&) { refused_.push_back(key); },
                 .settled = [this](const AttemptKey& key) { settled_.push_back(key); },
                 .upload =
                     [this](const AttemptKey&, const SpooledCheckpoint& checkpoint) {
                       uploads_.push_back(checkpoint.header.checkpoint());
                     }},
                NullTelemetry()) {}

  void Step(absl::Duration later = absl::ZeroDuration()) {
    now_ += later;
    for (const Mailbox::Work& work : mailbox_.Take()) work();
    sender_.Step(now_);
  }
  // Answers the oldest call of a kind, as the coordinator would.
  void AnswerFacts(const absl::Status& status = absl::OkStatus()) {
    auto call = std::move(client_.facts.front());
    client_.facts.erase(client_.facts.begin());
    session::v1::ReportFactsResponse response;
    response.set_durable_sequence(call.request.facts(call.request.facts_size() - 1).sequence());
    if (status.ok()) {
      call.done(response);
    } else {
      call.done(status);
    }
    Step();
  }
  void AnswerMetrics(const absl::Status& status = absl::OkStatus()) {
    auto call = std::move(client_.metrics.front());
    client_.metrics.erase(client_.metrics.begin());
    if (status.ok()) {
      call.done(session::v1::ReportMetricsResponse());
    } else {
      call.done(status);
    }
    Step();
  }
  void Point(int64_t step, int64_t attempt = 1) {
    v1::MetricSeries series;
    series.set_metric("loss");
    series.add_steps(step);
    series.add_values(1);
    sender_.AppendSeries(Key(attempt), {series});
  }
  void Started() {
    session::v1::Fact fact;
    fact.mutable_started();
    sender_.AppendFact(Key(), fact);
  }
  void Ended() {
    session::v1::Fact fact;
    fact.mutable_ended();
    sender_.AppendFact(Key(), fact);
  }
  void Ended(v1::Cause cause) {
    session::v1::Fact fact;
    fact.mutable_ended()->set_cause(cause);
    sender_.AppendFact(Key(), fact);
  }
  // A checkpoint in memory, called "uuid"; counts in `went_` when it may go.
  void Pend(int64_t step) {
    sender_.OnCheckpointPending(Key(), "uuid", step, [this] { ++went_; });
  }
  SpooledCheckpoint WriteCheckpoint(int64_t step = 5) {
    session::v1::UploadCheckpointHeader header;
    header.set_checkpoint("uuid");
    header.set_step(step);
    header.set_size_bytes(3);
    return *Spool::WriteCheckpoint(files_, "/spool", Key(), header, absl::MakeConstSpan("abc", 3));
  }

  testing::LogCapture log_;
  InMemoryFileSystem files_;
  SeededRandom random_{1};
  FakeClient client_;
  Mailbox mailbox_{1000, [] {}};
  std::vector<AttemptKey> refused_;
  std::vector<AttemptKey> settled_;
  std::vector<std::string> uploads_;
  int went_ = 0;
  absl::Duration now_ = absl::Seconds(100);
  ReportSender sender_;
};

TEST_F(ReportSenderTest, SendsNothingUntilItMayPublish) {
  Started();
  Point(1);
  Step();
  EXPECT_THAT(client_.facts, IsEmpty());
  EXPECT_THAT(client_.metrics, IsEmpty());
  sender_.SetPublishing(Key(), true);
  Step();
  ASSERT_THAT(client_.facts, SizeIs(1));
  EXPECT_EQ(client_.facts[0].request.worker(), "workers/w1");
  EXPECT_EQ(client_.facts[0].request.lease_generation(), 7);
  EXPECT_THAT(client_.metrics, SizeIs(1));
}

TEST_F(ReportSenderTest, StopsSendingWhenItMayNotPublishAnyMore) {
  sender_.SetPublishing(Key(), true);
  sender_.SetPublishing(Key(), false);
  Started();
  Step(absl::Minutes(1));
  EXPECT_THAT(client_.facts, IsEmpty());
}

TEST_F(ReportSenderTest, GathersPointsIntoBatches) {
  sender_.SetPublishing(Key(), true);
  Point(1);
  Step();
  Point(2);
  Point(3);
  AnswerMetrics();
  EXPECT_THAT(client_.metrics, IsEmpty());  // not before the interval is over
  Step(absl::Milliseconds(250));
  ASSERT_THAT(client_.metrics, SizeIs(1));
  EXPECT_THAT(client_.metrics[0].request.series(0).steps(), ElementsAre(2, 3));
}

TEST_F(ReportSenderTest, HasOneBatchOfAnAttemptUnderWay) {
  sender_.SetPublishing(Key(1), true);
  sender_.SetPublishing(Key(2), true);
  Point(1, 1);
  Step();
  Point(2, 1);
  Point(1, 2);
  Step(absl::Seconds(1));
  EXPECT_THAT(client_.metrics, SizeIs(2));  // the second one is another attempt's
}

TEST_F(ReportSenderTest, TheEndGoesLast) {
  sender_.SetPublishing(Key(), true);
  Started();
  Point(1);
  Pend(5);
  Ended();
  Step();
  ASSERT_THAT(client_.facts, SizeIs(1));
  EXPECT_EQ(client_.facts[0].request.facts_size(), 1);
  AnswerFacts();
  EXPECT_THAT(client_.facts, IsEmpty());  // metrics and the checkpoint are under way
  AnswerMetrics();
  EXPECT_THAT(client_.facts, IsEmpty());  // the checkpoint
  sender_.OnCheckpointSpooled(Key(), WriteCheckpoint());
  Step();
  EXPECT_THAT(uploads_, ElementsAre("uuid"));
  EXPECT_THAT(client_.facts, IsEmpty());
  sender_.OnUploaded(Key(), "uuid", absl::OkStatus(), now_);
  Step();
  ASSERT_THAT(client_.facts, SizeIs(1));
  EXPECT_TRUE(client_.facts[0].request.facts(0).has_ended());
  EXPECT_THAT(settled_, IsEmpty());
  AnswerFacts();
  EXPECT_THAT(settled_, ElementsAre(Key()));
  EXPECT_THAT(*files_.ListDir("/spool"), IsEmpty());
}

TEST_F(ReportSenderTest, RepeatsWhatFailedUnderTheSameNumber) {
  sender_.SetPublishing(Key(), true);
  Point(1);
  Step();
  const auto first = client_.metrics[0].request;
  AnswerMetrics(Unavailable(Reason::kServerUnreachable, "away"));
  Point(2);
  EXPECT_THAT(client_.metrics, IsEmpty());
  Step(absl::Seconds(10));
  ASSERT_THAT(client_.metrics, SizeIs(1));
  EXPECT_EQ(client_.metrics[0].request.SerializeAsString(), first.SerializeAsString());
}

TEST_F(ReportSenderTest, WaitsAsLongAsItIsAsked) {
  sender_.SetPublishing(Key(), true);
  Started();
  Step();
  AnswerFacts(
      WithRetryDelay(ResourceExhausted(Reason::kLimitExceeded, "slow down"), absl::Seconds(60)));
  Step(absl::Seconds(59));
  EXPECT_THAT(client_.facts, IsEmpty());
  Step(absl::Seconds(1));
  EXPECT_THAT(client_.facts, SizeIs(1));
}

TEST_F(ReportSenderTest, ALostLeaseIsToldAndEndsTheSending) {
  sender_.SetPublishing(Key(), true);
  Started();
  Step();
  AnswerFacts(Aborted(Reason::kLeaseLost, "stale"));
  EXPECT_THAT(refused_, ElementsAre(Key()));
  Started();
  Step(absl::Minutes(1));
  EXPECT_THAT(client_.facts, IsEmpty());
}

TEST_F(ReportSenderTest, GivesUpABatchThatCanNeverBeTaken) {
  sender_.SetPublishing(Key(), true);
  Point(1);
  Step();
  Point(2);
  AnswerMetrics(InvalidArgument(Reason::kFieldInvalid, "no such metric"));
  Step(absl::Seconds(1));
  ASSERT_THAT(client_.metrics, SizeIs(1));
  EXPECT_THAT(client_.metrics[0].request.series(0).steps(), ElementsAre(2));
  EXPECT_EQ(client_.metrics[0].request.sequence(), 2);
}

TEST_F(ReportSenderTest, IgnoresAnswersAboutADroppedAttempt) {
  sender_.SetPublishing(Key(), true);
  Started();
  Step();
  sender_.Drop(Key());
  AnswerFacts();
  EXPECT_THAT(settled_, IsEmpty());
}

TEST_F(ReportSenderTest, GivesUpACheckpointThatIsDamaged) {
  sender_.SetPublishing(Key(), true);
  Started();
  sender_.OnCheckpointSpooled(Key(), WriteCheckpoint());
  Step();
  sender_.OnUploaded(Key(), "uuid", DataLoss(Reason::kCheckpointBad, "wrong digest"), now_);
  Step(absl::Minutes(1));
  EXPECT_THAT(uploads_, SizeIs(1));
  EXPECT_TRUE(log_.Contains("checkpoint is given up"));
}

TEST_F(ReportSenderTest, TriesAFullCoordinatorForABoundedTime) {
  sender_.SetPublishing(Key(), true);
  Started();
  sender_.OnCheckpointSpooled(Key(), WriteCheckpoint());
  Step();
  const absl::Status full = ResourceExhausted(Reason::kDiskFull, "no room");
  sender_.OnUploaded(Key(), "uuid", full, now_);
  Step(absl::Minutes(5));
  EXPECT_THAT(uploads_, SizeIs(2));
  now_ += absl::Minutes(5);
  sender_.OnUploaded(Key(), "uuid", full, now_);
  Step(absl::Minutes(5));
  EXPECT_THAT(uploads_, SizeIs(2));
}

TEST_F(ReportSenderTest, ACheckpointGoesAfterWhatWasReportedBeforeIt) {
  sender_.SetPublishing(Key(), true);
  Started();
  Point(1);
  Step();
  Point(2);  // waits for the next batch
  Pend(2);
  Point(3);
  EXPECT_EQ(went_, 0);
  AnswerFacts();
  EXPECT_EQ(went_, 0);
  AnswerMetrics();
  EXPECT_EQ(went_, 0);
  // The batch with point 2 does not wait for its interval.
  ASSERT_THAT(client_.metrics, SizeIs(1));
  AnswerMetrics();
  EXPECT_EQ(went_, 1);
  Point(4);
  Step();
  EXPECT_EQ(went_, 1);
}

TEST_F(ReportSenderTest, ACheckpointWithoutReportsBeforeItGoesAtOnce) {
  Pend(2);
  EXPECT_EQ(went_, 1);
}

TEST_F(ReportSenderTest, ASpooledCheckpointWaitsForTheReportsBeforeItToo) {
  sender_.SetPublishing(Key(), true);
  Point(1);
  Pend(1);
  sender_.OnCheckpointSpooled(Key(), WriteCheckpoint());
  Point(2);
  Step();
  EXPECT_THAT(uploads_, IsEmpty());
  AnswerMetrics(Unavailable(Reason::kServerUnreachable, "away"));
  Step(absl::Seconds(10));
  EXPECT_THAT(uploads_, IsEmpty());
  AnswerMetrics();
  EXPECT_THAT(uploads_, ElementsAre("uuid"));
}

TEST_F(ReportSenderTest, TheEndOfAnAttemptWithoutItsLastCheckpointIsNoSuccess) {
  sender_.SetPublishing(Key(), true);
  Pend(4);
  sender_.OnCheckpointDone(Key(), "uuid", /*durable=*/true);
  Pend(5);
  Ended(v1::CAUSE_FINISHED);
  Step();
  EXPECT_THAT(client_.facts, IsEmpty());
  sender_.OnCheckpointDone(Key(), "uuid", /*durable=*/false);
  Step();
  ASSERT_THAT(client_.facts, SizeIs(1));
  EXPECT_EQ(client_.facts[0].request.facts(0).ended().cause(), v1::CAUSE_INTERNAL);
  EXPECT_THAT(client_.facts[0].request.facts(0).ended().message(), HasSubstr("step 5"));
  // A restart of the worker does not forget it.
  const auto spool = Spool::Open(files_, "/spool", random_, {}, NullTelemetry());
  EXPECT_EQ((*spool)->NextFacts(Key(), true)->facts(0).ended().cause(), v1::CAUSE_INTERNAL);
}

TEST_F(ReportSenderTest, ALostCheckpointBeforeTheLastOneIsNoFailure) {
  sender_.SetPublishing(Key(), true);
  Pend(4);
  sender_.OnCheckpointDone(Key(), "uuid", /*durable=*/false);
  Pend(5);
  sender_.OnCheckpointDone(Key(), "uuid", /*durable=*/true);
  Ended(v1::CAUSE_FINISHED);
  Step();
  ASSERT_THAT(client_.facts, SizeIs(1));
  EXPECT_EQ(client_.facts[0].request.facts(0).ended().cause(), v1::CAUSE_FINISHED);
}

TEST_F(ReportSenderTest, ASpooledLastCheckpointThatIsGivenUpIsNoSuccess) {
  sender_.Begin(Key());
  sender_.SetPublishing(Key(), true);
  Pend(5);
  sender_.OnCheckpointSpooled(Key(), WriteCheckpoint());
  Ended(v1::CAUSE_FINISHED);
  Step();
  sender_.OnUploaded(Key(), "uuid", DataLoss(Reason::kCheckpointBad, "wrong digest"), now_);
  Step();
  ASSERT_THAT(client_.facts, SizeIs(1));
  EXPECT_EQ(client_.facts[0].request.facts(0).ended().cause(), v1::CAUSE_INTERNAL);
}

}  // namespace
}  // namespace cvtrain::worker
