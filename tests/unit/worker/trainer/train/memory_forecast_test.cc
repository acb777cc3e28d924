// That the memory which is predicted from a recipe is the memory which training takes: bytes of
// tensors at their peak, for every network.

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/forecast.h"
#include "plan/network/memory.h"
#include "tests/support/proto_matchers.h"
#include "tests/unit/worker/trainer/support/fakes.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/train/learner.h"
#include "worker/trainer/train/memory_limit.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;

// How far the prediction may be from the measurement, as promised; 0.07 were seen.
constexpr double kTolerance = 0.15;

struct Case {
  std::string model;
  int size = 64;
  int batch = 8;
  // Beside SGD with momentum in float32.
  std::string recipe = "";
};

class MemoryForecastTest : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { InstallMemoryLimit(); }
};

cvtrain::v1::Recipe RecipeOf(const Case& the) {
  auto recipe = ParseTextProto<cvtrain::v1::Recipe>(the.recipe);
  *recipe.mutable_model() = ParseTextProto<cvtrain::v1::Model>(the.model);
  recipe.mutable_model()->set_num_classes(100);
  if (!recipe.has_optimizer()) recipe.mutable_optimizer()->mutable_sgd()->set_momentum(0.9);
  return recipe;
}

// Bytes of tensors, at their peak in two steps, above what there was before.
int64_t MeasuredBytes(const cvtrain::v1::Recipe& recipe, const Case& the) {
  InMemoryStore store;
  const auto group = ProcessGroup::Create({}, store);
  TakePeakTensorMemoryBytes();
  const int64_t before = TensorMemoryBytes();
  // Not drawn: numbers do not matter here.
  const auto learner = Learner::Create(recipe, 1, *group, Learner::Begin::kRestored).value();
  const auto count = static_cast<size_t>(the.batch);
  const auto side = static_cast<size_t>(the.size);
  const std::vector<uint8_t> pixels(count * side * side * 3, 100);
  const std::vector<int64_t> labels(count, 1);
  for (int step = 0; step < 2; ++step) {
    Batch batch;
    batch.count = the.batch;
    batch.height = batch.width = the.size;
    batch.pixels = pixels;
    batch.labels = labels;
    learner->BeginStep();
    learner->Accumulate(batch, {}, 0, Learner::Reduction::kNow);
    learner->FinishStep(0.01, step);
  }
  return TakePeakTensorMemoryBytes() - before;
}

TEST_P(MemoryForecastTest, IsWhatTrainingTakes) {
  at::set_num_threads(1);
  const Case& the = GetParam();
  const cvtrain::v1::Recipe recipe = RecipeOf(the);
  const plan::NetworkDescription network = plan::DescribeNetwork(recipe.model()).value();
  const plan::TrainingMemory training = plan::TrainingMemoryOf(recipe, network).value();
  const int64_t predicted =
      plan::PeakMemoryBytes(network,
                            plan::MemoryOptionsOf(training, {the.size, the.size}, the.batch))
          .value() -
      plan::kProcessBytes;
  const int64_t measured = MeasuredBytes(recipe, the);
  const double ratio = static_cast<double>(predicted) / static_cast<double>(measured);
  RecordProperty("measured_bytes", absl::StrCat(measured));
  RecordProperty("predicted_bytes", absl::StrCat(predicted));
  EXPECT_NEAR(ratio, 1, kTolerance) << "predicted " << predicted << " bytes, measured " << measured;
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const char* model :
       {"resnet { depth: 18 }", "resnet { depth: 34 }", "resnet { depth: 50 }",
        "resnet { depth: 101 }", "small_resnet {}", "mobilenet_v1 {}", "mobilenet_v2 {}",
        "mobilenet_v3 { size: SIZE_LARGE }", "efficientnet {}", "vgg { depth: 11 }",
        "vgg { depth: 19 }", "alexnet {}", "convmixer { width: 256 depth: 8 }",
        "vit { size: SIZE_TINY }", "vit { size: SIZE_SMALL }", "swin { size: SIZE_TINY }"}) {
    cases.push_back({.model = model, .size = 96, .batch = 6});
  }
  cases.push_back({.model = "preresnet { depth: 20 }", .size = 32, .batch = 32});
  // Mostly weights, and mostly activations.
  for (const char* model : {"resnet { depth: 18 }", "resnet { depth: 50 }", "mobilenet_v2 {}",
                            "vit { size: SIZE_TINY }", "swin { size: SIZE_TINY }"}) {
    cases.push_back({.model = model, .size = 64, .batch = 2});
    cases.push_back({.model = model, .size = 128, .batch = 8});
  }
  // What else counts.
  cases.push_back({.model = "resnet { depth: 18 }",
                   .size = 64,
                   .batch = 4,
                   .recipe = "optimizer { adamw { beta1: 0.9 beta2: 0.999 epsilon: 1e-8 } }"});
  cases.push_back({.model = "resnet { depth: 18 }",
                   .size = 64,
                   .batch = 4,
                   .recipe = "optimizer { sgd { momentum: 0 } }"});
  cases.push_back({.model = "resnet { depth: 18 }",
                   .size = 64,
                   .batch = 4,
                   .recipe = "ema { decay: 0.99 every_steps: 1 }"});
  cases.push_back(
      {.model = "resnet { depth: 18 }", .size = 128, .batch = 16, .recipe = "micro_batches: 4"});
  cases.push_back({.model = "resnet { depth: 18 }",
                   .size = 128,
                   .batch = 16,
                   .recipe = "frozen: \"backbone\""});
  cases.push_back({.model = "resnet { depth: 18 }",
                   .size = 128,
                   .batch = 16,
                   .recipe = "frozen: \"conv1\" frozen: \"bn1\" frozen: \"layer1\""});
  cases.push_back({.model = "resnet { depth: 18 }",
                   .size = 128,
                   .batch = 16,
                   .recipe = "precision: PRECISION_BF16"});
  cases.push_back({.model = "resnet { depth: 50 }",
                   .size = 128,
                   .batch = 8,
                   .recipe = "precision: PRECISION_BF16"});
  cases.push_back({.model = "vit { size: SIZE_TINY }",
                   .size = 128,
                   .batch = 8,
                   .recipe = "precision: PRECISION_BF16"});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Networks, MemoryForecastTest, ::testing::ValuesIn(Cases()));

}  // namespace
}  // namespace cvtrain::trainer
