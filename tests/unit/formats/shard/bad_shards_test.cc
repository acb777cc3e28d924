// What becomes of damaged and lying shards, each by itself: refused, or some pictures are, or it is
// harmless. No byte of a picture comes out that was not written for it.

#include "tests/unit/formats/shard/bad_shards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/memory_file_system.h"
#include "formats/shard/shard_reader.h"
#include "tests/support/outcome_list.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::formats {
namespace {

using ::cvtrain::formats::testing::ForEachBadShard;
using ::cvtrain::formats::testing::PictureFixture;
using ::cvtrain::formats::testing::ShardFixture;
using ::cvtrain::testing::AddOutcome;
using ::cvtrain::testing::CompareOutcomes;
using ::cvtrain::testing::OutcomeList;
using ::cvtrain::testing::OutcomeOf;
using ::cvtrain::testing::ReadOutcomes;
using ::cvtrain::testing::WriteOutcomes;

constexpr char kList[] = "tests/unit/formats/shard/golden/bad_shards.txt";

// Whether all that a record says, but for where its bytes are, is what was written.
bool TellsTheTruth(const ShardReader& reader, int64_t record, const PictureFixture& picture) {
  const ShardRecord entry = reader.record(record);
  return entry.label == picture.label && entry.source == picture.size &&
         entry.source_format == SourceFormat::kJpeg && entry.source_orientation == 1 &&
         reader.key(record) == picture.key && reader.source_digest(record) == picture.digest;
}

// Reads every picture. "opens: all is true", "opens: 2 of 9 pieces are refused", "opens: other
// facts" if records say, under right digests, what was not written, or the error of opening.
std::string Outcome(absl::StatusOr<std::unique_ptr<ShardReader>> opened,
                    const ShardFixture& original, const std::string& name) {
  if (!opened.ok()) return OutcomeOf(opened.status());
  ShardReader& reader = **opened;
  int pieces = 0;
  int refused = 0;
  bool true_facts = reader.info().records == static_cast<int64_t>(original.pictures.size());
  std::string scratch;
  for (int64_t i = 0; i < reader.info().records; ++i) {
    const PictureFixture& picture = original.pictures.at(static_cast<size_t>(i));
    true_facts = true_facts && TellsTheTruth(reader, i, picture);
    const int source = static_cast<int>(reader.info().rungs.size());
    EXPECT_EQ(picture.rungs.size(), reader.info().rungs.size()) << name;
    for (int rung = 0; rung <= source; ++rung) {
      if (!reader.record(i).HasRung(rung)) continue;
      ++pieces;
      const absl::StatusOr<absl::string_view> read = reader.Read(i, rung, &scratch);
      if (read.ok()) {
        EXPECT_EQ(*read,
                  rung == source ? picture.source : picture.rungs.at(static_cast<size_t>(rung)))
            << name << ": wrong bytes of record " << i << ", rung " << rung;
      } else {
        EXPECT_EQ(OutcomeOf(read.status()), "DATA_LOSS SHARD_BAD") << name;
        ++refused;
      }
    }
  }
  if (refused > 0) return absl::StrCat("opens: ", refused, " of ", pieces, " pieces are refused");
  return true_facts ? "opens: all is true" : "opens: other facts";
}

OutcomeList RunAll() {
  OutcomeList outcomes;
  ForEachBadShard(
      [&](const std::string& name, absl::string_view bytes, const ShardFixture& original) {
        const std::string outcome = Outcome(ShardReader::Open(bytes, "s"), original, name);
        InMemoryFileSystem files;
        CVT_ASSERT_OK(WriteFileAtomic(files, "/s", bytes));
        EXPECT_EQ(Outcome(ShardReader::Open(*files.NewRandomAccessFile("/s"), "s"), original, name),
                  outcome)
            << name;
        AddOutcome(name, outcome, &outcomes);
      });
  return outcomes;
}

TEST(BadShardsTest, EachHasTheOutcomeThatIsListed) {
  const OutcomeList outcomes = RunAll();
  EXPECT_EQ(CompareOutcomes(outcomes, ReadOutcomes(kList)), "");
  EXPECT_GE(outcomes.size(), 600u);
  int refused = 0;
  for (const auto& [name, outcome] : outcomes) {
    if (outcome == "DATA_LOSS SHARD_BAD") ++refused;
    // Only who makes the digests right can make others believe other facts.
    if (!absl::StartsWith(name, "lie/")) {
      EXPECT_NE(outcome, "opens: other facts") << name;
      EXPECT_NE(outcome, "opens: all is true") << name;
    }
  }
  EXPECT_GE(refused, 600);
}

// Writes the list anew, for a person to read its difference:
//   formats_shard_test --gtest_also_run_disabled_tests --gtest_filter='*WritesTheList'
TEST(BadShardsTest, DISABLED_WritesTheList) {
  WriteOutcomes(RunAll(), kList);
  EXPECT_FALSE(ReadOutcomes(kList).empty());
}

}  // namespace
}  // namespace cvtrain::formats
