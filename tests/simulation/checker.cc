#include "tests/simulation/checker.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "coordinator/state/proto_time.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::simulation {
namespace {

using coordinator::ClusterState;
using storage::v1::AttemptRecord;
using storage::v1::Event;
using storage::v1::TrialRecord;

// As docs/states.md draws it.
bool IsAllowed(v1::Trial::State from, v1::Trial::State to) {
  if (from == to) return true;
  switch (from) {
    case v1::Trial::STATE_UNSPECIFIED:  // did not exist
      return to == v1::Trial::STATE_QUEUED || to == v1::Trial::STATE_FAILED;
    case v1::Trial::STATE_QUEUED:
      return to == v1::Trial::STATE_RUNNING || to == v1::Trial::STATE_CANCELLED;
    case v1::Trial::STATE_RUNNING:
      return to != v1::Trial::STATE_PAUSED && to != v1::Trial::STATE_UNSPECIFIED;
    default:
      return false;  // ended
  }
}

struct Failures {
  int user = 0;
  int out_of_memory = 0;
  int infrastructure = 0;
};

Failures FailuresOf(const TrialRecord& trial) {
  Failures failures;
  for (const AttemptRecord& attempt : trial.attempts()) {
    // Who was to stop pays for nothing that comes then.
    const v1::Cause wanted = attempt.has_stop() ? attempt.stop().cause() : v1::CAUSE_UNSPECIFIED;
    if (wanted == v1::CAUSE_PREEMPTED || wanted == v1::CAUSE_CANCELLED ||
        wanted == v1::CAUSE_PRUNED) {
      continue;
    }
    switch (attempt.cause()) {
      case v1::CAUSE_DATA:
      case v1::CAUSE_DIVERGED:
      case v1::CAUSE_USER_ERROR:
        ++failures.user;
        break;
      case v1::CAUSE_OUT_OF_MEMORY:
        ++failures.out_of_memory;
        break;
      case v1::CAUSE_DEVICE_FAULT:
      case v1::CAUSE_INTERNAL:
        ++failures.infrastructure;
        break;
      default:
        break;
    }
  }
  return failures;
}

}  // namespace

void Checker::Follow(const std::vector<coordinator::JournalRecord>& records) {
  for (const coordinator::JournalRecord& record : records) {
    if (record.revision <= revision()) continue;
    Event event;
    if (!event.ParseFromString(record.bytes)) {
      context_.Broken("D5", absl::StrCat("event ", record.revision, " cannot be read"));
      return;
    }
    if (record.revision != revision() + 1 || event.revision() != record.revision) {
      context_.Broken("S1", absl::StrCat("event ", event.revision(), " in record ", record.revision,
                                         " follows ", revision()));
      return;
    }
    hashes_.push_back(Trace::HashOf(record.bytes));
    context_.trace.Add(hashes_.back());
    Judge(event);
    if (!context_.violations.empty()) return;
  }
}

void Checker::Recovered(const std::vector<coordinator::JournalRecord>& records,
                        const ClusterState& state) {
  const int64_t last = records.empty() ? 0 : records.back().revision;
  if (last < revision()) {
    context_.Broken(
        "D1", absl::StrCat("revision ", revision(), " was durable, the journal ends at ", last,
                           " after a crash"));
    return;
  }
  for (const coordinator::JournalRecord& record : records) {
    if (record.revision > revision()) break;
    if (Trace::HashOf(record.bytes) != hashes_[static_cast<size_t>(record.revision - 1)]) {
      context_.Broken("D1", absl::StrCat("event ", record.revision, " is another after a crash"));
      return;
    }
  }
  Follow(records);
  // A fingerprint costs as much as a recovery. A crash loop has many of one revision.
  if (state.revision() != fingerprint_revision_ || context_.random.Bernoulli(0.1)) CheckAll(state);
}

void Checker::CheckAll(const ClusterState& live) {
  if (!context_.violations.empty()) return;
  if (fingerprint_revision_ != state_.revision()) {
    fingerprint_revision_ = state_.revision();
    fingerprint_ = state_.Fingerprint();
  }
  if (live.revision() != state_.revision() || live.Fingerprint() != fingerprint_) {
    context_.Broken("S5",
                    absl::StrCat("the state of revision ", live.revision(),
                                 " is not what following the events to ", revision(), " gives"));
  }
  for (const auto& [number, experiment] : state_.experiments()) {
    CheckExperiment(experiment);
    for (const auto& [trial_number, trial] : experiment.trials) CheckTrial(experiment, trial);
  }
  CheckSlots();
}

void Checker::Judge(const Event& event) {
  if (context_.scenario.print) {
    context_.Print(absl::StrCat("event ", event.ShortDebugString().substr(0, 1'500)));
  }
  Before(event);
  const absl::Time time = state_.time();
  if (coordinator::FromTimestamp(event.time()) < time) {
    context_.Broken("S1",
                    absl::StrCat("event ", event.revision(), " is older than the one before"));
  }
  if (const absl::Status applied = state_.Apply(event); !applied.ok()) {
    // A contradiction: a slot that is given twice, a trial that ends twice.
    context_.Broken(
        event.has_attempt_allocated() ? "S2" : "S5",
        absl::StrCat("event ", event.revision(), " cannot be applied: ", applied.message()));
    return;
  }
  state_.TakeTouchedAttempts();
  state_.TakeDeletedCheckpoints();
  After(event);
  Count(event);
}

void Checker::Before(const Event& event) {
  if (event.has_attempt_allocated()) BeforeAllocation(event.attempt_allocated());
  if (event.has_facts_reported()) BeforeFacts(event.facts_reported());
  if (event.has_checkpoint_committed()) BeforeCheckpoint(event.checkpoint_committed());
}

void Checker::BeforeAllocation(const storage::v1::AttemptAllocated& event) {
  const auto attempt = AttemptName::Parse(event.attempt());
  const auto trial = state_.FindTrial(attempt->trial());
  const auto experiment = state_.FindExperiment(attempt->trial().experiment());
  if (!trial.ok() || !experiment.ok()) return;  // Apply() says so
  const int32_t slots = (*experiment)->record.spec().resources().slots();
  if (event.ranks_size() != slots) {
    context_.Broken(
        "S2", absl::StrCat(event.attempt(), " gets ", event.ranks_size(), " of ", slots, " slots"));
  }
  std::set<std::pair<std::string, int32_t>> given;
  for (const storage::v1::RankPlacement& rank : event.ranks()) {
    const std::string place = absl::StrCat("slot ", rank.slot(), " of ", rank.worker());
    if (!given.emplace(rank.worker(), rank.slot()).second) {
      context_.Broken("S2", absl::StrCat(event.attempt(), " gets ", place, " twice"));
    }
    const auto worker = state_.FindWorker(*WorkerName::Parse(rank.worker()));
    if (!worker.ok() || (*worker)->record.lost()) {
      context_.Broken("S2", absl::StrCat(event.attempt(), " gets ", place, ", which is lost"));
    } else if ((*worker)->record.cordoned()) {
      context_.Broken("S2", absl::StrCat(event.attempt(), " gets ", place, ", which is set aside"));
    } else if ((*worker)->busy.contains(rank.slot())) {
      context_.Broken("S2", absl::StrCat(event.attempt(), " gets ", place, ", which ",
                                         (*worker)->busy.at(rank.slot()).ToString(), " has"));
    }
  }
}

void Checker::BeforeFacts(const storage::v1::FactsReported& event) {
  const auto attempt = state_.FindAttempt(*AttemptName::Parse(event.attempt()));
  if (!attempt.ok() || (*attempt)->lease_generation() != event.lease_generation()) {
    context_.Broken("S3", absl::StrCat("facts of ", event.attempt(), " with generation ",
                                       event.lease_generation(), " count"));
    return;
  }
  const storage::v1::AttemptPart* part = coordinator::FindPart(**attempt, event.worker());
  if (part == nullptr || part->ended()) {
    context_.Broken("S3", absl::StrCat("facts of ", event.worker(), " about ", event.attempt(),
                                       " count, which it does not have any more"));
    return;
  }
  int64_t next = part->fact_sequence();
  for (const storage::v1::Fact& fact : event.facts()) {
    if (fact.sequence() != ++next) {
      context_.Broken("S3", absl::StrCat(event.attempt(), ": fact ", fact.sequence(), " where ",
                                         next, " is next"));
    }
  }
}

void Checker::BeforeCheckpoint(const storage::v1::CheckpointCommitted& event) {
  const auto attempt = state_.FindAttempt(*AttemptName::Parse(event.attempt()));
  if (!attempt.ok() || coordinator::HasEnded(**attempt)) {
    context_.Broken(
        "S3", absl::StrCat(event.name(), " of ", event.attempt(), ", which has ended, is listed"));
  }
  // A late repetition may list one again that its policy has deleted: it is deleted in that event.
  const bool gone_at_once = std::find(event.deleted().begin(), event.deleted().end(),
                                      event.name()) != event.deleted().end();
  if (!listed_.insert(event.name()).second && !gone_at_once) {
    context_.Broken("D2", absl::StrCat(event.name(), " is listed twice"));
  }
}

void Checker::After(const Event& event) {
  std::set<TrialName> touched;
  std::set<int64_t> experiments;
  const auto touch = [&](const std::string& name) {
    const auto trial = TrialName::Parse(name);
    if (trial.ok()) touched.insert(*trial);
  };
  const auto touch_attempt = [&](const std::string& name) {
    const auto attempt = AttemptName::Parse(name);
    if (attempt.ok()) touched.insert(attempt->trial());
  };
  for (const storage::v1::TrialTransition& one : event.consequences().trials()) touch(one.trial());
  for (const storage::v1::AttemptStop& one : event.consequences().stops()) {
    touch_attempt(one.attempt());
  }
  for (const storage::v1::SearchStep& step : event.consequences().searches()) {
    const auto experiment = ExperimentName::Parse(step.experiment());
    experiments.insert(experiment->number());
    for (const storage::v1::NewTrial& one : step.created()) {
      touched.insert(TrialName(*experiment, one.number()));
    }
    for (const storage::v1::DiscardedTrial& one : step.discarded()) {
      touched.insert(TrialName(*experiment, one.number()));
    }
  }
  if (event.has_attempt_allocated()) touch_attempt(event.attempt_allocated().attempt());
  if (event.has_facts_reported()) touch_attempt(event.facts_reported().attempt());
  for (const TrialName& name : touched) {
    const auto trial = state_.FindTrial(name);
    if (!trial.ok()) continue;
    CheckTrial(**state_.FindExperiment(name.experiment()), **trial);
    experiments.insert(name.experiment().number());
  }
  for (const int64_t number : experiments) {
    const auto found = state_.experiments().find(number);
    // Large sweeps are looked at as a whole now and then.
    if (found != state_.experiments().end() &&
        (found->second.trials.size() < 40 || event.revision() % 16 == 0)) {
      CheckExperiment(found->second);
    }
  }
  if (event.has_attempt_allocated() || event.revision() % 64 == 0) CheckSlots();
}

void Checker::CheckTrial(const ClusterState::Experiment& experiment,
                         const ClusterState::Trial& trial) {
  const TrialRecord& record = trial.record;
  const std::string name = trial.name.ToString();
  v1::Trial::State& before = trials_[trial.name];
  if (!IsAllowed(before, record.state())) {
    context_.Broken("S1", absl::StrCat(name, " went from ", v1::Trial::State_Name(before), " to ",
                                       v1::Trial::State_Name(record.state())));
  }
  before = record.state();
  const bool ended = coordinator::HasEnded(record.state());
  if ((record.state() == v1::Trial::STATE_RUNNING) !=
          (coordinator::OpenAttempt(record) != nullptr) ||
      ended != record.has_end_time() ||
      experiment.queued.contains(trial.name.number()) !=
          (record.state() == v1::Trial::STATE_QUEUED)) {
    context_.Broken("S1", absl::StrCat(name, " is ", v1::Trial::State_Name(record.state()),
                                       ", its attempts and indices say something else"));
  }
  int64_t generation = 0;
  for (int i = 0; i < record.attempts_size(); ++i) {
    const AttemptRecord& attempt = record.attempts(i);
    if (attempt.lease_generation() <= generation ||
        (i + 1 < record.attempts_size() && !coordinator::HasEnded(attempt))) {
      context_.Broken("S3", absl::StrCat(name, ": attempt ", attempt.number(),
                                         " begins before the one before has ended"));
    }
    generation = attempt.lease_generation();
    if (attempt.ranks_size() != experiment.record.spec().resources().slots()) {
      context_.Broken("S2", absl::StrCat(name, ": attempt ", attempt.number(), " has ",
                                         attempt.ranks_size(), " ranks"));
    }
  }
  const v1::RetryPolicy& policy = experiment.record.spec().retry();
  const Failures failures = FailuresOf(record);
  const auto spent = [&](int used, int max, int failed, absl::string_view what) {
    if (used > max || failed > max + 1) {
      context_.Broken("S1", absl::StrCat(name, ": ", used, " retries after ", failed, " failures, ",
                                         what, " allows ", max));
    }
  };
  spent(record.retries().user(), policy.user_max(), failures.user, "user_max");
  spent(record.retries().out_of_memory(), policy.out_of_memory_max(), failures.out_of_memory,
        "out_of_memory_max");
  spent(record.retries().infrastructure(), policy.infrastructure_max(), failures.infrastructure,
        "infrastructure_max");
  int64_t step = -1;
  for (const storage::v1::LineageEntry& entry : record.lineage()) {
    if (entry.from_step() <= step) {
      context_.Broken("R4", absl::StrCat(name, ": its lineage repeats step ", entry.from_step()));
    }
    step = entry.from_step();
  }
}

void Checker::CheckExperiment(const ClusterState::Experiment& experiment) {
  const std::string name = experiment.name.ToString();
  std::array<int32_t, 8> counts = {};
  bool all_ended = true;
  size_t ranked = 0;
  for (const auto& [number, trial] : experiment.trials) {
    ++counts[static_cast<size_t>(trial.record.state())];
    all_ended = all_ended && coordinator::HasEnded(trial.record.state());
    ranked += trial.IsRanked() ? 1 : 0;
  }
  const bool active = experiment.record.state() == v1::Experiment::STATE_ACTIVE;
  if (counts != experiment.trials_by_state || ranked != experiment.ranking.size() ||
      state_.active().contains(experiment.name.number()) != active) {
    context_.Broken("S5", absl::StrCat(name, ": its indices do not fit its trials"));
  }
  if (active == (all_ended && experiment.record.search_done())) {
    context_.Broken("S1", absl::StrCat(name, active ? ": everything has ended but it"
                                                    : ": has ended before its trials"));
  }
  const int32_t running_max = std::max(1, experiment.record.spec().search().max_parallel_trials());
  if (counts[v1::Trial::STATE_RUNNING] > running_max) {
    context_.Broken("S2", absl::StrCat(name, ": runs more than ", running_max, " trials"));
  }
}

// A slot is busy if and only if an unfinished part of an attempt has it.
void Checker::CheckSlots() {
  std::map<std::pair<std::string, int32_t>, AttemptName> given;
  for (const int64_t number : state_.active()) {
    for (const auto& [trial_number, trial] : state_.experiments().at(number).trials) {
      const AttemptRecord* open = coordinator::OpenAttempt(trial.record);
      if (open == nullptr) continue;
      for (const storage::v1::RankPlacement& rank : open->ranks()) {
        if (coordinator::FindPart(*open, rank.worker())->ended()) continue;
        if (!given
                 .emplace(std::make_pair(rank.worker(), rank.slot()),
                          coordinator::NameOf(trial.record, *open))
                 .second) {
          context_.Broken(
              "S2", absl::StrCat("slot ", rank.slot(), " of ", rank.worker(), " is given twice"));
        }
      }
    }
  }
  size_t busy = 0;
  for (const auto& [name, worker] : state_.workers()) {
    for (const auto& [slot, attempt] : worker.busy) {
      const auto found = given.find({name.ToString(), slot});
      if (found == given.end() || found->second != attempt || worker.record.lost()) {
        context_.Broken("S2", absl::StrCat("slot ", slot, " of ", name.ToString(), " is busy with ",
                                           attempt.ToString(), ", which does not have it"));
      }
      ++busy;
    }
  }
  if (busy != given.size()) {
    context_.Broken("S2", absl::StrCat(given.size(), " slots are given, ", busy, " are busy"));
  }
}

void Checker::Count(const Event& event) {
  for (const storage::v1::TrialTransition& one : event.consequences().trials()) {
    const auto trial = state_.FindTrial(*TrialName::Parse(one.trial()));
    const bool ran = trial.ok() && !(*trial)->record.attempts().empty();
    switch (one.state()) {
      case v1::Trial::STATE_SUCCEEDED:
        context_.Reached(Probe::kTrialSucceeded);
        if (ran && (*trial)->record.attempts().rbegin()->has_stop()) {
          context_.Reached(Probe::kFinishedAfterCancel);
        }
        break;
      case v1::Trial::STATE_FAILED:
        context_.Reached(Probe::kTrialFailed);
        if (ran) context_.Reached(Probe::kBudgetUsedUp);
        break;
      case v1::Trial::STATE_CANCELLED:
        context_.Reached(event.has_facts_reported() || event.has_worker_lost()
                             ? Probe::kTrialCancelledRunning
                             : Probe::kTrialCancelledQueued);
        break;
      case v1::Trial::STATE_QUEUED:
        context_.Reached(Probe::kTrialRequeued);
        if (one.budget() == storage::v1::RETRY_BUDGET_USER) context_.Reached(Probe::kRetryUser);
        if (one.budget() == storage::v1::RETRY_BUDGET_OUT_OF_MEMORY) {
          context_.Reached(Probe::kRetryOutOfMemory);
        }
        if (one.budget() == storage::v1::RETRY_BUDGET_INFRASTRUCTURE) {
          context_.Reached(Probe::kRetryInfrastructure);
        }
        if (trial.ok() &&
            coordinator::DelayOf((*trial)->record, state_.time()) > absl::ZeroDuration()) {
          context_.Reached(Probe::kDelayedRetry);
        }
        break;
      default:
        break;
    }
  }
  for (const storage::v1::SearchStep& step : event.consequences().searches()) {
    if (step.done()) context_.Reached(Probe::kSearchDone);
    if (!step.created().empty() && !event.has_experiment_created()) {
      context_.Reached(Probe::kSearchCreated);
    }
    if (!step.discarded().empty()) context_.Reached(Probe::kTrialDiscarded);
  }
  for (const storage::v1::ExperimentEnd& end : event.consequences().experiments()) {
    context_.Reached(end.state() == storage::v1::END_STATE_SUCCEEDED ? Probe::kExperimentSucceeded
                     : end.state() == storage::v1::END_STATE_FAILED  ? Probe::kExperimentFailed
                                                                     : Probe::kExperimentCancelled);
  }
  for (const storage::v1::AttemptStop& stop : event.consequences().stops()) {
    if (event.has_facts_reported() && stop.now() && stop.cause() != v1::CAUSE_CANCELLED &&
        stop.cause() != v1::CAUSE_PRUNED) {
      context_.Reached(Probe::kPartFailedStops);
    }
    if (event.has_trial_cancelled() && stop.now()) context_.Reached(Probe::kHarderStop);
  }
  if (event.has_attempt_preempted()) context_.Reached(Probe::kMadeWay);
  if (event.has_worker_cordoned()) {
    context_.Reached(!event.worker_cordoned().cordoned()          ? Probe::kTakenBack
                     : event.caller().identity() == "coordinator" ? Probe::kSetAside
                                                                  : Probe::kCordoned);
  }
  if (event.has_search_advanced()) context_.Reached(Probe::kSearchAdvanced);
  if (event.has_checkpoint_imported()) context_.Reached(Probe::kImported);
  if (event.has_checkpoint_deleted()) context_.Reached(Probe::kImportDeleted);
  if (event.has_checkpoint_committed() && !event.checkpoint_committed().deleted().empty()) {
    context_.Reached(Probe::kCheckpointDeleted);
  }
  if (event.has_attempt_allocated()) CountAllocation(event.attempt_allocated());
  const auto count_lost = [&](const std::string& name) {
    const auto attempt = state_.FindAttempt(*AttemptName::Parse(name));
    if (!attempt.ok()) return;
    context_.Reached((*attempt)->has_start_time() ? Probe::kLostRunning : Probe::kLostUnstarted);
    if ((*attempt)->parts_size() > 1) context_.Reached(Probe::kPartLost);
  };
  if (event.has_worker_lost()) {
    context_.Reached(Probe::kWorkerLost);
    for (const std::string& name : event.worker_lost().lost_attempts()) count_lost(name);
  }
  if (event.has_worker_registered()) {
    const storage::v1::WorkerRegistered& worker = event.worker_registered();
    if (!worker.lost_attempts().empty()) context_.Reached(Probe::kLostByHello);
    for (const std::string& name : worker.lost_attempts()) count_lost(name);
    const bool known = instances_.contains(worker.name());
    if (known) context_.Reached(Probe::kWorkerBack);
    instances_.insert(worker.name());
    if (instances_.insert(absl::StrCat(worker.name(), " ", worker.instance())).second && known) {
      context_.Reached(Probe::kNewInstance);
    }
  }
  if (event.has_facts_reported()) {
    for (const storage::v1::Fact& fact : event.facts_reported().facts()) {
      if (!fact.has_ended()) continue;
      if (fact.ended().cause() == v1::CAUSE_PREEMPTED) context_.Reached(Probe::kPreempted);
      if (fact.ended().cause() == v1::CAUSE_DEVICE_FAULT ||
          fact.ended().cause() == v1::CAUSE_DATA || fact.ended().cause() == v1::CAUSE_DIVERGED) {
        context_.Reached(Probe::kEveryCause);
      }
    }
  }
}

void Checker::CountAllocation(const storage::v1::AttemptAllocated& event) {
  const AttemptName name = *AttemptName::Parse(event.attempt());
  const ClusterState::Trial& trial = **state_.FindTrial(name.trial());
  if (event.ranks_size() > 1) context_.Reached(Probe::kGang);
  if (event.ranks(0).worker() != event.ranks().rbegin()->worker()) {
    context_.Reached(Probe::kGangAcross);
  }
  if (name.number() >= 10) context_.Reached(Probe::kManyAttempts);
  if (event.resumed_from().empty()) return;
  context_.Reached(Probe::kResumed);
  const AttemptRecord& last = trial.record.attempts(trial.record.attempts_size() - 2);
  if (last.ranks(0).worker() != event.ranks(0).worker()) context_.Reached(Probe::kResumedElsewhere);
  if (trial.checkpoints.back().ToString() != event.resumed_from()) {
    context_.Reached(Probe::kResumedEarlier);
  }
}

}  // namespace cvtrain::simulation
