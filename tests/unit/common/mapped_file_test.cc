#include "common/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "common/errors.h"
#include "common/file_system.h"
#include "common/unique_fd.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

UniqueFd Open(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

TEST(MappedFileTest, ShowsTheBytesAlsoAfterTheFileIsRemoved) {
  testing::TempDir directory;
  const std::string path = JoinPath(directory.path(), "shard");
  ASSERT_TRUE(WriteFileAtomic(PosixFileSystem(), path, "some bytes").ok());

  const auto file = MappedFile::Map(Open(path));
  ASSERT_TRUE(PosixFileSystem().Remove(path).ok());

  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes(), "some bytes");
}

TEST(MappedFileTest, AnEmptyFileHasNoBytes) {
  testing::TempDir directory;
  const std::string path = JoinPath(directory.path(), "empty");
  ASSERT_TRUE(WriteFileAtomic(PosixFileSystem(), path, "").ok());

  const auto file = MappedFile::Map(Open(path));

  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFileTest, RefusesWhatIsNoRegularFile) {
  testing::TempDir directory;

  const auto file = MappedFile::Map(Open(directory.path()));

  EXPECT_EQ(ReasonOf(file.status()), Reason::kFieldInvalid);
}

}  // namespace
}  // namespace cvtrain
