#include "plan/curriculum/sample_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/support/status_matchers.h"
#include "tests/unit/plan/curriculum/recipes.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::SizeIs;

constexpr Scale kSmallBase = {96, 96, 24};

v1::Recipe Recipe(int epochs) {
  return MultiScaleRecipe(kSmallBase, {.min = 64, .max = 128, .count = 3, .divisible_by = 16},
                          epochs);
}

TEST(SampleOrderTest, ShowsEveryImageOnceInAnEpoch) {
  for (int ranks : {1, 2, 4, 8}) {
    const TrialPlan plan = Plan(Recipe(2), 720, ranks);
    const SampleOrder order(plan, 1);
    std::set<int64_t> seen;
    for (int rank = 0; rank < ranks; ++rank) {
      for (int64_t position = 0; position < plan.images_per_rank(); ++position) {
        EXPECT_TRUE(seen.insert(order.At(rank, position)).second);
      }
    }
    EXPECT_THAT(seen, SizeIs(720));
  }
}

TEST(SampleOrderTest, IsDisjointApartFromPadding) {
  // Check F.2, for 50 epochs: 721 images on 8 ranks are padded by 7.
  for (int epoch = 0; epoch < 50; ++epoch) {
    const TrialPlan plan = Plan(Recipe(50), 721, 8);
    const SampleOrder order(plan, epoch);
    std::map<int64_t, int> times;
    for (int rank = 0; rank < 8; ++rank) {
      for (int64_t position = 0; position < plan.images_per_rank(); ++position) {
        ++times[order.At(rank, position)];
      }
    }
    EXPECT_THAT(times, SizeIs(721));
    int repeated = 0;
    for (const auto& [image, count] : times) {
      EXPECT_LE(count, 2);
      repeated += count == 2;
    }
    EXPECT_EQ(repeated, 7);
  }
}

TEST(SampleOrderTest, PadsWithTheFirstEntriesOfTheOrder) {
  const TrialPlan plan = Plan(Recipe(1), 10, 4);
  const SampleOrder order(plan, 0);
  // Entries 10 and 11 of the padded order are 0 and 1.
  EXPECT_EQ(order.At(2, 2), order.At(0, 0));
  EXPECT_EQ(order.At(3, 2), order.At(1, 0));
}

TEST(SampleOrderTest, WrapsTheTailAroundToTheFront) {
  const TrialPlan plan = Plan(SingleScaleRecipe({96, 96, 4}, 1), 10);
  const SampleOrder order(plan, 0);
  const std::vector<PlannedStep> steps = plan.EpochSteps(0);
  ASSERT_THAT(steps, SizeIs(3));
  const std::vector<int64_t> last = order.Batch(steps[2], 0);
  ASSERT_THAT(last, SizeIs(4));
  EXPECT_EQ(last[0], order.At(0, 8));
  EXPECT_EQ(last[2], order.At(0, 0));
  EXPECT_EQ(last[3], order.At(0, 1));
}

TEST(SampleOrderTest, WorksWithFewerImagesThanRanks) {
  const TrialPlan plan = Plan(SingleScaleRecipe({96, 96, 4}, 1), 3, 8);
  const SampleOrder order(plan, 0);
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_LT(order.At(rank, 0), 3);
    EXPECT_EQ(order.At(rank, 0), order.At(rank % 3, 0));
  }
}

// The digest of the first `steps` steps, continued from `digest`.
SampleDigest FoldSteps(const TrialPlan& plan, int64_t from, int64_t to, SampleDigest digest) {
  for (int64_t step = from; step < to; ++step) {
    const StepPosition position = plan.PositionOf(step);
    const std::vector<PlannedStep> steps = plan.EpochSteps(position.epoch);
    digest.Fold(plan, SampleOrder(plan, position.epoch), position,
                steps[static_cast<size_t>(position.step_in_epoch)]);
  }
  return digest;
}

TEST(SampleDigestTest, ProvesTheSequenceOfAResumedRun) {
  const TrialPlan plan = Plan(Recipe(3), 200, 2);
  const SampleDigest whole = FoldSteps(plan, 0, plan.step_total(), {});
  for (int64_t stop = 0; stop <= plan.step_total(); ++stop) {
    const SampleDigest first = FoldSteps(plan, 0, stop, {});
    const SampleDigest restored = SampleDigest::FromHex(first.Hex()).value();
    EXPECT_EQ(FoldSteps(plan, stop, plan.step_total(), restored), whole);
  }
}

TEST(SampleDigestTest, NoticesASkippedAndARepeatedStep) {
  const TrialPlan plan = Plan(Recipe(1), 500);
  const SampleDigest whole = FoldSteps(plan, 0, plan.step_total(), {});
  const SampleDigest skipped = FoldSteps(plan, 3, plan.step_total(), FoldSteps(plan, 0, 2, {}));
  const SampleDigest repeated = FoldSteps(plan, 2, plan.step_total(), FoldSteps(plan, 0, 3, {}));
  EXPECT_FALSE(skipped == whole);
  EXPECT_FALSE(repeated == whole);
}

TEST(SampleDigestTest, DependsOnSeedAndRanks) {
  v1::Recipe recipe = Recipe(1);
  const TrialPlan plan = Plan(recipe, 500);
  const SampleDigest digest = FoldSteps(plan, 0, 3, {});
  EXPECT_FALSE(digest == FoldSteps(Plan(recipe, 500, 2), 0, 3, {}));
  recipe.set_seed(1);
  EXPECT_FALSE(digest == FoldSteps(Plan(recipe, 500), 0, 3, {}));
}

TEST(SampleDigestTest, NeverChanges) {
  // Part of plan version 1.
  const TrialPlan plan = Plan(Recipe(1), 100, 2);
  EXPECT_EQ(FoldSteps(plan, 0, 2, {}).Hex(),
            "744f3128016376797438d977b18cbe005063ae89ef31f7466c13da9fd99025f7");
}

TEST(SampleDigestTest, RefusesWhatIsNoDigest) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, Reason("CHECKPOINT_BAD"));
  EXPECT_THAT(SampleDigest::FromHex(""), refused);
  EXPECT_THAT(SampleDigest::FromHex(std::string(63, '0')), refused);
  EXPECT_THAT(SampleDigest::FromHex(std::string(64, 'G')), refused);
  EXPECT_THAT(SampleDigest::FromHex(std::string(64, 'A')), refused);
  EXPECT_EQ(SampleDigest::FromHex(std::string(64, '0')).value(), SampleDigest());
}

}  // namespace
}  // namespace cvtrain::plan
