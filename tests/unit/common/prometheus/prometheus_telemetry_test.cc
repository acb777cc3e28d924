#include "common/prometheus/prometheus_telemetry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/unique_fd.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::LogCapture;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ReasonIs = ::cvtrain::testing::Reason;

// The answer to GET /metrics on this machine.
std::string Scrape(int port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return "";
  const std::string request = "GET /metrics HTTP/1.0\r\n\r\n";
  if (::write(fd.get(), request.data(), request.size()) < 0) return "";
  std::string answer;
  char buffer[4'096];
  for (ssize_t got = 0; (got = ::read(fd.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(got));
  }
  return answer;
}

TEST(PrometheusTelemetryTest, WritesTheTextFormat) {
  PrometheusTelemetry telemetry;
  telemetry
      .NewCounter(
          {.name = "cvtrain_commits_total", .help = "Commits.", .labels = {{"kind", "event"}}})
      .Increment(3);
  telemetry.NewGauge({.name = "cvtrain_queue_length", .help = "Waiting."}).Set(7);
  telemetry.NewHistogram({.name = "cvtrain_latency_seconds", .help = "Time."}, {0.1, 1})
      .Observe(0.5);
  EXPECT_THAT(telemetry.Text(), AllOf(HasSubstr("# HELP cvtrain_commits_total Commits.\n"),
                                      HasSubstr("# TYPE cvtrain_commits_total counter\n"),
                                      HasSubstr("cvtrain_commits_total{kind=\"event\"} 3\n"),
                                      HasSubstr("cvtrain_queue_length 7\n"),
                                      HasSubstr("cvtrain_latency_seconds_bucket{le=\"0.1\"} 0\n"),
                                      HasSubstr("cvtrain_latency_seconds_bucket{le=\"1\"} 1\n"),
                                      HasSubstr("cvtrain_latency_seconds_count 1\n")));
}

TEST(PrometheusTelemetryTest, TheSameSpecIsTheSameSeries) {
  PrometheusTelemetry telemetry;
  Counter& first = telemetry.NewCounter({.name = "a_total", .help = "x"});
  EXPECT_EQ(&first, &telemetry.NewCounter({.name = "a_total", .help = "x"}));
  EXPECT_NE(&first,
            &telemetry.NewCounter({.name = "a_total", .help = "x", .labels = {{"l", "v"}}}));
}

TEST(PrometheusTelemetryTest, BadNamesAndKindsCountNothingAndAreLogged) {
  LogCapture log;
  PrometheusTelemetry telemetry;
  telemetry.NewCounter({.name = "Bad Name", .help = ""}).Increment();
  telemetry.NewCounter({.name = "9_total", .help = ""}).Increment();
  telemetry.NewCounter({.name = "b_total", .help = "", .labels = {{"__l", "v"}}}).Increment();
  telemetry.NewCounter({.name = "a_total", .help = ""}).Increment();
  telemetry.NewGauge({.name = "a_total", .help = ""}).Set(100);
  EXPECT_THAT(telemetry.Text(), AllOf(HasSubstr("a_total 1\n"), Not(HasSubstr("Bad"))));
  EXPECT_EQ(log.lines().size(), 4u);
}

TEST(PrometheusTelemetryTest, TheNumberOfSeriesIsBounded) {
  LogCapture log;
  PrometheusTelemetry telemetry;
  for (size_t i = 0; i < limits::kTelemetrySeriesMax + 5; ++i) {
    telemetry.NewCounter({.name = "a_total", .help = "", .labels = {{"l", absl::StrCat(i)}}})
        .Increment();
  }
  const std::string text = telemetry.Text();
  EXPECT_THAT(text, HasSubstr(absl::StrCat("\"", limits::kTelemetrySeriesMax - 1, "\"")));
  EXPECT_THAT(text, Not(HasSubstr(absl::StrCat("\"", limits::kTelemetrySeriesMax, "\""))));
  EXPECT_TRUE(log.Contains("too many series"));
}

TEST(PrometheusTelemetryTest, ServesScrapesOnAFreePort) {
  PrometheusTelemetry telemetry;
  telemetry.NewGauge({.name = "cvtrain_slots", .help = "x"}).Set(2);
  CVT_ASSERT_OK_AND_ASSIGN(const auto server, telemetry.Serve("127.0.0.1", 0));
  ASSERT_GT(server->port(), 0);
  EXPECT_THAT(Scrape(server->port()), AllOf(HasSubstr("200 OK"), HasSubstr("cvtrain_slots 2")));
  EXPECT_THAT(telemetry.Serve("127.0.0.1", server->port()),
              StatusIs(absl::StatusCode::kUnavailable, ReasonIs("STOPPING")));
}

TEST(PrometheusTelemetryTest, AServerOutlivesItsTelemetry) {
  auto telemetry = std::make_unique<PrometheusTelemetry>();
  telemetry->NewGauge({.name = "cvtrain_slots", .help = "x"}).Set(2);
  CVT_ASSERT_OK_AND_ASSIGN(const auto server, telemetry->Serve("127.0.0.1", 0));
  telemetry.reset();
  EXPECT_THAT(Scrape(server->port()), HasSubstr("cvtrain_slots 2"));
}

}  // namespace
}  // namespace cvtrain
