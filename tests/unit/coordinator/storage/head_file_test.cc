#include "coordinator/storage/head_file.h"

#include <string>

#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;

constexpr char kPath[] = "/HEAD";

HeadMark Mark(int64_t revision) {
  HeadMark mark;
  mark.cluster_id = "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";
  mark.revision = revision;
  mark.sequence = 10 * revision;
  mark.chain.fill(static_cast<uint8_t>(revision));
  return mark;
}

class HeadFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<HeadMark> Read() {
    auto head = HeadFile::Open(files_, kPath);
    if (!head.ok()) {
      return head.status();
    }
    return (*head)->mark();
  }
  void Overwrite(uint64_t offset, absl::string_view bytes) {
    auto file = files_.NewReadWriteFile(kPath);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT((*file)->WriteAt(offset, bytes), IsOk());
  }

  InMemoryFileSystem files_;
};

TEST_F(HeadFileTest, ReadsTheLastOfManyMarks) {
  CVT_ASSERT_OK_AND_ASSIGN(auto head, HeadFile::Create(files_, kPath, Mark(0)));
  for (int64_t revision = 1; revision <= 5; ++revision) {
    ASSERT_THAT(head->Write(Mark(revision)), IsOk());
    EXPECT_EQ(Read().value(), Mark(revision));
  }
  EXPECT_EQ(files_.Stat(kPath)->size_bytes, 8192u);
}

TEST_F(HeadFileTest, SaysWhenThereIsNoFile) {
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(HeadFileTest, FallsBackToTheOlderSlot) {
  CVT_ASSERT_OK_AND_ASSIGN(auto head, HeadFile::Create(files_, kPath, Mark(0)));
  ASSERT_THAT(head->Write(Mark(1)), IsOk());  // generation 2: the first slot
  ASSERT_THAT(head->Write(Mark(2)), IsOk());  // generation 3: the second slot
  Overwrite(4096 + 20, "?");
  EXPECT_EQ(Read().value(), Mark(1));
}

TEST_F(HeadFileTest, RefusesAFileWithoutAGoodSlot) {
  CVT_ASSERT_OK_AND_ASSIGN(auto head, HeadFile::Create(files_, kPath, Mark(3)));
  Overwrite(30, "?");
  Overwrite(4096 + 30, "?");
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED")));
}

TEST_F(HeadFileTest, RefusesSlotsThatChangedPlaces) {
  CVT_ASSERT_OK_AND_ASSIGN(auto head, HeadFile::Create(files_, kPath, Mark(3)));
  Overwrite(0, EncodeHeadSlot(Mark(9), 5));
  Overwrite(4096, EncodeHeadSlot(Mark(9), 6));
  EXPECT_THAT(Read(), StatusIs(absl::StatusCode::kDataLoss));
}

// After a crash at any operation, the mark is one that was written, and the last one that was
// acknowledged or a later one.
TEST_F(HeadFileTest, SurvivesACrashAtEveryOperation) {
  for (auto unsynced : {InMemoryFileSystem::Unsynced::kDrop, InMemoryFileSystem::Unsynced::kKeep,
                        InMemoryFileSystem::Unsynced::kTear}) {
    for (uint64_t operation = 1;; ++operation) {
      InMemoryFileSystem disk;
      FaultyFileSystem faulty(disk);
      faulty.PowerOffAt(operation);
      int64_t acknowledged = -1;
      if (auto head = HeadFile::Create(faulty, kPath, Mark(0)); head.ok()) {
        acknowledged = 0;
        for (int64_t revision = 1; revision <= 4; ++revision) {
          if ((*head)->Write(Mark(revision)).ok()) {
            acknowledged = revision;
          }
        }
      }
      faulty.Crash(unsynced);
      auto head = HeadFile::Open(faulty, kPath);
      if (acknowledged < 0 && absl::IsNotFound(head.status())) {
        continue;
      }
      ASSERT_THAT(head, IsOk()) << "operation " << operation;
      EXPECT_GE((*head)->mark().revision, acknowledged) << "operation " << operation;
      EXPECT_EQ((*head)->mark(), Mark((*head)->mark().revision));
      if (acknowledged == 4) {
        break;
      }
    }
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
