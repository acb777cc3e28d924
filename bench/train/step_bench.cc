#include <google/protobuf/text_format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/train/bench.h"
#include "bench/train/folder_store.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/status_macros.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"
#include "worker/trainer/collective/gradient_reducer.h"
#include "worker/trainer/data/batch_source.h"
#include "worker/trainer/device/device.h"
#include "worker/trainer/optimizer/gradients.h"
#include "worker/trainer/optimizer/optimizer.h"
#include "worker/trainer/train/learner.h"

namespace cvtrain::bench {
namespace {

constexpr double kRate = 0.01;
constexpr size_t kDataBytesMax = size_t{1} << 30;

// SGD with momentum that decays everything, as torch does unless told otherwise.
v1::Recipe RecipeOf(const v1::Model& model, bool bf16 = false) {
  v1::Recipe recipe;
  *recipe.mutable_model() = model;
  v1::Sgd& sgd = *recipe.mutable_optimizer()->mutable_sgd();
  sgd.set_momentum(0.9);
  sgd.set_weight_decay(5e-4);
  sgd.set_decay_one_dimensional(true);
  recipe.set_micro_batches(1);
  recipe.set_precision(bf16 ? v1::Recipe::PRECISION_BF16 : v1::Recipe::PRECISION_FP32);
  return recipe;
}

trainer::Learner::MemoryFormat FormatOf(const std::string& text) {
  if (text == "planes") return trainer::Learner::MemoryFormat::kPlanes;
  if (text == "rows") return trainer::Learner::MemoryFormat::kChannelsInnermost;
  return trainer::Learner::MemoryFormat::kBest;
}

// What learns, and takes steps on a batch.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual double Step(const trainer::Batch& batch) = 0;
  // Names do not matter: the order is torch's.
  virtual std::vector<at::Tensor> States() const = 0;
};

class NetworkSubject : public Subject {
 public:
  static absl::StatusOr<std::unique_ptr<Subject>> Create(const StepOptions& options,
                                                         const v1::Model& model,
                                                         trainer::ProcessGroup& group) {
    auto subject = std::make_unique<NetworkSubject>();
    trainer::Device* device = &trainer::Device::Cpu();
    if (options.device == "gpu") {
      CVT_ASSIGN_OR_RETURN(device, trainer::Device::Gpu());
      at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
      at::globalContext().setBenchmarkCuDNN(true);
    }
    CVT_ASSIGN_OR_RETURN(
        subject->learner_,
        trainer::Learner::Create(RecipeOf(model, options.precision == "bf16"), group.world_size(),
                                 group, trainer::Learner::Begin::kDrawn, *device,
                                 FormatOf(options.format)));
    subject->rank_ = group.rank();
    return std::unique_ptr<Subject>(std::move(subject));
  }
  double Step(const trainer::Batch& batch) override {
    learner_->BeginStep();
    const auto loss =
        learner_->Accumulate(batch, {.logical_rank = rank_}, 0, trainer::Learner::Reduction::kNow);
    learner_->FinishStep(kRate, step_++);
    return loss.task;
  }
  std::vector<at::Tensor> States() const override {
    std::vector<at::Tensor> states;
    for (const auto& state : learner_->network().states()) states.push_back(state.tensor);
    return states;
  }

 private:
  std::unique_ptr<trainer::Learner> learner_;
  int32_t rank_ = 0;
  int64_t step_ = 0;
};

// A perceptron of `depth` layers of the same width, and one to the classes: nearly all of its step
// is gradients. No family of ours, so it is put together here, of the parts that a learner has.
class PerceptronSubject : public Subject {
 public:
  PerceptronSubject(int64_t inputs, int64_t width, int depth, int64_t classes,
                    trainer::ProcessGroup& group)
      : ranks_(group.world_size()) {
    trainer::ParameterGroup all = {.names = {}, .parameters = {}, .weight_decay = 5e-4};
    for (int i = 0; i <= depth; ++i) {
      const int64_t in = i == 0 ? inputs : width;
      const int64_t out = i == depth ? classes : width;
      // Any numbers do, if they are the same on both sides: they are written to a file.
      at::Tensor weight = (at::sin(at::arange(out * in, at::kFloat) * (i + 1)) *
                           std::sqrt(1.0 / static_cast<double>(in)))
                              .view({out, in})
                              .requires_grad_();
      at::Tensor bias = at::zeros({out}).requires_grad_();
      for (const at::Tensor& tensor : {weight, bias}) {
        all.names.push_back(absl::StrCat(all.names.size()));
        all.parameters.push_back(tensor);
        parameters_.push_back(tensor);
      }
    }
    v1::Recipe recipe = RecipeOf({});
    optimizer_ = trainer::Optimizer::Create(recipe.optimizer(), {std::move(all)});
    if (ranks_ > 1) reducer_ = std::make_unique<trainer::GradientReducer>(group, parameters_);
  }
  double Step(const trainer::Batch& batch) override {
    trainer::ZeroGradients(parameters_);
    const at::Tensor bytes = at::from_blob(const_cast<uint8_t*>(batch.pixels.data()),
                                           {batch.count, batch.height, batch.width, 3}, at::kByte);
    at::Tensor x = bytes.permute({0, 3, 1, 2}).to(at::kFloat).div_(255).flatten(1);
    for (size_t i = 0; i < parameters_.size(); i += 2) {
      x = at::linear(x, parameters_[i], parameters_[i + 1]);
      if (i + 2 < parameters_.size()) x = at::relu(x);
    }
    const at::Tensor labels =
        at::from_blob(const_cast<int64_t*>(batch.labels.data()), {batch.count}, at::kLong);
    const at::Tensor loss = at::cross_entropy_loss(x, labels);
    if (reducer_ != nullptr) reducer_->ReduceInNextBackward();
    (loss * (1.0 / ranks_)).backward();
    optimizer_->Step(kRate);
    return loss.item<double>();
  }
  std::vector<at::Tensor> States() const override { return parameters_; }

 private:
  const int ranks_;
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<trainer::Optimizer> optimizer_;
  std::unique_ptr<trainer::GradientReducer> reducer_;
};

absl::StatusOr<std::unique_ptr<Subject>> NewSubject(const StepOptions& options,
                                                    trainer::ProcessGroup& group) {
  if (absl::StartsWith(options.model, "mlp:")) {
    const std::vector<std::string> words = absl::StrSplit(options.model, ':');
    int64_t width = 0;
    int depth = 0;
    if (words.size() != 3 || !absl::SimpleAtoi(words[1], &width) ||
        !absl::SimpleAtoi(words[2], &depth)) {
      return InvalidArgument(Reason::kUsage, "--model: mlp:WIDTH:DEPTH");
    }
    return std::make_unique<PerceptronSubject>(int64_t{3} * options.size * options.size, width,
                                               depth, options.classes, group);
  }
  v1::Model model;
  if (!google::protobuf::TextFormat::ParseFromString(options.model, &model)) {
    return InvalidArgument(Reason::kUsage, "--model: a v1.Model as text, or mlp:WIDTH:DEPTH");
  }
  model.set_num_classes(options.classes);
  return NetworkSubject::Create(options, model, group);
}

class StepBench {
 public:
  static absl::StatusOr<std::shared_ptr<StepBench>> Create(const StepOptions& options) {
    auto bench = std::make_shared<StepBench>(options);
    CVT_ASSIGN_OR_RETURN(bench->data_, ReadFile(PosixFileSystem(), options.data, kDataBytesMax));
    const auto count = static_cast<size_t>(options.batch);
    bench->pixels_ =
        count * static_cast<size_t>(options.size) * static_cast<size_t>(options.size) * 3;
    if (bench->data_.size() != bench->pixels_ + count * sizeof(int64_t)) {
      return InvalidArgument(Reason::kUsage, "--data: not so many pictures of that size");
    }
    bench->labels_.resize(count);
    std::memcpy(bench->labels_.data(), bench->data_.data() + bench->pixels_,
                count * sizeof(int64_t));
    CVT_ASSIGN_OR_RETURN(bench->subject_, NewSubject(options, *bench->group_));
    if (options.weights.empty()) return bench;
    std::string bytes;
    for (const at::Tensor& tensor : bench->subject_->States()) {
      const at::Tensor dense = tensor.detach().cpu().contiguous();
      bytes.append(static_cast<const char*>(dense.const_data_ptr()), dense.nbytes());
    }
    CVT_RETURN_IF_ERROR(WriteFileAtomic(PosixFileSystem(), options.weights, bytes));
    return bench;
  }

  explicit StepBench(const StepOptions& options)
      : options_(options), store_(options.ranks.store), group_(Meet(options.ranks, store_)) {}

  absl::StatusOr<Pass> Run(absl::string_view argument) {
    int steps = 0;
    if (!absl::SimpleAtoi(argument, &steps) || steps < 1) {
      return InvalidArgument(Reason::kUsage, "run STEPS");
    }
    at::Tensor nothing = at::zeros({}, at::kDouble);
    group_->SumOverRanks(nothing);
    double loss = 0;
    const double begin = WallSeconds();
    for (int i = 0; i < steps; ++i) {
      trainer::Batch batch;
      batch.count = options_.batch;
      batch.height = batch.width = options_.size;
      batch.pixels = {reinterpret_cast<const uint8_t*>(data_.data()), pixels_};
      batch.labels = labels_;
      loss = subject_->Step(batch);
    }
    return Pass{.images = int64_t{steps} * options_.batch,
                .seconds = WallSeconds() - begin,
                .numbers = {{"loss", loss}}};
  }

 private:
  const StepOptions options_;
  FolderStore store_;
  const std::unique_ptr<trainer::ProcessGroup> group_;
  std::string data_;
  size_t pixels_ = 0;  // bytes at the beginning of it
  std::vector<int64_t> labels_;
  std::unique_ptr<Subject> subject_;
};

}  // namespace

absl::StatusOr<Runner> NewStepBench(const StepOptions& options) {
  // As the trainer does.
  at::set_num_threads(options.threads);
  at::globalContext().setFlushDenormal(true);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  CVT_ASSIGN_OR_RETURN(const auto bench, StepBench::Create(options));
  return Runner([bench](absl::string_view argument) { return bench->Run(argument); });
}

}  // namespace cvtrain::bench
