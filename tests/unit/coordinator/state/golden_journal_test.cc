// What released coordinators have written must be read for ever: a journal with every kind of
// event, and the state that it led to, as bytes in tests/golden. A test that fails here means that
// a cluster would not come up after an upgrade.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/text.h"
#include "coordinator/state/cluster_state.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/state_driver.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;

constexpr char kPath[] = "tests/golden/journal_v1.txt";

v1::CommitDatasetVersionRequest Photos() {
  return cvtrain::testing::ParseTextProto<v1::CommitDatasetVersionRequest>(
      absl::StrCat("dataset: 'photos' version { digest: '", std::string(64, 'd'),
                   "' classes: 'glass' splits { name: 'train' images: 5 class_images: 5 } "
                   "shards { split: 'train' images: 5 size_bytes: 100 digest: '",
                   std::string(64, 'e'), "' } }"));
}

// A history with every kind of event, and of fact, that this release writes.
StateDriver History() {
  StateDriver driver;
  driver.Register("w1", 2);
  driver.Register("w2", 1);
  CVT_CHECK_OK(driver.Commit(DecideCommitDataset(driver.state, Photos(), driver.now)).status());
  CVT_CHECK_OK(driver.Create(SyntheticSpec("sweep", LinearSearch(3, 2, /*patience=*/1))).status());
  CVT_CHECK_OK(driver.Allocate(1, 1, {{"w1", 0}}).status());
  driver.Start(1, 1, "w1");
  driver.Evaluate(1, 1, "w1", 10, 40);
  CVT_CHECK_OK(driver.Save(1, 1, "w1", 1, 10).status());
  CVT_CHECK_OK(driver
                   .Facts(1, 1, "w1",
                          {"stage { stage: 0 steps: 10 duration { seconds: 2 } "
                           "images: 160 peak_memory_bytes: 1000000 }"})
                   .status());
  driver.now += absl::Seconds(5);
  CVT_CHECK_OK(driver.Save(1, 1, "w1", 2, 20).status());
  CVT_CHECK_OK(driver.Allocate(1, 2, {{"w2", 0}}).status());
  CVT_CHECK_OK(driver.Lose("w2").status());
  driver.End(1, 1, "w1", "INTERNAL", "a crash");
  CVT_CHECK_OK(driver.Allocate(1, 1, {{"w1", 1}}).status());
  CVT_CHECK_OK(driver
                   .Facts(1, 1, "w1",
                          {absl::StrCat("ended { cause: CAUSE_INTERNAL damaged_checkpoint: "
                                        "'checkpoints/",
                                        StateDriver::Checkpoint(2), "' }")})
                   .status());
  driver.now += absl::Minutes(1);
  driver.Run(1, 1, "w1", 41);
  CVT_CHECK_OK(driver.CancelTrial(1, 2).status());
  CVT_CHECK_OK(driver.Create(SyntheticSpec("other")).status());
  CVT_CHECK_OK(driver.Allocate(2, 1, {{"w1", 0}}).status());
  CVT_CHECK_OK(driver.CancelExperiment(2).status());
  driver.End(2, 1, "w1", "CANCELLED");
  CVT_CHECK_OK(driver.Import(3).status());
  CVT_CHECK_OK(driver.Import(4).status());
  CVT_CHECK_OK(driver.Delete(3).status());
  CVT_CHECK_OK(
      driver.Create(SpecFrom("tuned", "checkpoints/" + StateDriver::Checkpoint(4))).status());
  CVT_CHECK_OK(driver.Hold(3).status());
  CVT_CHECK_OK(driver.Allocate(3, 1, {{"w1", 0}}).status());
  CVT_CHECK_OK(driver.Preempt(3, 1).status());
  CVT_CHECK_OK(driver.Cordon("w1").status());
  CVT_CHECK_OK(driver.Remove("w2").status());
  return driver;
}

struct Golden {
  std::vector<storage::v1::Event> events;
  storage::v1::Snapshot snapshot;
  std::string fingerprint;
};

// Lines: `event HEX`, then `snapshot HEX`, then `fingerprint HEX`.
Golden ReadGolden() {
  Golden golden;
  std::ifstream file(kPath);
  CVT_CHECK(file.is_open()) << "run in the root of the repository";
  std::string kind;
  std::string hex;
  while (file >> kind >> hex) {
    if (kind == "fingerprint") {
      golden.fingerprint = hex;
      continue;
    }
    const std::string bytes = *HexDecode(hex);
    CVT_CHECK(kind == "event" ? golden.events.emplace_back().ParseFromString(bytes)
                              : golden.snapshot.ParseFromString(bytes));
  }
  return golden;
}

TEST(GoldenJournalTest, AnOldJournalLeadsToTheStateThatItLedTo) {
  const Golden golden = ReadGolden();
  ASSERT_GT(golden.events.size(), 15u);
  ClusterState state;
  for (const storage::v1::Event& event : golden.events) ASSERT_THAT(state.Apply(event), IsOk());
  EXPECT_EQ(HexEncode(state.Fingerprint()), golden.fingerprint);
}

TEST(GoldenJournalTest, AnOldSnapshotIsTheStateThatItWas) {
  const Golden golden = ReadGolden();
  CVT_ASSERT_OK_AND_ASSIGN(const ClusterState state, ClusterState::FromSnapshot(golden.snapshot));
  EXPECT_EQ(HexEncode(state.Fingerprint()), golden.fingerprint);
}

TEST(GoldenJournalTest, HoldsEveryKindOfEventAndOfFact) {
  std::set<int> events;
  std::set<int> facts;
  for (const storage::v1::Event& event : ReadGolden().events) {
    events.insert(event.kind_case());
    for (const storage::v1::Fact& fact : event.facts_reported().facts()) {
      facts.insert(fact.kind_case());
    }
  }
  const auto kinds_of = [](const google::protobuf::Descriptor& message) {
    return static_cast<size_t>(message.oneof_decl(0)->field_count());
  };
  // The search advances by itself, in the engine, only where a search is wider than one event.
  EXPECT_EQ(events.size(), kinds_of(*storage::v1::Event::descriptor()) - 1);
  EXPECT_EQ(facts.size(), kinds_of(*storage::v1::Fact::descriptor()));
}

// Makes the file anew, with a release that adds a kind of event:
//   coordinator_state_test --gtest_also_run_disabled_tests --gtest_filter='*WritesTheGoldenFile'
TEST(GoldenJournalTest, DISABLED_WritesTheGoldenFile) {
  const StateDriver driver = History();
  std::ofstream file(kPath);
  for (const storage::v1::Event& event : driver.events) {
    file << "event " << HexEncode(event.SerializeAsString()) << "\n";
  }
  file << "snapshot " << HexEncode(driver.state.ToSnapshot().SerializeAsString()) << "\n";
  file << "fingerprint " << HexEncode(driver.state.Fingerprint()) << "\n";
  EXPECT_TRUE(file.good());
}

}  // namespace
}  // namespace cvtrain::coordinator
