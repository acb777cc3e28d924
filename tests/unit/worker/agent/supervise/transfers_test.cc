#include "worker/agent/supervise/transfers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/block_digest.h"
#include "common/errors.h"
#include "common/faulty_file_system.h"
#include "common/memory_file_system.h"
#include "common/sha256.h"
#include "formats/checkpoint/checkpoint.h"
#include "tests/support/fake_random.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/agent/supervise/fake_client.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::StatusIs;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kSpool[] = "/spool";

AttemptKey TransferKey() {
  return {.attempt = AttemptName(TrialName(ExperimentName(1), 2), 3), .generation = 7};
}

// An answer that comes on another thread.
template <typename T>
struct Answer {
  std::function<void(T)> callback() {
    return [this](T got) {
      value = std::move(got);
      there.Notify();
    };
  }
  T& Wait() {
    there.WaitForNotification();
    return *value;
  }
  absl::Notification there;
  std::optional<T> value;
};
using File = absl::StatusOr<CachedFile>;

class TransfersTest : public ::testing::Test {
 protected:
  TransfersTest() {
    options_.spool_directory = kSpool;
    options_.retry_delay_first = absl::ZeroDuration();
    options_.retry_delay_max = absl::ZeroDuration();
    EXPECT_THAT(files_.CreateDir(kSpool), IsOk());
    cache_ = *ContentCache::Open(files_, "/cache", {.size_bytes_max = cache_bytes_}, telemetry_);
    client_.download = [this](const std::string& name, uint64_t offset,
                              const CoordinatorClient::Sink& sink,
                              const StopToken& stop) { return Download(name, offset, sink, stop); };
  }
  ~TransfersTest() override {
    scope_->stop.request_stop();
    transfers_.reset();
  }
  void Start() {
    transfers_ = std::make_unique<Transfers>(options_, files_, client_, *cache_, RealClock(),
                                             random_, telemetry_);
  }

  // What the coordinator has, by name; wrong content is what it sends instead.
  absl::Status Download(const std::string& name, uint64_t offset,
                        const CoordinatorClient::Sink& sink, const StopToken&) {
    ++downloads_;
    if (absl::Status fault = on_download_ ? on_download_(name) : absl::OkStatus(); !fault.ok()) {
      return fault;
    }
    return sink(absl::string_view(sources_.at(name)).substr(offset));
  }
  ContentKey AddShard(const std::string& content) {
    sources_[Sha256Hex(content)] = content;
    return {.digest = Sha256Hex(content), .size_bytes = content.size()};
  }
  File GetShard(const ContentKey& key) {
    Answer<File> answer;
    transfers_->GetShard({.key = key}, scope_, answer.callback());
    return std::move(answer.Wait());
  }

  // A checkpoint as a trainer leaves it.
  CheckpointJob MakeJob() {
    const auto layout =
        formats::CheckpointLayout::Plan({{.name = "state",
                                          .data_type = storage::v1::Tensor::DATA_TYPE_U8,
                                          .shape = {8},
                                          .role = storage::v1::Tensor::ROLE_PARAMETER}});
    CheckpointJob job;
    job.key = TransferKey();
    job.header.set_checkpoint("uuid");
    job.header.set_step(5);
    job.header.set_size_bytes(layout->file_bytes());
    // Shared with the trainer, in production.
    job.memory = std::make_shared<SharedMemory>(
        *SharedMemory::Create("test", static_cast<size_t>(layout->file_bytes())));
    EXPECT_THAT(layout->WriteHeaderAndManifest({}, job.memory->mutable_bytes()), IsOk());
    job.scope = scope_;
    job.gate = std::make_shared<UploadGate>();
    return job;
  }
  std::vector<std::string> Spooled() {
    const auto names = files_.ListDir(JoinPath(kSpool, TransferKey().DirectoryName()));
    return names.ok() ? *names : std::vector<std::string>();
  }

  testing::LogCapture log_;
  InMemoryFileSystem memory_;
  FaultyFileSystem files_{memory_};
  InMemoryTelemetry telemetry_;
  SeededRandom random_{1};
  FakeClient client_;
  TransfersOptions options_;
  uint64_t cache_bytes_ = 10'000;
  std::map<std::string, std::string> sources_;
  std::function<absl::Status(const std::string&)> on_download_;
  std::atomic<int> downloads_ = 0;
  std::shared_ptr<TransferScope> scope_ = std::make_shared<TransferScope>();
  std::unique_ptr<ContentCache> cache_;
  std::unique_ptr<Transfers> transfers_;
};

TEST_F(TransfersTest, AsksTheNamedPlacesFirstAndTheCoordinatorForTheRest) {
  const ContentKey here = AddShard("what lies on the shared file system");
  const ContentKey elsewhere = AddShard("what only the coordinator has");
  ASSERT_THAT(files_.CreateDir("/shared"), IsOk());
  ASSERT_THAT(WriteFileAtomic(files_, JoinPath("/shared", here.digest), sources_[here.digest]),
              IsOk());
  options_.shards_from = {"/nowhere", "/shared"};
  Start();
  EXPECT_THAT(GetShard(here), IsOk());
  EXPECT_EQ(downloads_, 0);
  EXPECT_THAT(GetShard(elsewhere), IsOk());
  EXPECT_EQ(downloads_, 1);
}

TEST_F(TransfersTest, APlaceThatHasWrongBytesIsNotAskedAgainForThem) {
  const ContentKey key = AddShard("the right bytes");
  ASSERT_THAT(files_.CreateDir("/shared"), IsOk());
  ASSERT_THAT(WriteFileAtomic(files_, JoinPath("/shared", key.digest), "the wrong bytes"), IsOk());
  options_.shards_from = {"/shared"};
  Start();
  EXPECT_THAT(GetShard(key), IsOk());
  EXPECT_EQ(downloads_, 1);
}

TEST_F(TransfersTest, FetchesAgainWhileTheCoordinatorIsAway) {
  const ContentKey key = AddShard("the bytes of a shard");
  on_download_ = [this](const std::string&) {
    return downloads_ < 5 ? Unavailable(Reason::kServerUnreachable, "away") : absl::OkStatus();
  };
  Start();
  EXPECT_THAT(GetShard(key), IsOk());
  EXPECT_EQ(downloads_, 5);
}

TEST_F(TransfersTest, WhatIsInTheCacheWaitsForNoOutage) {
  options_.fetch_threads = 1;
  const ContentKey cached = AddShard("a shard that is here");
  const ContentKey missing = AddShard("a shard that is not");
  absl::Notification away;
  absl::Notification back;
  on_download_ = [&](const std::string& name) {
    if (name != missing.digest) return absl::OkStatus();
    away.Notify();
    back.WaitForNotification();  // a coordinator that does not answer
    return absl::OkStatus();
  };
  Start();
  ASSERT_THAT(GetShard(cached), IsOk());
  Answer<File> slow;
  transfers_->GetShard({.key = missing}, scope_, slow.callback());
  away.WaitForNotification();
  EXPECT_THAT(GetShard(cached), IsOk());
  back.Notify();
  EXPECT_THAT(slow.Wait(), IsOk());
}

TEST_F(TransfersTest, OneOutageHoldsUpNoOtherDownload) {
  options_.fetch_threads = 1;
  const ContentKey bad = AddShard("a shard that cannot be had for long");
  const ContentKey good = AddShard("a shard that can");
  std::atomic<bool> away = true;
  on_download_ = [&](const std::string& name) {
    return name == bad.digest && away ? Unavailable(Reason::kServerUnreachable, "away")
                                      : absl::OkStatus();
  };
  Start();
  Answer<File> waiting;
  transfers_->GetShard({.key = bad}, scope_, waiting.callback());
  EXPECT_THAT(GetShard(good), IsOk());
  away = false;
  EXPECT_THAT(waiting.Wait(), IsOk());
}

TEST_F(TransfersTest, BelievesThatBytesAreWrongAfterTheSecondTryOnly) {
  const ContentKey once = AddShard("damaged on its way");
  const ContentKey always = AddShard("damaged where it is");
  int of_once = 0;
  on_download_ = [&](const std::string& name) {
    if (name == once.digest && ++of_once > 1) return absl::OkStatus();
    return DataLoss(Reason::kShardBad, "a piece was damaged");
  };
  Start();
  EXPECT_THAT(GetShard(once), IsOk());
  downloads_ = 0;
  EXPECT_THAT(GetShard(always), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(downloads_, 2);
}

TEST_F(TransfersTest, ARottenCopyIsFetchedAgainBeforeACheckpointCountsAsDamaged) {
  const std::string content = "the bytes of a checkpoint";
  sources_["checkpoints/uuid"] = content;
  session::v1::ResumePoint resume;
  resume.set_checkpoint("checkpoints/uuid");
  resume.set_digest(BlockDigestHex(content));
  resume.set_size_bytes(static_cast<int64_t>(content.size()));
  const std::string path = JoinPath("/cache", resume.digest());
  ASSERT_THAT(WriteFileAtomic(files_, path, std::string(content.size(), 'x')), IsOk());
  cache_ = *ContentCache::Open(files_, "/cache", {}, telemetry_);
  Start();
  Answer<File> answer;
  transfers_->GetCheckpoint(resume, scope_, answer.callback());
  EXPECT_THAT(answer.Wait(), IsOk());
  answer.value.reset();
  EXPECT_EQ(downloads_, 1);
}

TEST_F(TransfersTest, ADownloadEndsWithItsAttempt) {
  const ContentKey key = AddShard("never had");
  on_download_ = [this](const std::string&) {
    scope_->stop.request_stop();
    return Unavailable(Reason::kServerUnreachable, "away");
  };
  Start();
  EXPECT_THAT(GetShard(key), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(TransfersTest, VerifiesAllFilesAndRemovesDamagedOnes) {
  Start();
  const ContentKey good = AddShard("good");
  const ContentKey rotten = AddShard("rotten");
  ASSERT_THAT(cache_->Put(good.digest, sources_[good.digest]), IsOk());
  ASSERT_THAT(cache_->Put(rotten.digest, std::string("ROTTEN")), IsOk());
  using Verdict = ContentCache::Verdict;
  const auto verify = [this](const std::vector<ContentKey>& files) {
    Answer<Verdict> answer;
    transfers_->Verify(files, answer.callback());
    return answer.Wait();
  };
  EXPECT_EQ(verify({good}), Verdict::kGood);
  EXPECT_EQ(verify({rotten, good}), Verdict::kDamaged);
  EXPECT_FALSE(cache_->Contains(rotten.digest));
  EXPECT_EQ(verify({good, rotten}), Verdict::kAbsent) << "it was removed";
}

TEST_F(TransfersTest, UploadsFromMemoryOnceTheReportsBeforeHaveArrived) {
  scope_->publishing = true;
  options_.reports_wait_max = absl::InfiniteDuration();
  Start();
  std::atomic<bool> open = false;
  client_.upload = [&](const auto&, const auto&, const auto&) {
    EXPECT_TRUE(open);
    return absl::OkStatus();
  };
  const CheckpointJob job = MakeJob();
  Answer<CheckpointOutcome> answer;
  transfers_->StoreCheckpoint(job, answer.callback());
  open = true;
  job.gate->Open();
  EXPECT_TRUE(answer.Wait().uploaded);
  EXPECT_THAT(Spooled(), IsEmpty());
}

TEST_F(TransfersTest, SpoolsACheckpointWhoseReportsDoNotArrive) {
  options_.reports_wait_max = absl::ZeroDuration();
  client_.upload = [](const auto&, const auto&, const auto&) {
    ADD_FAILURE() << "before its reports";
    return absl::OkStatus();
  };
  scope_->publishing = true;
  Start();
  Answer<CheckpointOutcome> answer;
  transfers_->StoreCheckpoint(MakeJob(), answer.callback());
  EXPECT_FALSE(answer.Wait().uploaded);
  ASSERT_NE(answer.Wait().spooled, nullptr);
  EXPECT_THAT(Spooled(), SizeIs(1));
}

TEST_F(TransfersTest, WhereTheDiskIsFullACheckpointWaitsInMemoryForItsReports) {
  options_.reports_wait_max = absl::ZeroDuration();
  const CheckpointJob job = MakeJob();
  scope_->publishing = true;
  Start();
  files_.FailMatching(
      [&job](absl::string_view operation) {
        if (!absl::StrContains(operation, kSpool)) return false;
        job.gate->Open();  // they arrive while it fails
        return true;
      },
      FaultyFileSystem::Fault::kDiskFull);
  Answer<CheckpointOutcome> answer;
  transfers_->StoreCheckpoint(job, answer.callback());
  EXPECT_TRUE(answer.Wait().uploaded) << answer.Wait().status;
}

TEST_F(TransfersTest, AStopOfTheProcessSpoolsWhatIsBeingUploaded) {
  absl::Notification uploading;
  client_.upload = [&](const auto&, const auto&, const StopToken& stop) {
    uploading.Notify();
    EXPECT_TRUE(WaitForStop(stop, absl::InfiniteDuration()));
    return Cancelled(Reason::kStopping, "the worker is stopping");
  };
  scope_->publishing = true;
  Start();
  const CheckpointJob job = MakeJob();
  job.gate->Open();
  Answer<CheckpointOutcome> answer;
  transfers_->StoreCheckpoint(job, answer.callback());
  uploading.WaitForNotification();
  scope_->stop.request_stop();
  transfers_.reset();
  EXPECT_NE(answer.Wait().spooled, nullptr);
  EXPECT_THAT(Spooled(), SizeIs(1));
}

TEST_F(TransfersTest, ADroppedAttemptSpoolsNothing) {
  scope_->dropped = true;
  scope_->stop.request_stop();
  Start();
  Answer<CheckpointOutcome> answer;
  transfers_->StoreCheckpoint(MakeJob(), answer.callback());
  EXPECT_EQ(answer.Wait().spooled, nullptr);
  EXPECT_THAT(Spooled(), IsEmpty());
}

TEST_F(TransfersTest, OnlyAFileThatIsGoneIsALoss) {
  Start();
  session::v1::UploadCheckpointHeader header;
  header.set_checkpoint("uuid");
  header.set_size_bytes(3);
  const auto spooled =
      Spool::WriteCheckpoint(files_, kSpool, TransferKey(), header, absl::MakeConstSpan("abc", 3));
  ASSERT_THAT(spooled, IsOk());
  const auto upload = [&] {
    Answer<absl::Status> answer;
    transfers_->UploadSpooled(TransferKey(), *spooled, scope_, answer.callback());
    return answer.Wait();
  };
  files_.FailMatching(
      [&](absl::string_view operation) { return operation.find("ckpt-") != operation.npos; },
      FaultyFileSystem::Fault::kDeviceError);
  EXPECT_THAT(upload(), StatusIs(absl::StatusCode::kUnavailable));
  files_.ClearFaults();
  EXPECT_THAT(upload(), IsOk());
  ASSERT_THAT(files_.Remove(spooled->path), IsOk());
  EXPECT_THAT(upload(), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace cvtrain::worker
