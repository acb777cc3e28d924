#include "common/telemetry.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace cvtrain {
namespace {

class NullCounter : public Counter {
 public:
  void Increment(double) override {}
};
class NullGauge : public Gauge {
 public:
  void Set(double) override {}
  void Add(double) override {}
};
class NullHistogram : public Histogram {
 public:
  void Observe(double) override {}
};

class NullRegistry : public TelemetryRegistry {
 public:
  Counter& NewCounter(const SeriesSpec&) override { return counter_; }
  Gauge& NewGauge(const SeriesSpec&) override { return gauge_; }
  Histogram& NewHistogram(const SeriesSpec&, const std::vector<double>&) override {
    return histogram_;
  }

 private:
  NullCounter counter_;
  NullGauge gauge_;
  NullHistogram histogram_;
};

std::string SeriesName(const SeriesSpec& spec) {
  if (spec.labels.empty()) return spec.name;
  std::string name = absl::StrCat(spec.name, "{");
  for (size_t i = 0; i < spec.labels.size(); ++i) {
    absl::StrAppend(&name, i == 0 ? "" : ",", spec.labels[i].first, "=", spec.labels[i].second);
  }
  return name + "}";
}

}  // namespace

TelemetryRegistry& NullTelemetry() {
  static auto* const registry = new NullRegistry;
  return *registry;
}

const std::vector<double>& LatencyBuckets() {
  static const auto* const bounds =
      new std::vector<double>{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                              0.2,    0.5,    1,      2,     5,     10,    20,   50,   100};
  return *bounds;
}

CounterSet::CounterSet(TelemetryRegistry& registry, const SeriesSpec& spec,
                       const std::string& label, const std::vector<std::string>& values) {
  const auto add = [&](const std::string& value) {
    SeriesSpec one = spec;
    one.labels.emplace_back(label, value);
    return &registry.NewCounter(one);
  };
  for (const std::string& value : values) counters_[value] = add(value);
  other_ = add("other");
}

Counter& CounterSet::For(absl::string_view value) const {
  const auto found = counters_.find(std::string(value));
  return found == counters_.end() ? *other_ : *found->second;
}

// One series, which is whatever the caller registered it as.
class InMemoryTelemetry::Cell : public Counter, public Gauge, public Histogram {
 public:
  void Increment(double by) override {
    CVT_CHECK(by >= 0) << by;
    value_ += by;
  }
  void Set(double value) override { value_ = value; }
  void Add(double by) override { value_ += by; }
  void Observe(double value) override {
    value_ += 1;
    sum_ += value;
  }

  double value() const { return value_; }
  double sum() const { return sum_; }

 private:
  std::atomic<double> value_ = 0;
  std::atomic<double> sum_ = 0;
};

InMemoryTelemetry::InMemoryTelemetry() = default;
InMemoryTelemetry::~InMemoryTelemetry() = default;

InMemoryTelemetry::Cell& InMemoryTelemetry::FindOrAdd(const SeriesSpec& spec) {
  absl::MutexLock lock(&mu_);
  std::unique_ptr<Cell>& cell = cells_[SeriesName(spec)];
  if (cell == nullptr) cell = std::make_unique<Cell>();
  return *cell;
}

Counter& InMemoryTelemetry::NewCounter(const SeriesSpec& spec) { return FindOrAdd(spec); }
Gauge& InMemoryTelemetry::NewGauge(const SeriesSpec& spec) { return FindOrAdd(spec); }
Histogram& InMemoryTelemetry::NewHistogram(const SeriesSpec& spec, const std::vector<double>&) {
  return FindOrAdd(spec);
}

double InMemoryTelemetry::Value(absl::string_view series) const {
  absl::MutexLock lock(&mu_);
  const auto found = cells_.find(std::string(series));
  return found == cells_.end() ? 0 : found->second->value();
}

double InMemoryTelemetry::Sum(absl::string_view series) const {
  absl::MutexLock lock(&mu_);
  const auto found = cells_.find(std::string(series));
  return found == cells_.end() ? 0 : found->second->sum();
}

std::vector<std::string> InMemoryTelemetry::Series() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> names;
  for (const auto& [name, cell] : cells_) names.push_back(name);
  return names;
}

}  // namespace cvtrain
