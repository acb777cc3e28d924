// What only one implementation of FileSystem does: links on the real disk, crashes in
// memory, faults on request.
#include "common/file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::FakeClock;
using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ReasonIs = ::cvtrain::testing::Reason;
using Fault = FaultyFileSystem::Fault;
using Unsynced = InMemoryFileSystem::Unsynced;

TEST(PathTest, SplitsAndJoins) {
  EXPECT_EQ(JoinPath("a/b", "c"), "a/b/c");
  EXPECT_EQ(JoinPath("/", "c"), "/c");
  EXPECT_EQ(JoinPath("", "c"), "c");
  EXPECT_EQ(DirName("a/b/c"), "a/b");
  EXPECT_EQ(DirName("c"), ".");
  EXPECT_EQ(DirName("/c"), "/");
  EXPECT_EQ(BaseName("a/b/c"), "c");
  EXPECT_EQ(BaseName("c"), "c");
}

TEST(PosixFileSystemTest, OpenBeneathRefusesLinks) {
  TempDir dir;
  CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "root/d"));
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "secret", "x"));
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "root/d/a", "x"));
  ASSERT_EQ(::symlink((dir / "secret").c_str(), (dir / "root/link").c_str()), 0);
  ASSERT_EQ(::symlink("d", (dir / "root/inner").c_str()), 0);
  for (const absl::string_view name : {"link", "inner/a"}) {
    EXPECT_THAT(PosixFileSystem().OpenBeneath(dir / "root", name),
                StatusIs(absl::StatusCode::kPermissionDenied, ReasonIs("FILE_FORBIDDEN")))
        << name;
  }
}

TEST(PosixFileSystemTest, APipeIsNoFileAndDoesNotBlock) {
  TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(PosixFileSystem().NewRandomAccessFile(dir / "pipe"),
              StatusIs(absl::StatusCode::kFailedPrecondition, ReasonIs("WRONG_STATE")));
  EXPECT_THAT(PosixFileSystem().OpenBeneath(dir.path(), "pipe"),
              StatusIs(absl::StatusCode::kFailedPrecondition, ReasonIs("WRONG_STATE")));
}

TEST(PosixFileSystemTest, RemoveAllDoesNotFollowLinks) {
  TempDir dir;
  CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "tree"));
  CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "other"));
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "other/a", "x"));
  ASSERT_EQ(::symlink((dir / "other").c_str(), (dir / "tree/link").c_str()), 0);
  CVT_ASSERT_OK(PosixFileSystem().RemoveAll(dir / "tree"));
  EXPECT_THAT(Exists(PosixFileSystem(), dir / "other/a"), IsOkAndHolds(true));
}

TEST(PosixFileSystemTest, AFullDeviceIsDiskFullWithThePath) {
  CVT_ASSERT_OK_AND_ASSIGN(auto file, PosixFileSystem().NewWritableFile("/dev/full", {}));
  CVT_ASSERT_OK(file->Append("x"));
  EXPECT_THAT(file->Flush(), StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("DISK_FULL"),
                                      Message(HasSubstr("/dev/full"))));
}

TEST(PosixFileSystemTest, NewFilesHaveThePermissionsAskedFor) {
  TempDir dir;
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "token", "x", 0600));
  struct stat info = {};
  ASSERT_EQ(::stat((dir / "token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST(PosixFileSystemTest, CloseGivesBackWhatWasPreallocated) {
  TempDir dir;
  WritableFileOptions options;
  options.preallocate_bytes = 8 << 20;
  CVT_ASSERT_OK_AND_ASSIGN(const auto file, PosixFileSystem().NewWritableFile(dir / "a", options));
  CVT_ASSERT_OK(file->Append("short"));
  CVT_ASSERT_OK(file->Close());
  struct stat info = {};
  ASSERT_EQ(::stat((dir / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_size, 5);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
}

TEST(PosixFileSystemTest, AFileReadsThroughADescriptor) {
  TempDir dir;
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "a", "shard"));
  CVT_ASSERT_OK_AND_ASSIGN(const auto file, PosixFileSystem().NewRandomAccessFile(dir / "a"));
  UniqueFd copy(::fcntl(file->descriptor(), F_DUPFD_CLOEXEC, 0));
  const auto same = RandomAccessFileFromDescriptor(std::move(copy), "shard 3");
  std::string buffer(5, '?');
  EXPECT_THAT(same->Read(0, absl::MakeSpan(buffer)), IsOkAndHolds(5u));
  EXPECT_EQ(buffer, "shard");
}

TEST(InMemoryFileSystemTest, ModificationTimesComeFromTheClock) {
  FakeClock clock;
  InMemoryFileSystem files(clock);
  CVT_ASSERT_OK(WriteFileAtomic(files, "/a", "x"));
  clock.Advance(absl::Hours(1));
  CVT_ASSERT_OK(WriteFileAtomic(files, "/b", "x"));
  CVT_ASSERT_OK_AND_ASSIGN(const FileInfo a, files.Stat("/a"));
  CVT_ASSERT_OK_AND_ASSIGN(const FileInfo b, files.Stat("/b"));
  EXPECT_EQ(b.modified - a.modified, absl::Hours(1));
}

TEST(InMemoryFileSystemTest, ACrashDropsBytesThatWereNotSynced) {
  InMemoryFileSystem files;
  CVT_ASSERT_OK(WriteFileAtomic(files, "/a", "old"));
  WritableFileOptions append;
  append.mode = WritableFileOptions::Mode::kAppend;
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewWritableFile("/a", append));
  CVT_ASSERT_OK(file->Append(" new"));
  CVT_ASSERT_OK(file->Flush());  // survives the process, not the machine
  files.Crash(Unsynced::kDrop);
  EXPECT_THAT(ReadFile(files, "/a"), IsOkAndHolds(std::string("old")));
  EXPECT_THAT(file->Append("x"),
              StatusIs(absl::StatusCode::kUnavailable, ReasonIs("STORAGE_FAILED")));
}

TEST(InMemoryFileSystemTest, ACrashDropsNamesThatWereNotSynced) {
  InMemoryFileSystem files;
  CVT_ASSERT_OK(WriteFileAtomic(files, "/a", "old"));
  CVT_ASSERT_OK(WriteFileAtomic(files, "/b", "other"));
  CVT_ASSERT_OK(files.Rename("/b", "/a"));
  files.Crash(Unsynced::kDrop);
  EXPECT_THAT(ReadFile(files, "/a"), IsOkAndHolds(std::string("old")));
  EXPECT_THAT(ReadFile(files, "/b"), IsOkAndHolds(std::string("other")));

  CVT_ASSERT_OK(files.Rename("/b", "/a"));
  CVT_ASSERT_OK(files.SyncDir("/"));
  files.Crash(Unsynced::kDrop);
  EXPECT_THAT(ReadFile(files, "/a"), IsOkAndHolds(std::string("other")));
  EXPECT_THAT(Exists(files, "/b"), IsOkAndHolds(false));
}

TEST(InMemoryFileSystemTest, ACrashTearsWritesAtSectors) {
  InMemoryFileSystem files;
  CVT_ASSERT_OK(WriteFileAtomic(files, "/a", std::string(2'048, 'o')));
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewReadWriteFile("/a"));
  CVT_ASSERT_OK(file->WriteAt(0, std::string(2'048, 'n')));
  files.Crash(Unsynced::kTear);
  CVT_ASSERT_OK_AND_ASSIGN(const std::string torn, ReadFile(files, "/a"));
  EXPECT_EQ(torn, std::string(512, 'n') + std::string(512, 'o') + std::string(512, 'n') +
                      std::string(512, 'o'));
}

TEST(InMemoryFileSystemTest, ACrashMayKeepEverything) {
  InMemoryFileSystem files;
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewWritableFile("/a", {}));
  CVT_ASSERT_OK(file->Append("lucky"));
  files.Crash(Unsynced::kKeep);
  EXPECT_THAT(ReadFile(files, "/a"), IsOkAndHolds(std::string("lucky")));
}

TEST(InMemoryFileSystemTest, ACrashReleasesLocks) {
  InMemoryFileSystem files;
  CVT_ASSERT_OK_AND_ASSIGN(auto dead, files.LockFile("/LOCK"));
  files.Crash(Unsynced::kKeep);
  CVT_ASSERT_OK_AND_ASSIGN(auto lock, files.LockFile("/LOCK"));
  dead.reset();  // of an earlier life: must not release ours
  EXPECT_THAT(files.LockFile("/LOCK"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(InMemoryFileSystemTest, TheQuotaIsTheDisk) {
  InMemoryFileSystem files;
  files.SetQuota(10);
  CVT_ASSERT_OK(WriteFileAtomic(files, "/a", "12345678"));
  EXPECT_EQ(files.used_bytes(), 8u);
  EXPECT_THAT(files.FreeSpace("/"), IsOkAndHolds(2u));
  EXPECT_THAT(WriteFileAtomic(files, "/b", "123"),
              StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("DISK_FULL"),
                       Message(HasSubstr("/b"))));
  WritableFileOptions large;
  large.preallocate_bytes = 100;
  EXPECT_THAT(files.NewWritableFile("/c", large), StatusIs(absl::StatusCode::kResourceExhausted));
  CVT_ASSERT_OK(files.Remove("/a"));
  EXPECT_THAT(WriteFileAtomic(files, "/b", "123"), IsOk());
}

// The promise of WriteFileAtomic, at every operation and for each fate of unsynced bytes.
TEST(FaultyFileSystemTest, WriteFileAtomicIsOldOrNewAfterAnyCrash) {
  uint64_t operations = 0;
  {
    InMemoryFileSystem memory;
    FaultyFileSystem files(memory);
    CVT_ASSERT_OK(WriteFileAtomic(files, "/a", "new"));
    operations = files.operations();
  }
  for (const Unsynced unsynced : {Unsynced::kDrop, Unsynced::kKeep, Unsynced::kTear}) {
    for (uint64_t at = 1; at <= operations + 1; ++at) {
      InMemoryFileSystem memory;
      FaultyFileSystem files(memory);
      CVT_ASSERT_OK(WriteFileAtomic(memory, "/a", "old"));
      files.PowerOffAt(at);
      const bool acknowledged = WriteFileAtomic(files, "/a", "new").ok();
      EXPECT_EQ(acknowledged, at > operations);
      files.Crash(unsynced);
      CVT_ASSERT_OK_AND_ASSIGN(const std::string content, ReadFile(files, "/a"));
      if (acknowledged) {
        EXPECT_EQ(content, "new");
      } else {
        EXPECT_THAT(content, AnyOf("old", "new")) << "crash at " << at;
      }
    }
  }
}

TEST(FaultyFileSystemTest, WriteFileAtomicReportsEveryFault) {
  for (const Fault fault :
       {Fault::kDeviceError, Fault::kDiskFull, Fault::kShortWrite, Fault::kErrorAfter}) {
    for (uint64_t at = 1; at <= 6; ++at) {
      InMemoryFileSystem memory;
      FaultyFileSystem files(memory);
      files.FailOperation(at, fault);
      EXPECT_FALSE(WriteFileAtomic(files, "/a", "new").ok()) << at;
    }
  }
}

TEST(FaultyFileSystemTest, TheFaultIsTheOneAskedFor) {
  InMemoryFileSystem memory;
  FaultyFileSystem files(memory);
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewWritableFile("/a", {}));  // operation 1
  files.FailOperation(2, Fault::kDiskFull);
  EXPECT_THAT(file->Append("1234"),
              StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("DISK_FULL")));
  EXPECT_THAT(ReadFile(memory, "/a"), IsOkAndHolds(std::string()));
  files.FailOperation(3, Fault::kShortWrite);
  EXPECT_THAT(file->Append("1234"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(ReadFile(memory, "/a"), IsOkAndHolds(std::string("12")));
  files.FailOperation(4, Fault::kErrorAfter);
  EXPECT_THAT(file->Append("34"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(ReadFile(memory, "/a"), IsOkAndHolds(std::string("1234")));
  EXPECT_THAT(file->Append("5"), IsOk());
  EXPECT_EQ(files.operations(), 5u);
}

TEST(FaultyFileSystemTest, StickyFaultsGoOnUntilCleared) {
  InMemoryFileSystem memory;
  FaultyFileSystem files(memory);
  files.FailOperation(2, Fault::kDeviceError, /*sticky=*/true);
  EXPECT_THAT(files.CreateDir("/a"), IsOk());
  EXPECT_FALSE(files.CreateDir("/b").ok());
  EXPECT_FALSE(files.ListDir("/").ok());
  files.ClearFaults();
  EXPECT_THAT(files.ListDir("/"), IsOk());
}

TEST(FaultyFileSystemTest, FaultsCanBeChosenByWhatIsDone) {
  InMemoryFileSystem memory;
  FaultyFileSystem files(memory);
  files.FailMatching([](absl::string_view operation) { return operation == "Sync /a.tmp"; },
                     Fault::kDeviceError);
  EXPECT_THAT(WriteFileAtomic(files, "/a", "x"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(WriteFileAtomic(files, "/b", "x"), IsOk());
  EXPECT_THAT(files.Trace(), ::testing::Contains("Rename /b.tmp /b"));
}

TEST(FaultyFileSystemTest, TheQuotaCountsBytesWritten) {
  InMemoryFileSystem memory;
  FaultyFileSystem files(memory);
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewReadWriteFile("/a"));
  files.SetQuota(4);
  CVT_ASSERT_OK(file->WriteAt(0, "1234"));
  EXPECT_THAT(file->WriteAt(0, "5"),
              StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("DISK_FULL")));
}

}  // namespace
}  // namespace cvtrain
