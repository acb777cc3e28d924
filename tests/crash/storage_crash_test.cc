// Storage as a whole, cut off at every operation of the disk, with every kind of fault, and with
// bytes damaged at rest; and the proof that these tests would notice a bug.
//
//   storage_crash_test [--stride=N] [--corruptions=N] [--seed=N]
//
// Stride 1 tries every operation; N every Nth, beginning with the seed's remainder.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/faulty_file_system.h"
#include "common/log.h"
#include "common/memory_file_system.h"
#include "common/random.h"
#include "common/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/crash/lying_file_system.h"
#include "tests/crash/storage_workload.h"
#include "tests/support/fake_clock.h"
#include "tests/support/seed.h"

namespace cvtrain::coordinator {
namespace {

using ::testing::IsEmpty;
using Unsynced = InMemoryFileSystem::Unsynced;
using Fault = FaultyFileSystem::Fault;

uint64_t stride = 41;
uint64_t corruptions = 120;

// A machine: a disk in memory that can fail and lose power.
struct Machine {
  testing::FakeClock clock;
  InMemoryFileSystem disk{clock};
  FaultyFileSystem faulty{disk};
  StorageOracle oracle;

  void Run(const WorkloadOptions& options = {}) {
    RunStorageWorkload(faulty, clock, options, oracle);
  }
  std::vector<std::string> Check() { return CheckStorage(faulty, clock, oracle); }
};

uint64_t OperationsOfARun() {
  Machine machine;
  machine.Run();
  EXPECT_EQ(machine.oracle.checkpoints_acknowledged.size(), 4u) << "the workload did not finish";
  return machine.faulty.operations();
}

std::vector<uint64_t> OperationsToTry() {
  std::vector<uint64_t> operations;
  const uint64_t count = OperationsOfARun();
  for (uint64_t operation = 1 + testing::TestSeed() % stride; operation <= count;
       operation += stride) {
    operations.push_back(operation);
  }
  std::cout << operations.size() << " of " << count << " operations\n";
  return operations;
}

TEST(StorageCrashTest, NothingIsLostWithoutACrash) {
  Machine machine;
  machine.Run();
  EXPECT_THAT(machine.Check(), IsEmpty());
}

TEST(StorageCrashTest, NothingAcknowledgedIsLostWhereverPowerFails) {
  for (uint64_t operation : OperationsToTry()) {
    for (Unsynced unsynced : {Unsynced::kDrop, Unsynced::kKeep}) {
      SCOPED_TRACE(absl::StrCat("operation ", operation, " unsynced ", static_cast<int>(unsynced)));
      Machine machine;
      machine.faulty.PowerOffAt(operation);
      machine.Run();
      machine.faulty.Crash(unsynced);
      ASSERT_THAT(machine.Check(), IsEmpty());
    }
  }
}

// Garbage at the end of a log cannot be told from damage: it is refused, never taken.
TEST(StorageCrashTest, TornSectorsAreRefusedOrDropped) {
  int refused = 0;
  for (uint64_t operation : OperationsToTry()) {
    SCOPED_TRACE(absl::StrCat("operation ", operation));
    Machine machine;
    machine.faulty.PowerOffAt(operation);
    machine.Run();
    machine.faulty.Crash(Unsynced::kTear);
    const std::vector<std::string> violations = machine.Check();
    for (const std::string& violation : violations) {
      ASSERT_TRUE(absl::StartsWith(violation, "refused: ") &&
                  absl::StrContains(violation, "DATA_LOSS"))
          << violation;
    }
    refused += violations.empty() ? 0 : 1;
  }
  std::cout << refused << " refused\n";
}

TEST(StorageCrashTest, NothingAcknowledgedIsLostAfterAnErrorAnywhere) {
  const std::vector<uint64_t> operations = OperationsToTry();
  for (Fault fault :
       {Fault::kDeviceError, Fault::kDiskFull, Fault::kShortWrite, Fault::kErrorAfter}) {
    for (uint64_t operation : operations) {
      SCOPED_TRACE(absl::StrCat("operation ", operation, " fault ", static_cast<int>(fault)));
      Machine machine;
      machine.faulty.FailOperation(operation, fault);
      machine.Run();
      machine.faulty.Crash(operation % 2 == 0 ? Unsynced::kDrop : Unsynced::kKeep);
      ASSERT_THAT(machine.Check(), IsEmpty());
    }
  }
}

TEST(StorageCrashTest, NothingAcknowledgedIsLostWhenTheDiskFillsUp) {
  Machine whole;
  whole.Run();
  const uint64_t used = whole.disk.used_bytes();
  for (uint64_t level = 1; level <= 12; ++level) {
    SCOPED_TRACE(absl::StrCat("level ", level, " of 12"));
    Machine machine;
    machine.faulty.SetQuota(level * used / 10);
    machine.Run();
    machine.faulty.SetQuota(~uint64_t{0} >> 1);  // somebody made room
    EXPECT_THAT(machine.Check(), IsEmpty());
  }
}

// --- Damage at rest -----------------------------------------------------------

std::vector<std::string> FilesBelow(FileSystem& files, const std::string& directory) {
  std::vector<std::string> paths;
  const std::vector<std::string> names = files.ListDir(directory).value();
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    if (files.Stat(path)->type == FileInfo::Type::kDirectory) {
      const std::vector<std::string> below = FilesBelow(files, path);
      paths.insert(paths.end(), below.begin(), below.end());
    } else {
      paths.push_back(path);
    }
  }
  return paths;
}

void CopyFiles(FileSystem& from, FileSystem& to) {
  for (const std::string& path : FilesBelow(from, "/state")) {
    CVT_CHECK_OK(to.CreateDir(DirName(path)));
    CVT_CHECK_OK(WriteFileAtomic(to, path, ReadFile(from, path).value()));
  }
}

// Damages one file and says how.
std::string Damage(FileSystem& files, KeyedStream& random) {
  const std::vector<std::string> paths = FilesBelow(files, "/state");
  const std::string path = paths[random.UniformInt(paths.size())];
  std::string bytes = ReadFile(files, path).value();
  const uint64_t kind = random.UniformInt(10);
  if (kind == 0) {
    CVT_CHECK_OK(files.Remove(path));
    return "removed " + path;
  }
  if (bytes.empty()) {
    return "nothing";
  }
  const size_t at = random.UniformInt(bytes.size());
  if (kind == 1) {
    bytes.resize(at);
  } else if (kind == 2) {
    for (size_t i = at; i < std::min(bytes.size(), at + 4096); ++i) {
      bytes[i] = '\0';
    }
  } else if (kind == 3) {
    const std::string other = paths[random.UniformInt(paths.size())];
    const std::string other_bytes = ReadFile(files, other).value();
    CVT_CHECK_OK(WriteFileAtomic(files, other, bytes));
    CVT_CHECK_OK(WriteFileAtomic(files, path, other_bytes));
    return absl::StrCat("swapped ", path, " and ", other);
  } else {
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.UniformInt(8)));
  }
  CVT_CHECK_OK(WriteFileAtomic(files, path, bytes));
  return absl::StrCat(kind == 1 ? "cut " : kind == 2 ? "zeroed " : "flipped ", path, " at ", at);
}

TEST(StorageDamageTest, DamageIsRefusedOrHarmlessNeverSilent) {
  // Two states to damage: killed in the middle of its work (a log), and after an orderly end (all
  // in tables). HEAD knows all of both: what it does not know yet could be cut off unnoticed.
  Machine killed;
  Machine ended;
  ended.Run({.at_end = [&] { CopyFiles(ended.disk, killed.disk); }});
  killed.oracle = ended.oracle;
  KeyedStream random("test/v1", {testing::TestSeed()});
  int refused = 0;
  for (uint64_t i = 0; i < corruptions; ++i) {
    Machine& source = i % 2 == 0 ? ended : killed;
    Machine machine;
    CopyFiles(source.disk, machine.disk);
    machine.oracle = source.oracle;
    machine.clock.Advance(absl::Hours(1));
    const std::string damage = Damage(machine.disk, random);
    SCOPED_TRACE(absl::StrCat("corruption ", i, ": ", damage));
    const std::vector<std::string> violations = machine.Check();
    for (const std::string& violation : violations) {
      // A checkpoint that is gone is no silence: its event is there, and who reads it hears.
      EXPECT_TRUE(absl::StartsWith(violation, "refused: ") ||
                  absl::StartsWith(violation, "an acknowledged checkpoint is lost"))
          << violation;
    }
    refused += violations.empty() ? 0 : 1;
  }
  std::cout << corruptions << " corruptions, " << refused << " refused, the others harmless\n";
  EXPECT_GT(refused, static_cast<int>(corruptions / 4));
}

// --- Do these tests notice? ---------------------------------------------------

// Runs with a planted bug and power failures; returns what the checks said.
std::vector<std::string> FindBug(const LyingFileSystem::Forget& forget,
                                 const WorkloadOptions& options) {
  const uint64_t count = OperationsOfARun();
  std::vector<std::string> violations;
  for (uint64_t operation = 1; operation <= count && violations.empty(); operation += 17) {
    Machine machine;
    LyingFileSystem lying(machine.faulty, forget);
    machine.faulty.PowerOffAt(operation);
    RunStorageWorkload(lying, machine.clock, options, machine.oracle);
    machine.faulty.Crash(Unsynced::kDrop);
    violations = machine.Check();
  }
  return violations;
}

struct PlantedBug {
  const char* name;
  LyingFileSystem::Forget forget;
  WorkloadOptions options;
};

std::vector<PlantedBug> PlantedBugs() {
  const auto sync_of = [](std::string prefix, std::string part) {
    return [=](const std::string& operation) {
      return absl::StartsWith(operation, prefix) && absl::StrContains(operation, part);
    };
  };
  const auto nothing = [](const std::string&) { return false; };
  return {
      {"LogIsNotSynced", sync_of("Sync ", ".log"), {}},
      {"TablesAreNotSynced", sync_of("Sync ", ".sst"), {}},
      {"ManifestIsNotSynced", sync_of("Sync ", "MANIFEST"), {}},
      {"DatabaseFolderIsNotSynced", sync_of("SyncDir ", "/state/db"), {}},
      {"StateFolderIsNotSynced", sync_of("SyncDir ", "/state"), {}},
      {"ShardsAreNotSynced", sync_of("Sync ", "/state/uploads/"), {}},
      {"ShardsFolderIsNotSynced", sync_of("SyncDir ", "/state/shards"), {}},
      {"MetricsAreAcknowledgedBeforeTheCommit", nothing, {.acknowledge_before_commit = true}},
      {"RecordsAreAcknowledgedBeforeTheSync", nothing, {.acknowledge_before_append = true}},
  };
}

class PlantedBugTest : public ::testing::TestWithParam<PlantedBug> {};

TEST_P(PlantedBugTest, IsCaught) {
  const std::vector<std::string> violations = FindBug(GetParam().forget, GetParam().options);
  EXPECT_FALSE(violations.empty()) << "these tests do not notice";
  std::cout << GetParam().name << ": " << absl::StrJoin(violations, "; ") << "\n";
}

TEST(StorageCrashTest, WithoutABugNothingIsCaught) {
  EXPECT_THAT(FindBug([](const std::string&) { return false; }, {}), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugTest, ::testing::ValuesIn(PlantedBugs()),
                         [](const auto& bug) { return std::string(bug.param.name); });

}  // namespace
}  // namespace cvtrain::coordinator

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--stride=")) {
      CVT_CHECK(absl::SimpleAtoi(argument, &cvtrain::coordinator::stride)) << argv[i];
    } else if (absl::ConsumePrefix(&argument, "--corruptions=")) {
      CVT_CHECK(absl::SimpleAtoi(argument, &cvtrain::coordinator::corruptions)) << argv[i];
    }
  }
  // Thousands of planned failures are not worth a line each.
  cvtrain::SetLogSink([](const cvtrain::LogRecord&) {});
  return RUN_ALL_TESTS();
}
