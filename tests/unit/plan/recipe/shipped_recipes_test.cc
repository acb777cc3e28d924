#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "cvtrain/v1/experiment.pb.h"
#include "plan/curriculum/forecast.h"
#include "plan/recipe/reader.h"
#include "plan/recipe/resolve.h"
#include "plan/recipe/search_points.h"
#include "plan/recipe/validate.h"
#include "plan/recipe/writer.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

// The recipes that ship with the product. Tests run in the root of the repository.
namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

DatasetFacts TrashnetFacts() {
  return {.version = 1,
          .digest = std::string(64, '0'),
          .num_classes = 6,
          .images_by_split = {{"train", 600}, {"test", 204}}};
}

class ShippedRecipeTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ShippedRecipeTest, IsReadValidAndResolves) {
  CVT_ASSERT_OK_AND_ASSIGN(v1::ExperimentSpec spec, ReadExperiment(ReadFile(GetParam())));
  EXPECT_THAT(Warnings(spec), IsEmpty());
  CVT_ASSERT_OK(Resolve(&spec, TrashnetFacts()));
  EXPECT_THAT(ValidateExperiment(spec), IsOk());

  v1::ExperimentSpec read;
  CVT_ASSERT_OK(ReadMessage(WriteYaml(spec), {}, &read));
  EXPECT_THAT(read, EqualsProto(spec));
}

INSTANTIATE_TEST_SUITE_P(All, ShippedRecipeTest,
                         ::testing::Values("recipes/range-augment-trashnet.yaml",
                                           "recipes/quick-synthetic.yaml"));

TEST(RangeAugmentTrashnetTest, IsTheDemoThatWasTried) {
  CVT_ASSERT_OK_AND_ASSIGN(v1::ExperimentSpec spec,
                           ReadExperiment(ReadFile("recipes/range-augment-trashnet.yaml")));
  EXPECT_THAT(LinearPoints(spec.search().linear()), ElementsAre(40, 20, 10, 5));
  CVT_ASSERT_OK(Resolve(&spec, TrashnetFacts()));
  CVT_ASSERT_OK_AND_ASSIGN(const std::vector<v1::PlannedStage> stages,
                           PlannedStages(spec.recipe(), {.images = 600, .logical_ranks = 1}));
  // Sizes grow from 64..80, with the base of 96, to 64..128.
  std::vector<int> largest;
  for (const v1::PlannedStage& stage : stages) {
    largest.push_back(stage.sizes(stage.sizes_size() - 1).height());
  }
  EXPECT_EQ(largest.front(), 96);
  EXPECT_EQ(largest.back(), 128);
  EXPECT_EQ(stages.back().to_epoch(), 30);

  // 720 images gave 660 steps when the recipe was tried.
  CVT_ASSERT_OK_AND_ASSIGN(const int64_t steps,
                           StepTotal(spec.recipe(), {.images = 720, .logical_ranks = 1}));
  EXPECT_NEAR(static_cast<double>(steps), 660, 66);
}

TEST(QuickSyntheticTest, MakesThreeTrials) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ExperimentSpec spec,
                           ReadExperiment(ReadFile("recipes/quick-synthetic.yaml")));
  EXPECT_EQ(SearchTrialCount(spec.search()), 3);
}

}  // namespace
}  // namespace cvtrain::plan
