#include "plan/recipe/writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/recipe/reader.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::EqualsProto;
using ::cvtrain::testing::ParseTextProto;
using ::testing::HasSubstr;
using ::testing::Not;

void ExpectRoundTrip(const v1::ExperimentSpec& spec) {
  const std::string text = WriteYaml(spec);
  v1::ExperimentSpec read;
  CVT_EXPECT_OK(ReadMessage(text, {}, &read)) << text;
  EXPECT_THAT(read, EqualsProto(spec)) << text;
}

TEST(WriteYamlTest, LooksAsPeopleWriteIt) {
  EXPECT_EQ(WriteYaml(ParseTextProto<v1::ExperimentSpec>(R"pb(
              api: "cvtrain/v1"
              name: "demo"
              labels { key: "b" value: "2" }
              labels { key: "a" value: "1" }
              recipe {
                task: TASK_CLASSIFICATION
                model { small_resnet { widths: 16 widths: 32 stem: STEM_CIFAR } }
                optimizer { sgd { weight_decay: 5e-4 nesterov: true } }
                learning_rate { cosine {} }
                evaluation {
                  sizes { crop: 112 resize: 128 }
                  sizes { crop: 64 }
                }
              }
              description: "two words"
            )pb")),
            R"(api: cvtrain/v1
name: demo
labels:
  a: 1
  b: 2
recipe:
  task: classification
  model:
    small_resnet:
      widths: [16, 32]
      stem: cifar
  optimizer:
    sgd:
      weight_decay: 0.0005
      nesterov: true
  learning_rate:
    cosine: {}
  evaluation:
    sizes:
      - resize: 128
        crop: 112
      - crop: 64
description: two words
)");
}

TEST(WriteYamlTest, IsReadBackAsTheSameMessage) {
  ExpectRoundTrip(SmallSpec());
  ExpectRoundTrip(MultiScaleSpec({"recipe.seed=18446744073709551615", "priority=0"}));
  v1::ExperimentSpec resolved = MultiScaleSpec({
      "recipe.augmentation.range_augment={target_psnr: {}}",
      "search={grid: {parameters: [{parameter: recipe.optimizer.sgd.momentum, values: [0.5, "
      "0.9]}]}, objective: {metric: val/top1, mode: max}}",
  });
  CVT_ASSERT_OK(Resolve(&resolved, FlowerFacts()));
  ExpectRoundTrip(resolved);
  // A message without fields is there all the same.
  v1::ExperimentSpec augmented =
      SmallSpec({"recipe.augmentation={resize: {}, auto_augment: {policy: cifar10}, color_jitter: "
                 "{hue: 0.1}, random_erasing: {}, mixup: {}, cutmix: {}}"});
  CVT_ASSERT_OK(Resolve(&augmented, FlowerFacts()));
  EXPECT_THAT(WriteYaml(augmented), HasSubstr("resize: {}"));
  ExpectRoundTrip(augmented);
}

TEST(WriteYamlTest, KeepsEveryText) {
  for (const char* text :
       {"",          " ",           "null",      "~",   "true",  "3",      "-",       "- a",
        "a: b",      "a #b",        "#a",        "'a'", "\"a\"", "[a]",    "{a}",     "a\nb",
        "tab\there", "back\\slash", "*a",        "&a",  "!a",    "%a",     "@a",      "`a`",
        "ä",         "日本",        "trailing ", "? a", "| a",   "> a",    "a,b",     "...",
        "---",       "\x01",        "e\u0301",   "1e5", "-5",    "\u202e", "\xc2\x85"}) {
    v1::ExperimentSpec spec;
    spec.set_description(text);
    (*spec.mutable_labels())[text] = text;
    ExpectRoundTrip(spec);
  }
}

TEST(WriteYamlTest, IsSafeOnATerminal) {
  v1::ExperimentSpec spec;
  spec.set_description("\x1b[31mred\r\n");
  EXPECT_THAT(WriteYaml(spec), Not(HasSubstr("\x1b")));
  EXPECT_THAT(WriteYaml(spec), HasSubstr("\\x1b[31mred"));
}

TEST(WriteYamlTest, KeepsEveryDigitOfANumber) {
  for (double value :
       {0.1, 1.0 / 3, 1e-300, 5e-324, 1.7976931348623157e308, -2.5, 1e16, 123456789.0}) {
    v1::ExperimentSpec spec;
    spec.mutable_recipe()->mutable_loss()->set_label_smoothing(value);
    ExpectRoundTrip(spec);
  }
}

TEST(WriteYamlTest, WritesAnEmptyMessage) { EXPECT_EQ(WriteYaml(v1::ExperimentSpec()), "{}\n"); }

}  // namespace
}  // namespace cvtrain::plan
