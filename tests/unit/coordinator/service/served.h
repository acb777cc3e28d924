#ifndef CVTRAIN_TESTS_UNIT_COORDINATOR_SERVICE_SERVED_H_
#define CVTRAIN_TESTS_UNIT_COORDINATOR_SERVICE_SERVED_H_

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/file_system.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/status_macros.h"
#include "common/telemetry.h"
#include "coordinator/service/server.h"
#include "tests/support/fake_random.h"
#include "tests/support/temp_dir.h"

namespace cvtrain::coordinator {

// A coordinator in this process, behind real gRPC: on a Unix socket, or with `tls` on a port of
// loopback that the kernel chooses. Its clock is the machine's; nothing here waits for it.
class Served {
 public:
  explicit Served(const TlsFiles& tls = {}) : tls_(tls) {
    // For the life of the process: whoever is the last to leave gRPC waits until a thread of it
    // that polls in the background looks up, which it does every ten seconds.
    [[maybe_unused]] static const bool kept = [] {
      grpc_init();
      return true;
    }();
    Start();
  }

  // As if the disk had only its reserve left.
  void RestartOnAFullDisk() {
    disk_reserve_bytes_ = int64_t{1} << 60;
    Restart();
  }

  void Start() {
    ServerOptions options;
    options.listen = tls_.empty() ? absl::StrCat("unix:", dir_ / "c.sock") : "127.0.0.1:0";
    options.tls = tls_;
    options.state_dir = dir_ / "state";
    options.disk_reserve_bytes = disk_reserve_bytes_;
    auto server = Server::Start(options, PosixFileSystem(), RealClock(), random_, NullTelemetry(),
                                [](const absl::Status& status) { CVT_CHECK_OK(status); });
    CVT_CHECK_OK(server.status());
    server_ = *std::move(server);
  }
  void Restart() {
    server_.reset();
    Start();
  }

  // A channel of its own for whoever presents `tls`.
  std::shared_ptr<grpc::Channel> Channel(const TlsFiles& tls = {}) {
    auto channel = OpenChannel(server_->address(), tls, PosixFileSystem());
    CVT_CHECK_OK(channel.status());
    return *channel;
  }

  std::string address() const { return server_->address(); }
  int64_t revision() const { return server_->revision(); }

 private:
  const TlsFiles tls_;
  int64_t disk_reserve_bytes_ = int64_t{1} << 20;
  testing::TempDir dir_;
  testing::FakeRandom random_{7};
  std::unique_ptr<Server> server_;
};

// Calls a unary method: Call(&Stub::GetTrial, stub, request, &response).
template <typename Stub, typename Request, typename Response>
absl::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  Stub& stub, const Request& request, Response* response) {
  grpc::ClientContext context;
  context.set_deadline(DeadlineAfter(absl::Seconds(60)));
  return FromGrpcStatus((stub.*method)(&context, request, response));
}

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_TESTS_UNIT_COORDINATOR_SERVICE_SERVED_H_
