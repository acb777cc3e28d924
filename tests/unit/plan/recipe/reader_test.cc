#include "plan/recipe/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/errors.h"
#include "common/limits.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

// The one line that is wrong in `text`, read as a recipe.
absl::Status ReadRecipe(absl::string_view text) {
  v1::Recipe recipe;
  return ReadMessage(text, {}, &recipe);
}

auto Refused(const std::string& reason, const std::string& part) {
  return StatusIs(absl::StatusCode::kInvalidArgument, Reason(reason), Message(HasSubstr(part)));
}

TEST(ReadExperimentTest, ReadsEveryKindOfField) {
  CVT_ASSERT_OK_AND_ASSIGN(const v1::ExperimentSpec spec, ReadExperiment(R"(
api: cvtrain/v1
kind: Experiment
name: range-augment-trashnet
labels: {team: vision, "year": "2024"}
recipe:
  task: classification
  dataset: {name: trashnet, validation_split: test}
  model: {resnet: {depth: 18, zero_init_residual: true}}
  epochs: 30
  sampler:
    multi_scale:
      base: {height: 160, width: 160, batch_size: 32}
      scales: {min: 96, max: 192, count: 5, divisible_by: 32}
      curriculum: {linear: {grow_until_epoch: 20}}
  augmentation:
    random_resized_crop: {}
    horizontal_flip:
    range_augment: {target_psnr: {start: 40, end: 30}, operations: [brightness, noise]}
  optimizer: {sgd: {momentum: 0.9, weight_decay: 4.0e-5, nesterov: true}}
  learning_rate: {cosine: {max: 0.1, min: 1.0e-4, warmup_steps: 100}}
  seed: 18446744073709551615
resources: {slots: 2}
search:
  linear:
    parameter: recipe.augmentation.range_augment.target_psnr.end
    start: 40
    stop: 10
    step: -10
  objective: {metric: val/top1, mode: max}
)"));
  EXPECT_THAT(spec, EqualsProto(R"pb(
                api: "cvtrain/v1"
                kind: "Experiment"
                name: "range-augment-trashnet"
                labels { key: "team" value: "vision" }
                labels { key: "year" value: "2024" }
                recipe {
                  task: TASK_CLASSIFICATION
                  dataset { name: "trashnet" validation_split: "test" }
                  model { resnet { depth: 18 zero_init_residual: true } }
                  epochs: 30
                  sampler {
                    multi_scale {
                      base { height: 160 width: 160 batch_size: 32 }
                      scales { min: 96 max: 192 count: 5 divisible_by: 32 }
                      curriculum { linear { grow_until_epoch: 20 } }
                    }
                  }
                  augmentation {
                    random_resized_crop {}
                    horizontal_flip {}
                    range_augment {
                      target_psnr { start: 40 end: 30 }
                      operations: OPERATION_BRIGHTNESS
                      operations: OPERATION_NOISE
                    }
                  }
                  optimizer { sgd { momentum: 0.9 weight_decay: 4e-5 nesterov: true } }
                  learning_rate { cosine { max: 0.1 min: 1e-4 warmup_steps: 100 } }
                  seed: 18446744073709551615
                }
                resources { slots: 2 }
                search {
                  linear {
                    parameter: "recipe.augmentation.range_augment.target_psnr.end"
                    start: 40
                    stop: 10
                    step: -10
                  }
                  objective { metric: "val/top1" mode: MODE_MAX }
                }
              )pb"));
}

TEST(ReadExperimentTest, TellsUnknownFieldsWithTheNearestNames) {
  const absl::Status status =
      ReadExperiment(absl::StrReplaceAll(kSmallExperiment, {{"  epochs: 10", "  epoch: 10"}}))
          .status();
  EXPECT_THAT(status, Refused("RECIPE_INVALID",
                              "line 8: recipe.epoch: unknown field (did you mean epochs?)"));
  // The field that is missing now is told, too.
  EXPECT_THAT(status, Message(HasSubstr("recipe.epochs: is required")));
}

TEST(ReadExperimentTest, TellsUnknownModelsWithTheNearestNames) {
  const absl::Status status =
      ReadExperiment(
          absl::StrReplaceAll(kSmallExperiment, {{"resnet: {depth: 18}", "resnet18: {}"}}))
          .status();
  EXPECT_THAT(status, Refused("UNKNOWN_NAME",
                              "line 7: recipe.model.resnet18: unknown name (did "
                              "you mean resnet?)"));
  EXPECT_THAT(FieldViolationsOf(status), SizeIs(1));
}

TEST(ReadExperimentTest, TellsUnknownValuesOfAnEnum) {
  EXPECT_THAT(
      ReadExperiment(absl::StrReplaceAll(kSmallExperiment, {{"classification", "clasification"}})),
      Refused("UNKNOWN_NAME",
              "line 5: recipe.task: must be one of classification, synthetic (did "
              "you mean classification?), got 'clasification'"));
}

TEST(ReadExperimentTest, TellsAllErrorsAtOnce) {
  const absl::Status status = ReadExperiment(R"(
api: cvtrain/v1
kind: Experiment
name: wrong
recipe:
  task: classification
  dataset: {name: flowers}
  model: {resnet: {depth: 19}}
  epochs: many
  sampler:
    single_scale: {height: 96, width: 4, batch_size: 24}
  optimizer: {lr: 1}
  learning_rate: {constant: {value: .nan}}
)")
                                  .status();
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("line 8: recipe.model.resnet.depth: must be 18, 34, 50, 101 or 152, got 19"),
            HasSubstr("line 9: recipe.epochs: must be an integer, got 'many'"),
            HasSubstr("line 11: recipe.sampler.single_scale.width: must be in [8, 4096], "
                      "got 4"),
            HasSubstr("line 12: recipe.optimizer.lr: unknown name"),
            HasSubstr("line 13: recipe.learning_rate.constant.value: must be finite")));
  EXPECT_THAT(FieldViolationsOf(status), SizeIs(5));
  EXPECT_THAT(status, Reason("RECIPE_INVALID"));
}

TEST(ReadExperimentTest, ListsAtMostTwentyErrors) {
  std::string text(kSmallExperiment);
  for (int i = 0; i < 30; ++i) absl::StrAppend(&text, "wrong", i, ": 1\n");
  const absl::Status status = ReadExperiment(text).status();
  EXPECT_THAT(status, Message(HasSubstr("and 10 more")));
  EXPECT_THAT(FieldViolationsOf(status), SizeIs(limits::kFieldViolationsMax));
}

TEST(ReadExperimentTest, RefusesNamesThatCouldBePaths) {
  for (const char* name : {"../etc", "/etc/passwd", "a/b", "'%2e%2e'", "..", "'a\\b'", "UPPER"}) {
    const std::string text = absl::StrReplaceAll(kSmallExperiment, {{"flowers", name}});
    EXPECT_THAT(ReadExperiment(text), Refused("BAD_RESOURCE_NAME", "line 6: recipe.dataset.name"))
        << name;
  }
}

TEST(ReadMessageTest, RefusesWrongTypes) {
  EXPECT_THAT(ReadRecipe("epochs: 1.5"), Refused("RECIPE_INVALID", "must be an integer"));
  EXPECT_THAT(ReadRecipe("epochs: '5'"), Refused("RECIPE_INVALID", "must be an integer"));
  EXPECT_THAT(ReadRecipe("epochs: 0x10"), Refused("RECIPE_INVALID", "must be an integer"));
  EXPECT_THAT(ReadRecipe("epochs: true"), Refused("RECIPE_INVALID", "must be an integer"));
  EXPECT_THAT(ReadRecipe("epochs:"), Refused("RECIPE_INVALID", "must have a value"));
  EXPECT_THAT(ReadRecipe("epochs: [1]"), Refused("RECIPE_INVALID", "must be a single value"));
  EXPECT_THAT(ReadRecipe("dataset: flowers"), Refused("RECIPE_INVALID", "must be a mapping"));
  EXPECT_THAT(ReadRecipe("dataset: {name: [a]}"), Refused("RECIPE_INVALID", "a single value"));
  EXPECT_THAT(ReadRecipe("dataset: {name: null}"), Refused("RECIPE_INVALID", "have a value"));
  EXPECT_THAT(ReadRecipe("loss: {label_smoothing: abc}"), Refused("RECIPE_INVALID", "a number"));
  EXPECT_THAT(ReadRecipe("optimizer: {sgd: {nesterov: yes}}"),
              Refused("RECIPE_INVALID", "must be true or false"));
  EXPECT_THAT(ReadRecipe("model: {small_resnet: {widths: 16}}"),
              Refused("RECIPE_INVALID", "must be a list"));
  EXPECT_THAT(ReadRecipe("[1, 2]"), Refused("RECIPE_INVALID", "must be a mapping"));
  EXPECT_THAT(ReadRecipe("just text"), Refused("RECIPE_INVALID", "must be a mapping"));
}

TEST(ReadMessageTest, RefusesNumbersOutsideOfTheirType) {
  EXPECT_THAT(ReadRecipe("epochs: 2147483648"), Refused("RECIPE_INVALID", "[-2147483648, "));
  EXPECT_THAT(ReadRecipe("seed: -1"), Refused("RECIPE_INVALID", "[0, 18446744073709551615]"));
  EXPECT_THAT(ReadRecipe("seed: 18446744073709551616"), Refused("RECIPE_INVALID", "[0, "));
  for (const char* number : {".nan", ".inf", "-.inf", "nan", "inf", "-Infinity", "1e999"}) {
    EXPECT_THAT(ReadRecipe(absl::StrCat("loss: {label_smoothing: ", number, "}")),
                Refused("RECIPE_INVALID", "must be finite"))
        << number;
  }
}

TEST(ReadMessageTest, RefusesTwoMembersOfAOneof) {
  EXPECT_THAT(
      ReadRecipe("model: {resnet: {depth: 18}, small_resnet: {}}"),
      Refused("RECIPE_INVALID", "model.small_resnet: cannot be given together with resnet"));
}

TEST(ReadMessageTest, RefusesWhatHidesMeaning) {
  EXPECT_THAT(ReadRecipe("epochs: &e 3"), Refused("RECIPE_INVALID", "anchors"));
  EXPECT_THAT(ReadRecipe("dataset: &d {name: a}\nmodel: *d"), Refused("RECIPE_INVALID", "line 1"));
  EXPECT_THAT(ReadRecipe("epochs: *e"), Refused("RECIPE_INVALID", "is not YAML"));
  EXPECT_THAT(ReadRecipe("epochs: !!int 3"), Refused("RECIPE_INVALID", "tags"));
  EXPECT_THAT(ReadRecipe("dataset: !x {name: a}"), Refused("RECIPE_INVALID", "tags"));
  EXPECT_THAT(ReadRecipe("epochs: 3\nseed: 1\nepochs: 4"),
              Refused("RECIPE_INVALID", "line 3: recipe file: key 'epochs' is given twice"));
  EXPECT_THAT(ReadRecipe("? [a, b]\n: 3"), Refused("RECIPE_INVALID", "a key must be plain text"));
  EXPECT_THAT(ReadRecipe("~: 3"), Refused("RECIPE_INVALID", "a key must not be empty"));
  EXPECT_THAT(ReadRecipe("epochs: 3\n---\nepochs: 4"),
              Refused("RECIPE_INVALID", "more than one document"));
}

TEST(ReadMessageTest, RefusesWhatIsNotText) {
  EXPECT_THAT(ReadRecipe(""), Refused("RECIPE_INVALID", "recipe file: is empty"));
  EXPECT_THAT(ReadRecipe("# nothing\n"), Refused("RECIPE_INVALID", "is empty"));
  EXPECT_THAT(ReadRecipe("epochs: \xff"), Refused("RECIPE_INVALID", "is not UTF-8"));
  EXPECT_THAT(ReadRecipe(absl::string_view("epochs: 3\nseed: \0 1", 19)),
              Refused("RECIPE_INVALID", "line 2: recipe file: holds a control character"));
  EXPECT_THAT(ReadRecipe("epochs: \x1b[31m3"), Refused("RECIPE_INVALID", "control character"));
  EXPECT_THAT(ReadRecipe("epochs: [3"), Refused("RECIPE_INVALID", "is not YAML"));
  EXPECT_THAT(ReadRecipe("\tepochs: 3"), Refused("RECIPE_INVALID", "recipe file"));
}

TEST(ReadMessageTest, RefusesALargeText) {
  std::string text = "epochs: 3 #";
  text.resize(limits::kRecipeSizeBytesMax, 'x');
  EXPECT_THAT(ReadRecipe(text), IsOk());
  text.resize(257 << 10, 'x');
  EXPECT_THAT(ReadRecipe(text), Refused("RECIPE_INVALID", "is larger than 256 KiB"));
}

TEST(ReadMessageTest, RefusesDeepNesting) {
  auto nested = [](int depth) {
    return absl::StrCat(std::string(static_cast<size_t>(depth), '['),
                        std::string(static_cast<size_t>(depth), ']'));
  };
  EXPECT_THAT(ReadRecipe(nested(limits::kRecipeDepthMax)),
              Refused("RECIPE_INVALID", "must be a mapping"));
  EXPECT_THAT(ReadRecipe(nested(limits::kRecipeDepthMax + 1)),
              Refused("RECIPE_INVALID", "nested deeper than 32 levels"));
  EXPECT_THAT(ReadRecipe(nested(100'000)), Refused("RECIPE_INVALID", "nested deeper"));
  std::string blocks;
  for (int i = 0; i < 500; ++i)
    absl::StrAppend(&blocks, std::string(static_cast<size_t>(i), ' '), "a:\n");
  EXPECT_THAT(ReadRecipe(blocks), Refused("RECIPE_INVALID", "nested deeper"));
}

TEST(ReadMessageTest, EscapesKeysFromOutside) {
  const absl::Status status = ReadRecipe("\"a\\e[31m\": 1");
  EXPECT_THAT(status, Message(AllOf(HasSubstr("a\\x1b[31m"), Not(HasSubstr("\x1b")))));
}

TEST(OverrideTest, IsSplitAtTheFirstEqualsSign) {
  CVT_ASSERT_OK_AND_ASSIGN(const Override change, ParseOverride("search.x=a=b"));
  EXPECT_EQ(change.path, "search.x");
  EXPECT_EQ(change.value, "a=b");
  EXPECT_THAT(ParseOverride("epochs"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  EXPECT_THAT(ParseOverride("=3"), Reason("USAGE"));
}

TEST(OverrideTest, ReplacesAndAddsValues) {
  const v1::ExperimentSpec spec =
      SmallSpec({"recipe.epochs=5", "recipe.loss.label_smoothing=0.1", "priority=70",
                 "recipe.sampler={multi_scale: {base: {height: 64, width: 64, batch_size: 8}}}"});
  EXPECT_EQ(spec.recipe().epochs(), 5);
  EXPECT_EQ(spec.recipe().loss().label_smoothing(), 0.1);
  EXPECT_EQ(spec.priority(), 70);
  EXPECT_EQ(spec.recipe().sampler().multi_scale().base().height(), 64);
}

TEST(OverrideTest, ReachesIntoLists) {
  v1::Recipe recipe;
  const std::vector<Override> changes = {{"model.small_resnet.widths.1", "48"}};
  CVT_EXPECT_OK(ReadMessage("model: {small_resnet: {widths: [16, 32]}}", changes, &recipe));
  EXPECT_THAT(recipe.model().small_resnet().widths(), ElementsAre(16, 48));
}

TEST(OverrideTest, IsNamedInErrors) {
  auto read = [](const std::string& path, const std::string& value) {
    const std::vector<Override> changes = {{path, value}};
    return ReadExperiment(kSmallExperiment, changes).status();
  };
  EXPECT_THAT(read("recipe.epochs", "many"),
              Refused("RECIPE_INVALID", "recipe.epochs: must be an integer, got 'many'"));
  EXPECT_THAT(read("recipe.epohcs", "3"), Refused("RECIPE_INVALID", "did you mean epochs?"));
  EXPECT_THAT(read("recipe.epochs.x", "3"), Refused("RECIPE_INVALID", "--set recipe.epochs.x"));
  EXPECT_THAT(read("recipe..epochs", "3"), Refused("RECIPE_INVALID", "is no path of a field"));
  EXPECT_THAT(read("recipe.epochs", "[3"), Refused("RECIPE_INVALID", "--set recipe.epochs"));
  EXPECT_THAT(read("recipe.model.small_resnet.widths", "[16]"),
              Refused("RECIPE_INVALID", "cannot be given together with resnet"));
}

}  // namespace
}  // namespace cvtrain::plan
