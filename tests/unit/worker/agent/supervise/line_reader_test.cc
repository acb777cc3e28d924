#include "worker/agent/supervise/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "common/limits.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kNow = absl::Seconds(100);

class LineReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto end = reader_.Open();
    ASSERT_THAT(end, testing::IsOk());
    end_ = *std::move(end);
  }
  void Write(const std::string& text) {
    ASSERT_EQ(::write(end_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  LineReader reader_;
  UniqueFd end_;
};

TEST_F(LineReaderTest, ReadsWholeLinesWithoutWaiting) {
  EXPECT_THAT(reader_.Read(kNow), IsEmpty());
  Write("one\ntwo\nthr");
  EXPECT_THAT(reader_.Read(kNow), ElementsAre("one", "two"));
  Write("ee\n");
  EXPECT_THAT(reader_.Read(kNow), ElementsAre("three"));
}

TEST_F(LineReaderTest, KeepsALastLineWithoutNewline) {
  Write("terminate called");
  end_.Reset();
  EXPECT_THAT(reader_.Read(kNow), ElementsAre("terminate called"));
  EXPECT_EQ(reader_.fd(), -1);
  EXPECT_EQ(reader_.LastLines(), "terminate called");
}

TEST_F(LineReaderTest, CutsALongLine) {
  Write(std::string(limits::kLogLineSizeBytesMax + 100, 'x') + "\nnext\n");
  const auto lines = reader_.Read(kNow);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0].size(), limits::kLogLineSizeBytesMax);
  EXPECT_EQ(lines[1], "next");
}

TEST_F(LineReaderTest, CountsWhatIsTooMuch) {
  for (int i = 0; i < LineReader::kLinesPerSecond + 7; ++i) Write("x\n");
  EXPECT_THAT(reader_.Read(kNow), SizeIs(LineReader::kLinesPerSecond));
  Write("y\n");
  EXPECT_THAT(reader_.Read(kNow + absl::Seconds(1)), ElementsAre("(7 lines left out)", "y"));
}

TEST_F(LineReaderTest, RemembersTheLastFewLines) {
  Write("1\n2\n3\n4\n5\n6\n");
  reader_.Read(kNow);
  EXPECT_EQ(reader_.LastLines(), "2\n3\n4\n5\n6");
}

}  // namespace
}  // namespace cvtrain::worker
