#include "common/prometheus/prometheus_telemetry.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/thread.h"
#include "common/unique_fd.h"

namespace cvtrain {
namespace {

class PrometheusCounter : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& counter) : counter_(counter) {}
  void Increment(double by) override { counter_.Increment(by); }

 private:
  prometheus::Counter& counter_;
};

class PrometheusGauge : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void Set(double value) override { gauge_.Set(value); }
  void Add(double by) override { gauge_.Increment(by); }

 private:
  prometheus::Gauge& gauge_;
};

class PrometheusHistogram : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void Observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

bool IsWord(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](const char& c) {
    const bool digit = c >= '0' && c <= '9';
    return (c >= 'a' && c <= 'z') || c == '_' || (digit && &c != name.data());
  });
}

enum class Kind { kCounter, kGauge, kHistogram };

}  // namespace

struct PrometheusTelemetry::State {
  // One name: its kind, and the bounds that all of its series share.
  struct Family {
    Kind kind = Kind::kCounter;
    std::vector<double> bounds;
    prometheus::Family<prometheus::Counter>* counters = nullptr;
    prometheus::Family<prometheus::Gauge>* gauges = nullptr;
    prometheus::Family<prometheus::Histogram>* histograms = nullptr;
    std::map<prometheus::Labels, std::unique_ptr<Counter>> counter_handles = {};
    std::map<prometheus::Labels, std::unique_ptr<Gauge>> gauge_handles = {};
    std::map<prometheus::Labels, std::unique_ptr<Histogram>> histogram_handles = {};
  };

  // The family for `spec`, made if it is new; null if the name is unusable, which is
  // logged once for each name.
  Family* FindOrAdd(const SeriesSpec& spec, Kind kind, const std::vector<double>& bounds)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    const bool well_named =
        IsWord(spec.name) && std::all_of(spec.labels.begin(), spec.labels.end(), [](const auto& l) {
          return IsWord(l.first) && !absl::StartsWith(l.first, "__");
        });
    const auto found = families.find(spec.name);
    if (!well_named || (found != families.end() && found->second.kind != kind)) {
      refused = well_named ? "its name has another kind" : "its name is not [a-z_][a-z0-9_]*";
      return nullptr;
    }
    if (series >= limits::kTelemetrySeriesMax) {
      refused = "there are too many series";
      return nullptr;
    }
    Family& family = families[spec.name];
    if (found != families.end()) return &family;
    family.kind = kind;
    family.bounds = bounds;
    switch (kind) {
      case Kind::kCounter:
        family.counters =
            &prometheus::BuildCounter().Name(spec.name).Help(spec.help).Register(*registry);
        break;
      case Kind::kGauge:
        family.gauges =
            &prometheus::BuildGauge().Name(spec.name).Help(spec.help).Register(*registry);
        break;
      case Kind::kHistogram:
        family.histograms =
            &prometheus::BuildHistogram().Name(spec.name).Help(spec.help).Register(*registry);
        break;
    }
    return &family;
  }

  // Says why the last series was refused; after the lock is released.
  void LogRefusal(const SeriesSpec& spec, const std::string& why) {
    if (why.empty()) return;
    CVT_LOG(kError, "telemetry series is not counted").Field("name", spec.name).Field("why", why);
  }

  const std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();

  absl::Mutex mu;
  std::map<std::string, Family> families ABSL_GUARDED_BY(mu);
  size_t series ABSL_GUARDED_BY(mu) = 0;
  std::string refused ABSL_GUARDED_BY(mu);
};

PrometheusTelemetry::PrometheusTelemetry() : state_(std::make_shared<State>()) {}
PrometheusTelemetry::~PrometheusTelemetry() = default;

Counter& PrometheusTelemetry::NewCounter(const SeriesSpec& spec) {
  std::string why;
  {
    absl::MutexLock lock(&state_->mu);
    State::Family* family = state_->FindOrAdd(spec, Kind::kCounter, {});
    if (family != nullptr) {
      const prometheus::Labels labels(spec.labels.begin(), spec.labels.end());
      std::unique_ptr<Counter>& handle = family->counter_handles[labels];
      if (handle == nullptr) {
        handle = std::make_unique<PrometheusCounter>(family->counters->Add(labels));
        ++state_->series;
      }
      return *handle;
    }
    why = state_->refused;
  }
  state_->LogRefusal(spec, why);
  return NullTelemetry().NewCounter(spec);
}

Gauge& PrometheusTelemetry::NewGauge(const SeriesSpec& spec) {
  std::string why;
  {
    absl::MutexLock lock(&state_->mu);
    State::Family* family = state_->FindOrAdd(spec, Kind::kGauge, {});
    if (family != nullptr) {
      const prometheus::Labels labels(spec.labels.begin(), spec.labels.end());
      std::unique_ptr<Gauge>& handle = family->gauge_handles[labels];
      if (handle == nullptr) {
        handle = std::make_unique<PrometheusGauge>(family->gauges->Add(labels));
        ++state_->series;
      }
      return *handle;
    }
    why = state_->refused;
  }
  state_->LogRefusal(spec, why);
  return NullTelemetry().NewGauge(spec);
}

Histogram& PrometheusTelemetry::NewHistogram(const SeriesSpec& spec,
                                             const std::vector<double>& bounds) {
  std::string why;
  {
    absl::MutexLock lock(&state_->mu);
    State::Family* family = state_->FindOrAdd(spec, Kind::kHistogram, bounds);
    if (family != nullptr) {
      const prometheus::Labels labels(spec.labels.begin(), spec.labels.end());
      std::unique_ptr<Histogram>& handle = family->histogram_handles[labels];
      if (handle == nullptr) {
        handle =
            std::make_unique<PrometheusHistogram>(family->histograms->Add(labels, family->bounds));
        // A scrape shows one line for each bucket, the sum and the count.
        state_->series += family->bounds.size() + 3;
      }
      return *handle;
    }
    why = state_->refused;
  }
  state_->LogRefusal(spec, why);
  return NullTelemetry().NewHistogram(spec, bounds);
}

std::string PrometheusTelemetry::Text() const {
  return prometheus::TextSerializer().Serialize(state_->registry->Collect());
}

namespace {

// Opens and closes a connection to a server on this machine.
void Knock(const std::string& host, int port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  const bool is_address = ::inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1;
  if (!is_address || address.sin_addr.s_addr == INADDR_ANY) {
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  // Whoever is knocked awake needs no more than the attempt.
  [[maybe_unused]] const int connected =
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

// Keeps the numbers alive for scrapes that are under way when the telemetry dies.
class ExposerServer : public PrometheusTelemetry::Server {
 public:
  ExposerServer(const std::string& host, int port, std::shared_ptr<prometheus::Registry> registry)
      : host_(host),
        registry_(std::move(registry)),
        exposer_(std::make_unique<prometheus::Exposer>(absl::StrCat(host, ":", port),
                                                       /*num_threads=*/2)) {
    exposer_->RegisterCollectable(registry_);
  }

  ~ExposerServer() override {
    // The library looks for its end only every 2 s, or when somebody connects.
    const int bound = port();
    Thread knocker("metrics-knock", [this, bound](StopToken stop) {
      do {
        Knock(host_, bound);
      } while (!WaitForStop(stop, absl::Milliseconds(10)));
    });
    exposer_.reset();
  }

  int port() const override { return exposer_->GetListeningPorts().front(); }

 private:
  const std::string host_;
  const std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PrometheusTelemetry::Server>> PrometheusTelemetry::Serve(
    const std::string& host, int port) {
  try {
    return std::make_unique<ExposerServer>(host, port, state_->registry);
  } catch (const std::exception& error) {
    return Unavailable(Reason::kStopping,
                       absl::StrCat("serving /metrics on ", host, ":", port, ": ", error.what(),
                                    "; choose another port"));
  }
}

}  // namespace cvtrain
