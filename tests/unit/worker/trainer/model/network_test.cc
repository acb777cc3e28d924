#include "worker/trainer/model/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <zlib.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cvtrain/v1/recipe.pb.h"
#include "plan/network/description.h"

namespace cvtrain::trainer {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kClasses = 10;
constexpr int kBatch = 2;

plan::NetworkDescription Describe(int depth) {
  cvtrain::v1::Model model;
  model.mutable_resnet()->set_depth(depth);
  model.set_num_classes(kClasses);
  return *plan::DescribeNetwork(model);
}

plan::NetworkDescription DescribeSmall() {
  cvtrain::v1::Model model;
  for (int width : {8, 16}) model.mutable_small_resnet()->add_widths(width);
  model.set_num_classes(kClasses);
  return *plan::DescribeNetwork(model);
}

// The numbers of tests/golden/make_torchvision_golden.py, which says what they are.
at::Tensor Hashed(const std::string& name, at::IntArrayRef shape) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  const auto crc = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(name.data()), static_cast<uInt>(name.size())));
  double* out = tensor.data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    uint32_t x = crc + static_cast<uint32_t>(static_cast<uint64_t>(i) * 2654435761ULL);
    for (int round = 0; round < 2; ++round) {
      x ^= x >> 16;
      x *= 0x45D9F3B;
    }
    x ^= x >> 16;
    out[i] = static_cast<double>(x) / 4294967296.0;
  }
  return tensor;
}

at::Tensor Fill(const std::string& name, at::IntArrayRef shape) {
  double low = -0.2;
  double high = 0.2;
  if (name.ends_with("running_var")) {
    low = 0.5;
    high = 1.5;
  } else if (name.ends_with("running_mean")) {
    // As declared.
  } else if (shape.size() == 4) {
    high = std::sqrt(6.0 / static_cast<double>(shape[0] * shape[2] * shape[3]));
    low = -high;
  } else if (name.starts_with("fc.")) {
    low = -0.1;
    high = 0.1;
  } else if (name.ends_with("weight")) {
    low = 0.5;
    high = 1.5;
  }
  return (Hashed(name, shape) * (high - low) + low).to(at::kFloat);
}

struct Golden {
  std::map<std::string, std::vector<std::vector<std::string>>> lines;  // by first word
};

const Golden& TheGolden() {
  static const Golden* golden = [] {
    auto* made = new Golden;
    std::ifstream file("tests/golden/torchvision_resnet.txt");
    std::string line;
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::vector<std::string> fields;
      for (std::string word; words >> word;) fields.push_back(word);
      if (!fields.empty()) made->lines[fields[0]].push_back(fields);
    }
    return made;
  }();
  return *golden;
}

// Fields after (kind, model, side).
std::vector<std::string> Find(const std::string& kind, const std::string& model,
                              const std::string& side) {
  for (const auto& fields : TheGolden().lines.at(kind)) {
    if (fields[1] == model && fields[2] == side) return {fields.begin() + 3, fields.end()};
  }
  return {};
}

// Largest difference over the largest number.
double RelativeError(const at::Tensor& actual, const std::vector<std::string>& expected) {
  std::vector<double> numbers;
  for (const std::string& text : expected) numbers.push_back(std::stod(text));
  const at::Tensor want = at::tensor(numbers, at::kDouble);
  const at::Tensor got = actual.detach().flatten().to(at::kDouble);
  EXPECT_EQ(got.numel(), want.numel());
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

const at::Tensor& StateOf(const Network& network, const std::string& name) {
  for (const Network::State& state : network.states()) {
    if (state.name == name) return state.tensor;
  }
  ADD_FAILURE() << "no tensor " << name;
  return network.states()[0].tensor;
}

struct Case {
  int depth;
  bool channels_last;
};

class GoldenTest : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }

  GoldenTest()
      : model_("resnet" + std::to_string(GetParam().depth)),
        network_(Describe(GetParam().depth), {.channels_last = GetParam().channels_last}) {
    LoadFormula();
  }

  void LoadFormula() {
    at::NoGradGuard no_grad;
    for (const Network::State& state : network_.states()) {
      at::Tensor tensor = state.tensor;
      if (state.name.ends_with("num_batches_tracked")) {
        tensor.zero_();
      } else {
        tensor.copy_(Fill(state.name, tensor.sizes()));
      }
    }
  }

  static at::Tensor Images(int64_t side) {
    return Hashed("images", {kBatch, 3, side, side}).to(at::kFloat);
  }

  const std::string model_;
  Network network_;
};

TEST_P(GoldenTest, HasTheTensorsOfTorchvisionInItsOrder) {
  std::vector<std::string> actual;
  for (const Network::State& state : network_.states()) {
    std::string line = state.name;
    for (int64_t size : state.tensor.sizes()) line += " " + std::to_string(size);
    actual.push_back(line);
  }
  std::vector<std::string> expected;
  for (const auto& fields : TheGolden().lines.at("tensor")) {
    if (fields[1] != model_) continue;
    std::string line = fields[2];
    for (size_t i = 3; i < fields.size(); ++i) line += " " + fields[i];
    expected.push_back(line);
  }
  EXPECT_EQ(actual, expected);
}

TEST_P(GoldenTest, AnswersAsTorchvisionInEvaluation) {
  for (const char* side : {"64", "96"}) {
    const at::Tensor logits = network_.Forward(Images(std::stoi(side)), Network::Mode::kEvaluate);
    EXPECT_LT(RelativeError(logits, Find("eval", model_, side)), 1e-5) << side;
    EXPECT_FALSE(logits.requires_grad());
  }
}

// In float64: statistics over two pictures make the gradients of a deep network depend on the
// rounding of float32 by parts in a thousand, in torchvision as here.
TEST_P(GoldenTest, TrainsAsTorchvision) {
  for (const Network::State& state : network_.states()) {
    if (at::isFloatingType(state.tensor.scalar_type())) {
      state.tensor.set_data(state.tensor.to(at::kDouble));
    }
  }
  for (const char* side : {"64", "96"}) {
    LoadFormula();
    for (at::Tensor& parameter : network_.Parameters()) parameter.mutable_grad() = at::Tensor();
    const at::Tensor logits =
        network_.Forward(Images(std::stoi(side)).to(at::kDouble), Network::Mode::kTrain);
    const at::Tensor loss = at::cross_entropy_loss(logits, at::tensor({3, 7}, at::kLong), {},
                                                   at::Reduction::Mean, -100, 0.1);
    loss.backward();
    EXPECT_LT(RelativeError(logits, Find("train", model_, side)), 1e-9) << side;
    EXPECT_LT(RelativeError(loss, Find("loss", model_, side)), 1e-9) << side;
    for (const auto& fields : TheGolden().lines.at("gradient")) {
      if (fields[1] != model_ || fields[2] != side) continue;
      EXPECT_LT(
          RelativeError(StateOf(network_, fields[3]).grad().to(at::kDouble).norm(), {fields[4]}),
          1e-3)
          << fields[3];
    }
    for (const auto& fields : TheGolden().lines.at("buffer")) {
      if (fields[1] != model_ || fields[2] != side) continue;
      EXPECT_LT(RelativeError(StateOf(network_, fields[3]).to(at::kDouble).norm(), {fields[4]}),
                1e-9)
          << fields[3];
    }
    EXPECT_EQ(StateOf(network_, "bn1.num_batches_tracked").item<int64_t>(), 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Depths, GoldenTest,
                         ::testing::Values(Case{18, false}, Case{34, false}, Case{50, false},
                                           Case{50, true}),
                         [](const auto& the) {
                           return "ResNet" + std::to_string(the.param.depth) +
                                  (the.param.channels_last ? "ChannelsLast" : "");
                         });

TEST(NetworkTest, FrozenBuffersStayAsTheyWere) {
  Network network(DescribeSmall(), {});
  network.Initialize(1);
  const at::Tensor images = at::rand({2, 3, 32, 32});
  const at::Tensor before = StateOf(network, "bn1.running_mean").clone();
  const at::Tensor frozen = network.Forward(images, Network::Mode::kTrainFrozenBuffers);
  EXPECT_TRUE(at::equal(StateOf(network, "bn1.running_mean"), before));
  EXPECT_EQ(StateOf(network, "bn1.num_batches_tracked").item<int64_t>(), 0);
  const at::Tensor updated = network.Forward(images, Network::Mode::kTrain);
  EXPECT_FALSE(at::equal(StateOf(network, "bn1.running_mean"), before));
  EXPECT_TRUE(at::equal(frozen, updated));
}

TEST(NetworkTest, InitializesFromTheSeedAlone) {
  Network a(DescribeSmall(), {});
  Network b(DescribeSmall(), {.channels_last = true});
  Network c(DescribeSmall(), {});
  a.Initialize(1);
  b.Initialize(1);
  c.Initialize(2);
  for (size_t i = 0; i < a.states().size(); ++i) {
    EXPECT_TRUE(at::equal(a.states()[i].tensor, b.states()[i].tensor)) << a.states()[i].name;
  }
  EXPECT_FALSE(at::equal(StateOf(a, "conv1.weight"), StateOf(c, "conv1.weight")));
}

TEST(NetworkTest, InitializesLikeTorchvision) {
  Network network(Describe(18), {});
  network.Initialize(3);
  const at::Tensor weight = StateOf(network, "layer3.0.conv1.weight");
  EXPECT_NEAR(weight.std().item<double>(), std::sqrt(2.0 / (256 * 9)), 2e-4);
  EXPECT_NEAR(weight.mean().item<double>(), 0, 2e-4);
  const at::Tensor fc = StateOf(network, "fc.weight");
  EXPECT_LE(fc.abs().max().item<double>(), 1 / std::sqrt(512.0));
  EXPECT_NEAR(fc.std().item<double>(), 1 / std::sqrt(3 * 512.0), 1e-3);
  EXPECT_TRUE(at::equal(StateOf(network, "bn1.weight"), at::ones({64})));
  EXPECT_TRUE(at::equal(StateOf(network, "bn1.running_var"), at::ones({64})));
}

TEST(NetworkTest, GivesEveryParameterAGradient) {
  Network network(DescribeSmall(), {});
  network.Initialize(1);
  network.Forward(at::rand({2, 3, 32, 32}), Network::Mode::kTrain).sum().backward();
  EXPECT_THAT(network.Parameters(), Not(IsEmpty()));
  for (const at::Tensor& parameter : network.Parameters()) EXPECT_TRUE(parameter.grad().defined());
}

}  // namespace
}  // namespace cvtrain::trainer
