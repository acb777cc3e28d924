#include "common/private_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/cores.h"
#include "common/file_system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::cvtrain::testing::TempDir;
using ::testing::HasSubstr;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;

TEST(PrivateFolderTest, IsAFolderOfOursThatNobodyElseWritesTo) {
  const TempDir dir;
  CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "ours", 0700));
  CVT_EXPECT_OK(CheckPrivateFolder(dir / "ours"));
  for (const mode_t mode : {mode_t{0720}, mode_t{0702}, mode_t{0777}}) {
    ASSERT_EQ(::chmod((dir / "ours").c_str(), mode), 0);
    EXPECT_THAT(CheckPrivateFolder(dir / "ours"), StatusIs(kDenied, Reason("FILE_FORBIDDEN"),
                                                           Message(HasSubstr("others may write"))));
  }
  ASSERT_EQ(::chmod((dir / "ours").c_str(), 0755), 0);
  CVT_EXPECT_OK(CheckPrivateFolder(dir / "ours"));
}

TEST(PrivateFolderTest, IsNoFileNoLinkAndNotNothing) {
  const TempDir dir;
  CVT_ASSERT_OK(WriteFileAtomic(PosixFileSystem(), dir / "file", "x"));
  EXPECT_THAT(CheckPrivateFolder(dir / "file"),
              StatusIs(kDenied, Message(HasSubstr("is no folder"))));
  CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "ours", 0700));
  ASSERT_EQ(::symlink((dir / "ours").c_str(), (dir / "link").c_str()), 0);
  EXPECT_THAT(CheckPrivateFolder(dir / "link"),
              StatusIs(kDenied, Message(HasSubstr("is no folder"))));
  EXPECT_THAT(CheckPrivateFolder(dir / "missing"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(PrivateFolderTest, IsNotSomebodyElses) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  const TempDir dir;
  CVT_ASSERT_OK(PosixFileSystem().CreateDir(dir / "theirs", 0700));
  ASSERT_EQ(::chown((dir / "theirs").c_str(), 12345, 12345), 0);
  EXPECT_THAT(CheckPrivateFolder(dir / "theirs"),
              StatusIs(kDenied, Message(HasSubstr("belongs to somebody else"))));
}

TEST(CoresTest, AreOneAtLeast) { EXPECT_GE(CoreCount(), 1); }

}  // namespace
}  // namespace cvtrain
