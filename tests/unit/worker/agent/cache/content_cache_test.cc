#include "worker/agent/cache/content_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kContentDirectory[] = "/state/cache";

// A coordinator that has one file.
struct Source {
  std::string content;
  int calls = 0;
  uint64_t last_offset = 0;
  // Ends with UNAVAILABLE after so many bytes.
  uint64_t break_after = ~uint64_t{0};

  ContentKey key() const { return {.digest = Sha256Hex(content), .size_bytes = content.size()}; }
  ContentCache::Fetch fetch() {
    return [this](uint64_t offset, uint64_t, const ContentCache::Sink& sink) -> absl::Status {
      ++calls;
      last_offset = offset;
      uint64_t sent = 0;
      for (uint64_t at = offset; at < content.size(); at += 10) {
        if (sent >= break_after) return Unavailable(cvtrain::Reason::kServerUnreachable, "away");
        const absl::Status taken = sink(absl::string_view(content).substr(at, 10));
        if (!taken.ok()) return taken;
        sent += 10;
      }
      return absl::OkStatus();
    };
  }
};

std::string ReadAll(const CachedFile& file) {
  std::string content(*file.file()->Size(), '\0');
  EXPECT_THAT(file.file()->Read(0, absl::MakeSpan(content)), IsOk());
  return content;
}

class ContentCacheTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    cache_.reset();
    auto cache =
        ContentCache::Open(files_, kContentDirectory, {.size_bytes_max = limit_}, telemetry_);
    ASSERT_THAT(cache, IsOk());
    cache_ = *std::move(cache);
  }
  absl::StatusOr<CachedFile> Get(Source& source) {
    return cache_->Get(source.key(), source.fetch(), StopToken());
  }
  std::string PathOf(const Source& source) {
    return JoinPath(kContentDirectory, source.key().digest);
  }

  testing::LogCapture log_;
  InMemoryFileSystem memory_;
  FaultyFileSystem files_{memory_};
  InMemoryTelemetry telemetry_;
  uint64_t limit_ = 1000;
  std::unique_ptr<ContentCache> cache_;
};

TEST_F(ContentCacheTest, FetchesOnce) {
  Source source = {.content = std::string(95, 'a')};
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(source.calls, 1);
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_cache_hits_total"), 1);
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_cache_misses_total"), 1);
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_cache_size_bytes"), 95);
}

TEST_F(ContentCacheTest, FindsItsFilesAfterARestart) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(Get(source), IsOk());
  Reopen();
  EXPECT_THAT(Get(source), IsOk());
  EXPECT_EQ(source.calls, 1);
  EXPECT_EQ(cache_->size_bytes(), 95u);
}

TEST_F(ContentCacheTest, ContinuesABrokenDownload) {
  Source source = {.content = std::string(95, 'a'), .break_after = 40};
  EXPECT_THAT(Get(source), StatusIs(absl::StatusCode::kUnavailable, Reason("SERVER_UNREACHABLE")));
  Reopen();
  source.break_after = ~uint64_t{0};
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(source.last_offset, 40u);
}

TEST_F(ContentCacheTest, BeginsAnewWhenTheBeginningWasDamaged) {
  Source source = {.content = std::string(95, 'a'), .break_after = 40};
  EXPECT_FALSE(Get(source).ok());
  ASSERT_THAT(WriteFileAtomic(files_, PathOf(source) + ".part", std::string(40, 'b')), IsOk());
  source.break_after = ~uint64_t{0};
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(source.calls, 3);
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_cache_damaged_total"), 1);
}

TEST_F(ContentCacheTest, RefusesWhatNeverHasItsDigest) {
  Source source = {.content = std::string(95, 'a')};
  const ContentKey key = source.key();
  source.content[7] = 'b';
  EXPECT_THAT(cache_->Get(key, source.fetch(), StopToken()),
              StatusIs(absl::StatusCode::kDataLoss, Reason("DATA_BAD")));
  EXPECT_EQ(source.calls, 2);
  EXPECT_EQ(cache_->size_bytes(), 0u);
}

TEST_F(ContentCacheTest, RefusesMoreBytesThanTheFileHas) {
  Source source = {.content = std::string(95, 'a')};
  ContentKey key = source.key();
  key.size_bytes = 50;
  EXPECT_THAT(cache_->Get(key, source.fetch(), StopToken()),
              StatusIs(absl::StatusCode::kDataLoss, Reason("DATA_BAD")));
}

TEST_F(ContentCacheTest, FindsEveryFlippedBitOfAnEarlierProcess) {
  Source source = {.content = "0123456789"};
  ASSERT_THAT(Get(source), IsOk());
  for (size_t bit = 0; bit < source.content.size() * 8; ++bit) {
    std::string bad = source.content;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_THAT(WriteFileAtomic(files_, PathOf(source), bad), IsOk());
    Reopen();
    EXPECT_EQ(ReadAll(*Get(source)), source.content) << "bit " << bit;
  }
}

TEST_F(ContentCacheTest, VerifiesAgainWhatWasTouchedMeanwhile) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(Get(source), IsOk());
  ASSERT_THAT(WriteFileAtomic(files_, PathOf(source), std::string(95, 'b')), IsOk());
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
}

TEST_F(ContentCacheTest, ReplacesATruncatedFile) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(Get(source), IsOk());
  ASSERT_THAT(WriteFileAtomic(files_, PathOf(source), std::string(94, 'a')), IsOk());
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
}

TEST_F(ContentCacheTest, DropsWhatWasNotUsedForLongest) {
  limit_ = 250;
  Reopen();
  Source a = {.content = std::string(100, 'a')};
  Source b = {.content = std::string(100, 'b')};
  Source c = {.content = std::string(100, 'c')};
  ASSERT_THAT(Get(a), IsOk());
  ASSERT_THAT(Get(b), IsOk());
  ASSERT_THAT(Get(a), IsOk());
  ASSERT_THAT(Get(c), IsOk());
  EXPECT_TRUE(cache_->Contains(a.key().digest));
  EXPECT_FALSE(cache_->Contains(b.key().digest));
  EXPECT_LE(cache_->size_bytes(), 250u);
}

TEST_F(ContentCacheTest, KeepsWhatIsInUse) {
  limit_ = 150;
  Reopen();
  Source a = {.content = std::string(100, 'a')};
  Source b = {.content = std::string(100, 'b')};
  {
    const auto in_use = Get(a);
    ASSERT_THAT(in_use, IsOk());
    const auto refused = Get(b);
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
    EXPECT_THAT(refused.status().message(), HasSubstr("--cache-bytes"));
    cache_->Forget(a.key().digest);
    EXPECT_TRUE(cache_->Contains(a.key().digest));
  }
  EXPECT_THAT(Get(b), IsOk());
}

TEST_F(ContentCacheTest, RefusesWhatCanNeverFit) {
  Source source = {.content = std::string(1001, 'a')};
  EXPECT_THAT(Get(source),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

TEST_F(ContentCacheTest, RefusesADigestThatCouldBeAPath) {
  Source source;
  for (const std::string& digest : {std::string("../../../etc/passwd"), std::string(63, 'a'),
                                    std::string(64, 'A'), std::string()}) {
    EXPECT_THAT(cache_->Get({.digest = digest, .size_bytes = 1}, source.fetch(), StopToken()),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  }
  EXPECT_EQ(source.calls, 0);
}

TEST_F(ContentCacheTest, ComesBackAfterItsDirectoryWasRemoved) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(Get(source), IsOk());
  ASSERT_THAT(files_.RemoveAll(kContentDirectory), IsOk());
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(source.calls, 2);
}

TEST_F(ContentCacheTest, SaysWhatToDoAboutAFullDisk) {
  files_.FailMatching([](absl::string_view operation) { return operation.find("Append") == 0; },
                      FaultyFileSystem::Fault::kDiskFull);
  Source source = {.content = std::string(95, 'a')};
  const auto file = Get(source);
  EXPECT_THAT(file, StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
  EXPECT_THAT(file.status().message(), HasSubstr("free some space"));
  files_.ClearFaults();
  EXPECT_THAT(Get(source), IsOk());
}

TEST_F(ContentCacheTest, TakesWhatIsInMemory) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(cache_->Put(source.key().digest, source.content), IsOk());
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(source.calls, 0);
}

TEST_F(ContentCacheTest, ReadsWhatWasPutOnce) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(cache_->Put(source.key().digest, source.content), IsOk());
  const auto reads = [&] {
    const std::vector<std::string> trace = files_.Trace();
    return std::count_if(trace.begin(), trace.end(),
                         [](const std::string& one) { return absl::StartsWith(one, "Read "); });
  };
  const auto before = reads();
  ASSERT_THAT(Get(source), IsOk());
  EXPECT_EQ(reads(), before);  // its digest was computed from the same bytes
}

TEST_F(ContentCacheTest, DoesNotBelieveWhatAnEarlierProcessPut) {
  Source source = {.content = std::string(95, 'a')};
  ASSERT_THAT(cache_->Put(source.key().digest, std::string(95, 'b')), IsOk());
  Reopen();
  EXPECT_EQ(ReadAll(*Get(source)), source.content);
  EXPECT_EQ(source.calls, 1);
}

// A file that rots keeps its size and time: only reading it shows that.
TEST_F(ContentCacheTest, RemovesWhatHasRottedWhenItIsVerified) {
  Source good = {.content = std::string(95, 'a')};
  Source rotten = {.content = std::string(95, 'b')};
  ASSERT_THAT(cache_->Put(good.key().digest, good.content), IsOk());
  ASSERT_THAT(cache_->Put(rotten.key().digest, std::string(95, 'x')), IsOk());
  ASSERT_NE(ReadAll(*Get(rotten)), rotten.content);
  using Verdict = ContentCache::Verdict;
  EXPECT_EQ(cache_->Verify(good.key()), Verdict::kGood);
  EXPECT_EQ(cache_->Verify(rotten.key()), Verdict::kDamaged);
  EXPECT_EQ(cache_->Verify(rotten.key()), Verdict::kAbsent) << "it was removed";
  EXPECT_EQ(ReadAll(*Get(rotten)), rotten.content);
  EXPECT_EQ(rotten.calls, 1);
  EXPECT_EQ(cache_->Verify({.digest = Sha256Hex("absent"), .size_bytes = 6}), Verdict::kAbsent);
}

TEST_F(ContentCacheTest, SaysWhatIsHereWithoutADownload) {
  Source source = {.content = std::string(95, 'a')};
  CVT_ASSERT_OK_AND_ASSIGN(const auto absent, cache_->GetIfHere(source.key()));
  EXPECT_FALSE(absent.has_value());
  ASSERT_THAT(Get(source), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const auto here, cache_->GetIfHere(source.key()));
  ASSERT_TRUE(here.has_value());
  EXPECT_EQ(ReadAll(*here), source.content);
  EXPECT_EQ(source.calls, 1);
}

TEST_F(ContentCacheTest, MakesRoomForOthersButNotOfWhatIsInUse) {
  Source a = {.content = std::string(100, 'a')};
  Source b = {.content = std::string(100, 'b')};
  const auto in_use = Get(a);
  ASSERT_THAT(in_use, IsOk());
  ASSERT_THAT(Get(b), IsOk());
  EXPECT_EQ(cache_->EvictUnused(), 100u);
  EXPECT_TRUE(cache_->Contains(a.key().digest));
  EXPECT_FALSE(cache_->Contains(b.key().digest));
}

TEST_F(ContentCacheTest, TwoCallersShareOneDownload) {
  Source source = {.content = std::string(95, 'a')};
  absl::Notification started;
  absl::Notification go_on;
  std::atomic<int> downloads = 0;
  const auto slow = [&](uint64_t offset, uint64_t length, const ContentCache::Sink& sink) {
    ++downloads;
    started.Notify();
    go_on.WaitForNotification();
    return source.fetch()(offset, length, sink);
  };
  std::thread first([&] { EXPECT_THAT(cache_->Get(source.key(), slow, StopToken()), IsOk()); });
  started.WaitForNotification();
  std::thread second([&] { EXPECT_THAT(cache_->Get(source.key(), slow, StopToken()), IsOk()); });
  go_on.Notify();
  first.join();
  second.join();
  EXPECT_EQ(downloads, 1);
}

TEST_F(ContentCacheTest, AWaitForAnotherDownloadCanBeStopped) {
  Source source = {.content = std::string(95, 'a')};
  absl::Notification started;
  absl::Notification go_on;
  const auto slow = [&](uint64_t offset, uint64_t length, const ContentCache::Sink& sink) {
    started.Notify();
    go_on.WaitForNotification();
    return source.fetch()(offset, length, sink);
  };
  std::thread first([&] { EXPECT_THAT(cache_->Get(source.key(), slow, StopToken()), IsOk()); });
  started.WaitForNotification();
  StopSource stop;
  stop.request_stop();
  EXPECT_THAT(cache_->Get(source.key(), slow, stop.get_token()),
              StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  go_on.Notify();
  first.join();
}

}  // namespace
}  // namespace cvtrain::worker
