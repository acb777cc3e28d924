#include "worker/agent/supervise/agent.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "common/uuid.h"
#include "worker/agent/supervise/agent_state.h"

namespace cvtrain::worker {
namespace {

// Work for the loop that trainers cause; answers are not bounded by it.
constexpr size_t kLoopWorkMax = 100'000;
// Gauges are set so often.
constexpr absl::Duration kTelemetryInterval = absl::Seconds(1);

// Processes killed by the kernel for lack of memory since it runs; 0 if it does not say.
int64_t ReadOomKills(FileSystem& files) {
  const absl::StatusOr<std::string> text = ReadFile(files, "/proc/vmstat", uint64_t{1} << 20);
  if (!text.ok()) return 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    int64_t count = 0;
    if (words.size() == 2 && words[0] == "oom_kill" && absl::SimpleAtoi(words[1], &count)) {
      return count;
    }
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(const AgentOptions& options, FileSystem& files,
                                                     const Clock& clock, Random& random,
                                                     CoordinatorClient& client,
                                                     TelemetryRegistry& telemetry) {
  CVT_ASSIGN_OR_RETURN(WakeFd wake, WakeFd::Create());
  std::unique_ptr<Agent> agent(
      new Agent(options, files, clock, random, client, telemetry, std::move(wake)));
  CVT_RETURN_IF_ERROR(agent->Open());
  return agent;
}

Agent::Agent(const AgentOptions& options, FileSystem& files, const Clock& clock, Random& random,
             CoordinatorClient& client, TelemetryRegistry& telemetry, WakeFd wake)
    : options_(options),
      files_(files),
      clock_(clock),
      random_(random),
      client_(client),
      telemetry_(telemetry),
      series_(std::make_unique<Telemetry>(telemetry)),
      oom_kills_([&files] { return ReadOomKills(files); }),
      wake_(std::move(wake)),
      loop_mail_(kLoopWorkMax, [this] { wake_.Notify(); }) {}

// Callbacks of the client and of transfers use everything here: they end first.
Agent::~Agent() {
  {
    absl::MutexLock lock(&scopes_mu_);
    for (auto& [key, scope] : scopes_) scope->stop.request_stop();
  }
  client_.Shutdown();
  transfers_.reset();
  reports_.reset();
  // What is left in the mailbox holds files of the cache.
  loop_mail_.Take();
  attempts_.clear();
  slots_.clear();
}

absl::Status Agent::Open() {
  CVT_RETURN_IF_ERROR(LoadIdentity());
  const std::string worker = options_.session.hello.worker();
  options_.reports.worker = worker;
  options_.transfers.worker = worker;
  options_.transfers.spool_directory = JoinPath(options_.state_directory, "spool");
  options_.session.hello.set_cache_bytes_max(static_cast<int64_t>(options_.cache.size_bytes_max));

  CVT_ASSIGN_OR_RETURN(
      std::unique_ptr<Spool> spool,
      Spool::Open(files_, options_.transfers.spool_directory, random_, options_.spool, telemetry_));
  CVT_ASSIGN_OR_RETURN(cache_,
                       ContentCache::Open(files_, JoinPath(options_.state_directory, "cache"),
                                          options_.cache, telemetry_));
  spool->SetMakeRoom([this] { return cache_->EvictUnused(); });
  session_ = std::make_unique<Session>(options_.session, spool->Attempts(), random_);
  transfers_ = std::make_unique<Transfers>(options_.transfers, files_, client_, *cache_, clock_,
                                           random_, telemetry_);
  reports_ = std::make_unique<ReportThread>(clock_);
  ReportSender::Events events = {
      .refused =
          [this](const AttemptKey& key, const absl::Status& status) {
            loop_mail_.Post([this, key, status] { Feed(ReportRefused{key, status}); });
          },
      .settled =
          [this](const AttemptKey& key) {
            loop_mail_.Post([this, key] {
              EndScope(key);
              Feed(AttemptSettled{key});
            });
          },
      .upload = [this](const AttemptKey& key,
                       const SpooledCheckpoint& checkpoint) { UploadSpooled(key, checkpoint); }};
  reports_->Start(std::make_unique<ReportSender>(options_.reports, std::move(spool), client_,
                                                 reports_->mailbox(), random_, std::move(events),
                                                 telemetry_));
  for (const v1::Slot& slot : options_.session.hello.slots()) {
    slots_.push_back(std::make_unique<TrainerSlot>(slot.index(), options_.trainer,
                                                   static_cast<TrainerEvents&>(*this), oom_kills_));
  }
  return absl::OkStatus();
}

// `identity` is three lines: instance, cluster (may be empty), revision.
absl::Status Agent::LoadIdentity() {
  const std::string path = JoinPath(options_.state_directory, "identity");
  const absl::StatusOr<std::string> text = ReadFile(files_, path, 4096);
  if (absl::IsNotFound(text.status())) {
    options_.session.hello.set_instance(Uuid::Random(random_).ToString());
    return WriteFileAtomic(files_, path, absl::StrCat(options_.session.hello.instance(), "\n\n0\n"),
                           0600);
  }
  CVT_RETURN_IF_ERROR(text.status());
  const std::vector<std::string> lines = absl::StrSplit(*text, '\n');
  if (lines.size() != 4 || !Uuid::Parse(lines[0]).ok() ||
      !absl::SimpleAtoi(lines[2], &options_.session.revision)) {
    return DataLoss(Reason::kDataBad,
                    absl::StrCat(path, ": is damaged: remove it to begin as a new worker"));
  }
  options_.session.hello.set_instance(lines[0]);
  options_.session.cluster_id = lines[1];
  return absl::OkStatus();
}

void Agent::WriteIdentity(const SaveIdentity& identity) {
  const absl::Status written =
      WriteFileAtomic(files_, JoinPath(options_.state_directory, "identity"),
                      absl::StrCat(options_.session.hello.instance(), "\n", identity.cluster_id,
                                   "\n", identity.revision, "\n"),
                      0600);
  if (!written.ok()) CVT_LOG(kWarning, "cannot save the identity").Field("status", written);
}

void Agent::RequestStop() {
  loop_mail_.Post([this] { Feed(StopRequested()); });
}

absl::Status Agent::Run() {
  while (!done_) {
    for (const Mailbox::Work& work : loop_mail_.Take()) work();
    const absl::Duration now = clock_.SteadyNow();
    for (const auto& slot : slots_) slot->Step(now);
    for (size_t i = 0; i < delayed_.size();) {
      if (now < delayed_[i].due) {
        ++i;
        continue;
      }
      const Delayed due = std::move(delayed_[i]);
      delayed_.erase(delayed_.begin() + static_cast<std::ptrdiff_t>(i));
      due.work();
    }
    session_->SetCacheBytes(static_cast<int64_t>(cache_->size_bytes()));
    if (now >= session_->NextTick(now)) Feed(Tick());
    UpdateTelemetry();
    if (!done_) WaitForWork(NextWake());
  }
  EndTrainers();
  // What they said last is in the spool before this returns.
  reports_->Stop();
  return result_;
}

absl::Duration Agent::NextWake() const {
  const absl::Duration now = clock_.SteadyNow();
  absl::Duration next = std::min(session_->NextTick(now), now + kTelemetryInterval);
  for (const auto& slot : slots_) next = std::min(next, slot->NextStep());
  for (const Delayed& delayed : delayed_) next = std::min(next, delayed.due);
  return next;
}

void Agent::WaitForWork(absl::Duration until) {
  std::vector<int> descriptors = {wake_.fd()};
  for (const auto& slot : slots_) slot->AddDescriptors(descriptors);
  std::vector<pollfd> polled;
  for (const int fd : descriptors) polled.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  const absl::Duration wait =
      std::clamp(until - clock_.SteadyNow(), absl::ZeroDuration(), kTelemetryInterval);
  // Rounded up: waking a moment early would only spin.
  const int milliseconds =
      static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1))));
  ::poll(polled.data(), polled.size(), milliseconds);
  wake_.Drain();
}

void Agent::EndTrainers() {
  const absl::Duration begin = clock_.SteadyNow();
  for (const auto& slot : slots_) slot->Shutdown(begin);
  const absl::Duration end = begin + options_.trainer.exit_grace + absl::Seconds(1);
  while (clock_.SteadyNow() < end && std::any_of(slots_.begin(), slots_.end(),
                                                 [](const auto& slot) { return !slot->down(); })) {
    const absl::Duration now = clock_.SteadyNow();
    for (const auto& slot : slots_) slot->Step(now);
    absl::Duration next = now + absl::Milliseconds(50);
    for (const auto& slot : slots_) next = std::min(next, slot->NextStep());
    WaitForWork(next);
  }
}

// Steps the session, then carries out what it wants; inputs that this causes follow.
void Agent::Feed(SessionInput input) {
  inputs_.push_back(std::move(input));
  if (feeding_) return;
  feeding_ = true;
  while (!inputs_.empty()) {
    SessionInput next = std::move(inputs_.front());
    inputs_.pop_front();
    for (SessionOutput& output : session_->Step(
             std::move(next), {.steady = clock_.SteadyNow(), .wall = clock_.WallNow()})) {
      std::visit([this](auto& value) { Do(value); }, output);
    }
  }
  feeding_ = false;
}

void Agent::OnStreamOpened() {
  loop_mail_.Post([this] { Feed(StreamOpened()); });
}

void Agent::OnStreamMessage(session::v1::ConnectResponse message) {
  loop_mail_.Post([this, message = std::move(message)] { Feed(Received{message}); });
}

void Agent::OnStreamClosed(absl::Status status) {
  if (!status.ok()) {
    CVT_LOG(kWarning, "session with the coordinator ended").Field("status", status);
  }
  loop_mail_.Post([this, status] { Feed(StreamClosed{status}); });
}

}  // namespace cvtrain::worker
