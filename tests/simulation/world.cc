#include "tests/simulation/world.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/decide_worker.h"
#include "coordinator/state/trial_record.h"

namespace cvtrain::simulation {
namespace {

using coordinator::ClusterState;

// After so long without faults an operator cancels what is left.
constexpr Nanos kPatience = 12 * kHour;
constexpr int kWindowsAfterCancel = 30;

}  // namespace

World::World(const Scenario& scenario)
    : context_(scenario),
      checker_(context_),
      coordinator_(context_, checker_),
      network_(context_, coordinator_, 1 + scenario.workers + scenario.clients) {
  coordinator_.SetNetwork(&network_);
  int slots = 0;
  for (int i = 1; i <= scenario.workers; ++i) {
    const int own = 1 + static_cast<int>(context_.Index(static_cast<size_t>(scenario.slots_max)));
    slots += own;
    workers_.push_back(std::make_unique<SimulatedWorker>(context_, network_, coordinator_, i, own));
  }
  for (int i = 0; i < scenario.clients; ++i) {
    clients_.push_back(std::make_unique<SimulatedClient>(context_, network_, coordinator_,
                                                         1 + scenario.workers + i, slots));
  }
}

void World::RunUntil(Nanos end) {
  while (context_.violations.empty() && context_.queue.RunNext(end)) {
  }
}

RunResult World::Run() {
  coordinator_.Start();
  for (const auto& worker : workers_) {
    context_.queue.After(context_.Between(0, 10 * kSecond), [&worker] { worker->Start(); });
  }
  for (const auto& client : clients_) client->Start();
  network_.Start();
  coordinator_.StartFaults();
  for (const auto& worker : workers_) worker->StartFaults();
  RunUntil(context_.scenario.duration);

  context_.faults_on = false;
  if (context_.violations.empty()) Settle();

  RunResult result;
  result.seed = context_.scenario.seed;
  context_.trace.Add(checker_.state().Fingerprint());
  result.trace_hash = context_.trace.hash();
  result.cluster_days = static_cast<double>(std::min(context_.now(), context_.scenario.duration)) /
                        static_cast<double>(kDay);
  result.revisions = checker_.revision();
  result.events = context_.queue.executed();
  result.tally = context_.tally;
  result.violations = context_.violations;
  return result;
}

std::vector<std::string> World::Standing() const {
  std::vector<std::string> standing;
  const ClusterState& state = checker_.state();
  for (const int64_t number : state.active()) {
    for (const auto& [trial_number, trial] : state.experiments().at(number).trials) {
      const storage::v1::AttemptRecord* open = coordinator::OpenAttempt(trial.record);
      if (open == nullptr) continue;
      const std::string name = coordinator::NameOf(trial.record, *open).ToString();
      standing.push_back(absl::StrCat(name, " ", trial.record.revision()));
      for (const auto& worker : workers_) {
        absl::StrAppend(&standing.back(), " ", worker->StepOf(name));
      }
    }
  }
  return standing;
}

void World::Settle() {
  network_.Heal();
  coordinator_.Heal();
  for (const auto& worker : workers_) worker->Heal();
  const Nanos window = 10 * ToNanos(coordinator_.lease_duration()) +
                       context_.scenario.trial_time_max / 5 + 3 * kMinute;
  const Nanos start = context_.now();
  // Those that were about to come back do so, leases run out, calls time out.
  RunUntil(context_.now() + window);
  std::vector<std::string> before = Standing();
  int64_t revision_before = checker_.revision();
  int cancelled_windows = 0;
  while (context_.violations.empty() && !checker_.state().active().empty()) {
    UncordonAll();
    RunUntil(context_.now() + window);
    if (!context_.violations.empty()) return;
    if (!coordinator_.up()) {
      return context_.Broken("R5", "faults have stopped and the coordinator does not serve");
    }
    const std::vector<std::string> after = Standing();
    for (const std::string& line : after) {
      if (std::find(before.begin(), before.end(), line) != before.end()) {
        context_.Broken("R5", absl::StrCat("stands still without faults: ", line));
      }
    }
    if (after.empty() && !checker_.state().active().empty() &&
        checker_.revision() == revision_before) {
      context_.Broken("R5", "trials wait while all slots are free");
    }
    before = after;
    revision_before = checker_.revision();
    if (context_.now() - start > kPatience) {
      if (cancelled_windows == 0) CancelAll();
      if (++cancelled_windows > kWindowsAfterCancel) {
        context_.Broken("R5", "what was cancelled does not end");
      }
    }
  }
  // The last words arrive, and whoever was lost says hello.
  RunUntil(context_.now() + window);
  if (context_.violations.empty()) CheckIdle();
}

// An operator takes back what was set aside.
void World::UncordonAll() {
  for (const auto& [name, worker] : checker_.state().workers()) {
    if (!worker.record.cordoned()) continue;
    v1::UncordonWorkerRequest request;
    request.set_name(name.ToString());
    coordinator::Command command;
    command.caller = {"operator", coordinator::Role::kOperator};
    command.decide = [request](const ClusterState& state, absl::Time now) {
      return coordinator::DecideUncordonWorker(state, request, now);
    };
    coordinator_.Commit(std::move(command), true,
                        [](const absl::StatusOr<SimulatedCoordinator::ClientAnswer>&) {});
  }
}

void World::CancelAll() {
  for (const int64_t number : checker_.state().active()) {
    v1::CancelExperimentRequest request;
    request.set_name(ExperimentName(number).ToString());
    request.set_now(true);
    coordinator::Command command;
    command.caller = {"operator", coordinator::Role::kOperator};
    command.decide = [request](const ClusterState& state, absl::Time now) {
      return coordinator::DecideCancelExperiment(state, request, now);
    };
    coordinator_.Commit(std::move(command), true,
                        [](const absl::StatusOr<SimulatedCoordinator::ClientAnswer>&) {});
  }
}

void World::CheckIdle() {
  for (const auto& [name, worker] : checker_.state().workers()) {
    if (!worker.busy.empty()) {
      context_.Broken("R5", absl::StrCat("a slot of ", name.ToString(), " is never freed"));
    }
    if (worker.record.lost()) {
      context_.Broken("R5", absl::StrCat(name.ToString(), " does not come back"));
    }
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (!workers_[i]->idle()) {
      context_.Broken("R5", absl::StrCat("worker ", i + 1, " still holds an attempt"));
    }
  }
  checker_.CheckAll(coordinator_.engine().state());
  if (context_.violations.empty()) context_.Reached(Probe::kSettled);
}

RunResult RunSeed(uint64_t seed, Bug bug, bool print) {
  Scenario scenario = DrawScenario(seed);
  scenario.print = print;
  scenario.bug = bug;
  return World(scenario).Run();
}

}  // namespace cvtrain::simulation
