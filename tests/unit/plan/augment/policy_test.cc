#include "plan/augment/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "cvtrain/v1/recipe.pb.h"
#include "tests/unit/plan/augment/chi_square.h"
#include "tests/unit/plan/augment/operation_names.h"

namespace cvtrain::plan {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using testing::GoldenLines;
using ::testing::IsEmpty;
using testing::kOperationNames;
using testing::OperationOf;
using ::testing::SizeIs;
using testing::UnevennessOf;

constexpr char kFile[] = "torchvision_policies.txt";
constexpr PixelSize kPolicySize = {.width = 224, .height = 160};
constexpr int kPolicyDraws = 20'000;

KeyedStream PolicyStream(int n) {
  return KeyedStream("test/policy/v1", {static_cast<uint64_t>(n)});
}

double Number(const std::string& text) { return std::strtod(text.c_str(), nullptr); }
int Integer(const std::string& text) { return std::atoi(text.c_str()); }

v1::RandAugment RandSpec(int num_ops, int magnitude, int bins = 31) {
  v1::RandAugment spec;
  spec.set_num_ops(num_ops);
  spec.set_magnitude(magnitude);
  spec.set_num_magnitude_bins(bins);
  return spec;
}

v1::TrivialAugment TrivialSpec(int bins = 31) {
  v1::TrivialAugment spec;
  spec.set_num_magnitude_bins(bins);
  return spec;
}

v1::AutoAugment AutoSpec(v1::AutoAugment::Policy policy) {
  v1::AutoAugment spec;
  spec.set_policy(policy);
  return spec;
}

v1::ColorJitter JitterSpec(double brightness, double contrast, double saturation, double hue,
                           double probability = 1) {
  v1::ColorJitter spec;
  spec.set_brightness(brightness);
  spec.set_contrast(contrast);
  spec.set_saturation(saturation);
  spec.set_hue(hue);
  spec.set_probability(probability);
  return spec;
}

std::string NameOf(PictureOperation operation) {
  return std::string(kOperationNames[static_cast<size_t>(operation)]);
}

// --- Tables -----------------------------------------------------------------------

TEST(MagnitudeTest, IsThatOfTorchvisionsTables) {
  int compared = 0;
  for (const auto& line : GoldenLines(kFile, "space")) {
    SCOPED_TRACE(absl::StrJoin(line.begin(), line.begin() + 6, " "));
    const auto space = line[0] == "trivial" ? MagnitudeSpace::kTrivial : MagnitudeSpace::kRand;
    const int bins = Integer(line[1]);
    const PixelSize size = {.width = Integer(line[2]), .height = Integer(line[3])};
    const PictureOperation operation = OperationOf(line[4]);
    EXPECT_EQ(IsSigned(operation), line[5] == "1");
    EXPECT_EQ(HasMagnitude(operation), line.size() > 6);
    if (!HasMagnitude(operation)) continue;
    ASSERT_EQ(line.size(), static_cast<size_t>(6 + bins));
    for (int bin = 0; bin < bins; ++bin) {
      const double theirs = Number(line[static_cast<size_t>(6 + bin)]);
      EXPECT_NEAR(MagnitudeAt(space, operation, {.bin = bin, .bins = bins}, size), theirs,
                  1e-6 * std::abs(theirs) + 1e-12)
          << bin;
      ++compared;
    }
  }
  EXPECT_GT(compared, 500);
}

TEST(MagnitudeTest, IsAWholeNumberOfPixelsWhereItsTableHasOne) {
  // 32 * 15 / 30, which is cut to whole pixels: float32 may make 15.999999 of it.
  EXPECT_EQ(MagnitudeAt(MagnitudeSpace::kTrivial, PictureOperation::kTranslateX,
                        {.bin = 15, .bins = 31}, kPolicySize),
            16);
  EXPECT_EQ(MagnitudeAt(MagnitudeSpace::kRand, PictureOperation::kTranslateY,
                        {.bin = 9, .bins = 10}, {.width = 1, .height = 331}),
            150);
}

TEST(StepOfTest, GivesWhatTheFunctionTakes) {
  EXPECT_EQ(StepOf(PictureOperation::kBrightness, -0.3).parameter, 0.7);
  EXPECT_EQ(StepOf(PictureOperation::kSharpness, 0.5).parameter, 1.5);
  EXPECT_EQ(StepOf(PictureOperation::kTranslateX, -7.9).parameter, -7);
  EXPECT_EQ(StepOf(PictureOperation::kTranslateY, 7.9).parameter, 7);
  EXPECT_EQ(StepOf(PictureOperation::kRotate, -7.9).parameter, -7.9);
  EXPECT_EQ(StepOf(PictureOperation::kPosterize, 5).parameter, 5);
}

TEST(AutoAugmentTest, HasTorchvisionsPolicies) {
  std::map<std::string, size_t> counts;
  for (const auto& line : GoldenLines(kFile, "policy")) {
    SCOPED_TRACE(absl::StrJoin(line, " "));
    const auto policies = line[0] == "imagenet" ? ImageNetPolicy() : Cifar10Policy();
    const SubPolicy& policy = policies[static_cast<size_t>(Integer(line[1]))];
    ++counts[line[0]];
    size_t next = 2;
    for (const SubPolicy::Part& part : {policy.first, policy.second}) {
      EXPECT_EQ(NameOf(part.operation), line[next]);
      EXPECT_EQ(part.probability, Number(line[next + 1]));
      EXPECT_EQ(part.bin, Integer(line[next + 2]));
      next += 3;
    }
  }
  EXPECT_EQ(counts["imagenet"], ImageNetPolicy().size());
  EXPECT_EQ(counts["cifar10"], Cifar10Policy().size());
}

// --- Draws ------------------------------------------------------------------------

TEST(RandAugmentTest, DrawsEachOperationAsOftenAtOneMagnitude) {
  std::map<PictureOperation, int> counts;
  std::map<double, int> signs;
  for (int i = 0; i < kPolicyDraws; ++i) {
    PictureSteps steps;
    DrawRandAugment(RandSpec(1, 9), kPolicySize, PolicyStream(i), steps);
    ASSERT_LE(steps.size(), 1u);
    if (steps.empty()) {
      ++counts[PictureOperation::kIdentity];
      continue;
    }
    ++counts[steps[0].operation];
    if (steps[0].operation == PictureOperation::kRotate) ++signs[steps[0].parameter];
    if (steps[0].operation == PictureOperation::kPosterize) {
      EXPECT_EQ(steps[0].parameter, 7);
    }
  }
  EXPECT_LT(UnevennessOf(counts, 14), 4);
  EXPECT_THAT(signs, SizeIs(2)) << "9 degrees, and -9";
  EXPECT_EQ(signs.begin()->first, -9);
  EXPECT_LT(UnevennessOf(signs, 2), 4);
}

TEST(RandAugmentTest, DrawsSoManyOperationsEachAnew) {
  int identities = 0;
  std::map<std::pair<PictureOperation, PictureOperation>, int> pairs;
  for (int i = 0; i < kPolicyDraws; ++i) {
    PictureSteps steps;
    DrawRandAugment(RandSpec(2, 30), kPolicySize, PolicyStream(i), steps);
    identities += 2 - static_cast<int>(steps.size());
    if (steps.size() == 2) ++pairs[{steps[0].operation, steps[1].operation}];
  }
  EXPECT_LT(UnevennessOf(pairs, 13 * 13), 4);
  EXPECT_NEAR(identities / (2.0 * kPolicyDraws), 1.0 / 14, 0.005);
}

TEST(TrivialAugmentTest, DrawsOneOperationAtAnyMagnitude) {
  std::map<PictureOperation, int> counts;
  std::map<double, int> degrees;
  for (int i = 0; i < kPolicyDraws; ++i) {
    PictureSteps steps;
    DrawTrivialAugment(TrivialSpec(), kPolicySize, PolicyStream(i), steps);
    ASSERT_LE(steps.size(), 1u);
    if (steps.empty()) continue;
    ++counts[steps[0].operation];
    if (steps[0].operation == PictureOperation::kRotate) ++degrees[std::abs(steps[0].parameter)];
  }
  EXPECT_LT(UnevennessOf(counts, 13), 4);
  EXPECT_LT(UnevennessOf(degrees, 31), 4);
  EXPECT_EQ(degrees.rbegin()->first, 135);
}

TEST(AutoAugmentTest, DoesItsOperationsAsOftenAsItsPolicySays) {
  std::map<PictureOperation, double> expected;
  for (const SubPolicy& policy : Cifar10Policy()) {
    for (const SubPolicy::Part& part : {policy.first, policy.second}) {
      expected[part.operation] += part.probability / static_cast<double>(Cifar10Policy().size());
    }
  }
  std::map<PictureOperation, double> drawn;
  std::set<double> translations;
  for (int i = 0; i < kPolicyDraws; ++i) {
    PictureSteps steps;
    DrawAutoAugment(AutoSpec(v1::AutoAugment::POLICY_CIFAR10), kPolicySize, PolicyStream(i), steps);
    for (const PictureStep& step : steps) {
      drawn[step.operation] += 1.0 / kPolicyDraws;
      if (step.operation == PictureOperation::kTranslateX) translations.insert(step.parameter);
    }
  }
  EXPECT_EQ(drawn.size(), expected.size());
  for (const auto& [operation, share] : drawn) {
    EXPECT_NEAR(share, expected[operation], 0.015) << NameOf(operation);
  }
  // Bins 8 and 9 of 150 / 331 of the width, in both directions.
  EXPECT_THAT(translations, ElementsAre(-101, -90, 90, 101));
}

TEST(AutoAugmentTest, TheTwoPoliciesDiffer) {
  std::set<PictureOperation> operations;
  for (int i = 0; i < 1'000; ++i) {
    PictureSteps steps;
    DrawAutoAugment(AutoSpec(v1::AutoAugment::POLICY_IMAGENET), kPolicySize, PolicyStream(i),
                    steps);
    for (const PictureStep& step : steps) operations.insert(step.operation);
  }
  EXPECT_TRUE(operations.contains(PictureOperation::kShearX)) << "which CIFAR's has not";
  EXPECT_FALSE(operations.contains(PictureOperation::kTranslateX)) << "which only CIFAR's has";
}

TEST(ColorJitterTest, DrawsFactorsInTheirRangesInAnyOrder) {
  std::map<std::vector<PictureOperation>, int> orders;
  std::map<PictureOperation, double> sums;
  for (int i = 0; i < kPolicyDraws; ++i) {
    PictureSteps steps;
    DrawColorJitter(JitterSpec(0.4, 1.5, 0.2, 0.1), PolicyStream(i), steps);
    ASSERT_THAT(steps, SizeIs(4));
    std::vector<PictureOperation> order;
    for (const PictureStep& step : steps) {
      order.push_back(step.operation);
      sums[step.operation] += step.parameter / kPolicyDraws;
      if (step.operation == PictureOperation::kContrast) {
        EXPECT_GE(step.parameter, 0);
        EXPECT_LE(step.parameter, 2.5);
      }
    }
    ++orders[order];
  }
  EXPECT_LT(UnevennessOf(orders, 24), 4);
  EXPECT_NEAR(sums[PictureOperation::kBrightness], 1, 0.01);
  EXPECT_NEAR(sums[PictureOperation::kContrast], 1.25, 0.02) << "from 0 to 2.5";
  EXPECT_NEAR(sums[PictureOperation::kColor], 1, 0.01);
  EXPECT_NEAR(sums[PictureOperation::kHue], 0, 0.005);
}

TEST(ColorJitterTest, LeavesOutWhatIsNotJittered) {
  PictureSteps steps;
  DrawColorJitter(JitterSpec(0, 0.4, 0, 0), PolicyStream(1), steps);
  EXPECT_THAT(steps, ElementsAre(Field(&PictureStep::operation, PictureOperation::kContrast)));
  PictureSteps none;
  DrawColorJitter(JitterSpec(0, 0, 0, 0), PolicyStream(1), none);
  EXPECT_THAT(none, IsEmpty());
}

TEST(ColorJitterTest, IsDoneToItsShareOfThePictures) {
  int done = 0;
  for (int i = 0; i < kPolicyDraws; ++i) {
    PictureSteps steps;
    DrawColorJitter(JitterSpec(0.4, 0.4, 0.4, 0.1, 0.8), PolicyStream(i), steps);
    if (!steps.empty()) ++done;
  }
  EXPECT_NEAR(done / static_cast<double>(kPolicyDraws), 0.8, 0.01);
}

}  // namespace
}  // namespace cvtrain::plan
