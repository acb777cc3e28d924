#include "tests/simulation/simulated_worker.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/telemetry.h"
#include "common/uuid.h"
#include "plan/recipe/resolve.h"

namespace cvtrain::simulation {
namespace {

using worker::AttemptKey;
using worker::SpooledCheckpoint;

constexpr absl::Time kWorkerWallStart = absl::FromUnixSeconds(1'714'521'600);
constexpr absl::Duration kWorkerSteadyStart = absl::Seconds(5'000);
constexpr Nanos kNoWake = INT64_MAX;
constexpr char kSpoolDirectory[] = "/state/spool";
// Reports of one attempt, from its first step to its last.
constexpr int64_t kBeats = 10;
constexpr size_t kMailCapacity = 10'000;
// As in transfers.cc.
constexpr Nanos kReportsWaitMax = 2 * kSecond;

// A file's time of change interests nobody here.
class StoppedClock : public Clock {
 public:
  absl::Time WallNow() const override { return kWorkerWallStart; }
  absl::Duration SteadyNow() const override { return kWorkerSteadyStart; }
};

const Clock& FileClock() {
  static const StoppedClock clock;
  return clock;
}

bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

}  // namespace

// What dies with the process.
class SimulatedWorker::Process : public worker::CoordinatorClient {
 public:
  Process(SimulatedWorker& owner, std::unique_ptr<worker::Spool> spool,
          std::unique_ptr<SeededRandom> random);
  ~Process() override { alive_.reset(); }

  void Feed(worker::SessionInput input) {
    inputs_.push_back(std::move(input));
    Pump();
  }
  // Its disk is full from now on.
  void ExcusePoints() {
    for (const AttemptKey& key : held_) ExcusePoints(key);
  }
  std::string StepOf(const std::string& attempt) const {
    for (const auto& [key, run] : runs_) {
      if (key.attempt.ToString() == attempt) return absl::StrCat(run.step, "/", run.serial);
    }
    return "";
  }
  bool idle() const { return held_.empty() && runs_.empty() && session_->running_count() == 0; }

  // --- CoordinatorClient, for the report sender ---

  void OpenStream(StreamListener&) override {}
  void SendOnStream(session::v1::ConnectRequest) override {}
  void CloseStream() override {}
  void ReportFacts(session::v1::ReportFactsRequest request,
                   Callback<session::v1::ReportFactsResponse> done) override {
    SimulatedCoordinator& coordinator = owner_.coordinator_;
    owner_.network_.Call<session::v1::ReportFactsResponse>(
        owner_.node_,
        [&coordinator, request = std::move(request)](auto reply) {
          coordinator.ReportFacts(request, std::move(reply));
        },
        Answer(std::move(done)));
  }
  void ReportMetrics(session::v1::ReportMetricsRequest request,
                     Callback<session::v1::ReportMetricsResponse> done) override {
    SimulatedCoordinator& coordinator = owner_.coordinator_;
    owner_.network_.Call<session::v1::ReportMetricsResponse>(
        owner_.node_,
        [&coordinator, request = std::move(request)](auto reply) {
          coordinator.ReportMetrics(request, std::move(reply));
        },
        Answer(std::move(done)));
  }
  void ReportLogs(session::v1::ReportLogsRequest,
                  Callback<session::v1::ReportLogsResponse> done) override {
    done(Cancelled(Reason::kStopping, "trainers here write no lines"));
  }
  void AccessStore(session::v1::AccessStoreRequest request,
                   Callback<session::v1::AccessStoreResponse> done) override {
    SimulatedCoordinator& coordinator = owner_.coordinator_;
    owner_.network_.Call<session::v1::AccessStoreResponse>(
        owner_.node_,
        [&coordinator, request = std::move(request)](auto reply) {
          coordinator.AccessStore(request, std::move(reply));
        },
        Answer(std::move(done)));
  }
  absl::Status UploadCheckpoint(const session::v1::UploadCheckpointHeader&, const Source&,
                                const StopToken&) override {
    return Cancelled(Reason::kStopping, "blocks");
  }
  absl::Status DownloadCheckpoint(const std::string&, uint64_t, const Sink&,
                                  const StopToken&) override {
    return Cancelled(Reason::kStopping, "blocks");
  }
  absl::Status FetchShard(const std::string&, uint64_t, uint64_t, const Sink&,
                          const StopToken&) override {
    return Cancelled(Reason::kStopping, "blocks");
  }
  void Shutdown() override {}

 private:
  // The ranks of one attempt that run here.
  struct Run {
    session::v1::Assign assign;
    std::vector<int> ranks;  // not ended
    bool leads = false;      // has rank 0
    bool begun = false;
    int64_t step = 0;
    int64_t total = 0;
    Nanos step_time = 0;
    int64_t points = 0;
    int64_t saved_step = -1;
    v1::Cause fate = v1::CAUSE_UNSPECIFIED;
    int64_t fate_step = 0;
    Nanos meeting_until = 0;
    int64_t serial = 0;  // of what comes next; anything older is void
  };
  // A checkpoint in a trainer's memory.
  struct Job {
    AttemptKey key;
    session::v1::UploadCheckpointHeader header;
    bool settled = false;  // on its way, or spooled
  };

  // Runs only while this process lives.
  template <typename Function>
  auto Guarded(Function function) {
    return [weak = std::weak_ptr<bool>(alive_),
            function = std::move(function)](auto&&... args) mutable {
      if (weak.expired()) return;
      function(std::forward<decltype(args)>(args)...);
    };
  }
  // An answer of the network, to whoever posts it to the mailbox.
  template <typename Response>
  Reply<Response> Answer(Callback<Response> done) {
    return Guarded([this, done = std::move(done)](absl::StatusOr<Response> answer) {
      done(std::move(answer));
      Pump();
    });
  }

  void Pump();
  void WakeAt(Nanos moment);

  void Do(worker::OpenStream&);
  void Do(worker::CloseStream&);
  void Do(worker::SendMessage& output);
  void Do(worker::StartRanks& output);
  void Do(worker::StopRanks& output);
  void Do(worker::KillRanks& output);
  void Do(worker::SpoolFact& output) { sender_->AppendFact(output.key, std::move(output.fact)); }
  void Do(worker::SpoolSeries& output) { sender_->AppendSeries(output.key, output.series); }
  void Do(worker::SpoolLines& output) { sender_->AppendLines(output.key, output.lines); }
  void Do(worker::SetPublishing& output);
  void Do(worker::DropAttempt& output);
  void Do(worker::SaveIdentity& output);
  void Do(worker::EndProcess& output);

  // Runs `next` after `delay`, unless something else has been decided for the run meanwhile.
  void Later(const AttemptKey& key, Nanos delay, void (Process::*next)(const AttemptKey&, Run&));
  void Fetch(const AttemptKey& key, Run& run);
  void Meet(const AttemptKey& key, Run& run);
  void Begin(const AttemptKey& key, Run& run);
  void Beat(const AttemptKey& key, Run& run);
  void EndAll(const AttemptKey& key, v1::Cause cause, const std::string& message,
              const std::string& damaged = "");
  void Report(const AttemptKey& key, Run& run);
  void Save(const AttemptKey& key, Run& run);
  void Upload(const std::shared_ptr<Job>& job);
  void SpoolIt(const std::shared_ptr<Job>& job);
  void UploadSpooled(const AttemptKey& key, const SpooledCheckpoint& checkpoint);
  void ExcusePoints(const AttemptKey& key) {
    owner_.coordinator_.ExcusePoints(key.attempt.ToString(), key.generation);
  }
  Context& context() { return owner_.context_; }

  SimulatedWorker& owner_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<SeededRandom> random_;
  worker::Mailbox mailbox_{kMailCapacity, [] {}};
  std::unique_ptr<worker::Session> session_;
  std::unique_ptr<worker::ReportSender> sender_;
  std::deque<worker::SessionInput> inputs_;
  bool pumping_ = false;
  bool ended_ = false;
  Nanos wake_at_ = kNoWake;
  SessionId stream_ = 0;
  std::set<AttemptKey> held_;
  std::set<AttemptKey> publishing_;
  std::map<AttemptKey, Run> runs_;
};

SimulatedWorker::Process::Process(SimulatedWorker& owner, std::unique_ptr<worker::Spool> spool,
                                  std::unique_ptr<SeededRandom> random)
    : owner_(owner), random_(std::move(random)) {
  std::vector<worker::RecoveredAttempt> recovered = spool->Attempts();
  for (const worker::RecoveredAttempt& attempt : recovered) held_.insert(attempt.key);
  if (!recovered.empty()) context().Reached(Probe::kSpoolRecovered);
  sender_ = std::make_unique<worker::ReportSender>(
      worker::ReportSenderOptions{.worker = owner.name_}, std::move(spool), *this, mailbox_,
      *random_,
      worker::ReportSender::Events{
          .refused =
              [this](const AttemptKey& key, const absl::Status& status) {
                inputs_.push_back(worker::ReportRefused{key, status});
              },
          .settled =
              [this](const AttemptKey& key) {
                held_.erase(key);
                publishing_.erase(key);
                inputs_.push_back(worker::AttemptSettled{key});
              },
          .upload = [this](
                        const AttemptKey& key,
                        const SpooledCheckpoint& checkpoint) { UploadSpooled(key, checkpoint); }},
      NullTelemetry());
  worker::SessionOptions options;
  options.hello.set_worker(owner.name_);
  options.hello.set_instance(owner.instance_);
  options.hello.set_plan_version(plan::kPlanVersion);
  options.hello.set_program_version("simulated");
  for (int i = 0; i < owner.slots_; ++i) {
    v1::Slot& slot = *options.hello.add_slots();
    slot.set_index(i);
    slot.set_kind(v1::Slot::KIND_CPU);
  }
  options.cluster_id = owner.cluster_id_;
  options.revision = owner.revision_;
  session_ = std::make_unique<worker::Session>(std::move(options), std::move(recovered), *random_);
}

// Both threads of the agent, in turns, until neither has anything to do.
void SimulatedWorker::Process::Pump() {
  if (pumping_ || ended_) return;
  pumping_ = true;
  const worker::Session::Now now = owner_.Now();
  absl::Duration next = absl::InfiniteDuration();
  do {
    while (!inputs_.empty() && !ended_) {
      worker::SessionInput input = std::move(inputs_.front());
      inputs_.pop_front();
      context().trace.Add(input.index());
      std::vector<worker::SessionOutput> outputs = session_->Step(std::move(input), now);
      for (worker::SessionOutput& output : outputs) {
        context().trace.Add(output.index());
        std::visit([this](auto& what) { Do(what); }, output);
      }
    }
    for (const worker::Mailbox::Work& work : mailbox_.Take()) work();
    next = sender_->Step(now.steady);
  } while (!inputs_.empty() && !ended_);
  pumping_ = false;
  if (ended_) {
    owner_.network_.At(owner_.node_, 0, Guarded([this] {
                         SimulatedWorker& owner = owner_;
                         Context& shared = owner.context_;
                         owner.network_.NodeDied(owner.node_, false);
                         shared.queue.After(shared.Between(kSecond, kMinute),
                                            [&owner] { owner.Start(); });
                         owner.process_.reset();  // this
                       }));
    return;
  }
  next = std::min(next, session_->NextTick(now.steady));
  if (next != absl::InfiniteDuration()) WakeAt(owner_.MomentOf(next));
}

void SimulatedWorker::Process::WakeAt(Nanos moment) {
  moment = std::max(moment, context().now() + 1'000);
  if (moment >= wake_at_) return;
  wake_at_ = moment;
  owner_.network_.At(owner_.node_, moment - context().now(), Guarded([this, moment] {
                       if (wake_at_ != moment) return;  // something was sooner
                       wake_at_ = kNoWake;
                       Feed(worker::Tick());
                     }));
}

// --- What the session wants -------------------------------------------------------

void SimulatedWorker::Process::Do(worker::OpenStream&) {
  owner_.network_.CloseFromNode(stream_);
  stream_ = owner_.network_.OpenStream(
      owner_.node_, Guarded([this](worker::SessionInput input) { Feed(std::move(input)); }));
}

void SimulatedWorker::Process::Do(worker::CloseStream&) { owner_.network_.CloseFromNode(stream_); }

void SimulatedWorker::Process::Do(worker::SendMessage& output) {
  owner_.network_.SendUp(stream_, std::move(output.message));
}

void SimulatedWorker::Process::Do(worker::SetPublishing& output) {
  sender_->SetPublishing(output.key, output.on);
  if (output.on) {
    held_.insert(output.key);
    publishing_.insert(output.key);
  } else {
    publishing_.erase(output.key);
  }
}

void SimulatedWorker::Process::Do(worker::DropAttempt& output) {
  runs_.erase(output.key);
  held_.erase(output.key);
  publishing_.erase(output.key);
  sender_->Drop(output.key);
}

void SimulatedWorker::Process::Do(worker::SaveIdentity& output) {
  owner_.cluster_id_ = output.cluster_id;
  owner_.revision_ = output.revision;
}

void SimulatedWorker::Process::Do(worker::EndProcess& output) {
  if (output.exit_code != 0) {
    context().Broken("R5", absl::StrCat(owner_.name_, " gives up: ", output.message));
  } else {
    context().Reached(Probe::kWorkerDrained);
  }
  ended_ = true;
}

// --- Trainers -----------------------------------------------------------------------

void SimulatedWorker::Process::Do(worker::StartRanks& output) {
  sender_->Begin(output.key);
  held_.insert(output.key);
  if (owner_.disk_full_) ExcusePoints(output.key);
  Run& run = runs_[output.key];
  run.assign = std::move(output.assign);
  for (const session::v1::RankAssignment& rank : run.assign.ranks()) {
    run.ranks.push_back(rank.rank());
    run.leads = run.leads || rank.rank() == 0;
  }
  const v1::Synthetic& synthetic = run.assign.recipe().synthetic();
  run.total = synthetic.steps();
  run.step_time = static_cast<Nanos>(synthetic.step_time_ms() * static_cast<double>(kMillisecond));
  run.step = run.assign.resume().step();
  if (context().Chance(context().scenario.trial_failures)) {
    static constexpr v1::Cause kCauses[] = {v1::CAUSE_OUT_OF_MEMORY, v1::CAUSE_DATA,
                                            v1::CAUSE_DIVERGED,      v1::CAUSE_USER_ERROR,
                                            v1::CAUSE_DEVICE_FAULT,  v1::CAUSE_INTERNAL};
    run.fate = kCauses[context().Index(std::size(kCauses))];
    run.fate_step = run.step + 1 +
                    static_cast<int64_t>(context().Index(
                        static_cast<size_t>(std::max<int64_t>(1, run.total - run.step))));
  }
  run.meeting_until = context().now() + 2 * ToNanos(owner_.coordinator_.lease_duration()) + kMinute;
  if (run.assign.has_resume() || run.assign.has_init()) {
    if (run.assign.has_init()) context().Reached(Probe::kBegunWithImported);
    Later(output.key, 0, &Process::Fetch);
  } else {
    Later(output.key, context().Between(100 * kMillisecond, 20 * kSecond), &Process::Meet);
  }
}

void SimulatedWorker::Process::Later(const AttemptKey& key, Nanos delay,
                                     void (Process::*next)(const AttemptKey&, Run&)) {
  const int64_t serial = ++runs_.at(key).serial;
  owner_.network_.At(owner_.node_, delay, Guarded([this, key, serial, next] {
                       const auto run = runs_.find(key);
                       if (run == runs_.end() || run->second.serial != serial) return;
                       (this->*next)(key, run->second);
                     }));
}

void SimulatedWorker::Process::Fetch(const AttemptKey& key, Run& run) {
  const bool resumes = run.assign.has_resume();
  const std::string checkpoint =
      resumes ? run.assign.resume().checkpoint() : run.assign.init().checkpoint();
  SimulatedCoordinator& coordinator = owner_.coordinator_;
  const int64_t serial = run.serial;
  owner_.network_.Call<std::string>(
      owner_.node_,
      [&coordinator, checkpoint](Reply<std::string> reply) {
        coordinator.DownloadCheckpoint(checkpoint, std::move(reply));
      },
      Guarded([this, key, serial, resumes, checkpoint](absl::StatusOr<std::string> digest) {
        const auto found = runs_.find(key);
        if (found == runs_.end() || found->second.serial != serial) return;
        if (digest.ok() && context().Chance(context().scenario.damaged_checkpoints)) {
          context().Injected(Fault::kCheckpointDamaged);
          digest = DataLoss(Reason::kCheckpointBad, "its bytes are wrong");
        }
        if (digest.ok()) {
          Later(key, context().Between(100 * kMillisecond, 20 * kSecond), &Process::Meet);
        } else if (IsPassing(digest.status())) {
          Later(key, context().Between(100 * kMillisecond, 5 * kSecond), &Process::Fetch);
        } else {
          EndAll(key, v1::CAUSE_INTERNAL, "cannot get the checkpoint to begin with",
                 resumes ? checkpoint : "");
        }
      }));
}

// Ranks on several workers find each other in the coordinator's store.
void SimulatedWorker::Process::Meet(const AttemptKey& key, Run& run) {
  if (static_cast<int>(run.ranks.size()) == run.assign.world_size()) return Begin(key, run);
  if (context().now() > run.meeting_until) {
    context().Reached(Probe::kRendezvousTimeout);
    return EndAll(key, v1::CAUSE_INTERNAL, "the other ranks did not come");
  }
  session::v1::AccessStoreRequest request;
  request.set_worker(owner_.name_);
  request.set_attempt(key.attempt.ToString());
  request.set_lease_generation(key.generation);
  session::v1::StoreOperation& operation = *request.mutable_operation();
  if (run.leads) {
    operation.set_kind(session::v1::StoreOperation::KIND_SET);
    operation.set_key("address");
    operation.set_value("here");
  } else {
    context().Reached(Probe::kRendezvousWait);
    operation.set_kind(session::v1::StoreOperation::KIND_WAIT);
    operation.add_keys("address");
    operation.mutable_timeout()->set_seconds(20);
  }
  const int64_t serial = run.serial;
  AccessStore(std::move(request),
              [this, key, serial](absl::StatusOr<session::v1::AccessStoreResponse> answer) {
                const auto found = runs_.find(key);
                if (found == runs_.end() || found->second.serial != serial) return;
                if (answer.ok() && !answer->result().timed_out()) {
                  Later(key, kMillisecond, &Process::Begin);
                } else {
                  Later(key, kSecond, &Process::Meet);
                }
              });
}

void SimulatedWorker::Process::Begin(const AttemptKey& key, Run& run) {
  run.begun = true;
  if (run.leads) {
    trainer::v1::Report report;
    report.add_facts()->mutable_started()->set_start_step(run.step);
    inputs_.push_back(worker::RankReported{key, run.ranks.front(), std::move(report)});
  }
  Later(key, run.step_time * std::max<int64_t>(1, run.total / kBeats), &Process::Beat);
  Pump();
}

void SimulatedWorker::Process::Beat(const AttemptKey& key, Run& run) {
  const int64_t steps = std::min(std::max<int64_t>(1, run.total / kBeats), run.total - run.step);
  run.step += steps;
  if (run.fate != v1::CAUSE_UNSPECIFIED && run.step >= run.fate_step) {
    context().Injected(Fault::kTrialFailure);
    // One rank fails; the session ends the others of this worker.
    const int rank = run.ranks[context().Index(run.ranks.size())];
    std::erase(run.ranks, rank);
    ++run.serial;
    inputs_.push_back(worker::RankEnded{.key = key,
                                        .rank = rank,
                                        .cause = run.fate,
                                        .message = "as was drawn",
                                        .end_step = run.step});
    if (run.ranks.empty()) runs_.erase(key);
    return Pump();
  }
  Report(key, run);
  // A checkpoint comes after the reports before it.
  Pump();
  const auto found = runs_.find(key);
  if (found == runs_.end()) return;
  Run& still = found->second;
  const int64_t every = std::max<int64_t>(1, still.assign.recipe().checkpoint().every().steps());
  const bool is_last = still.step >= still.total;
  if (still.leads && (still.step % every == 0 || is_last)) Save(key, still);
  if (is_last) {
    EndAll(key, v1::CAUSE_FINISHED, "");
  } else {
    Later(key, still.step_time * std::max<int64_t>(1, still.total / kBeats), &Process::Beat);
  }
  Pump();
}

void SimulatedWorker::Process::Report(const AttemptKey& key, Run& run) {
  trainer::v1::Report report;
  report.mutable_progress()->set_step(run.step);
  if (run.leads) {
    v1::MetricSeries& series = *report.add_series();
    series.set_metric("train/loss");
    series.add_steps(run.step);
    series.add_values(1.0 / static_cast<double>(run.step));
    owner_.coordinator_.PointsEmitted(key.attempt.ToString(), key.generation, ++run.points);
    const int64_t beat = run.step * kBeats / run.total;
    if (beat % 3 == 0 || run.step >= run.total) {
      v1::EvaluationResult& evaluation = *report.add_facts()->mutable_evaluation();
      evaluation.set_step(run.step);
      (*evaluation.mutable_metrics())["val/top1"] = run.assign.recipe().synthetic().final_metric() *
                                                    static_cast<double>(run.step) /
                                                    static_cast<double>(run.total);
    }
    if (beat == kBeats / 2) {
      session::v1::StageMeasured& stage = *report.add_facts()->mutable_stage();
      stage.set_steps(run.step);
      stage.mutable_duration()->set_seconds(1 + run.step_time / kSecond * run.step);
    }
  }
  inputs_.push_back(worker::RankReported{key, run.ranks.front(), std::move(report)});
}

void SimulatedWorker::Process::EndAll(const AttemptKey& key, v1::Cause cause,
                                      const std::string& message, const std::string& damaged) {
  const auto found = runs_.find(key);
  if (found == runs_.end()) return;
  const Run run = std::move(found->second);
  runs_.erase(found);
  for (const int rank : run.ranks) {
    inputs_.push_back(worker::RankEnded{.key = key,
                                        .rank = rank,
                                        .cause = cause,
                                        .message = message,
                                        .end_step = run.step,
                                        .damaged_checkpoint = damaged});
  }
  Pump();
}

void SimulatedWorker::Process::Do(worker::StopRanks& output) {
  const auto found = runs_.find(output.key);
  if (found == runs_.end()) return;
  Run& run = found->second;
  if (output.cause == v1::CAUSE_WORKER_LOST &&
      output.mode == session::v1::StopAttempt::MODE_CHECKPOINT) {
    context().Reached(Probe::kOrphaned);
  }
  if (!run.begun) return EndAll(output.key, output.cause, "stopped before its first step");
  const bool saves = output.mode == session::v1::StopAttempt::MODE_CHECKPOINT;
  if (!saves && context().Chance(0.1)) {
    ++run.serial;  // it hears nothing any more, until it is killed
    return;
  }
  const int64_t serial = ++run.serial;
  const Nanos delay = saves ? std::min(run.step_time, 3 * kSecond) : 50 * kMillisecond;
  owner_.network_.At(owner_.node_, delay,
                     Guarded([this, key = output.key, serial, saves, cause = output.cause] {
                       const auto again = runs_.find(key);
                       if (again == runs_.end() || again->second.serial != serial) return;
                       if (saves && again->second.leads) Save(key, again->second);
                       EndAll(key, cause, "stopped");
                     }));
}

void SimulatedWorker::Process::Do(worker::KillRanks& output) {
  const auto found = runs_.find(output.key);
  if (found == runs_.end()) return;
  const int64_t serial = ++found->second.serial;
  owner_.network_.At(
      owner_.node_, context().Between(10 * kMillisecond, 200 * kMillisecond),
      Guarded([this, key = output.key, serial, cause = output.cause, message = output.message] {
        const auto again = runs_.find(key);
        if (again == runs_.end() || again->second.serial != serial) return;
        EndAll(key, cause, message);
      }));
}

// --- Checkpoints --------------------------------------------------------------------

void SimulatedWorker::Process::Save(const AttemptKey& key, Run& run) {
  if (run.saved_step == run.step || run.step == 0) return;
  run.saved_step = run.step;
  auto job = std::make_shared<Job>();
  job->key = key;
  const std::string name = Uuid::Random(*random_).ToString();
  job->header.set_worker(owner_.name_);
  job->header.set_attempt(key.attempt.ToString());
  job->header.set_lease_generation(key.generation);
  job->header.set_checkpoint(name);
  job->header.set_step(run.step);
  job->header.set_size_bytes(16);
  job->header.set_digest(
      absl::StrCat(absl::Hex(Trace::HashOf(name), absl::kZeroPad16), std::string(48, 'a')));
  const bool may_upload = publishing_.contains(key);
  sender_->OnCheckpointPending(key, name, run.step, [this, job, may_upload] {
    if (may_upload) Upload(job);
  });
  if (!may_upload) return SpoolIt(job);
  if (job->settled) return;
  owner_.network_.At(owner_.node_, kReportsWaitMax, Guarded([this, job] {
                       if (!job->settled) SpoolIt(job);
                       Pump();
                     }));
}

void SimulatedWorker::Process::Upload(const std::shared_ptr<Job>& job) {
  if (std::exchange(job->settled, true)) return;
  SimulatedCoordinator& coordinator = owner_.coordinator_;
  owner_.network_.Call<session::v1::UploadCheckpointResponse>(
      owner_.node_,
      [&coordinator, header = job->header](auto reply) {
        coordinator.UploadCheckpoint(header, std::move(reply));
      },
      Guarded([this, job](absl::StatusOr<session::v1::UploadCheckpointResponse> answer) {
        const absl::Status& status = answer.status();
        if (IsPassing(status)) {
          SpoolIt(job);
        } else {
          sender_->OnCheckpointDone(job->key, job->header.checkpoint(), status.ok());
          if (absl::IsAborted(status)) inputs_.push_back(worker::ReportRefused{job->key, status});
        }
        Pump();
      }));
}

void SimulatedWorker::Process::SpoolIt(const std::shared_ptr<Job>& job) {
  job->settled = true;
  if (!held_.contains(job->key)) return;
  context().Reached(Probe::kCheckpointSpooled);
  const std::string bytes(16, 'x');
  absl::StatusOr<SpooledCheckpoint> spooled = worker::Spool::WriteCheckpoint(
      *owner_.files_, kSpoolDirectory, job->key, job->header, absl::MakeConstSpan(bytes));
  if (spooled.ok()) {
    sender_->OnCheckpointSpooled(job->key, *std::move(spooled));
  } else {
    sender_->OnCheckpointDone(job->key, job->header.checkpoint(), false);
  }
}

void SimulatedWorker::Process::UploadSpooled(const AttemptKey& key,
                                             const SpooledCheckpoint& checkpoint) {
  session::v1::UploadCheckpointHeader header = checkpoint.header;
  header.set_worker(owner_.name_);
  SimulatedCoordinator& coordinator = owner_.coordinator_;
  owner_.network_.Call<session::v1::UploadCheckpointResponse>(
      owner_.node_,
      [&coordinator, header](auto reply) {
        coordinator.UploadCheckpoint(header, std::move(reply));
      },
      Guarded([this, key, name = header.checkpoint()](
                  absl::StatusOr<session::v1::UploadCheckpointResponse> answer) {
        sender_->OnUploaded(key, name, answer.status(), owner_.Now().steady);
        if (absl::IsAborted(answer.status())) {
          inputs_.push_back(worker::ReportRefused{key, answer.status()});
        }
        Pump();
      }));
}

// --- The machine --------------------------------------------------------------------

SimulatedWorker::SimulatedWorker(Context& context, Network& network,
                                 SimulatedCoordinator& coordinator, int node, int slots)
    : context_(context),
      network_(network),
      coordinator_(coordinator),
      node_(node),
      slots_(slots),
      name_(absl::StrCat("workers/w", node)),
      files_(std::make_unique<InMemoryFileSystem>(FileClock())),
      instance_(absl::StrCat("instance-", node)) {
  drift_ = context.scenario.drift_max * (2 * context.random.Uniform01() - 1);
  wall_step_ = ToDuration(context.Between(-kSecond, kSecond));
}

SimulatedWorker::~SimulatedWorker() = default;

worker::Session::Now SimulatedWorker::Now() const {
  const absl::Duration passed =
      ToDuration(context_.now() + static_cast<Nanos>(drift_ * static_cast<double>(context_.now())));
  return {.steady = kWorkerSteadyStart + passed, .wall = kWorkerWallStart + passed + wall_step_};
}

Nanos SimulatedWorker::MomentOf(absl::Duration steady) const {
  const double passed = static_cast<double>(ToNanos(steady - kWorkerSteadyStart));
  return static_cast<Nanos>(passed / (1 + drift_)) + 1'000;
}

void SimulatedWorker::Start() {
  if (up() || !context_.violations.empty()) return;
  ++starts_;
  auto random = std::make_unique<SeededRandom>(context_.random.NextU64());
  absl::StatusOr<std::unique_ptr<worker::Spool>> spool =
      worker::Spool::Open(*files_, kSpoolDirectory, *random, {}, NullTelemetry());
  if (!spool.ok()) {
    // Its disk is full.
    context_.queue.After(30 * kSecond, [this] { Start(); });
    return;
  }
  process_ = std::make_unique<Process>(*this, *std::move(spool), std::move(random));
  process_->Feed(worker::Tick());
}

void SimulatedWorker::Crash(End end) {
  if (!up()) return;
  context_.Injected(end == End::kKilled  ? Fault::kWorkerKilled
                    : end == End::kPower ? Fault::kWorkerPower
                                         : Fault::kWorkerWiped);
  process_.reset();
  network_.NodeDied(node_, end != End::kKilled);
  network_.Pause(node_, 0);
  if (end == End::kPower) {
    static constexpr InMemoryFileSystem::Unsynced kKinds[] = {InMemoryFileSystem::Unsynced::kDrop,
                                                              InMemoryFileSystem::Unsynced::kKeep,
                                                              InMemoryFileSystem::Unsynced::kTear};
    files_->Crash(kKinds[context_.Index(std::size(kKinds))]);
  } else if (end == End::kWiped) {
    files_ = std::make_unique<InMemoryFileSystem>(FileClock());
    disk_full_ = false;
    instance_ = absl::StrCat("instance-", node_, "-", starts_);
    cluster_id_.clear();
    revision_ = 0;
  }
  const bool long_outage = context_.random.Bernoulli(0.1);
  context_.queue.After(context_.Between(kSecond, long_outage ? kHour : 3 * kMinute),
                       [this] { Start(); });
}

void SimulatedWorker::Stop() {
  if (!up()) return;
  context_.Injected(Fault::kWorkerStopped);
  process_->Feed(worker::StopRequested());
}

void SimulatedWorker::Every(Nanos mean, std::function<void()> fault) {
  if (mean <= 0) return;
  context_.queue.After(context_.Exponential(mean), [this, mean, fault = std::move(fault)] {
    if (!context_.faults_on) return;
    fault();
    Every(mean, fault);
  });
}

void SimulatedWorker::StartFaults() {
  const Scenario& scenario = context_.scenario;
  Every(scenario.worker_crash_every, [this] {
    const uint64_t kind = context_.random.UniformInt(10);
    Crash(kind < 6 ? End::kKilled : kind < 9 ? End::kPower : End::kWiped);
  });
  Every(scenario.worker_pause_every, [this] {
    if (!up() || network_.paused(node_)) return;
    context_.Injected(Fault::kWorkerPaused);
    const Nanos pause =
        context_.Between(kSecond, context_.random.Bernoulli(0.5) ? kMinute : 20 * kMinute);
    if (pause > ToNanos(coordinator_.lease_duration())) context_.Reached(Probe::kPausedPastLease);
    network_.Pause(node_, context_.now() + pause);
    // Nobody answers pings.
    context_.queue.After(context_.Between(20 * kSecond, 40 * kSecond), [this] {
      if (network_.paused(node_)) network_.BreakStreams(node_);
    });
  });
  Every(scenario.worker_stop_every, [this] { Stop(); });
  Every(scenario.clock_step_every * 4, [this] {
    context_.Injected(Fault::kWorkerClock);
    wall_step_ = ToDuration(context_.Between(-kDay, kDay));
  });
  Every(scenario.worker_disk_full_every, [this] {
    context_.Injected(Fault::kWorkerDiskFull);
    disk_full_ = true;
    files_->SetQuota(files_->used_bytes());
    if (up()) process_->ExcusePoints();
    context_.queue.After(context_.Between(kMinute, 20 * kMinute), [this] {
      disk_full_ = false;
      files_->SetQuota(UINT64_MAX);
    });
  });
}

void SimulatedWorker::Heal() {
  disk_full_ = false;
  files_->SetQuota(UINT64_MAX);
  Start();
}

std::string SimulatedWorker::StepOf(const std::string& attempt) const {
  return up() ? process_->StepOf(attempt) : "";
}

bool SimulatedWorker::idle() const { return up() && process_->idle(); }

}  // namespace cvtrain::simulation
