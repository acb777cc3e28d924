#ifndef CVTRAIN_COORDINATOR_SERVICE_SERVER_H_
#define CVTRAIN_COORDINATOR_SERVICE_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/random.h"
#include "common/rpc/channel.h"
#include "common/telemetry.h"
#include "coordinator/engine/engine.h"
#include "coordinator/storage/database.h"

namespace cvtrain::coordinator {

struct ServerOptions {
  // unix:/path or host:port; the latter needs `tls`.
  std::string listen;
  TlsFiles tls;
  // Everything durable; see DatabaseOptions.
  std::string state_dir;
  // Bytes of all checkpoints together.
  int64_t checkpoint_quota_bytes = int64_t{256} << 30;
  // Free space on the disk of `state_dir` below which metrics, logs, checkpoints, shards and users'
  // mutations are refused, so that what was decided can still be journaled.
  int64_t disk_reserve_bytes = int64_t{64} << 20;
  // How long workers go on computing without us.
  absl::Duration orphan_limit = absl::Minutes(10);
  // After SIGTERM, how long calls may take to end.
  absl::Duration stop_grace = absl::Seconds(5);
};

// All problems at once: INVALID_ARGUMENT (USAGE).
absl::Status Validate(const ServerOptions& options);

// A coordinator in one object: database, engine, services, and the threads that
// drive them. The process around it has flags and signals.
//
// Opens in the order journal, engine, stores, services, socket; a client that
// connects finds everything recovered. Thread-safe.
class Server {
 public:
  // `on_fatal` is called once, on a thread of the server's, when it can no
  // longer know what is true: a failed write. The process must end within
  // seconds, without calling anything here.
  //
  // Returns the errors of Database::Open() and Engine::Recover(),
  // FAILED_PRECONDITION (SOCKET_BUSY) if somebody listens at the address, and
  // those of MakeServerCredentials(). All references must outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, FileSystem& files, const Clock& clock, Random& random,
      TelemetryRegistry& telemetry, std::function<void(const absl::Status&)> on_fatal);

  // Ends calls, then the engine (with a snapshot), then the database.
  virtual ~Server() = default;

  // Where it listens, with the port that was asked for as 0.
  virtual std::string address() const = 0;
  virtual std::string cluster_id() const = 0;
  // Durable. Waits for the engine.
  virtual int64_t revision() const = 0;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_SERVICE_SERVER_H_
