#include "common/telemetry.h"

#include <gmock/gmock.h>

namespace cvtrain {
namespace {

using ::testing::ElementsAre;

TEST(InMemoryTelemetryTest, KeepsNumbersPerSeries) {
  InMemoryTelemetry telemetry;
  Counter& commits = telemetry.NewCounter({.name = "cvtrain_commits_total", .help = "x"});
  commits.Increment();
  commits.Increment(2);
  telemetry.NewCounter({.name = "cvtrain_commits_total", .help = "x"}).Increment();
  Gauge& depth = telemetry.NewGauge(
      {.name = "cvtrain_queue_length", .help = "x", .labels = {{"queue", "engine"}}});
  depth.Set(5);
  depth.Add(-2);
  Histogram& latency = telemetry.NewHistogram(
      {.name = "cvtrain_commit_latency_seconds", .help = "x"}, LatencyBuckets());
  latency.Observe(0.25);
  latency.Observe(0.5);

  EXPECT_EQ(telemetry.Value("cvtrain_commits_total"), 4);
  EXPECT_EQ(telemetry.Value("cvtrain_queue_length{queue=engine}"), 3);
  EXPECT_EQ(telemetry.Value("cvtrain_commit_latency_seconds"), 2);
  EXPECT_EQ(telemetry.Sum("cvtrain_commit_latency_seconds"), 0.75);
  EXPECT_EQ(telemetry.Value("nothing"), 0);
}

TEST(CounterSetTest, CountsUnknownValuesAsOther) {
  InMemoryTelemetry telemetry;
  const CounterSet errors(telemetry, {.name = "cvtrain_errors_total", .help = "x"}, "cause",
                          {"disk", "peer"});
  errors.For("disk").Increment();
  errors.For("experiments/12; DROP").Increment();
  errors.For("never seen").Increment();
  EXPECT_THAT(telemetry.Series(),
              ElementsAre("cvtrain_errors_total{cause=disk}", "cvtrain_errors_total{cause=other}",
                          "cvtrain_errors_total{cause=peer}"));
  EXPECT_EQ(telemetry.Value("cvtrain_errors_total{cause=other}"), 2);
}

TEST(NullTelemetryTest, TakesEverythingAndKeepsNothing) {
  NullTelemetry().NewCounter({.name = "a", .help = ""}).Increment();
  NullTelemetry().NewGauge({.name = "a", .help = ""}).Set(1);
  NullTelemetry().NewHistogram({.name = "a", .help = ""}, {1}).Observe(1);
}

}  // namespace
}  // namespace cvtrain
