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
#include "tests/support/proto_matchers.h"
#include "worker/trainer/model/network.h"

namespace cvtrain::trainer {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAreArray;

constexpr int kGoldenBatch = 2;

// A model, and what tests/golden/make_network_golden.py wrote of the same one.
struct GoldenCase {
  std::string name;
  std::string model;  // v1::Model without classes
  bool channels_last = false;
};

std::vector<GoldenCase> GoldenCases() {
  return {
      {"resnet18", "resnet { depth: 18 }"},
      {"resnet34", "resnet { depth: 34 }"},
      {"resnet50", "resnet { depth: 50 }"},
      {"resnet50", "resnet { depth: 50 }", /*channels_last=*/true},
      {"resnet101", "resnet { depth: 101 }"},
      {"mobilenet_v1", "mobilenet_v1 {}"},
      {"mobilenet_v2", "mobilenet_v2 { dropout: 0 }"},
      {"mobilenet_v2", "mobilenet_v2 { dropout: 0 }", /*channels_last=*/true},
      {"mobilenet_v2_narrow", "mobilenet_v2 { dropout: 0 width: 0.35 }"},
      {"mobilenet_v3_large", "mobilenet_v3 { dropout: 0 }"},
      {"mobilenet_v3_small", "mobilenet_v3 { dropout: 0 size: SIZE_SMALL }"},
      {"efficientnet_b0", "efficientnet { dropout: 0 drop_path: 0 }"},
      {"efficientnet_b2", "efficientnet { scale: 2 dropout: 0 drop_path: 0 }"},
      {"vgg11", "vgg { depth: 11 dropout: 0 }"},
      {"vgg19", "vgg { depth: 19 dropout: 0 }"},
      {"convmixer", "convmixer { width: 96 depth: 4 patch: 4 }"},
      {"vit_tiny", "vit { size: SIZE_TINY image: 64 }"},
      {"vit_small", "vit { size: SIZE_SMALL image: 64 }"},
      {"deit_tiny", "vit { size: SIZE_TINY image: 64 }"},
      {"swin_tiny", "swin { size: SIZE_TINY drop_path: 0 }"},
      {"swin_tiny", "swin { size: SIZE_TINY drop_path: 0 }", /*channels_last=*/true},
  };
}

// The numbers that the script gives a tensor of this name, in 0..1.
at::Tensor Hashed(const std::string& name, at::IntArrayRef shape) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  const auto crc = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(name.data()), static_cast<uInt>(name.size())));
  double* out = tensor.data_ptr<double>();
  const int64_t count = tensor.numel();
  for (int64_t i = 0; i < count; ++i) {
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
  const bool is_weight = name.ends_with("weight");
  if (name.ends_with("running_var")) {
    low = 0.5;
    high = 1.5;
  } else if (is_weight && shape.size() == 4) {
    high = std::sqrt(6.0 / static_cast<double>(shape[1] * shape[2] * shape[3]));
    low = -high;
  } else if (is_weight && shape.size() == 2) {
    high = std::sqrt(3.0 / static_cast<double>(shape[1]));
    low = -high;
  } else if (is_weight) {
    low = 0.5;
    high = 1.5;
  }
  return (Hashed(name, shape) * (high - low) + low).to(at::kFloat);
}

// Lines of a golden file by their first word.
using GoldenLines = std::map<std::string, std::vector<std::vector<std::string>>>;

GoldenLines ReadGolden(const std::string& name) {
  GoldenLines lines;
  std::ifstream file("tests/golden/networks/" + name + ".txt");
  EXPECT_TRUE(file.is_open()) << name;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    std::vector<std::string> fields;
    for (std::string word; words >> word;) fields.push_back(word);
    lines[kind].push_back(std::move(fields));
  }
  return lines;
}

// Largest difference over the largest number.
double RelativeError(const at::Tensor& actual, std::vector<std::string> expected) {
  std::vector<double> numbers;
  for (const std::string& text : expected) numbers.push_back(std::stod(text));
  const at::Tensor want = at::tensor(numbers, at::kDouble);
  const at::Tensor got = actual.detach().flatten().to(at::kDouble);
  EXPECT_EQ(got.numel(), want.numel());
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

class NetworkGoldenTest : public ::testing::TestWithParam<GoldenCase> {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }

  NetworkGoldenTest() : golden_(ReadGolden(GetParam().name)), network_(Make()) {}

  static Network Make() {
    auto model = cvtrain::testing::ParseTextProto<cvtrain::v1::Model>(GetParam().model);
    model.set_num_classes(10);
    return Network(plan::DescribeNetwork(model).value(),
                   {.channels_last = GetParam().channels_last});
  }

  void LoadFormula() {
    at::NoGradGuard no_grad;
    for (const Network::State& state : network_.states()) {
      at::Tensor tensor = state.tensor;
      if (at::isFloatingType(tensor.scalar_type())) {
        tensor.copy_(Fill(state.name, tensor.sizes()));
      } else if (state.name.ends_with("num_batches_tracked")) {
        tensor.zero_();
      }  // else an index
    }
  }

  // "64x96".
  static at::Tensor Images(const std::string& size) {
    const int64_t height = std::stoi(size);
    const int64_t width = std::stoi(size.substr(size.find('x') + 1));
    return Hashed("images", {kGoldenBatch, 3, height, width}).to(at::kFloat);
  }

  std::vector<std::string> Sizes() const {
    std::vector<std::string> sizes;
    for (const auto& fields : golden_.at("eval")) sizes.push_back(fields[0]);
    return sizes;
  }

  // The numbers after the size.
  std::vector<std::string> Find(const std::string& kind, const std::string& size) const {
    for (const auto& fields : golden_.at(kind)) {
      if (fields[0] == size) return {fields.begin() + 1, fields.end()};
    }
    return {};
  }

  const at::Tensor& StateOf(const std::string& name) const {
    for (const Network::State& state : network_.states()) {
      if (state.name == name) return state.tensor;
    }
    ADD_FAILURE() << "no tensor " << name;
    return network_.states()[0].tensor;
  }

  const GoldenLines golden_;
  Network network_;
};

TEST_P(NetworkGoldenTest, HasTheSameTensors) {
  std::vector<std::string> actual;
  for (const Network::State& state : network_.states()) {
    std::string line = state.name;
    for (int64_t size : state.tensor.sizes()) line += " " + std::to_string(size);
    actual.push_back(line);
  }
  std::vector<std::string> expected;
  for (const auto& fields : golden_.at("tensor")) {
    std::string line = fields[0];
    for (size_t i = 1; i < fields.size(); ++i) line += " " + fields[i];
    expected.push_back(line);
  }
  EXPECT_THAT(expected, Not(IsEmpty()));
  EXPECT_THAT(actual, UnorderedElementsAreArray(expected));
}

TEST_P(NetworkGoldenTest, AnswersTheSameInEvaluation) {
  LoadFormula();
  for (const std::string& size : Sizes()) {
    const at::Tensor logits = network_.Forward(Images(size), Network::Mode::kEvaluate);
    EXPECT_LT(RelativeError(logits, Find("eval", size)), 1e-5) << size;
    EXPECT_FALSE(logits.requires_grad());
  }
}

// In float64: statistics over two pictures make the gradients of a deep network depend on the
// rounding of float32 by parts in a thousand, in torchvision as here.
TEST_P(NetworkGoldenTest, TrainsTheSame) {
  for (const Network::State& state : network_.states()) {
    if (at::isFloatingType(state.tensor.scalar_type())) {
      state.tensor.set_data(state.tensor.to(at::kDouble));
    }
  }
  for (const std::string& size : Sizes()) {
    LoadFormula();
    for (at::Tensor& parameter : network_.Parameters()) parameter.mutable_grad() = at::Tensor();
    const at::Tensor logits = network_.Forward(Images(size).to(at::kDouble), Network::Mode::kTrain);
    const at::Tensor loss = at::cross_entropy_loss(logits, at::tensor({3, 7}, at::kLong), {},
                                                   at::Reduction::Mean, -100, 0.1);
    loss.backward();
    // timm resamples positions in float32 whatever they are.
    EXPECT_LT(RelativeError(logits, Find("train", size)), 1e-7) << size;
    EXPECT_LT(RelativeError(loss, Find("loss", size)), 1e-7) << size;
    size_t compared = 0;
    for (const auto& fields : golden_.at("gradient")) {
      if (fields[0] != size) continue;
      const double norm = std::stod(fields[2]);
      const double got = StateOf(fields[1]).grad().norm().item<double>();
      EXPECT_NEAR(got, norm, 1e-5 * norm + 1e-12) << size << " " << fields[1];
      ++compared;
    }
    EXPECT_EQ(compared, network_.Parameters().size());
    const auto buffers = golden_.find("buffer");
    if (buffers == golden_.end()) continue;
    for (const auto& fields : buffers->second) {
      if (fields[0] != size) continue;
      EXPECT_LT(RelativeError(StateOf(fields[1]).norm(), {fields[2]}), 1e-9) << fields[1];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, NetworkGoldenTest, ::testing::ValuesIn(GoldenCases()),
                         [](const auto& the) {
                           return the.param.name +
                                  (the.param.channels_last ? "_channels_last" : "");
                         });

}  // namespace
}  // namespace cvtrain::trainer
