#ifndef CVTRAIN_COMMON_TELEMETRY_H_
#define CVTRAIN_COMMON_TELEMETRY_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

// What Prometheus scrapes, without Prometheus: libraries take a
// TelemetryRegistry& and keep the handles that it returns.
namespace cvtrain {

// A number that only grows. Thread-safe.
class Counter {
 public:
  virtual ~Counter() = default;
  // `by` must not be negative.
  virtual void Increment(double by = 1) = 0;
};

// A number that goes up and down. Thread-safe.
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual void Add(double by) = 0;
};

// A distribution, in buckets. Thread-safe.
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Names one series. Labels have values from a small closed set that the code
// knows: never names of trials, users, workers, paths, or text from outside.
struct SeriesSpec {
  std::string name;  // with unit: "cvtrain_commit_latency_seconds"; counters end in "_total"
  std::string help;
  std::vector<std::pair<std::string, std::string>> labels = {};
};

// Gives out handles. They belong to the registry and live as long as it does; the
// same spec yields the same handle. Register at construction, not per event.
//
// Past limits::kTelemetrySeriesMax series, and for a name that has been given to
// another kind or is not [a-z_][a-z0-9_]*, the handle counts nothing and a line is
// logged once: telemetry never breaks what it watches. Thread-safe.
class TelemetryRegistry {
 public:
  virtual ~TelemetryRegistry() = default;
  virtual Counter& NewCounter(const SeriesSpec& spec) = 0;
  virtual Gauge& NewGauge(const SeriesSpec& spec) = 0;
  // `bounds` are upper ends of the buckets, ascending; all series of one name
  // share those of the first.
  virtual Histogram& NewHistogram(const SeriesSpec& spec, const std::vector<double>& bounds) = 0;
};

// Bounds of 0.1 ms to 100 s, three to a decade.
const std::vector<double>& LatencyBuckets();

// One counter for each value of one label. A value that is not in `values` counts
// under "other". Immutable after construction.
class CounterSet {
 public:
  CounterSet(TelemetryRegistry& registry, const SeriesSpec& spec, const std::string& label,
             const std::vector<std::string>& values);
  Counter& For(absl::string_view value) const;

 private:
  std::map<std::string, Counter*, std::less<>> counters_;
  Counter* other_;
};

// Counts nothing. Lives as long as the process.
TelemetryRegistry& NullTelemetry();

// Keeps numbers where tests can read them.
class InMemoryTelemetry : public TelemetryRegistry {
 public:
  InMemoryTelemetry();
  ~InMemoryTelemetry() override;

  Counter& NewCounter(const SeriesSpec& spec) override ABSL_LOCKS_EXCLUDED(mu_);
  Gauge& NewGauge(const SeriesSpec& spec) override ABSL_LOCKS_EXCLUDED(mu_);
  Histogram& NewHistogram(const SeriesSpec& spec, const std::vector<double>& bounds) override
      ABSL_LOCKS_EXCLUDED(mu_);

  // The value of a counter or gauge, the number of observations of a histogram;
  // 0 for a series that does not exist. `series` is "name" or "name{a=b,c=d}"
  // with labels in the order of the spec.
  double Value(absl::string_view series) const ABSL_LOCKS_EXCLUDED(mu_);
  // Sum of the observations of a histogram.
  double Sum(absl::string_view series) const ABSL_LOCKS_EXCLUDED(mu_);
  // All series, sorted.
  std::vector<std::string> Series() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Cell;
  Cell& FindOrAdd(const SeriesSpec& spec) ABSL_LOCKS_EXCLUDED(mu_);

  mutable absl::Mutex mu_;
  std::map<std::string, std::unique_ptr<Cell>, std::less<>> cells_ ABSL_GUARDED_BY(mu_);
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_TELEMETRY_H_
