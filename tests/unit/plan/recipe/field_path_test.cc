#include "plan/recipe/field_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTargetEnd[] = "recipe.augmentation.range_augment.target_psnr.end";

FieldType::Kind KindOf(absl::string_view path) {
  return TypeOfField(*v1::ExperimentSpec::descriptor(), path)->kind;
}

TEST(TypeOfFieldTest, KnowsEveryScalar) {
  EXPECT_EQ(KindOf(kTargetEnd), FieldType::Kind::kNumber);
  EXPECT_EQ(KindOf("recipe.epochs"), FieldType::Kind::kInteger);
  EXPECT_EQ(KindOf("recipe.seed"), FieldType::Kind::kInteger);
  EXPECT_EQ(KindOf("recipe.optimizer.sgd.nesterov"), FieldType::Kind::kBool);
  EXPECT_EQ(KindOf("recipe.precision"), FieldType::Kind::kEnum);
  EXPECT_EQ(KindOf("recipe.dataset.name"), FieldType::Kind::kText);
  EXPECT_EQ(KindOf("recipe.model.small_resnet.widths.3"), FieldType::Kind::kInteger);
  EXPECT_THAT(TypeOfField(*v1::ExperimentSpec::descriptor(), "recipe.precision")->enum_values,
              ElementsAre("fp32", "bf16", "fp16"));
}

TEST(TypeOfFieldTest, RefusesWhatIsNoSingleValue) {
  auto type = [](absl::string_view path) {
    return TypeOfField(*v1::ExperimentSpec::descriptor(), path);
  };
  EXPECT_THAT(type("recipe.optimizer.sgd.momentun"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("UNKNOWN_NAME"),
                       Message(HasSubstr("did you mean momentum?"))));
  EXPECT_THAT(type("recipe.optimizer"), Reason("FIELD_INVALID"));
  EXPECT_THAT(type("recipe.epochs.x"), Reason("FIELD_INVALID"));
  EXPECT_THAT(type("recipe.model.small_resnet.widths"), Reason("FIELD_INVALID"));
  EXPECT_THAT(type("recipe.model.small_resnet.widths.-1"), Reason("FIELD_INVALID"));
  EXPECT_THAT(type("labels.team"), Reason("FIELD_INVALID"));
  EXPECT_THAT(type(""), Reason("UNKNOWN_NAME"));
  std::string deep = "recipe";
  for (int i = 0; i < 40; ++i) deep += ".recipe";
  EXPECT_THAT(type(deep), Reason("FIELD_INVALID"));
}

TEST(SetFieldTest, SetsScalarsAndMakesTheWayToThem) {
  v1::ExperimentSpec spec;
  CVT_EXPECT_OK(SetField(&spec, kTargetEnd, "20"));
  CVT_EXPECT_OK(SetField(&spec, "recipe.epochs", "30"));
  CVT_EXPECT_OK(SetField(&spec, "recipe.precision", "bf16"));
  CVT_EXPECT_OK(SetField(&spec, "recipe.optimizer.sgd.nesterov", "true"));
  EXPECT_THAT(spec, EqualsProto(R"pb(
                recipe {
                  epochs: 30
                  augmentation { range_augment { target_psnr { end: 20 } } }
                  optimizer { sgd { nesterov: true } }
                  precision: PRECISION_BF16
                }
              )pb"));
}

TEST(SetFieldTest, ChangesEntriesOfListsThatExist) {
  v1::ExperimentSpec spec;
  spec.mutable_recipe()->mutable_model()->mutable_small_resnet()->add_widths(16);
  CVT_EXPECT_OK(SetField(&spec, "recipe.model.small_resnet.widths.0", "32"));
  EXPECT_EQ(spec.recipe().model().small_resnet().widths(0), 32);
  EXPECT_THAT(SetField(&spec, "recipe.model.small_resnet.widths.1", "32"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"),
                       Message(HasSubstr("has no entry 1"))));
}

TEST(SetFieldTest, LeavesTheMessageAloneAfterAnError) {
  const v1::ExperimentSpec before = SmallSpec();
  v1::ExperimentSpec spec = before;
  EXPECT_THAT(SetField(&spec, kTargetEnd, "abc"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"),
                       Message(HasSubstr("must be a number, got 'abc'"))));
  EXPECT_THAT(SetField(&spec, kTargetEnd, "nan"), Reason("FIELD_INVALID"));
  EXPECT_THAT(SetField(&spec, "recipe.epochs", "1.5"), Reason("FIELD_INVALID"));
  EXPECT_THAT(SetField(&spec, "recipe.precision", "fp8"), Reason("FIELD_INVALID"));
  EXPECT_THAT(SetField(&spec, "recipe.augmentation.range_augment.operations.0", "noise"),
              Reason("FIELD_INVALID"));
  EXPECT_THAT(spec, EqualsProto(before));
}

TEST(SetFieldTest, DoesNotChangeWhichModelThereIs) {
  v1::ExperimentSpec spec = SmallSpec();
  EXPECT_THAT(SetField(&spec, "recipe.model.small_resnet.stem", "cifar"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"),
                       Message(HasSubstr("the recipe has resnet, not small_resnet"))));
  CVT_EXPECT_OK(SetField(&spec, "recipe.model.resnet.depth", "50"));
  EXPECT_EQ(spec.recipe().model().resnet().depth(), 50);
}

TEST(GetFieldTest, GivesWhatSetFieldTakes) {
  v1::ExperimentSpec spec = SmallSpec({"recipe.precision=bf16", "recipe.seed=9"});
  EXPECT_THAT(GetField(spec, "recipe.precision"), IsOkAndHolds("bf16"));
  EXPECT_THAT(GetField(spec, "recipe.seed"), IsOkAndHolds("9"));
  EXPECT_THAT(GetField(spec, "recipe.learning_rate.constant.value"), IsOkAndHolds("0.1"));
  EXPECT_THAT(GetField(spec, "recipe.optimizer.sgd.nesterov"), IsOkAndHolds("false"));
  EXPECT_THAT(GetField(spec, "recipe.dataset.name"), IsOkAndHolds("flowers"));
  EXPECT_THAT(GetField(spec, "recipe.evaluation.sizes.0.crop"), Reason("FIELD_INVALID"));
}

TEST(HasFieldTest, IsAboutPresence) {
  const v1::ExperimentSpec spec = SmallSpec({"recipe.loss.label_smoothing=0"});
  EXPECT_TRUE(HasField(spec, "recipe.loss.label_smoothing"));
  EXPECT_TRUE(HasField(spec, "recipe.epochs"));
  EXPECT_FALSE(HasField(spec, "recipe.seed"));
  EXPECT_FALSE(HasField(spec, "recipe.optimizer.sgd.momentum"));
  EXPECT_FALSE(HasField(spec, "recipe.evaluation.sizes.0.crop"));
  EXPECT_FALSE(HasField(spec, "no.such.field"));
}

}  // namespace
}  // namespace cvtrain::plan
