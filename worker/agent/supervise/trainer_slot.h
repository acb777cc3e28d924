#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_TRAINER_SLOT_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_TRAINER_SLOT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/memfd.h"
#include "common/process.h"
#include "common/unique_fd.h"
#include "common/unix_socket.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "worker/agent/session/attempt_key.h"
#include "worker/agent/session/session.h"
#include "worker/agent/supervise/line_reader.h"

namespace cvtrain::worker {

struct TrainerOptions {
  // The program, and flags before ours; it gets `--agent-fd=3` too.
  std::vector<std::string> command;
  // What its Hello must say: agent and trainer are of one build.
  std::string build_id;
  // Compute threads of a slot: OMP_NUM_THREADS and its like.
  int threads_per_slot = 1;
  // By slot: the UUID of the GPU that its trainers see and compute on; empty: none.
  std::vector<std::string> gpus;
  // Below the agent and a coordinator on the same machine, which need little and need it
  // at once.
  int nice = 5;
  // From the start of the process to its Hello. LibTorch loads in 0.2 s from a warm disk.
  absl::Duration hello_timeout = absl::Minutes(1);
  // A rank that does nothing new for so long, and waits for no answer of ours, hangs and is
  // killed. Zero: never. Longer than any step, batch of an evaluation or compilation takes.
  absl::Duration hang_timeout = absl::Minutes(10);
  // From a bad Exit, or Shutdown, to SIGKILL.
  absl::Duration exit_grace = absl::Seconds(2);
  // Waits between starts that failed: doubles from the first to the second.
  absl::Duration restart_delay_first = absl::Milliseconds(500);
  absl::Duration restart_delay_max = absl::Minutes(1);
  // Starts that fail in a row before an attempt that waits for the slot is given up.
  int start_failures_max = 3;
};

// A checkpoint in a trainer's buffer.
struct CheckpointBuffer {
  trainer::v1::CheckpointReady ready;
  // Shared with the upload, which may outlast the trainer.
  std::shared_ptr<SharedMemory> memory;
};

// Names one process among those that a slot has had, so that an answer that comes late
// does not go to its successor.
struct TrainerRef {
  int slot = 0;
  int64_t process = 0;
};

// What a slot says, to its owner, on its owner's thread.
class TrainerEvents {
 public:
  virtual ~TrainerEvents() = default;
  virtual void OnReport(const AttemptKey& key, int rank, trainer::v1::Report report) = 0;
  virtual void OnLines(const AttemptKey& key, int rank, std::vector<v1::LogLine> lines) = 0;
  virtual void OnShardRequest(const TrainerRef& from, const AttemptKey& key,
                              const trainer::v1::ShardRequest& request) = 0;
  virtual void OnStoreCall(const TrainerRef& from, const AttemptKey& key,
                           trainer::v1::StoreCall call) = 0;
  virtual void OnCheckpoint(const TrainerRef& from, const AttemptKey& key,
                            CheckpointBuffer buffer) = 0;
  // Once for each Start(). `suspect`: what the rank found damaged.
  virtual void OnRankEnded(RankEnded ended, trainer::v1::Exit::Suspect suspect) = 0;
};

// One slot and its trainer process, which is kept warm, given a rank, watched, and
// replaced:
//
//   kStarting --Hello--> kWarm --Start--> kRunning --good Exit--> kWarm
//       |                  |                 |
//       +----- process ended, killed, bad Exit, 100 attempts -----> kEnding --ended--> kStarting
//       +----- could not be started ------------------------------> kWaiting --time--> kStarting
//
// It never blocks but for sending frames (at most kSendTimeout, then the trainer is
// killed). Owned by one thread, the one that must outlive the processes: the kernel kills
// them when it ends.
class TrainerSlot {
 public:
  enum class State { kStarting, kWarm, kRunning, kEnding, kWaiting };
  static constexpr absl::Duration kSendTimeout = absl::Seconds(1);

  // `options`, `events` and `oom_kills` must outlive it. `oom_kills` is the number of
  // processes that the kernel killed for lack of memory since it runs.
  TrainerSlot(int slot, const TrainerOptions& options, TrainerEvents& events,
              const std::function<int64_t()>& oom_kills);
  ~TrainerSlot();

  // Makes the trainer a rank as soon as it is warm. `resume` goes with the frame; -1: none.
  // The slot must not have a rank.
  void Start(const AttemptKey& key, trainer::v1::Start start, UniqueFd resume, absl::Duration now);
  // Asks the rank to end, if it runs; one that waits for its trainer ends at once.
  void Stop(session::v1::StopAttempt::Mode mode, v1::Cause cause);
  // Ends the rank with this cause, whatever it does.
  void Kill(v1::Cause cause, const std::string& message);
  // The attempt whose rank is here, running or waiting for the trainer.
  std::optional<AttemptKey> attempt() const;

  // Sends to that very process; dropped if it is gone. `descriptors` stay the caller's.
  void Send(const TrainerRef& to, const trainer::v1::AgentFrame& frame,
            absl::Span<const int> descriptors = {});

  // What to poll() for reading, and what to do when something is readable or time has
  // passed. Work is bounded: the rest comes with the next call.
  void AddDescriptors(std::vector<int>& descriptors) const;
  void Step(absl::Duration now);
  // When Step() is due without anything readable.
  absl::Duration NextStep() const;

  // Ends the process in an orderly way; it is not started again.
  void Shutdown(absl::Duration now);
  bool down() const { return shut_down_ && !process_; }

  State state() const { return state_; }
  int index() const { return slot_; }

 private:
  struct Rank {
    AttemptKey key;
    trainer::v1::Start start;
    UniqueFd resume;
    bool running = false;  // Start was sent
    int64_t last_step = 0;
    int64_t activity = 0;  // as it was reported last
    // What it asked for and waits for: then it does not hang, however long it takes.
    std::set<std::pair<trainer::v1::TrainerFrame::MessageCase, int64_t>> unanswered;
    int64_t oom_kills_before = 0;
    int start_failures_before = 0;
    // How it ends if the process ends by our hand.
    std::optional<v1::Cause> kill_cause;
    std::string kill_message;
  };

  void Spawn(absl::Duration now);
  void SendStart(absl::Duration now);
  // True if there may be more.
  bool Read(absl::Duration now);
  void HandleFrame(trainer::v1::TrainerFrame frame, std::vector<UniqueFd> descriptors,
                   absl::Duration now);
  void NoteAnswer(const trainer::v1::AgentFrame& frame);
  void NoteReport(const trainer::v1::Report& report, absl::Duration now);
  void OnHello(const trainer::v1::Hello& hello, absl::Duration now);
  void OnCheckpointReady(const trainer::v1::CheckpointReady& ready,
                         std::vector<UniqueFd> descriptors);
  void OnExit(const trainer::v1::Exit& exit, absl::Duration now);
  void ReadOutput(absl::Duration now);
  void OnProcessEnded(const ExitStatus& exit, absl::Duration now);
  void StartFailed(const std::string& why, absl::Duration now);
  void EndRank(v1::Cause cause, const std::string& message, int64_t end_step = 0);
  void EndRank(const trainer::v1::Exit& exit);
  void KillProcess();
  void Ending(absl::Duration kill_at);

  const int slot_;
  const TrainerOptions& options_;
  TrainerEvents& events_;
  const std::function<int64_t()>& oom_kills_;

  State state_ = State::kWaiting;
  absl::Duration state_until_ = -absl::InfiniteDuration();  // time-out or start
  std::unique_ptr<Process> process_;
  int64_t process_number_ = 0;
  std::unique_ptr<UnixConnection> connection_;
  bool connection_lost_ = false;
  LineReader output_;
  std::map<int, std::shared_ptr<SharedMemory>> buffers_;  // of this process
  int attempts_served_ = 0;                               // by this process
  int start_failures_ = 0;                                // in a row
  bool shut_down_ = false;
  std::optional<Rank> rank_;
  absl::Duration last_activity_ = absl::ZeroDuration();
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_TRAINER_SLOT_H_
