#ifndef CVTRAIN_WORKER_TRAINER_MODEL_NETWORK_H_
#define CVTRAIN_WORKER_TRAINER_MODEL_NETWORK_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "plan/curriculum/keys.h"
#include "plan/network/description.h"
#include "plan/network/parameters.h"

namespace cvtrain::trainer {

// Which pictures of a batch are run, where it is run in parts.
struct BatchPart {
  int64_t first = 0;
  // Of the whole batch; 0 means that the part is all of it.
  int64_t batch_size = 0;
};

// A network that computes: the layers of a description with tensors for its parameters and
// buffers, under torchvision's names.
//
// Not responsible for the loss, the optimizer, precision (the caller's autocast applies) or
// normalizing its input. Its functions throw c10::Error; see train/guard.h. Thread-compatible.
class Network {
 public:
  struct Options {
    // Where it is computed.
    at::Device place = at::Device(at::DeviceType::CPU);
    // Keeps weights and activations with channels innermost. Faster for bottleneck blocks, slower
    // for basic ones on a CPU: measured, not derived. Results differ in rounding only.
    bool channels_last = false;
    // Layers that are not trained, by index; empty means none. Their parameters require no
    // gradient, and their batch norm always uses running statistics.
    std::vector<bool> frozen = {};
  };

  // What a forward pass does with batch norm and dropout.
  enum class Mode {
    // Statistics of the batch; running ones are updated. Dropout.
    kTrain,
    // The same, but running ones are left alone: logical ranks other than the first.
    kTrainFrozenBuffers,
    // Running statistics, no dropout; no graph is recorded.
    kEvaluate,
  };

  struct State {
    std::string name;  // "layer1.0.bn1.running_mean"
    at::Tensor tensor;
    int layer = 0;  // index into description().layers
    bool is_parameter = false;
    // A parameter of a layer that is not frozen.
    bool is_trained = false;
    // Weight decay is meant for it (plan::TensorSpec::Decays()).
    bool decays = false;
  };

  // Zeros everywhere but in indices: call Initialize(), or copy into states(). `description` must
  // be one that plan::InferShapes() accepts.
  Network(plan::NetworkDescription description, const Options& options);

  // Draws each parameter from the stream that plan::InitStream() keys for it, so that it depends on
  // nothing but `seed` and its place in states(); buffers start as torch's.
  void Initialize(uint64_t seed);

  // Logits, B x classes. `images`: B x 3 x H x W, floating point. `key` is what dropout is drawn
  // from, whatever came before, and each picture of a batch gets the same in whichever part it is.
  at::Tensor Forward(const at::Tensor& images, Mode mode, const plan::RankStepKey& key = {},
                     const BatchPart& part = {});

  // Puts `tensors` in the place of the states, one for each, and the states into `tensors`; where
  // one is undefined, the state stays. For forward passes with other weights: twice changes
  // nothing.
  void Swap(std::vector<at::Tensor>& tensors);

  // Parameters and buffers in the order of plan::StateTensors(). The tensors are those that
  // Forward() uses.
  const std::vector<State>& states() const { return states_; }
  // Those that are trained.
  std::vector<at::Tensor> Parameters() const;

  // Whether a forward pass of training draws what it leaves out.
  bool has_dropout() const { return has_dropout_; }
  const plan::NetworkDescription& description() const { return description_; }
  bool channels_last() const { return options_.channels_last; }

 private:
  // The tensors of one layer by plan::TensorKind; what it does not have is undefined.
  class LayerTensors {
   public:
    at::Tensor& operator[](plan::TensorKind kind) { return tensors_[static_cast<size_t>(kind)]; }

   private:
    std::array<at::Tensor, plan::kTensorKindCount> tensors_;
  };
  struct Pass {
    const at::Tensor& images;
    Mode mode;
    const plan::RankStepKey& key;
    const BatchPart& part;
    // Batch norm does what follows it, too.
    bool fuses = false;
  };
  // What follows a batch norm and is nobody else's business.
  struct NormTail {
    // Layer whose output is added; -1: none.
    int added = -1;
    bool relu = false;
  };

  void FindNormTails();
  bool IsFrozen(size_t layer) const { return !options_.frozen.empty() && options_.frozen[layer]; }
  at::Tensor Compute(size_t layer, const std::vector<at::Tensor>& values, const Pass& pass);

  const plan::NetworkDescription description_;
  const Options options_;
  std::vector<plan::TensorSpec> specs_;  // of states_
  std::vector<State> states_;
  std::vector<LayerTensors> layers_;    // by layer; share memory with states_
  std::vector<size_t> last_use_;        // by layer: the last layer that reads it
  std::vector<bool> overwrites_input_;  // by layer
  std::vector<NormTail> norm_tails_;    // by layer
  // By layer, where norms are fused: the one before it, which has its result; -1: none has.
  std::vector<int> done_by_;
  bool has_dropout_ = false;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_MODEL_NETWORK_H_
