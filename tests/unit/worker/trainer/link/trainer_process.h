#ifndef CVTRAIN_TESTS_UNIT_WORKER_TRAINER_LINK_TRAINER_PROCESS_H_
#define CVTRAIN_TESTS_UNIT_WORKER_TRAINER_LINK_TRAINER_PROCESS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/memfd.h"
#include "common/process.h"
#include "common/unix_socket.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/trainer/collective/store_transport.h"

namespace cvtrain::trainer {

// What a trainer has sent during one attempt.
struct ServedAttempt {
  std::vector<int64_t> loss_steps;
  std::vector<double> image_rates;
  std::vector<session::v1::Fact> facts;
  std::vector<v1::CheckpointReady> checkpoints;
  std::string last_checkpoint;   // the file, complete with its trailer
  std::optional<v1::Exit> exit;  // nothing if the process ended without one
  absl::Duration start_latency;  // from Start to the fact that the first step begins
};

// The program cvtrain-trainer, with this object as its agent. Ends it (SIGKILL) when destroyed.
// Thread-compatible.
class TrainerProcess {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(60);

  // Starts the program and takes its Hello.
  TrainerProcess();

  const v1::Hello& hello() const { return hello_; }
  Process& process() { return *process_; }

  void Send(const v1::AgentFrame& frame, int fd = -1);
  // Sends Start with `checkpoint`, a complete file, as what to go on from; empty for none.
  void SendStart(v1::AgentFrame start, const std::string& checkpoint = "");
  absl::StatusOr<v1::TrainerFrame> Receive(std::vector<UniqueFd>* descriptors = nullptr);
  // Closes the socket.
  void Abandon() { connection_.reset(); }

  struct Surroundings {
    // Files of the shards, by index.
    std::vector<int> shards;
    StoreTransport* store = nullptr;
    // Kills the process (SIGKILL) when it hands over a checkpoint of this step.
    int64_t kill_at_step = -1;
  };
  // Answers the trainer until it sends Exit or ends.
  ServedAttempt Serve(const Surroundings& surroundings);
  ServedAttempt Serve() { return Serve(Surroundings()); }

 private:
  void TakeReport(const v1::Report& report, ServedAttempt& attempt);
  void TakeCheckpoint(const v1::CheckpointReady& ready, std::vector<UniqueFd>& descriptors,
                      ServedAttempt& attempt);
  void Answer(const v1::TrainerFrame& frame, const Surroundings& surroundings);

  std::unique_ptr<UnixConnection> connection_;
  std::unique_ptr<Process> process_;
  v1::Hello hello_;
  absl::Duration start_time_;
  std::array<SharedMemory, 2> buffers_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_TESTS_UNIT_WORKER_TRAINER_LINK_TRAINER_PROCESS_H_
