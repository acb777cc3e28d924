#include "tests/simulation/simulated_client.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/uuid.h"
#include "coordinator/engine/views.h"
#include "coordinator/state/decide_checkpoint.h"
#include "coordinator/state/decide_experiment.h"
#include "coordinator/state/decide_worker.h"

namespace cvtrain::simulation {
namespace {

using coordinator::ClusterState;
using coordinator::Decision;
using coordinator::View;
using ClientAnswer = SimulatedCoordinator::ClientAnswer;
using ClientLook = SimulatedCoordinator::ClientLook;

constexpr size_t kRemembered = 60;
constexpr char kImportDigest[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
constexpr int kTriesMax = 25;

Decision DecideCreate(const ClusterState& state, const v1::CreateExperimentRequest& request,
                      absl::Time now) {
  return coordinator::DecideCreateExperiment(state, request, "simulated", now);
}

bool IsUnanswered(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

SimulatedClient::SimulatedClient(Context& context, Network& network,
                                 SimulatedCoordinator& coordinator, int node, int slots_max)
    : context_(context),
      network_(network),
      coordinator_(coordinator),
      node_(node),
      slots_max_(slots_max),
      caller_{absl::StrCat("client-", node), coordinator::Role::kAdmin},
      tokens_("a key of pages"),
      ids_(context.random.NextU64()) {}

void SimulatedClient::Start() {
  network_.At(node_, context_.Exponential(context_.scenario.client_pause), [this] {
    if (!context_.faults_on) return;  // the load ends with the faults
    if (!waiting_) Act();
    Start();
  });
}

void SimulatedClient::Act() {
  if (context_.Chance(context_.scenario.repeats)) return Repeat();
  switch (context_.random.UniformInt(8)) {
    case 0:
      return Read();
    case 1:
    case 2:
      return context_.scenario.cancels ? Cancel() : Submit();
    case 3:
      if (!context_.scenario.imports) return Read();
      return weights_.size() < 3 || context_.random.Bernoulli(0.5) ? Import() : Delete();
    default:
      return Submit();
  }
}

template <typename Message>
SimulatedClient::Request SimulatedClient::NewRequest(const std::string& method, Message message,
                                                     Decision (*decide)(const ClusterState&,
                                                                        const Message&, absl::Time),
                                                     bool frees) {
  Request request;
  request.id = message.request_id();
  request.what = method;
  request.fingerprint = coordinator::Fingerprint(method, caller_, message);
  request.frees = frees;
  request.decide = [message = std::move(message), decide](const ClusterState& state,
                                                          absl::Time now) {
    return decide(state, message, now);
  };
  return request;
}

v1::ExperimentSpec SimulatedClient::DrawSpec() {
  v1::ExperimentSpec spec;
  spec.set_api("cvtrain/v1");
  spec.set_kind("Experiment");
  spec.set_name(absl::StrCat("e", node_, "-", ++submitted_));
  spec.set_priority(static_cast<int32_t>(context_.random.UniformInt(4)) * 25);
  v1::Recipe& recipe = *spec.mutable_recipe();
  recipe.set_task(v1::Recipe::TASK_SYNTHETIC);
  const int64_t steps = 20 + static_cast<int64_t>(context_.random.UniformInt(3)) * 40;
  recipe.mutable_synthetic()->set_steps(steps);
  const Nanos time = context_.Between(20 * kSecond, context_.scenario.trial_time_max);
  recipe.mutable_synthetic()->set_step_time_ms(
      std::min(600'000.0, static_cast<double>(time / steps / kMillisecond)));
  recipe.mutable_synthetic()->set_final_metric(50);
  recipe.mutable_checkpoint()->mutable_every()->set_steps(
      std::max<int64_t>(1, steps / 10 * (1 + static_cast<int64_t>(context_.random.UniformInt(4)))));
  recipe.mutable_checkpoint()->set_keep_best(static_cast<int32_t>(context_.random.UniformInt(3)));
  recipe.mutable_checkpoint()->set_keep_last(1 +
                                             static_cast<int32_t>(context_.random.UniformInt(3)));
  if (!weights_.empty() && context_.random.Bernoulli(0.5)) {
    recipe.mutable_init_from()->set_checkpoint(weights_[context_.Index(weights_.size())]);
  }
  const int slots =
      context_.scenario.gangs
          ? 1 + static_cast<int>(context_.Index(static_cast<size_t>(std::min(6, slots_max_))))
          : 1;
  spec.mutable_resources()->set_slots(slots);
  spec.mutable_retry()->set_user_max(static_cast<int32_t>(context_.random.UniformInt(3)));
  spec.mutable_retry()->set_out_of_memory_max(static_cast<int32_t>(context_.random.UniformInt(2)));
  spec.mutable_retry()->set_infrastructure_max(
      static_cast<int32_t>(context_.random.UniformInt(2) * 20 + context_.random.UniformInt(3)));
  if (!context_.scenario.searches || context_.random.Bernoulli(0.4)) return spec;
  v1::Search& search = *spec.mutable_search();
  search.set_max_parallel_trials(1 + static_cast<int32_t>(context_.random.UniformInt(6)));
  search.mutable_objective()->set_metric("val/top1");
  search.mutable_objective()->set_mode(v1::Objective::MODE_MAX);
  v1::LinearSearch& linear = *search.mutable_linear();
  linear.set_parameter("recipe.synthetic.final_metric");
  // Sometimes beyond what the recipe allows.
  linear.set_start(context_.random.Bernoulli(0.2) ? 98 : 1);
  linear.set_stop(linear.start() + 2 + static_cast<double>(context_.random.UniformInt(14)));
  linear.set_step(1);
  linear.set_patience(static_cast<int32_t>(context_.random.UniformInt(3)));
  if (context_.random.Bernoulli(0.4)) {
    linear.set_parameter("recipe.synthetic.checkpoint_bytes");  // the same result each time
    linear.set_start(1);
    linear.set_stop(12);
  }
  if (slots_max_ >= 50 && context_.random.Bernoulli(0.05)) {
    // More than fit into one event.
    search.set_max_parallel_trials(300);
    linear.set_start(1);
    linear.set_stop(330);
    linear.clear_patience();
    linear.set_parameter("recipe.synthetic.checkpoint_bytes");
    recipe.mutable_synthetic()->set_step_time_ms(1'000);
    spec.mutable_resources()->set_slots(1);
  }
  return spec;
}

void SimulatedClient::Submit() {
  if (coordinator_.up() && static_cast<int>(coordinator_.engine().state().active().size()) >=
                               context_.scenario.experiments_open_max) {
    return Read();
  }
  v1::CreateExperimentRequest request;
  request.set_request_id(Uuid::Random(ids_).ToString());
  *request.mutable_spec() = DrawSpec();
  Send(NewRequest("CreateExperiment", std::move(request), &DecideCreate, false));
}

void SimulatedClient::Cancel() {
  if (context_.random.Bernoulli(0.15)) return Cordon();
  if (experiments_.empty()) return Read();
  // The newer, the likelier.
  const size_t back =
      std::min(experiments_.size() - 1, context_.Index(std::min<size_t>(experiments_.size(), 8)));
  const std::string name = experiments_[experiments_.size() - 1 - back];
  if (context_.random.Bernoulli(0.3)) {
    v1::CancelExperimentRequest request;
    request.set_request_id(Uuid::Random(ids_).ToString());
    request.set_name(name);
    request.set_now(context_.random.Bernoulli(0.5));
    return Send(NewRequest("CancelExperiment", std::move(request),
                           &coordinator::DecideCancelExperiment, true));
  }
  v1::CancelTrialRequest request;
  request.set_request_id(Uuid::Random(ids_).ToString());
  request.set_name(absl::StrCat(name, "/trials/", 1 + context_.random.UniformInt(4)));
  request.set_now(context_.random.Bernoulli(0.5));
  Send(NewRequest("CancelTrial", std::move(request), &coordinator::DecideCancelTrial, true));
}

// Sets a worker aside, or takes one back: as often, so that some work goes on.
void SimulatedClient::Cordon() {
  const std::string name = absl::StrCat(
      "workers/w",
      1 + context_.random.UniformInt(static_cast<uint64_t>(context_.scenario.workers)));
  if (context_.random.Bernoulli(0.35)) {
    v1::CordonWorkerRequest request;
    request.set_request_id(Uuid::Random(ids_).ToString());
    request.set_name(name);
    request.set_reason("maintenance");
    request.set_drain(context_.random.Bernoulli(0.5));
    return Send(
        NewRequest("CordonWorker", std::move(request), &coordinator::DecideCordonWorker, true));
  }
  v1::UncordonWorkerRequest request;
  request.set_request_id(Uuid::Random(ids_).ToString());
  request.set_name(name);
  Send(NewRequest("UncordonWorker", std::move(request), &coordinator::DecideUncordonWorker, true));
}

void SimulatedClient::Import() {
  v1::ImportCheckpointHeader header;
  header.set_request_id(Uuid::Random(ids_).ToString());
  header.set_label("weights.safetensors");
  header.set_size_bytes(16);
  header.set_digest(kImportDigest);
  Send(NewRequest("ImportCheckpoint", std::move(header), &coordinator::DecideImportCheckpoint,
                  false));
}

void SimulatedClient::Delete() {
  v1::DeleteCheckpointRequest request;
  request.set_request_id(Uuid::Random(ids_).ToString());
  request.set_name(weights_[context_.Index(weights_.size())]);
  Send(NewRequest("DeleteCheckpoint", std::move(request), &coordinator::DecideDeleteCheckpoint,
                  true));
}

coordinator::Command SimulatedClient::MakeCommand(const Request& request) const {
  coordinator::Command command;
  command.caller = caller_;
  command.request_id = request.id;
  command.fingerprint = request.fingerprint;
  command.decide = request.decide;
  return command;
}

void SimulatedClient::Send(Request request) {
  waiting_ = true;
  if (request.tries++ == 0) request.sent = coordinator_.latest_time();
  const bool frees = request.frees;
  const bool imports = request.what == "ImportCheckpoint";
  coordinator::Command command = MakeCommand(request);
  network_.Call<ClientAnswer>(
      node_,
      [this, command = std::move(command), frees, imports](Reply<ClientAnswer> reply) {
        // The bytes come with each try, and are stored before the event.
        if (imports) {
          coordinator_.StoreBytes(absl::StrCat("checkpoints/", command.request_id), kImportDigest);
        }
        coordinator_.Commit(command, frees, std::move(reply));
      },
      [this, request = std::move(request)](absl::StatusOr<ClientAnswer> answer) {
        waiting_ = false;
        OnAnswer(request, std::move(answer));
      });
}

void SimulatedClient::OnAnswer(Request request, absl::StatusOr<ClientAnswer> answer) {
  const absl::Status& status = answer.status();
  if (IsUnanswered(status)) {
    request.unknown = true;
    if (request.tries >= kTriesMax || !context_.faults_on) return;  // nobody knows; whole or absent
    waiting_ = true;
    return network_.At(node_, context_.Between(kSecond, 20 * kSecond),
                       [this, request = std::move(request)] { Send(request); });
  }
  if (request.unknown) {
    context_.Reached(status.ok() ? Probe::kUnknownThenDone : Probe::kUnknownThenNot);
  }
  if (ReasonOf(status) == Reason::kExperimentExists &&
      request.sent + limits::kRequestIdKept > coordinator_.latest_time()) {
    // Only it uses this name, once.
    context_.Broken("D2", absl::StrCat("request ", request.id, " repeated: ", status.message()));
  }
  if (ReasonOf(status) == Reason::kTrialFinished ||
      ReasonOf(status) == Reason::kExperimentFinished) {
    context_.Reached(Probe::kRefusedFinished);
  }
  if (request.what == "DeleteCheckpoint" && absl::IsFailedPrecondition(status)) {
    context_.Reached(Probe::kImportHeld);
  }
  if (absl::IsInvalidArgument(status) && request.what != "CreateExperiment") {
    context_.Broken("X4", absl::StrCat(request.what, " is refused: ", status.message()));
  }
  if (!status.ok()) return;
  request.resource = answer->answer.resource;
  request.status = absl::OkStatus();
  request.time = answer->time;
  request.starts = coordinator_.starts();
  Remember(std::move(request));
}

void SimulatedClient::Remember(Request request) {
  if (request.what == "CreateExperiment") experiments_.push_back(request.resource);
  if (request.what == "ImportCheckpoint") weights_.push_back(request.resource);
  if (request.what == "DeleteCheckpoint") std::erase(weights_, request.resource);
  // What asks for something that is so already changes nothing and is not remembered under its id:
  // these may be repeated with another answer.
  if (request.what != "CreateExperiment" && request.what != "ImportCheckpoint" &&
      request.what != "DeleteCheckpoint") {
    return;
  }
  if (answered_.size() >= kRemembered) answered_.erase(answered_.begin());
  answered_.push_back(std::move(request));
}

// What was answered, again: with the same body the same answer, with another one a refusal.
void SimulatedClient::Repeat() {
  if (answered_.empty()) return Submit();
  const Request request = answered_[context_.Index(answered_.size())];
  const bool changed = context_.random.Bernoulli(0.3);
  context_.Injected(changed ? Fault::kRequestReused : Fault::kRequestRepeated);
  const bool imports = request.what == "ImportCheckpoint";
  coordinator::Command command = MakeCommand(request);
  if (changed) command.fingerprint += "changed";
  network_.Call<ClientAnswer>(
      node_,
      [this, command = std::move(command), imports](Reply<ClientAnswer> reply) {
        if (imports) {
          coordinator_.StoreBytes(absl::StrCat("checkpoints/", command.request_id), kImportDigest);
        }
        coordinator_.Commit(command, true, std::move(reply));
      },
      [this, request, changed](absl::StatusOr<ClientAnswer> answer) {
        const absl::Status& status = answer.status();
        if (IsUnanswered(status)) return;
        const bool forgotten = request.time + limits::kRequestIdKept <= coordinator_.latest_time();
        if (forgotten) return context_.Reached(Probe::kRequestForgotten);
        if (changed) {
          context_.Reached(Probe::kReuseRefused);
          if (ReasonOf(status) != Reason::kRequestIdReused) {
            context_.Broken("D2", absl::StrCat("another body under request id ", request.id,
                                               " is answered: ", status.ToString()));
          }
          return;
        }
        if (!status.ok() || answer->answer.resource != request.resource) {
          context_.Broken(
              "D2", absl::StrCat(
                        "request ", request.id, " was answered ", request.resource, ", repeated: ",
                        status.ok() ? answer->answer.resource : std::string(status.message())));
        }
        context_.Reached(request.starts == coordinator_.starts() ? Probe::kSameAnswer
                                                                 : Probe::kSameAnswerAcross);
      });
}

void SimulatedClient::Read() {
  const int64_t floor = coordinator_.answered_revision();
  const std::string name = experiments_.empty() ? "" : experiments_.back();
  const uint64_t kind = context_.random.UniformInt(3);
  network_.Call<ClientLook>(
      node_,
      [this, name, kind](Reply<ClientLook> reply) {
        coordinator_.Read(
            [this, name, kind](const View& view) -> absl::Status {
              if (name.empty()) return absl::OkStatus();
              if (kind == 0) {
                v1::GetExperimentRequest request;
                request.set_name(name);
                return coordinator::GetExperiment(view, request).status();
              }
              if (kind == 1) {
                v1::ListTrialsRequest request;
                request.set_parent(name);
                request.set_page_size(5);
                return coordinator::ListTrials(view, tokens_, caller_.identity, request).status();
              }
              v1::ListExperimentsRequest request;
              request.set_page_size(5);
              return coordinator::ListExperiments(view, tokens_, caller_.identity, request)
                  .status();
            },
            std::move(reply));
      },
      [this, floor, name](absl::StatusOr<ClientLook> look) {
        if (!look.ok()) return;
        if (look->revision < floor) {
          context_.Broken("S4", absl::StrCat("a read shows revision ", look->revision,
                                             ", somebody was told of ", floor, " before"));
        }
        if (!look->found.ok()) {
          context_.Broken(
              "S4",
              absl::StrCat(name, " was answered and cannot be read: ", look->found.message()));
        }
        if (!name.empty()) context_.Reached(Probe::kReadOwnWrite);
      });
}

}  // namespace cvtrain::simulation
