#include "client/dataset/tar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/memory_file_system.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/dataset/source_fixtures.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeTar;
using testing::SealTarHeader;
using testing::TarEntry;

// "NAME:BYTES" of each member, "/" for a folder, "@" for a link, "?" for others.
absl::StatusOr<std::vector<std::string>> Walk(const std::string& tar) {
  InMemoryFileSystem files;
  CVT_CHECK_OK(WriteFileAtomic(files, "/t.tar", tar));
  const auto file = *files.NewRandomAccessFile("/t.tar");
  TarWalker walker(*file, "t.tar");
  std::vector<std::string> members;
  while (true) {
    CVT_ASSIGN_OR_RETURN(const std::optional<TarMember> member, walker.Next());
    if (!member.has_value()) return members;
    const char* marks[] = {":", "/", "@", "?"};
    const bool is_file = member->type == TarMember::Type::kFile;
    members.push_back(absl::StrCat(
        member->name, marks[static_cast<int>(member->type)],
        is_file ? tar.substr(static_cast<size_t>(member->offset), static_cast<size_t>(member->size))
                : ""));
  }
}

std::string PaxRecord(const std::string& key, const std::string& value) {
  const std::string rest = absl::StrCat(" ", key, "=", value, "\n");
  size_t length = rest.size() + 1;
  while (absl::StrCat(length).size() + rest.size() != length) ++length;
  return absl::StrCat(length, rest);
}

TEST(TarTest, WalksThroughFilesFoldersAndLinks) {
  EXPECT_THAT(
      *Walk(MakeTar({{"d/", "", '5'},
                     {"d/a", "one"},
                     {"d/b", ""},
                     {"l", "", '2'},
                     {"h", "", '1'},
                     {"fifo", "", '6'},
                     {"d/c", std::string(600, 'c')}})),
      ElementsAre("d//", "d/a:one", "d/b:", "l@", "h@", "fifo?", "d/c:" + std::string(600, 'c')));
}

TEST(TarTest, JoinsThePrefixOfLongNames) {
  std::string tar = MakeTar({{"name", "x"}});
  tar.replace(345, 6, "folder");
  SealTarHeader(&tar, 0);
  EXPECT_THAT(*Walk(tar), ElementsAre("folder/name:x"));
}

TEST(TarTest, TakesLongNamesOfGnuAndPax) {
  const std::string name = std::string(300, 'n') + "/1.jpg";
  EXPECT_THAT(
      *Walk(MakeTar(
          {{"././@LongLink", name + std::string(1, '\0'), 'L'}, {"short", "x"}, {"next", "y"}})),
      ElementsAre(name + ":x", "next:y"));
  EXPECT_THAT(*Walk(MakeTar({{"global", PaxRecord("comment", "c"), 'g'},
                             {"pax", PaxRecord("mtime", "1.5") + PaxRecord("path", name), 'x'},
                             {"short", "x"},
                             {"next", "y"}})),
              ElementsAre(name + ":x", "next:y"));
}

TEST(TarTest, TakesSizesOfPaxAndInBase256) {
  std::string tar = MakeTar({{"pax", PaxRecord("size", "5"), 'x'}, {"a", "12345"}, {"b", "y"}});
  tar.replace(1024 + 124, 12, absl::StrFormat("%011o", 0) + std::string(1, '\0'));
  SealTarHeader(&tar, 1024);
  EXPECT_THAT(*Walk(tar), ElementsAre("a:12345", "b:y"));

  tar = MakeTar({{"a", "12345"}, {"b", "y"}});
  tar.replace(124, 12, std::string("\x80\0\0\0\0\0\0\0\0\0\0\x05", 12));
  SealTarHeader(&tar, 0);
  EXPECT_THAT(*Walk(tar), ElementsAre("a:12345", "b:y"));
}

TEST(TarTest, EndsAtTheEndMarkOrTheEndOfTheFile) {
  const std::string tar = MakeTar({{"a", "x"}});
  EXPECT_THAT(*Walk(tar + "what comes behind"), ElementsAre("a:x"));
  EXPECT_THAT(*Walk(tar.substr(0, 1024)), ElementsAre("a:x"));
}

TEST(TarTest, RefusesAnArchiveThatIsCutOff) {
  const std::string tar = MakeTar({{"a", std::string(700, 'x')}, {"b", "y"}});
  for (const size_t length : {1u, 511u, 600u, 1100u, 1600u, 2047u}) {
    EXPECT_THAT(Walk(tar.substr(0, length)),
                StatusIs(kInvalid, Reason("DATA_BAD"),
                         Message(AllOf(HasSubstr("t.tar"), HasSubstr("cut off")))))
        << length;
  }
  EXPECT_THAT(Walk(""), StatusIs(kInvalid));
}

TEST(TarTest, RefusesHeadersThatAreDamaged) {
  const std::string good = MakeTar({{"a", "x"}, {"b", "y"}});
  std::string tar = good;
  tar[1024] = 'c';
  EXPECT_THAT(Walk(tar),
              StatusIs(kInvalid, Message(AllOf(HasSubstr("offset 1024"), HasSubstr("the sum")))));
  tar = good;
  tar.replace(124, 11, "9999999999z");
  SealTarHeader(&tar, 0);
  EXPECT_THAT(Walk(tar), StatusIs(kInvalid, Message(HasSubstr("no number"))));
  tar = good;
  tar.replace(124, 12, std::string("\x80") + std::string(11, '\xff'));
  SealTarHeader(&tar, 0);
  EXPECT_THAT(Walk(tar), StatusIs(kInvalid, Message(HasSubstr("no number"))));
  tar = good;
  tar.replace(124, 11, "77777777777");
  SealTarHeader(&tar, 0);
  EXPECT_THAT(Walk(tar), StatusIs(kInvalid, Message(HasSubstr("cut off within a member"))));
}

TEST(TarTest, RefusesExtensionsThatAreDamagedOrEndless) {
  for (const char* records : {"x", "5 a=b\n", "99 path=a\n", "1 \n", "-4 path=a\n", "9 path=a "}) {
    EXPECT_THAT(Walk(MakeTar({{"pax", records, 'x'}, {"a", "x"}})),
                StatusIs(kInvalid, Message(HasSubstr("pax"))))
        << records;
  }
  EXPECT_THAT(Walk(MakeTar({{"pax", PaxRecord("size", "x"), 'x'}, {"a", "x"}})),
              StatusIs(kInvalid, Message(HasSubstr("size is no number"))));
  EXPECT_THAT(Walk(MakeTar({{"long", std::string(100'000, 'n'), 'L'}, {"a", "x"}})),
              StatusIs(kInvalid, Message(HasSubstr("more than 65536"))));
  std::vector<TarEntry> entries(20, TarEntry{"long", "n", 'L'});
  entries.push_back({"a", "x"});
  EXPECT_THAT(Walk(MakeTar(entries)), StatusIs(kInvalid, Message(HasSubstr("too many headers"))));
}

TEST(TarTest, SaysWhatIsWrongWithNames) {
  const auto problem = [](std::string name) { return ProblemOfMemberName(&name); };
  EXPECT_EQ(problem("a/b..c/d.jpg"), "");
  EXPECT_EQ(problem("/etc/passwd"), "is absolute");
  EXPECT_EQ(problem(".//etc/passwd"), "is absolute");
  EXPECT_EQ(problem("../x"), "has `..`");
  EXPECT_EQ(problem("a/../x"), "has `..`");
  EXPECT_EQ(problem("a/.."), "has `..`");
  EXPECT_EQ(problem(""), "is empty");
  EXPECT_EQ(problem("./"), "is empty");
  EXPECT_EQ(problem(std::string("a\0b", 3)), "has a zero byte");
  EXPECT_EQ(problem(std::string(1025, 'a')), "is too long");
  std::string name = "././a";
  EXPECT_EQ(ProblemOfMemberName(&name), "");
  EXPECT_EQ(name, "a");
}

TEST(TarTest, IsKnownByItsFirstHeader) {
  EXPECT_TRUE(IsTar(MakeTar({{"a", "x"}})));
  EXPECT_FALSE(IsTar(std::string(512, '\0')));
  EXPECT_FALSE(IsTar(std::string(512, 'x')));
  EXPECT_FALSE(IsTar(MakeTar({{"a", "x"}}).substr(0, 511)));
}

}  // namespace
}  // namespace cvtrain::client
