#ifndef CVTRAIN_COMMON_PROMETHEUS_PROMETHEUS_TELEMETRY_H_
#define CVTRAIN_COMMON_PROMETHEUS_PROMETHEUS_TELEMETRY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/telemetry.h"

namespace cvtrain {

// Telemetry that Prometheus can scrape. For main functions only; libraries take a
// TelemetryRegistry&. Thread-safe.
class PrometheusTelemetry : public TelemetryRegistry {
 public:
  PrometheusTelemetry();
  ~PrometheusTelemetry() override;

  Counter& NewCounter(const SeriesSpec& spec) override;
  Gauge& NewGauge(const SeriesSpec& spec) override;
  Histogram& NewHistogram(const SeriesSpec& spec, const std::vector<double>& bounds) override;

  // What a scrape gets: the Prometheus text format.
  std::string Text() const;

  // Serves GET /metrics on `host`:`port` until the returned server dies; port 0 takes a
  // free one. The server keeps this telemetry's numbers alive.
  // Returns UNAVAILABLE (STOPPING) if the address cannot be bound, which is a port in
  // use or an address that is not ours.
  class Server;
  absl::StatusOr<std::unique_ptr<Server>> Serve(const std::string& host, int port);

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with servers, which may outlive this
};

class PrometheusTelemetry::Server {
 public:
  virtual ~Server() = default;
  virtual int port() const = 0;
};

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_PROMETHEUS_PROMETHEUS_TELEMETRY_H_
