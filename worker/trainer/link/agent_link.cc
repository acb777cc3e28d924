#include "worker/trainer/link/agent_link.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace cvtrain::trainer {

AgentLink::AgentLink(std::unique_ptr<UnixConnection> connection, const Clock& clock,
                     std::function<void(const absl::Status&)> on_agent_gone)
    : connection_(std::move(connection)),
      on_agent_gone_(std::move(on_agent_gone)),
      reporter_(clock, [this](const v1::TrainerFrame& frame) { return Send(frame); }),
      reader_("cvt-link", [this](StopToken) { Read(); }) {}

AgentLink::~AgentLink() {
  {
    absl::MutexLock lock(&mu_);
    closing_ = true;
  }
  connection_->Shutdown();
}

absl::Status AgentLink::Send(const v1::TrainerFrame& frame, int fd) {
  const std::string bytes = frame.SerializeAsString();
  absl::Status sent = fd < 0 ? connection_->Send(bytes) : connection_->Send(bytes, {fd});
  if (!sent.ok()) connection_->Shutdown();
  return sent;
}

absl::Status AgentLink::SendHello(const v1::Hello& hello) {
  v1::TrainerFrame frame;
  *frame.mutable_hello() = hello;
  return Send(frame);
}

std::optional<AgentLink::StartFrame> AgentLink::WaitForStart() {
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return next_start_.has_value() || shutdown_ || agent_gone_;
  };
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&ready));
  if (shutdown_ || agent_gone_) return std::nullopt;
  return std::exchange(next_start_, std::nullopt);
}

absl::Status AgentLink::SendExit(const v1::Exit& exit) {
  {
    absl::MutexLock lock(&mu_);
    attempt_ended_ = true;
  }
  CVT_RETURN_IF_ERROR(reporter_.Flush());
  v1::TrainerFrame frame;
  *frame.mutable_exit() = exit;
  CVT_RETURN_IF_ERROR(Send(frame));
  // What the old attempt reported last is not progress of the next one.
  reporter_.Clear();
  return absl::OkStatus();
}

void AgentLink::ReportPoint(absl::string_view metric, int64_t step, double value) {
  reporter_.AddPoint(metric, step, value);
}

void AgentLink::ReportFact(session::v1::Fact fact) { reporter_.AddFact(std::move(fact)); }

void AgentLink::ReportProgress(const cvtrain::v1::Progress& progress) {
  reporter_.SetProgress(progress);
}

void AgentLink::NoteActivity() { reporter_.NoteActivity(); }

void AgentLink::Log(cvtrain::v1::LogLevel level, absl::string_view text) {
  reporter_.AddLine(level, text);
}

StopRequest AgentLink::stop_request() const {
  absl::MutexLock lock(&mu_);
  return stop_;
}

void AgentLink::WaitFor(absl::Duration duration) const {
  const auto stops = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return agent_gone_ || stop_.mode == StopRequest::Mode::kNow;
  };
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&stops), duration);
}

absl::Status AgentLink::Ended() const {
  if (agent_gone_) return Unavailable(Reason::kPeerGone, "the agent is gone");
  if (attempt_ended_ || stop_.mode == StopRequest::Mode::kNow) {
    return Cancelled(Reason::kStopping, "the attempt has ended");
  }
  return absl::OkStatus();
}

template <typename Key, typename Answer>
absl::StatusOr<Answer> AgentLink::Await(std::map<Key, std::optional<Answer>>& answers, Key key) {
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto asked = answers.find(key);
    return asked == answers.end() || asked->second.has_value() || !Ended().ok();
  };
  mu_.Await(absl::Condition(&ready));
  const auto asked = answers.find(key);
  if (asked == answers.end()) return Cancelled(Reason::kStopping, "the attempt has ended");
  if (!asked->second.has_value()) {
    answers.erase(asked);
    return Ended();
  }
  Answer answer = *std::move(asked->second);
  answers.erase(asked);
  return answer;
}

int64_t AgentLink::OpenShardRequest() {
  shards_.emplace(++last_shard_request_, std::nullopt);
  return last_shard_request_;
}

absl::Status AgentLink::SendShardRequest(int64_t id, const ShardParts& shard) {
  CVT_CHECK(!shard.sections.empty()) << "shard " << shard.index;
  v1::TrainerFrame frame;
  v1::ShardRequest& request = *frame.mutable_shard_request();
  request.set_id(id);
  request.set_index(shard.index);
  const std::vector<int32_t> sections = shard.sections.Numbers();
  request.mutable_sections()->Add(sections.begin(), sections.end());
  request.set_ahead(shard.ahead);
  return Send(frame);
}

void AgentLink::Prefetch(absl::Span<const ShardParts> shards) {
  for (const ShardParts& shard : shards) {
    int64_t id = 0;
    {
      absl::MutexLock lock(&mu_);
      if (!Ended().ok() || shards_cancelled_ || prefetched_.contains(shard.index)) continue;
      id = OpenShardRequest();
      prefetched_[shard.index] = {.id = id, .sections = shard.sections};
    }
    if (!SendShardRequest(id, shard).ok()) return;  // GetShard() will say so
  }
}

absl::StatusOr<UniqueFd> AgentLink::GetShard(const ShardParts& shard) {
  int64_t id = 0;
  bool prefetched = false;
  {
    absl::MutexLock lock(&mu_);
    CVT_RETURN_IF_ERROR(Ended());
    if (shards_cancelled_) return Cancelled(Reason::kStopping, "the attempt ends");
    // One that brings less than this is of no use: the next answer has all of it.
    if (const auto it = prefetched_.find(shard.index); it != prefetched_.end()) {
      prefetched = it->second.sections.Contains(shard.sections);
      if (!prefetched) shards_.erase(it->second.id);
      id = it->second.id;
      prefetched_.erase(it);
    }
    if (!prefetched) id = OpenShardRequest();
  }
  if (!prefetched) CVT_RETURN_IF_ERROR(SendShardRequest(id, shard));
  absl::MutexLock lock(&mu_);
  CVT_ASSIGN_OR_RETURN(ShardAnswer answer, Await(shards_, id));
  if (answer.error.empty() && answer.file.valid()) return std::move(answer.file);
  const std::string message = absl::StrCat("shard ", shard.index, " cannot be had: ", answer.error);
  if (answer.cause == cvtrain::v1::CAUSE_DATA) {
    return Unavailable(Reason::kShardNotFound, message);
  }
  return Internal(Reason::kInternal, message);
}

void AgentLink::CancelWaits() {
  absl::MutexLock lock(&mu_);
  shards_cancelled_ = true;
  shards_.clear();
  prefetched_.clear();
}

absl::StatusOr<session::v1::StoreResult> AgentLink::Call(
    const session::v1::StoreOperation& operation) {
  v1::TrainerFrame frame;
  *frame.mutable_store_call()->mutable_operation() = operation;
  {
    absl::MutexLock lock(&mu_);
    CVT_RETURN_IF_ERROR(Ended());
    frame.mutable_store_call()->set_id(++last_store_call_);
    store_calls_.emplace(last_store_call_, std::nullopt);
  }
  CVT_RETURN_IF_ERROR(Send(frame));
  absl::MutexLock lock(&mu_);
  CVT_ASSIGN_OR_RETURN(v1::StoreReply reply, Await(store_calls_, frame.store_call().id()));
  if (!reply.error().empty()) return Cancelled(Reason::kStopping, reply.error());
  return std::move(*reply.mutable_result());
}

absl::Status AgentLink::SendCheckpoint(const Notice& notice) {
  CVT_RETURN_IF_ERROR(reporter_.Flush());
  v1::TrainerFrame frame;
  v1::CheckpointReady& ready = *frame.mutable_checkpoint_ready();
  ready.set_buffer(notice.buffer);
  ready.set_step(notice.step);
  ready.set_epoch(notice.epoch);
  ready.set_stage(notice.stage);
  ready.set_size_bytes(notice.size_bytes);
  return Send(frame, notice.fd);
}

void AgentLink::SetReleaseHandler(ReleaseHandler handler) {
  absl::MutexLock lock(&handler_mu_);
  release_handler_ = std::move(handler);
}

void AgentLink::Read() {
  absl::Status status;
  while (true) {
    absl::StatusOr<Frame> frame = connection_->Receive();
    if (!frame.ok()) {
      status = frame.status();
      break;
    }
    Dispatch(*std::move(frame));
  }
  {
    absl::MutexLock lock(&mu_);
    agent_gone_ = true;
    if (closing_) return;
  }
  on_agent_gone_(status);
}

void AgentLink::Dispatch(Frame frame) {
  v1::AgentFrame message;
  if (!message.ParseFromString(frame.bytes)) {
    CVT_LOG(kError, "the agent sent a frame that cannot be read")
        .Field("bytes", frame.bytes.size());
    connection_->Shutdown();
    return;
  }
  if (message.has_checkpoint_released()) {
    OnReleased(message.checkpoint_released());
    return;
  }
  absl::MutexLock lock(&mu_);
  switch (message.message_case()) {
    case v1::AgentFrame::kStart:
      OnStart(message.start(), frame);
      break;
    case v1::AgentFrame::kShard: {
      const auto asked = shards_.find(message.shard().id());
      if (asked == shards_.end()) break;  // of an attempt that has ended
      asked->second.emplace();
      asked->second->error = message.shard().error();
      asked->second->cause = message.shard().cause();
      if (!frame.descriptors.empty()) asked->second->file = std::move(frame.descriptors[0]);
      break;
    }
    case v1::AgentFrame::kStoreReply: {
      const auto asked = store_calls_.find(message.store_reply().id());
      if (asked != store_calls_.end()) asked->second = message.store_reply();
      break;
    }
    case v1::AgentFrame::kStop:
      OnStop(message.stop());
      break;
    case v1::AgentFrame::kShutdown:
      shutdown_ = true;
      break;
    default:
      break;
  }
}

void AgentLink::OnStart(const v1::Start& start, Frame& frame) {
  StartFrame next;
  next.start = start;
  if (!frame.descriptors.empty()) next.checkpoint = std::move(frame.descriptors[0]);
  next_start_ = std::move(next);
  stop_ = StopRequest();
  attempt_ended_ = false;
  shards_.clear();
  prefetched_.clear();
  shards_cancelled_ = false;
  store_calls_.clear();
}

void AgentLink::OnStop(const v1::Stop& stop) {
  const StopRequest::Mode mode = stop.mode() == session::v1::StopAttempt::MODE_NOW
                                     ? StopRequest::Mode::kNow
                                     : StopRequest::Mode::kCheckpoint;
  if (mode > stop_.mode) stop_ = {.mode = mode, .cause = stop.cause()};
}

void AgentLink::OnReleased(const v1::CheckpointReleased& released) {
  absl::MutexLock lock(&handler_mu_);
  if (!release_handler_) return;
  release_handler_(
      {.buffer = released.buffer(), .step = released.step(), .durable = released.durable()});
}

}  // namespace cvtrain::trainer
