#include "worker/agent/origin/shard_origins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "common/errors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/log_capture.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr char kContent[] = "0123456789";

// Has the content, up to `has` bytes of it, and ends as it is told after them.
class FakeOrigin : public ShardOrigin {
 public:
  FakeOrigin(size_t has, absl::Status end) : has_(has), end_(std::move(end)) {}
  const std::string& name() const override { return name_; }
  absl::Status Fetch(const ContentKey&, uint64_t offset, uint64_t length, const ByteSink& sink,
                     const StopToken&) override {
    asked.emplace_back(offset, length);
    for (uint64_t at = offset; at < offset + length; ++at) {
      if (at >= has_) return end_;
      if (const absl::Status taken = sink(absl::string_view(kContent).substr(at, 1)); !taken.ok()) {
        return taken;
      }
    }
    return absl::OkStatus();
  }

  std::vector<std::pair<uint64_t, uint64_t>> asked;

 private:
  const std::string name_ = "/fake";
  const size_t has_;
  const absl::Status end_;
};

absl::Status Away() { return Unavailable(cvtrain::Reason::kServerUnreachable, "away"); }
absl::Status NotThere() { return NotFound(cvtrain::Reason::kShardNotFound, "not there"); }

class ShardOriginsTest : public ::testing::Test {
 protected:
  FakeOrigin* Add(size_t has, absl::Status end) {
    auto origin = std::make_unique<FakeOrigin>(has, std::move(end));
    FakeOrigin* const view = origin.get();
    places_.push_back(std::move(origin));
    return view;
  }
  void Start() {
    origins_ = std::make_unique<ShardOrigins>(std::move(places_), clock_, telemetry_);
  }
  absl::Status Fetch() {
    got_.clear();
    return origins_->Fetch(
        {.digest = std::string(64, 'a'), .size_bytes = 10}, 2, 6,
        [this](absl::string_view piece) {
          if (!refuse_.ok()) return refuse_;
          got_.append(piece.data(), piece.size());
          return absl::OkStatus();
        },
        StopToken(), &delivered_);
  }

  testing::LogCapture log_;
  testing::FakeClock clock_;
  InMemoryTelemetry telemetry_;
  std::vector<std::unique_ptr<ShardOrigin>> places_;
  std::unique_ptr<ShardOrigins> origins_;
  std::string got_;
  uint64_t delivered_ = 0;
  absl::Status refuse_;
};

TEST_F(ShardOriginsTest, AsksTheNextPlaceForTheRest) {
  FakeOrigin* const first = Add(5, Away());
  FakeOrigin* const second = Add(10, absl::OkStatus());
  FakeOrigin* const third = Add(10, absl::OkStatus());
  Start();
  EXPECT_THAT(Fetch(), IsOk());
  EXPECT_EQ(got_, "234567");
  EXPECT_EQ(delivered_, 6u);
  EXPECT_THAT(first->asked, ElementsAre(Pair(2, 6)));
  EXPECT_THAT(second->asked, ElementsAre(Pair(5, 3)));
  EXPECT_THAT(third->asked, ElementsAre());
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_origin_bytes_total"), 6);
}

TEST_F(ShardOriginsTest, SaysHowMuchCameWhereNobodyHasTheRest) {
  Add(4, NotThere());
  Start();
  EXPECT_THAT(Fetch(), IsOk());
  EXPECT_EQ(delivered_, 2u);
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_origin_failures_total"), 0);
}

TEST_F(ShardOriginsTest, LeavesAPlaceAloneThatDoesNotAnswer) {
  FakeOrigin* const away = Add(0, Away());
  FakeOrigin* const empty = Add(0, NotThere());
  Start();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Fetch(), IsOk());
  EXPECT_EQ(away->asked.size(), 1u);
  EXPECT_EQ(empty->asked.size(), 3u) << "that it has not this shard says nothing of others";
  EXPECT_EQ(telemetry_.Value("cvtrain_worker_origin_failures_total"), 1);
  clock_.Advance(ShardOrigins::kPause);
  EXPECT_THAT(Fetch(), IsOk());
  EXPECT_EQ(away->asked.size(), 2u);
}

TEST_F(ShardOriginsTest, EndsWithTheSink) {
  FakeOrigin* const first = Add(10, absl::OkStatus());
  FakeOrigin* const second = Add(10, absl::OkStatus());
  Start();
  refuse_ = absl::AbortedError("full");
  EXPECT_THAT(Fetch(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(first->asked.size(), 1u);
  EXPECT_EQ(second->asked.size(), 0u);
  refuse_ = absl::OkStatus();
  EXPECT_THAT(Fetch(), IsOk());
  EXPECT_EQ(first->asked.size(), 2u) << "it was blamed for what it did not do";
}

}  // namespace
}  // namespace cvtrain::worker
