#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/errors.h"
#include "common/random.h"
#include "plan/recipe/reader.h"
#include "plan/recipe/validate.h"
#include "plan/recipe/writer.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/recipe/specs.h"

// Texts that are almost recipes: whatever they are, the answer is a valid
// experiment or a documented error.
namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::IsOk;
using ::testing::AnyOf;
using ::testing::Eq;

constexpr int kTexts = 3000;

constexpr const char* kPieces[] = {"{",     "}",
                                   "[",     "]",
                                   ":",     ": ",
                                   "\n",    "- ",
                                   "&a ",   "*a",
                                   "!x ",   "|\n",
                                   "'",     "\"",
                                   "#",     "?",
                                   "\t",    "~",
                                   "---\n", "%",
                                   "-1",    "1e999",
                                   ".nan",  "0",
                                   "true",  "9999999999999999999999",
                                   "\xff",  "\x1b",
                                   "../",   "null"};

// Changes one or two places of `text`.
std::string Mutate(std::string text, KeyedStream& random) {
  const uint64_t changes = 1 + random.UniformInt(2);
  for (uint64_t i = 0; i < changes; ++i) {
    const size_t at = random.UniformInt(text.size());
    switch (random.UniformInt(4)) {
      case 0:
        text.erase(at, 1 + random.UniformInt(8));
        break;
      case 1:
        text.insert(at, kPieces[random.UniformInt(std::size(kPieces))]);
        break;
      case 2:
        text[at] = static_cast<char>(random.UniformInt(256));
        break;
      default:  // a part of the text again, elsewhere
        text.insert(at, text.substr(random.UniformInt(text.size()), random.UniformInt(40)));
    }
    if (text.empty()) text = " ";
  }
  return text;
}

TEST(ReaderMutationTest, EndsInAnExperimentOrADocumentedError) {
  const uint64_t seed = testing::TestSeed();
  int accepted = 0;
  for (uint64_t i = 0; i < kTexts; ++i) {
    KeyedStream random("reader_mutation/v1", {seed, i});
    const std::string text =
        Mutate(std::string(i % 2 == 0 ? kSmallExperiment : kMultiScaleExperiment), random);
    const absl::StatusOr<v1::ExperimentSpec> spec = ReadExperiment(text);
    if (spec.ok()) {
      ++accepted;
      ASSERT_THAT(Validate(*spec), ::testing::IsEmpty()) << text;
      ASSERT_THAT(ReadExperiment(WriteYaml(*spec)), IsOk()) << text;
      continue;
    }
    ASSERT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << text;
    ASSERT_THAT(ReasonNameOf(spec.status()),
                AnyOf(Eq("RECIPE_INVALID"), Eq("UNKNOWN_NAME"), Eq("BAD_RESOURCE_NAME")))
        << text;
    // No control characters in what a terminal will show, but ends of lines.
    for (char c : spec.status().message()) {
      ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << text;
    }
  }
  EXPECT_GT(accepted, 0);  // the mutations are not all of one kind
}

}  // namespace
}  // namespace cvtrain::plan
