// What every FileSystem promises, run on each of them.
#include <functional>
#include <memory>
#include <string>

#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/file_system.h"
#include "common/memory_file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ReasonIs = ::cvtrain::testing::Reason;

// A file system and a directory in it that is ours.
struct Place {
  virtual ~Place() = default;
  virtual FileSystem& files() = 0;
  virtual std::string root() = 0;
};

struct PosixPlace : Place {
  FileSystem& files() override { return PosixFileSystem(); }
  std::string root() override { return dir.path(); }
  TempDir dir;
};

struct MemoryPlace : Place {
  FileSystem& files() override { return memory; }
  std::string root() override { return "/"; }
  InMemoryFileSystem memory;
};

struct FaultyPlace : MemoryPlace {
  FileSystem& files() override { return faulty; }
  FaultyFileSystem faulty{memory};
};

struct Maker {
  std::string name;
  std::function<std::unique_ptr<Place>()> make;
};

class FileSystemConformanceTest : public ::testing::TestWithParam<Maker> {
 protected:
  std::string Path(const std::string& name) { return JoinPath(place_->root(), name); }

  void Write(const std::string& name, const std::string& data) {
    CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.NewWritableFile(Path(name), {}));
    CVT_ASSERT_OK(file->Append(data));
    CVT_ASSERT_OK(file->Close());
  }

  std::unique_ptr<Place> place_ = GetParam().make();
  FileSystem& files_ = place_->files();
};

TEST_P(FileSystemConformanceTest, ReadsBackWhatWasWritten) {
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.NewWritableFile(Path("a"), {}));
  CVT_ASSERT_OK(file->Append("hello "));
  CVT_ASSERT_OK(file->Append("world"));
  EXPECT_EQ(file->size(), 11u);
  CVT_ASSERT_OK(file->Flush());
  EXPECT_THAT(ReadFile(files_, Path("a")), IsOkAndHolds(std::string("hello world")));
  CVT_ASSERT_OK(file->Sync());
  CVT_ASSERT_OK(file->Close());
  EXPECT_THAT(file->Append("x"),
              StatusIs(absl::StatusCode::kFailedPrecondition, ReasonIs("WRONG_STATE")));
}

TEST_P(FileSystemConformanceTest, WritesLargeFilesDirectlyAndCutsWhatWasPreallocated) {
  std::string data;
  for (int i = 0; data.size() < (2 << 20) + 12'345; ++i) data += std::to_string(i) + ",";
  WritableFileOptions options;
  options.direct_io = true;
  options.preallocate_bytes = 4 << 20;
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.NewWritableFile(Path("a"), options));
  const absl::string_view view = data;
  CVT_ASSERT_OK(file->Append(view.substr(0, 1'000)));
  CVT_ASSERT_OK(file->Append(view.substr(1'000, 1'500'000)));
  CVT_ASSERT_OK(file->Flush());  // in mid-block: the rest cannot be aligned any more
  CVT_ASSERT_OK(file->Append(view.substr(1'501'000)));
  CVT_ASSERT_OK(file->Sync());
  CVT_ASSERT_OK(file->Close());
  EXPECT_THAT(ReadFile(files_, Path("a")), IsOkAndHolds(data));
}

TEST_P(FileSystemConformanceTest, ModesOfWritingDiffer) {
  Write("a", "one");
  WritableFileOptions append;
  append.mode = WritableFileOptions::Mode::kAppend;
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.NewWritableFile(Path("a"), append));
  EXPECT_EQ(file->size(), 3u);
  CVT_ASSERT_OK(file->Append("two"));
  CVT_ASSERT_OK(file->Close());
  EXPECT_THAT(ReadFile(files_, Path("a")), IsOkAndHolds(std::string("onetwo")));

  WritableFileOptions fresh;
  fresh.mode = WritableFileOptions::Mode::kCreateNew;
  EXPECT_THAT(files_.NewWritableFile(Path("a"), fresh),
              StatusIs(absl::StatusCode::kAlreadyExists, ReasonIs("FILE_EXISTS")));
  Write("a", "3");
  EXPECT_THAT(ReadFile(files_, Path("a")), IsOkAndHolds(std::string("3")));
}

TEST_P(FileSystemConformanceTest, ReadsAtAnyPlaceAndShortOnlyAtTheEnd) {
  Write("a", "0123456789");
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.NewRandomAccessFile(Path("a")));
  std::string buffer(4, '?');
  EXPECT_THAT(file->Read(3, absl::MakeSpan(buffer)), IsOkAndHolds(4u));
  EXPECT_EQ(buffer, "3456");
  EXPECT_THAT(file->Read(8, absl::MakeSpan(buffer)), IsOkAndHolds(2u));
  EXPECT_THAT(file->Read(10, absl::MakeSpan(buffer)), IsOkAndHolds(0u));
  EXPECT_THAT(file->Size(), IsOkAndHolds(10u));
}

TEST_P(FileSystemConformanceTest, ChangesFilesInPlace) {
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.NewReadWriteFile(Path("a")));
  CVT_ASSERT_OK(file->Allocate(8));
  EXPECT_THAT(file->Size(), IsOkAndHolds(8u));
  CVT_ASSERT_OK(file->WriteAt(4, "ab"));
  CVT_ASSERT_OK(file->WriteAt(8, "cd"));
  CVT_ASSERT_OK(file->Sync());
  std::string buffer(10, '?');
  EXPECT_THAT(file->ReadAt(0, absl::MakeSpan(buffer)), IsOkAndHolds(10u));
  EXPECT_EQ(buffer, std::string("\0\0\0\0ab\0\0cd", 10));
  CVT_ASSERT_OK(file->Allocate(5));
  EXPECT_THAT(file->Size(), IsOkAndHolds(5u));
  CVT_ASSERT_OK(file->Close());
  EXPECT_THAT(file->WriteAt(0, "x"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(FileSystemConformanceTest, MissingFilesAreNotFoundByName) {
  const auto not_found = StatusIs(absl::StatusCode::kNotFound, ReasonIs("FILE_NOT_FOUND"),
                                  Message(HasSubstr("missing")));
  EXPECT_THAT(files_.NewRandomAccessFile(Path("missing")), not_found);
  EXPECT_THAT(files_.NewWritableFile(Path("missing/a"), {}), not_found);
  EXPECT_THAT(files_.NewReadWriteFile(Path("missing/a")), not_found);
  EXPECT_THAT(files_.Stat(Path("missing")), not_found);
  EXPECT_THAT(files_.ListDir(Path("missing")), not_found);
  EXPECT_THAT(files_.Remove(Path("missing")), not_found);
  EXPECT_THAT(files_.Rename(Path("missing"), Path("b")), not_found);
  EXPECT_THAT(files_.SyncDir(Path("missing")), not_found);
  EXPECT_THAT(Exists(files_, Path("missing")), IsOkAndHolds(false));
  EXPECT_THAT(files_.RemoveAll(Path("missing")), IsOk());
}

TEST_P(FileSystemConformanceTest, DirectoriesAreMadeListedAndRemoved) {
  CVT_ASSERT_OK(files_.CreateDir(Path("d/e/f")));
  CVT_ASSERT_OK(files_.CreateDir(Path("d/e/f")));
  Write("d/b", "1");
  Write("d/a", "22");
  EXPECT_THAT(files_.ListDir(Path("d")), IsOkAndHolds(ElementsAre("a", "b", "e")));
  CVT_ASSERT_OK_AND_ASSIGN(const FileInfo directory, files_.Stat(Path("d")));
  EXPECT_EQ(directory.type, FileInfo::Type::kDirectory);
  CVT_ASSERT_OK_AND_ASSIGN(const FileInfo file, files_.Stat(Path("d/a")));
  EXPECT_EQ(file.type, FileInfo::Type::kFile);
  EXPECT_EQ(file.size_bytes, 2u);

  EXPECT_THAT(files_.Remove(Path("d")), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(files_.NewRandomAccessFile(Path("d")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(files_.NewWritableFile(Path("d"), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(files_.CreateDir(Path("d/a")), StatusIs(absl::StatusCode::kAlreadyExists));
  CVT_ASSERT_OK(files_.Remove(Path("d/e/f")));
  CVT_ASSERT_OK(files_.RemoveAll(Path("d")));
  EXPECT_THAT(Exists(files_, Path("d")), IsOkAndHolds(false));
}

TEST_P(FileSystemConformanceTest, RenameReplaces) {
  Write("a", "new");
  Write("b", "old");
  CVT_ASSERT_OK(files_.Rename(Path("a"), Path("b")));
  EXPECT_THAT(ReadFile(files_, Path("b")), IsOkAndHolds(std::string("new")));
  EXPECT_THAT(Exists(files_, Path("a")), IsOkAndHolds(false));
}

TEST_P(FileSystemConformanceTest, WriteFileAtomicReplacesAndLeavesNoTemporary) {
  CVT_ASSERT_OK(WriteFileAtomic(files_, Path("a"), "one"));
  CVT_ASSERT_OK(WriteFileAtomic(files_, Path("a"), "two"));
  EXPECT_THAT(ReadFile(files_, Path("a")), IsOkAndHolds(std::string("two")));
  EXPECT_THAT(files_.ListDir(place_->root()), IsOkAndHolds(ElementsAre("a")));
}

TEST_P(FileSystemConformanceTest, WriteFileAtomicLeavesTheOldFileIfItsContentCannotBeMade) {
  CVT_ASSERT_OK(WriteFileAtomic(files_, Path("a"), "old"));
  const auto fill = [](WritableFile& file) {
    file.Append("half").IgnoreError();  // of what is thrown away
    return DataLoss(Reason::kCheckpointBad, "the other half is damaged");
  };
  EXPECT_THAT(WriteFileAtomic(files_, Path("a"), fill),
              StatusIs(absl::StatusCode::kDataLoss, ReasonIs("CHECKPOINT_BAD")));
  EXPECT_THAT(ReadFile(files_, Path("a")), IsOkAndHolds(std::string("old")));
  EXPECT_THAT(files_.ListDir(place_->root()), IsOkAndHolds(ElementsAre("a")));
}

TEST_P(FileSystemConformanceTest, ReadFileRefusesWhatIsTooLarge) {
  Write("a", "12345");
  EXPECT_THAT(ReadFile(files_, Path("a"), 5), IsOkAndHolds(std::string("12345")));
  EXPECT_THAT(ReadFile(files_, Path("a"), 4),
              StatusIs(absl::StatusCode::kResourceExhausted, ReasonIs("LIMIT_EXCEEDED")));
}

TEST_P(FileSystemConformanceTest, OpenBeneathOpensOnlyWhatIsBeneath) {
  CVT_ASSERT_OK(files_.CreateDir(Path("root/d")));
  Write("root/d/a", "inside");
  Write("secret", "outside");
  CVT_ASSERT_OK_AND_ASSIGN(auto file, files_.OpenBeneath(Path("root"), "d/a"));
  EXPECT_THAT(file->Size(), IsOkAndHolds(6u));

  for (const absl::string_view name : {"../secret", "d/../../secret", "d/..", "/etc/passwd"}) {
    EXPECT_THAT(files_.OpenBeneath(Path("root"), name),
                StatusIs(absl::StatusCode::kPermissionDenied, ReasonIs("FILE_FORBIDDEN")))
        << name;
  }
  for (const absl::string_view name :
       {absl::string_view(""), absl::string_view("d//a"), absl::string_view("./d/a"),
        absl::string_view("d/a/"), absl::string_view("d\0a", 3)}) {
    EXPECT_THAT(files_.OpenBeneath(Path("root"), name),
                StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("FIELD_INVALID")));
  }
  EXPECT_THAT(files_.OpenBeneath(Path("root"), "d/b"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(files_.OpenBeneath(Path("root"), "d"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(FileSystemConformanceTest, ALockIsHeldOnceAndNamesItsHolder) {
  CVT_ASSERT_OK_AND_ASSIGN(auto lock, files_.LockFile(Path("LOCK")));
  EXPECT_THAT(files_.LockFile(Path("LOCK")),
              StatusIs(absl::StatusCode::kFailedPrecondition, ReasonIs("STATE_DIR_BUSY"),
                       Message(HasSubstr("process " + std::to_string(::getpid())))));
  lock.reset();
  EXPECT_THAT(files_.LockFile(Path("LOCK")), IsOk());
}

TEST_P(FileSystemConformanceTest, FreeSpaceIsPositive) {
  EXPECT_THAT(files_.FreeSpace(place_->root()), IsOkAndHolds(::testing::Gt(0u)));
}

INSTANTIATE_TEST_SUITE_P(
    All, FileSystemConformanceTest,
    ::testing::Values(Maker{"Posix", [] { return std::make_unique<PosixPlace>(); }},
                      Maker{"InMemory", [] { return std::make_unique<MemoryPlace>(); }},
                      Maker{"Faulty", [] { return std::make_unique<FaultyPlace>(); }}),
    [](const auto& maker) { return maker.param.name; });

}  // namespace
}  // namespace cvtrain
