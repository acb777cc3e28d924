#include "worker/agent/supervise/trainer_slot.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::worker {
namespace {

// The trainer's number of the socket; the first after input and outputs.
constexpr int kSocketNumber = 3;
// Frames read in one step, so that one loud trainer does not starve the others.
constexpr int kFramesPerStep = 64;

// After these a trainer is as good as before; see trainer.proto.
bool IsGoodEnd(v1::Cause cause) {
  return cause == v1::CAUSE_FINISHED || cause == v1::CAUSE_RESIZED || cause == v1::CAUSE_PAUSED ||
         cause == v1::CAUSE_PRUNED || cause == v1::CAUSE_PREEMPTED || cause == v1::CAUSE_CANCELLED;
}

// A trainer sees the GPU of its slot and no other.
std::map<std::string, std::string> Environment(const TrainerOptions& options,
                                               const std::string& gpu) {
  const std::string threads = absl::StrCat(options.threads_per_slot);
  return {{"OMP_NUM_THREADS", threads},      {"MKL_NUM_THREADS", threads},
          {"OPENBLAS_NUM_THREADS", threads}, {"OMP_WAIT_POLICY", "passive"},
          {"OMP_DYNAMIC", "false"},          {"MKL_DYNAMIC", "false"},
          {"CUDA_VISIBLE_DEVICES", gpu}};
}

}  // namespace

TrainerSlot::TrainerSlot(int slot, const TrainerOptions& options, TrainerEvents& events,
                         const std::function<int64_t()>& oom_kills)
    : slot_(slot), options_(options), events_(events), oom_kills_(oom_kills) {}

TrainerSlot::~TrainerSlot() = default;

std::optional<AttemptKey> TrainerSlot::attempt() const {
  if (!rank_) return std::nullopt;
  return rank_->key;
}

// --- The process ----------------------------------------------------------------

void TrainerSlot::Spawn(absl::Duration now) {
  const absl::Status spawned = [&]() -> absl::Status {
    CVT_ASSIGN_OR_RETURN(auto ends, UnixConnection::Pair());
    CVT_ASSIGN_OR_RETURN(const UniqueFd output, output_.Open());
    ProcessOptions process;
    process.argv = options_.command;
    process.argv.push_back(absl::StrCat("--agent-fd=", kSocketNumber));
    const auto slot = static_cast<size_t>(slot_);
    const std::string gpu = slot < options_.gpus.size() ? options_.gpus[slot] : "";
    if (!gpu.empty()) process.argv.push_back("--gpu");
    process.environment = Environment(options_, gpu);
    process.descriptors = {{ends.second->fd(), kSocketNumber}};
    process.stdout_fd = output.get();
    process.stderr_fd = output.get();
    process.die_with_parent = true;
    process.new_session = true;
    process.nice = options_.nice;
    CVT_ASSIGN_OR_RETURN(process_, Process::Spawn(process));
    connection_ = std::move(ends.first);
    return absl::OkStatus();
  }();
  if (!spawned.ok()) {
    StartFailed(std::string(spawned.message()), now);
    return;
  }
  ++process_number_;
  connection_lost_ = false;
  attempts_served_ = 0;
  state_ = State::kStarting;
  state_until_ = now + options_.hello_timeout;
}

void TrainerSlot::StartFailed(const std::string& why, absl::Duration now) {
  ++start_failures_;
  const int doublings = std::min(start_failures_ - 1, 16);
  state_ = State::kWaiting;
  state_until_ =
      now + std::min(options_.restart_delay_max, options_.restart_delay_first * (1 << doublings));
  CVT_LOG(kError, "trainer does not start")
      .Field("slot", slot_)
      .Field("why", why)
      .Field("failures", start_failures_);
  if (rank_ && start_failures_ - rank_->start_failures_before >= options_.start_failures_max) {
    EndRank(v1::CAUSE_INTERNAL,
            absl::StrCat("the trainer of slot ", slot_, " does not start: ", why));
  }
}

void TrainerSlot::KillProcess() {
  if (process_) process_->Signal(SIGKILL).IgnoreError();  // it has ended: all the better
}

void TrainerSlot::Ending(absl::Duration kill_at) {
  state_ = State::kEnding;
  state_until_ = kill_at;
}

void TrainerSlot::OnProcessEnded(const ExitStatus& exit, absl::Duration now) {
  process_.reset();
  connection_.reset();
  buffers_.clear();
  // One that ends before it has served would end again and again.
  const bool was_starting =
      state_ == State::kStarting || (state_ == State::kWarm && attempts_served_ == 0);
  const std::string last_lines = output_.LastLines();
  if (rank_ && rank_->running) {
    v1::Cause cause = v1::CAUSE_INTERNAL;
    std::string message = absl::StrCat("rank ", rank_->start.rank(), " at step ", rank_->last_step,
                                       ": the trainer ended with ", exit.ToString());
    if (rank_->kill_cause) {
      cause = *rank_->kill_cause;
      message = rank_->kill_message;
    } else if (exit.signal == SIGKILL && oom_kills_() > rank_->oom_kills_before) {
      cause = v1::CAUSE_OUT_OF_MEMORY;
      absl::StrAppend(&message, ": the kernel ran out of memory");
    } else if (!last_lines.empty()) {
      absl::StrAppend(&message, "; it said last: ", last_lines);
    }
    EndRank(cause, message, rank_->last_step);
  }
  if (shut_down_) return;
  if (was_starting) {
    StartFailed(
        absl::StrCat("it ended with ", exit.ToString(), last_lines.empty() ? "" : ": ", last_lines),
        now);
  } else {
    Spawn(now);
  }
}

void TrainerSlot::Shutdown(absl::Duration now) {
  shut_down_ = true;
  if (!process_) return;
  trainer::v1::AgentFrame frame;
  frame.mutable_shutdown();
  const bool idle = !rank_ || !rank_->running;
  if (idle && state_ == State::kWarm) {
    Send({.slot = slot_, .process = process_number_}, frame);
    Ending(now + options_.exit_grace);
  } else {
    KillProcess();
    Ending(absl::InfiniteDuration());
  }
}

// --- The rank -------------------------------------------------------------------

void TrainerSlot::Start(const AttemptKey& key, trainer::v1::Start start, UniqueFd resume,
                        absl::Duration now) {
  CVT_CHECK(!rank_) << "slot " << slot_;
  rank_ = Rank();
  rank_->key = key;
  rank_->start = std::move(start);
  rank_->resume = std::move(resume);
  rank_->start_failures_before = start_failures_;
  if (state_ == State::kWarm) SendStart(now);
  // Somebody needs the slot: do not wait out the delay after a few failures. After many it is
  // waited out, so that a broken slot does not end one queued attempt after the other.
  if (state_ == State::kWaiting && start_failures_ < options_.start_failures_max) {
    state_until_ = now;
  }
}

void TrainerSlot::SendStart(absl::Duration now) {
  state_ = State::kRunning;
  last_activity_ = now;
  ++attempts_served_;
  rank_->running = true;
  trainer::v1::AgentFrame frame;
  frame.mutable_start()->Swap(&rank_->start);
  const UniqueFd resume = std::move(rank_->resume);
  const int descriptor = resume.get();
  Send({.slot = slot_, .process = process_number_}, frame,
       absl::MakeConstSpan(&descriptor, resume.valid() ? 1 : 0));
  rank_->start.Swap(frame.mutable_start());
  // Reads a file, which the trainer need not wait for.
  rank_->oom_kills_before = oom_kills_();
}

void TrainerSlot::Send(const TrainerRef& to, const trainer::v1::AgentFrame& frame,
                       absl::Span<const int> descriptors) {
  if (to.process != process_number_ || !connection_ || connection_lost_) return;
  NoteAnswer(frame);
  const absl::Status sent = connection_->Send(frame.SerializeAsString(), descriptors, kSendTimeout);
  if (sent.ok()) return;
  CVT_LOG(kWarning, "cannot send to a trainer").Field("slot", slot_).Field("status", sent);
  connection_lost_ = true;
  KillProcess();
}

void TrainerSlot::Stop(session::v1::StopAttempt::Mode mode, v1::Cause cause) {
  if (!rank_) return;
  if (!rank_->running) {
    EndRank(cause, "stopped before its first step");
    return;
  }
  trainer::v1::AgentFrame frame;
  frame.mutable_stop()->set_mode(mode);
  frame.mutable_stop()->set_cause(cause);
  Send({.slot = slot_, .process = process_number_}, frame);
}

void TrainerSlot::Kill(v1::Cause cause, const std::string& message) {
  if (!rank_) return;
  if (!rank_->running) {
    EndRank(cause, message);
    return;
  }
  if (!rank_->kill_cause) {
    rank_->kill_cause = cause;
    rank_->kill_message = message;
  }
  Ending(absl::InfiniteDuration());
  KillProcess();
}

void TrainerSlot::EndRank(v1::Cause cause, const std::string& message, int64_t end_step) {
  trainer::v1::Exit exit;
  exit.set_cause(cause);
  exit.set_message(message);
  exit.set_end_step(end_step);
  EndRank(exit);
}

void TrainerSlot::EndRank(const trainer::v1::Exit& exit) {
  const Rank ended = std::move(*rank_);
  rank_.reset();
  events_.OnRankEnded({.key = ended.key,
                       .rank = ended.start.rank(),
                       .cause = exit.cause(),
                       .message = exit.message(),
                       .end_step = exit.end_step(),
                       .sample_digest = exit.sample_digest()},
                      exit.suspect());
}

// --- Frames and output ----------------------------------------------------------

void TrainerSlot::AddDescriptors(std::vector<int>& descriptors) const {
  if (connection_ && !connection_lost_) descriptors.push_back(connection_->fd());
  if (process_) descriptors.push_back(process_->pidfd());
  if (output_.fd() >= 0) descriptors.push_back(output_.fd());
}

absl::Duration TrainerSlot::NextStep() const {
  absl::Duration next = absl::InfiniteDuration();
  if (state_ == State::kStarting || state_ == State::kEnding ||
      (state_ == State::kWaiting && !shut_down_)) {
    next = state_until_;
  }
  if (state_ == State::kRunning && options_.hang_timeout > absl::ZeroDuration()) {
    next = std::min(next, last_activity_ + options_.hang_timeout);
  }
  return next;
}

void TrainerSlot::Step(absl::Duration now) {
  ReadOutput(now);
  if (process_) {
    // In this order: what it sent before it ended counts.
    const auto exit = process_->Poll();
    Read(now);
    if (exit.ok() && *exit) {
      while (Read(now)) {
      }
      ReadOutput(now);
      OnProcessEnded(**exit, now);
    }
  }
  if (state_ == State::kWaiting && !shut_down_ && now >= state_until_) Spawn(now);
  if (state_ == State::kStarting && now >= state_until_) {
    CVT_LOG(kError, "trainer did not say hello in time").Field("slot", slot_);
    KillProcess();
    state_until_ = absl::InfiniteDuration();
  }
  if (state_ == State::kEnding && now >= state_until_) {
    KillProcess();
    state_until_ = absl::InfiniteDuration();
  }
  if (rank_ && !rank_->unanswered.empty()) last_activity_ = now;
  if (state_ == State::kRunning && options_.hang_timeout > absl::ZeroDuration() &&
      now >= last_activity_ + options_.hang_timeout) {
    Kill(v1::CAUSE_INTERNAL,
         absl::StrCat("rank ", rank_->start.rank(), ": no progress since step ", rank_->last_step,
                      " for ", FormatElapsed(options_.hang_timeout)));
  }
}

bool TrainerSlot::Read(absl::Duration now) {
  for (int i = 0; i < kFramesPerStep; ++i) {
    if (!connection_ || connection_lost_) return false;
    absl::StatusOr<std::optional<Frame>> frame = connection_->TryReceive();
    if (!frame.ok()) {
      // A trainer without its agent ends by itself; one that lost its way is ended.
      connection_lost_ = true;
      KillProcess();
      return false;
    }
    if (!*frame) return false;
    trainer::v1::TrainerFrame message;
    if (!message.ParseFromString((*frame)->bytes)) {
      CVT_LOG(kError, "trainer sent what is no frame").Field("slot", slot_);
      connection_lost_ = true;
      KillProcess();
      return false;
    }
    HandleFrame(std::move(message), std::move((*frame)->descriptors), now);
  }
  return true;
}

void TrainerSlot::HandleFrame(trainer::v1::TrainerFrame frame, std::vector<UniqueFd> descriptors,
                              absl::Duration now) {
  if (frame.has_hello()) {
    OnHello(frame.hello(), now);
    return;
  }
  if (!rank_ || !rank_->running) return;  // late words of a rank that has ended
  const TrainerRef self = {.slot = slot_, .process = process_number_};
  const int rank = rank_->start.rank();
  switch (frame.message_case()) {
    case trainer::v1::TrainerFrame::kReport:
      NoteReport(frame.report(), now);
      events_.OnReport(rank_->key, rank, std::move(*frame.mutable_report()));
      break;
    case trainer::v1::TrainerFrame::kLog:
      events_.OnLines(rank_->key, rank,
                      {std::make_move_iterator(frame.mutable_log()->mutable_lines()->begin()),
                       std::make_move_iterator(frame.mutable_log()->mutable_lines()->end())});
      break;
    case trainer::v1::TrainerFrame::kShardRequest:
      if (!frame.shard_request().ahead()) {
        rank_->unanswered.emplace(frame.message_case(), frame.shard_request().id());
      }
      events_.OnShardRequest(self, rank_->key, frame.shard_request());
      break;
    case trainer::v1::TrainerFrame::kStoreCall:
      rank_->unanswered.emplace(frame.message_case(), frame.store_call().id());
      events_.OnStoreCall(self, rank_->key, std::move(*frame.mutable_store_call()));
      break;
    case trainer::v1::TrainerFrame::kCheckpointReady:
      last_activity_ = now;
      rank_->unanswered.emplace(frame.message_case(), frame.checkpoint_ready().step());
      OnCheckpointReady(frame.checkpoint_ready(), std::move(descriptors));
      break;
    case trainer::v1::TrainerFrame::kExit:
      OnExit(frame.exit(), now);
      break;
    default:
      break;  // of a later version; Hello would not have passed
  }
}

// A trainer repeats its progress whatever its loop does: only what is new shows that it lives.
void TrainerSlot::NoteReport(const trainer::v1::Report& report, absl::Duration now) {
  const v1::Progress& progress = report.progress();
  if (progress.step() > rank_->last_step || report.activity() > rank_->activity ||
      report.facts_size() > 0 || report.series_size() > 0) {
    last_activity_ = now;
  }
  rank_->last_step = std::max(rank_->last_step, progress.step());
  rank_->activity = std::max(rank_->activity, report.activity());
}

void TrainerSlot::NoteAnswer(const trainer::v1::AgentFrame& frame) {
  if (!rank_) return;
  auto& unanswered = rank_->unanswered;
  if (frame.has_shard()) {
    unanswered.erase({trainer::v1::TrainerFrame::kShardRequest, frame.shard().id()});
  } else if (frame.has_store_reply()) {
    unanswered.erase({trainer::v1::TrainerFrame::kStoreCall, frame.store_reply().id()});
  } else if (frame.has_checkpoint_released()) {
    unanswered.erase(
        {trainer::v1::TrainerFrame::kCheckpointReady, frame.checkpoint_released().step()});
  }
}

void TrainerSlot::OnHello(const trainer::v1::Hello& hello, absl::Duration now) {
  if (state_ != State::kStarting) return;
  if (hello.build_id() != options_.build_id) {
    CVT_LOG(kError, "trainer is of another build: install agent and trainer together")
        .Field("reason", ReasonName(Reason::kBuildMismatch))
        .Field("trainer", hello.build_id())
        .Field("agent", options_.build_id);
    KillProcess();
    return;
  }
  start_failures_ = 0;
  state_ = State::kWarm;
  last_activity_ = now;
  if (rank_) SendStart(now);
}

void TrainerSlot::OnCheckpointReady(const trainer::v1::CheckpointReady& ready,
                                    std::vector<UniqueFd> descriptors) {
  if (!descriptors.empty()) {
    absl::StatusOr<SharedMemory> memory =
        SharedMemory::MapReadWrite(std::move(descriptors.front()), limits::kCheckpointSizeBytesMax);
    if (!memory.ok()) {
      Kill(v1::CAUSE_INTERNAL,
           absl::StrCat("checkpoint buffer cannot be used: ", memory.status().message()));
      return;
    }
    buffers_[ready.buffer()] = std::make_shared<SharedMemory>(*std::move(memory));
  }
  const auto buffer = buffers_.find(ready.buffer());
  if (buffer == buffers_.end() || ready.size_bytes() <= 0 ||
      static_cast<size_t>(ready.size_bytes()) > buffer->second->size()) {
    Kill(v1::CAUSE_INTERNAL, "checkpoint does not fit its buffer");
    return;
  }
  events_.OnCheckpoint({.slot = slot_, .process = process_number_}, rank_->key,
                       {.ready = ready, .memory = buffer->second});
}

void TrainerSlot::OnExit(const trainer::v1::Exit& exit, absl::Duration now) {
  // What it printed before is about this rank, and not about the next one.
  ReadOutput(now);
  const bool reuse = IsGoodEnd(exit.cause()) && attempts_served_ < limits::kAttemptsPerTrainerMax &&
                     !rank_->kill_cause;
  last_activity_ = now;
  if (reuse) {
    state_ = State::kWarm;
  } else {
    if (IsGoodEnd(exit.cause())) {
      trainer::v1::AgentFrame frame;
      frame.mutable_shutdown();
      Send({.slot = slot_, .process = process_number_}, frame);
    }
    Ending(now + options_.exit_grace);
  }
  // Buffers are an attempt's: what is not released yet lives on with its upload.
  buffers_.clear();
  EndRank(exit);
}

void TrainerSlot::ReadOutput(absl::Duration now) {
  std::vector<std::string> lines = output_.Read(now);
  if (lines.empty()) return;
  if (!rank_ || !rank_->running) {
    for (const std::string& line : lines) {
      CVT_LOG(kWarning, "trainer says").Field("slot", slot_).Field("line", line);
    }
    return;
  }
  std::vector<v1::LogLine> log;
  for (std::string& line : lines) {
    v1::LogLine& entry = log.emplace_back();
    entry.set_level(v1::LOG_LEVEL_WARNING);
    // Protobuf text must be UTF-8.
    entry.set_text(IsValidUtf8(line) ? std::move(line) : EscapeText(line));
  }
  events_.OnLines(rank_->key, rank_->start.rank(), std::move(log));
}

}  // namespace cvtrain::worker
