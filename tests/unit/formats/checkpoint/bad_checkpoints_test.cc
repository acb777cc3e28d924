// What becomes of damaged and lying checkpoints, each by itself: refused as damaged, or harmless
// because it says nothing that is not so.

#include "tests/unit/formats/checkpoint/bad_checkpoints.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/support/outcome_list.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::ForEachBadCheckpoint;
using ::cvtrain::testing::AddOutcome;
using ::cvtrain::testing::CompareOutcomes;
using ::cvtrain::testing::OutcomeList;
using ::cvtrain::testing::OutcomeOf;
using ::cvtrain::testing::ReadOutcomes;
using ::cvtrain::testing::WriteOutcomes;

constexpr char kList[] = "tests/unit/formats/checkpoint/golden/bad_checkpoints.txt";

// The error of opening, or "opens" with what is in it.
std::string Outcome(absl::string_view bytes) {
  const auto view = CheckpointView::Open(bytes, "c");
  if (!view.ok()) return OutcomeOf(view.status());
  // All bytes can be read.
  int64_t sum = 0;
  for (int i = 0; i < view->tensor_count(); ++i) {
    for (const char byte : view->tensor(i).data) sum += static_cast<unsigned char>(byte);
  }
  return absl::StrCat("opens: ", view->tensor_count(), " tensors, their bytes add up to ", sum);
}

OutcomeList RunAll() {
  OutcomeList outcomes;
  ForEachBadCheckpoint([&](const std::string& name, absl::string_view bytes) {
    AddOutcome(name, Outcome(bytes), &outcomes);
  });
  return outcomes;
}

TEST(BadCheckpointsTest, EachHasTheOutcomeThatIsListed) {
  const OutcomeList outcomes = RunAll();
  EXPECT_EQ(CompareOutcomes(outcomes, ReadOutcomes(kList)), "");
  EXPECT_GE(outcomes.size(), 800u);
  for (const auto& [name, outcome] : outcomes) {
    // Only who makes the digests right can make others believe something.
    if (!absl::StartsWith(name, "lie/")) {
      EXPECT_EQ(outcome, "DATA_LOSS CHECKPOINT_BAD") << name;
    }
    // And then nothing that the bytes contradict.
    if (absl::StartsWith(name, "lie/header/") || absl::StartsWith(name, "lie/padding/")) {
      EXPECT_EQ(outcome, "DATA_LOSS CHECKPOINT_BAD") << name;
    }
  }
}

// Writes the list anew, for a person to read its difference:
//   formats_checkpoint_test --gtest_also_run_disabled_tests --gtest_filter='*WritesTheList'
TEST(BadCheckpointsTest, DISABLED_WritesTheList) {
  WriteOutcomes(RunAll(), kList);
  EXPECT_FALSE(ReadOutcomes(kList).empty());
}

}  // namespace
}  // namespace cvtrain::formats
