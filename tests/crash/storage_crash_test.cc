// Storage as a whole, cut off at every operation of the disk, with every kind of fault, and with
// bytes damaged at rest; and the proof that these tests would notice a bug.
//
//   storage_crash_test [--stride=N] [--corruptions=N] [--seed=N]
//
// Stride 1 tries every operation; N every Nth, beginning with the seed's remainder.

#include <algorithm>
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

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
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
                  absl::StartsWith(violation, "lost: checkpoint "))
          << violation;
    }
    refused += violations.empty() ? 0 : 1;
  }
  std::cout << corruptions << " corruptions, " << refused << " refused, the others harmless\n";
  EXPECT_GT(refused, static_cast<int>(corruptions / 4));
}

// --- Do these tests notice? ---------------------------------------------------

struct PlantedBug {
  const char* name;
  LyingFileSystem::Forget forget;
  // What a check must say for the bug to be noticed.
  const char* noticed_as;
  WorkloadOptions options = {};
};

bool Says(const std::vector<std::string>& violations, const std::string& text) {
  return std::any_of(violations.begin(), violations.end(), [&](const std::string& violation) {
    return absl::StrContains(violation, text);
  });
}

// Runs with a planted bug and power failures, until the checks say what `bug` is noticed as;
// returns all that they said.
std::vector<std::string> FindBug(const PlantedBug& bug) {
  const uint64_t count = OperationsOfARun();
  std::vector<std::string> said;
  for (uint64_t operation = 1; operation <= count && !Says(said, bug.noticed_as); operation += 17) {
    Machine machine;
    LyingFileSystem lying(machine.faulty, bug.forget);
    machine.faulty.PowerOffAt(operation);
    RunStorageWorkload(lying, machine.clock, bug.options, machine.oracle);
    machine.faulty.Crash(Unsynced::kDrop);
    const std::vector<std::string> violations = machine.Check();
    said.insert(said.end(), violations.begin(), violations.end());
  }
  return said;
}

// Forgets the operations that are called so, and no other.
LyingFileSystem::Forget Forget(std::string operation) {
  return [=](const std::string& asked) { return asked == operation; };
}

// Forgets to sync the files in `directory` whose names contain `part`.
LyingFileSystem::Forget ForgetFiles(std::string directory, std::string part) {
  return [=](const std::string& asked) {
    absl::string_view path = asked;
    return absl::ConsumePrefix(&path, "Sync ") && DirName(path) == directory &&
           absl::StrContains(BaseName(path), part);
  };
}

bool ForgetNothing(const std::string&) { return false; }

LyingFileSystem::Forget ForgetBoth(LyingFileSystem::Forget one, LyingFileSystem::Forget other) {
  return [=](const std::string& asked) { return one(asked) || other(asked); };
}

const LyingFileSystem::Forget kForgetLog = ForgetFiles("/state/db", ".log");

// Where storage itself sees that something is missing it says so, and that is how the bug is
// noticed. HEAD is there to see that the log is gone, so its bug comes with that of the log.
//
// Two syncs are missing here, because nothing acknowledged hangs on them: that of uploads/, after a
// shard was moved out of it (its old name may come back), and that of tables in staging/ (RocksDB
// syncs them again when it takes them).
std::vector<PlantedBug> PlantedBugs() {
  return {
      {"LogIsNotSynced", kForgetLog, "rows are lost"},
      {"LogAndHeadAreNotSynced", ForgetBoth(kForgetLog, Forget("Sync /state/HEAD")),
       "lost: the journal ends at"},
      {"NewHeadIsNotSynced", Forget("Sync /state/HEAD.tmp"), "neither slot has its checksum"},
      {"TablesAreNotSynced", ForgetFiles("/state/db", ".sst"), "file is too short"},
      {"ManifestIsNotSynced", ForgetFiles("/state/db", "MANIFEST"),
       "last_sequence entry in MANIFEST"},
      {"DatabaseFolderIsNotSynced", Forget("SyncDir /state/db"),
       "CURRENT: missing, but HEAD knows"},
      {"StateFolderIsNotSynced", Forget("SyncDir /state"), "lost: the journal ends at 0"},
      {"ShardsAreNotSynced", ForgetFiles("/state/uploads", ""), "its file has 0 of 3000 bytes"},
      {"ShardsFolderIsNotSynced", Forget("SyncDir /state/shards"), "its file is missing"},
      {"CommitsAreAcknowledgedBeforeTheSync",
       ForgetNothing,
       "lost: metrics have",
       {.eager_committer = true}},
      {"RecordsAreAcknowledgedBeforeTheSync",
       ForgetNothing,
       "lost: the journal ends at",
       {.eager_journal = true}},
  };
}

void PrintTo(const PlantedBug& bug, std::ostream* out) { *out << bug.name; }

class PlantedBugTest : public ::testing::TestWithParam<PlantedBug> {};

TEST_P(PlantedBugTest, IsCaught) {
  const std::vector<std::string> said = FindBug(GetParam());
  EXPECT_TRUE(Says(said, GetParam().noticed_as))
      << "these tests do not notice; they said: " << absl::StrJoin(said, "; ");
}

// Runs to the end, when HEAD knows everything, and loses power; then compares.
std::vector<std::string> CheckAfterTheEnd(const LyingFileSystem::Forget& forget) {
  Machine machine;
  LyingFileSystem lying(machine.faulty, forget);
  const auto lose_power = [&] { machine.faulty.PowerOffAt(machine.faulty.operations() + 1); };
  RunStorageWorkload(lying, machine.clock, {.at_end = lose_power}, machine.oracle);
  machine.faulty.Crash(Unsynced::kDrop);
  return machine.Check();
}

TEST(StorageCrashTest, HeadRefusesALogThatIsGoneAndOnlyIfItIsSynced) {
  EXPECT_THAT(CheckAfterTheEnd(ForgetNothing), IsEmpty());
  EXPECT_THAT(CheckAfterTheEnd(kForgetLog),
              ElementsAre(AllOf(HasSubstr("refused: "), HasSubstr("JOURNAL_BEHIND"))));
  EXPECT_THAT(CheckAfterTheEnd(ForgetBoth(kForgetLog, Forget("Sync /state/HEAD"))),
              Contains(HasSubstr("lost: the journal ends at")));
}

TEST(StorageCrashTest, WithoutABugNothingIsCaught) {
  EXPECT_THAT(FindBug({"None", ForgetNothing, "anything"}), IsEmpty());
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
