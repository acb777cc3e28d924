#include "worker/trainer/data/section_forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cvtrain/v1/dataset.pb.h"
#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::testing::ElementsAre;

// Numbers of the sections: 72, 112, 144, 184 and 256 pixels, then the sources.
constexpr int kSourceOfFive = 5;

cvtrain::v1::DatasetVersion Dataset(const std::string& more = "") {
  return ParseTextProto<cvtrain::v1::DatasetVersion>("rungs: [ 72, 112, 144, 184, 256 ] " + more);
}

SectionSet Training(const cvtrain::v1::DatasetVersion& dataset, double scale_min, int size) {
  cvtrain::v1::Augmentation augmentation;
  auto& crop = *augmentation.mutable_random_resized_crop();
  crop.set_scale_min(scale_min);
  crop.set_scale_max(1);
  crop.set_ratio_min(0.75);
  crop.set_ratio_max(1.3333);
  const std::vector<plan::Scale> scales = {{.height = size, .width = size, .batch_size = 1}};
  return SectionForecast(dataset).OfTraining(augmentation, scales);
}

TEST(SectionForecastTest, LargeCropsAtASmallSizeNeedSmallRungsOnly) {
  EXPECT_THAT(Training(Dataset(), 0.7, 64).Numbers(), ElementsAre(0, 1));
  EXPECT_THAT(Training(Dataset(), 0.25, 64).Numbers(), ElementsAre(0, 1, 2));
}

TEST(SectionForecastTest, SmallerCropsAndLargerSizesNeedLargerRungs) {
  EXPECT_THAT(Training(Dataset(), 0.08, 64).Numbers(), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(Training(Dataset(), 0.25, 128).Numbers(), ElementsAre(2, 3, 4));
  EXPECT_THAT(Training(Dataset(), 0.25, 224).Numbers(), ElementsAre(4, kSourceOfFive));
}

TEST(SectionForecastTest, AllSizesOfAStageCount) {
  const std::vector<plan::Scale> scales = {{.height = 64, .width = 64, .batch_size = 1},
                                           {.height = 224, .width = 224, .batch_size = 1}};
  cvtrain::v1::Augmentation augmentation;
  auto& crop = *augmentation.mutable_random_resized_crop();
  crop.set_scale_min(0.99);
  crop.set_scale_max(1);
  crop.set_ratio_min(1);
  crop.set_ratio_max(1);
  EXPECT_THAT(SectionForecast(Dataset()).OfTraining(augmentation, scales).Numbers(),
              ElementsAre(0, 4));
}

TEST(SectionForecastTest, SmallPicturesHaveTheirSourceAlone) {
  const auto dataset = Dataset("short_sides { side: 32 images: 1000 }");
  EXPECT_THAT(Training(dataset, 0.9, 32).Numbers(), ElementsAre(kSourceOfFive));
  const auto few =
      Dataset("short_sides { side: 32 images: 1 } short_sides { side: 300 images: 1000 }");
  EXPECT_THAT(Training(few, 0.7, 64).Numbers(), ElementsAre(0, 1))
      << "one picture in a thousand decides for all";
}

TEST(SectionForecastTest, WhatNoShardCanHaveDoesNoHarm) {
  cvtrain::v1::DatasetVersion dataset = Dataset("short_sides { side: 2000000000 images: 5 }");
  for (int i = 0; i < 100; ++i) dataset.add_rungs(300 + i);
  const std::vector<int32_t> sections = Training(dataset, 0.25, 64).Numbers();
  EXPECT_THAT(sections, ::testing::Each(::testing::Le(formats::kShardRungsMax)));
}

TEST(SectionForecastTest, EvaluationsReadOneRung) {
  const SectionForecast forecast(Dataset());
  EXPECT_THAT(forecast.OfEvaluation(256, 224).Numbers(), ElementsAre(4));
  EXPECT_THAT(forecast.OfEvaluation(73, 64).Numbers(), ElementsAre(1));
  EXPECT_THAT(forecast.OfEvaluation(70, 60).Numbers(), ElementsAre(0));
  EXPECT_THAT(forecast.OfEvaluation(300, 288).Numbers(), ElementsAre(kSourceOfFive));
}

}  // namespace
}  // namespace cvtrain::trainer
