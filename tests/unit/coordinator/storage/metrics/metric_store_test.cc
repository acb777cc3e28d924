#include "coordinator/storage/metrics/metric_store.h"

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/limits.h"
#include "common/random.h"
#include "coordinator/storage/rocks.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/storage/storage_disk.h"

namespace cvtrain::coordinator {

static bool operator==(const MetricPoint& a, const MetricPoint& b) {
  return a.step == b.step && (a.value == b.value || (std::isnan(a.value) && std::isnan(b.value)));
}

static void PrintTo(const MetricPoint& point, std::ostream* out) {
  *out << point.step << ": " << point.value;
}

namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TrialName kTrial(ExperimentName(12), 3);

class MetricStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void TearDown() override { store_.reset(); }

  void Open() {
    store_.reset();
    ASSERT_THAT(disk_.Open(), IsOk());
    store_ = std::make_unique<MetricStore>(disk_.database());
  }
  void Crash() {
    store_.reset();
    disk_.Crash();
    Open();
  }
  static MetricBatch Batch(int64_t sequence, int32_t attempt, std::vector<MetricPoint> points,
                           const std::string& metric = "loss") {
    MetricBatch batch{
        kTrial, attempt, absl::StrCat("stream-", attempt), sequence, {{metric, {}, {}}}};
    for (const MetricPoint& point : points) {
      batch.columns[0].steps.push_back(point.step);
      batch.columns[0].values.push_back(point.value);
    }
    return batch;
  }
  absl::Status Stage(MetricBatch batch) {
    return store_->Stage(std::move(batch),
                         [this](const absl::Status& status) { done_.push_back(status.code()); });
  }
  void Put(MetricBatch batch) {
    ASSERT_THAT(Stage(std::move(batch)), IsOk());
    ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
  }
  // Steps [begin, end), one batch each, with value = step / 8.
  void PutSteps(int64_t begin, int64_t end, int32_t attempt, int64_t per_batch) {
    for (int64_t step = begin; step < end; step += per_batch) {
      std::vector<MetricPoint> points;
      for (int64_t i = step; i < std::min(end, step + per_batch); ++i) {
        points.push_back({i, static_cast<double>(i) / 8});
      }
      Put(Batch(++sequence_, attempt, points));
    }
  }
  MetricAnswer Query(MetricQuery query) {
    query.trial = kTrial;
    query.metric = query.metric.empty() ? "loss" : query.metric;
    if (query.lineage.empty()) {
      query.lineage = {{1, 0}};
    }
    auto answer = store_->Query(query);
    EXPECT_THAT(answer, IsOk());
    return answer.value_or(MetricAnswer());
  }
  std::vector<MetricPoint> All(std::vector<LineagePart> lineage = {}) {
    MetricQuery query;
    query.lineage = std::move(lineage);
    return Query(query).points;
  }
  int Rows() {
    int rows = 0;
    for (RowCursor cursor(disk_.database().rocks(), Family::kMetrics, ""); cursor.Valid();
         cursor.Next()) {
      ++rows;
    }
    return rows;
  }

  StorageDisk disk_;
  std::unique_ptr<MetricStore> store_;
  std::vector<absl::StatusCode> done_;
  int64_t sequence_ = 0;
};

TEST_F(MetricStoreTest, AnswersInOrderOfSteps) {
  Put(Batch(1, 1, {{2, 0.2}, {0, 0.0}}));
  Put(Batch(2, 1, {{1, 0.1}, {3, 0.3}}));
  EXPECT_THAT(All(), ElementsAre(MetricPoint{0, 0.0}, MetricPoint{1, 0.1}, MetricPoint{2, 0.2},
                                 MetricPoint{3, 0.3}));
  EXPECT_THAT(store_->ListMetrics(kTrial), IsOkAndHolds(ElementsAre("loss")));
}

TEST_F(MetricStoreTest, AcknowledgesOnlyAfterTheCommit) {
  ASSERT_THAT(Stage(Batch(1, 1, {{0, 1}})), IsOk());
  EXPECT_THAT(done_, IsEmpty());
  EXPECT_THAT(All(), IsEmpty());
  EXPECT_THAT(store_->DurableSequence(kTrial, "stream-1"), IsOkAndHolds(0));
  ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
  EXPECT_THAT(done_, ElementsAre(absl::StatusCode::kOk));
  EXPECT_THAT(store_->DurableSequence(kTrial, "stream-1"), IsOkAndHolds(1));
}

TEST_F(MetricStoreTest, StoresARepeatedBatchOnce) {
  Put(Batch(1, 1, {{0, 1}}));
  Put(Batch(2, 1, {{0, 2}}));
  Put(Batch(1, 1, {{0, 1}}));  // resent: must not win over the later value
  ASSERT_THAT(Stage(Batch(3, 1, {{1, 5}})), IsOk());
  ASSERT_THAT(Stage(Batch(3, 1, {{1, 6}})), IsOk());  // twice in one commit
  ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
  EXPECT_THAT(All(), ElementsAre(MetricPoint{0, 2}, MetricPoint{1, 5}));
  Crash();
  Put(Batch(3, 1, {{1, 7}}));
  EXPECT_THAT(All(), ElementsAre(MetricPoint{0, 2}, MetricPoint{1, 5}));
  EXPECT_EQ(done_.size(), 6u);
}

TEST_F(MetricStoreTest, KeepsWhatWasAcknowledgedWhenPowerFails) {
  PutSteps(0, 100, 1, 7);
  ASSERT_THAT(Stage(Batch(1000, 1, {{100, 0}})), IsOk());  // never committed
  Crash();
  EXPECT_EQ(All().size(), 100u);
  PutSteps(100, 130, 1, 10);
  EXPECT_EQ(All().size(), 130u);
}

TEST_F(MetricStoreTest, OfRepeatedStepsTheLastCounts) {
  Put(Batch(1, 1, {{5, 1}, {5, 2}}));
  EXPECT_THAT(All(), ElementsAre(MetricPoint{5, 2}));
  Put(Batch(2, 1, {{2000, 0}}));  // the chunk of step 5 is old now
  Put(Batch(3, 1, {{5, 3}}));
  EXPECT_THAT(All(), ElementsAre(MetricPoint{5, 3}, MetricPoint{2000, 0}));
}

TEST_F(MetricStoreTest, KeepsValuesThatAreNotNumbers) {
  const double inf = std::numeric_limits<double>::infinity();
  Put(Batch(1, 1, {{0, std::nan("")}, {1, inf}, {2, -inf}}));
  EXPECT_THAT(All(),
              ElementsAre(MetricPoint{0, std::nan("")}, MetricPoint{1, inf}, MetricPoint{2, -inf}));
}

TEST_F(MetricStoreTest, RewritesAChunkOnceWhenItIsFull) {
  PutSteps(0, 3 * 1024 + 10, 1, 100);
  // Stream, name, three chunks as a whole, one tail of at most two rows.
  EXPECT_LE(Rows(), 2 + 3 + 2);
  EXPECT_EQ(All().size(), 3u * 1024 + 10);
}

TEST_F(MetricStoreTest, BoundsTheTailOfASlowSeries) {
  PutSteps(0, 200, 1, 1);
  EXPECT_LE(Rows(), 2 + 1 + MetricStore::kTailRowsMax);
  EXPECT_EQ(All().size(), 200u);
}

TEST_F(MetricStoreTest, FinishesAChunkThatARestartLeftOpen) {
  PutSteps(0, 1000, 1, 100);
  Crash();
  PutSteps(1000, 2100, 1, 100);
  EXPECT_LE(Rows(), 2 + 2 + 2);
  EXPECT_EQ(All().size(), 2100u);
}

TEST_F(MetricStoreTest, TheLineageSaysWhichAttemptCounts) {
  Put(Batch(1, 1, {{0, 1}, {1, 1}, {2, 1}, {3, 1}}));
  Put(Batch(1, 2, {{2, 2}, {3, 2}, {4, 2}}));
  EXPECT_THAT(All({{1, 0}, {2, 2}}),
              ElementsAre(MetricPoint{0, 1}, MetricPoint{1, 1}, MetricPoint{2, 2},
                          MetricPoint{3, 2}, MetricPoint{4, 2}));
  // The third attempt went back before the second began: nothing of the second counts.
  Put(Batch(1, 3, {{1, 3}}));
  EXPECT_THAT(All({{1, 0}, {2, 2}, {3, 1}}), ElementsAre(MetricPoint{0, 1}, MetricPoint{1, 3}));
}

TEST_F(MetricStoreTest, AnswersTheStepsThatWereAskedFor) {
  PutSteps(0, 3000, 1, 500);
  MetricQuery query;
  query.from_step = 1020;
  query.to_step = 1030;
  const std::vector<MetricPoint> points = Query(query).points;
  ASSERT_EQ(points.size(), 10u);
  EXPECT_EQ(points.front().step, 1020);
  EXPECT_EQ(points.back().step, 1029);
  query.metric = "nothing";
  EXPECT_THAT(Query(query).points, IsEmpty());
}

TEST_F(MetricStoreTest, DownSamplesByTheMeanOfEqualBuckets) {
  PutSteps(0, 4000, 1, 500);
  MetricQuery query;
  query.points_max = 4;
  EXPECT_THAT(Query(query).points,
              ElementsAre(MetricPoint{999, 999.0 / 16}, MetricPoint{1999, 2999.0 / 16},
                          MetricPoint{2999, 4999.0 / 16}, MetricPoint{3999, 6999.0 / 16}));
}

TEST_F(MetricStoreTest, MeansLeaveOutNaNUnlessThereIsNothingElse) {
  Put(Batch(1, 1, {{0, std::nan("")}, {1, 4}, {2, std::nan("")}, {3, std::nan("")}}));
  MetricQuery query;
  query.points_max = 2;
  EXPECT_THAT(Query(query).points, ElementsAre(MetricPoint{1, 4}, MetricPoint{3, std::nan("")}));
}

TEST_F(MetricStoreTest, NeverAnswersMoreThanWasAskedForOfSparseSeries) {
  int64_t sequence = 0;
  for (int64_t step = 0; step < 200'000; step += 5'000) {
    Put(Batch(++sequence, 1, {{step, 1}}));
  }
  Put(Batch(1, 2, {{100'001, 2}}));
  for (int32_t points_max : {1, 3, 7, 1000}) {
    MetricQuery query;
    query.points_max = points_max;
    query.lineage = {{1, 0}, {2, 99'999}};
    const std::vector<MetricPoint> points = Query(query).points;
    EXPECT_LE(points.size(), static_cast<size_t>(points_max));
    EXPECT_EQ(points.back().step, 100'001);
  }
}

TEST_F(MetricStoreTest, SaysWhereToGoOnAfterALongAnswer) {
  PutSteps(0, 120'000, 1, 40'000);
  MetricQuery query;
  const MetricAnswer first = Query(query);
  EXPECT_EQ(first.points.size(), MetricStore::kPointsPerAnswerMax);
  ASSERT_EQ(first.next_step, 100'000);
  query.from_step = first.next_step;
  const MetricAnswer second = Query(query);
  EXPECT_EQ(second.points.size(), 20'000u);
  EXPECT_EQ(second.next_step, 0);
}

TEST_F(MetricStoreTest, DeletesATrialAndNothingElse) {
  Put(Batch(1, 1, {{0, 1}}));
  MetricBatch other = Batch(1, 1, {{0, 7}});
  other.trial = TrialName(ExperimentName(12), 4);
  Put(other);
  ASSERT_THAT(Stage(Batch(2, 1, {{1, 1}})), IsOk());
  ASSERT_THAT(store_->StageDelete(kTrial, [](const absl::Status&) {}), IsOk());
  ASSERT_THAT(Stage(Batch(1, 2, {{5, 9}}, "after")), IsOk());
  ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
  EXPECT_THAT(All(), IsEmpty());
  EXPECT_THAT(store_->ListMetrics(kTrial), IsOkAndHolds(ElementsAre("after")));
  EXPECT_THAT(store_->ListMetrics(other.trial), IsOkAndHolds(ElementsAre("loss")));
  Put(Batch(1, 1, {{0, 3}}));  // the stream is forgotten, too
  EXPECT_THAT(All(), ElementsAre(MetricPoint{0, 3}));
}

TEST_F(MetricStoreTest, RefusesMalformedBatches) {
  const auto refused = [&](auto change) {
    MetricBatch batch = Batch(1, 1, {{0, 1}});
    change(batch);
    EXPECT_THAT(Stage(batch),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")));
  };
  refused([](MetricBatch& batch) { batch.stream = ""; });
  refused([](MetricBatch& batch) { batch.stream = std::string(129, 's'); });
  refused([](MetricBatch& batch) { batch.sequence = 0; });
  refused([](MetricBatch& batch) { batch.attempt = 0; });
  refused([](MetricBatch& batch) { batch.columns[0].values.clear(); });
  refused([](MetricBatch& batch) { batch.columns[0].steps[0] = -1; });
  refused([](MetricBatch& batch) { batch.columns[0].metric = ""; });
  refused([](MetricBatch& batch) { batch.columns[0].metric = std::string("a\0b", 3); });
  refused([](MetricBatch& batch) { batch.columns[0].metric = std::string(129, 'm'); });
  MetricBatch large = Batch(1, 1, {});
  large.columns[0].steps.resize(100'000);
  large.columns[0].values.resize(100'000);
  EXPECT_THAT(Stage(large),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
}

TEST_F(MetricStoreTest, BoundsTheMetricsOfATrial) {
  MetricBatch batch = Batch(1, 1, {});
  batch.columns.clear();
  for (int i = 0; i < limits::kMetricsPerTrialMax; ++i) {
    batch.columns.push_back({absl::StrCat("m", i), {0}, {1}});
  }
  Put(batch);
  Put(Batch(2, 1, {{0, 1}}, "one-more"));
  EXPECT_THAT(done_, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kResourceExhausted));
  Put(Batch(3, 1, {{1, 1}}, "m7"));
  EXPECT_EQ(done_.back(), absl::StatusCode::kOk);
}

TEST_F(MetricStoreTest, RefusesWhileTheDiskIsAlmostFull) {
  disk_.files().SetQuota(disk_.files().used_bytes() + (1 << 20));
  disk_.clock().Advance(absl::Minutes(1));
  EXPECT_THAT(Stage(Batch(1, 1, {{0, 1}})),
              StatusIs(absl::StatusCode::kResourceExhausted, Reason("DISK_FULL")));
}

// Random batches, repetitions, power failures, against a plain map.
TEST_F(MetricStoreTest, AgreesWithASimpleModel) {
  KeyedStream random("test/v1", {11});
  std::map<std::pair<int32_t, int64_t>, double> model;
  std::map<int32_t, int64_t> sequences;
  for (int round = 0; round < 300; ++round) {
    const auto attempt = static_cast<int32_t>(1 + random.UniformInt(2));
    std::vector<MetricPoint> points(1 + random.UniformInt(300));
    const int64_t begin = static_cast<int64_t>(random.UniformInt(6000));
    for (MetricPoint& point : points) {
      point = {begin + static_cast<int64_t>(random.UniformInt(400)), random.Uniform01()};
      model[{attempt, point.step}] = point.value;
    }
    const MetricBatch batch = Batch(++sequences[attempt], attempt, points);
    ASSERT_THAT(Stage(batch), IsOk());
    if (random.Bernoulli(0.3)) {
      ASSERT_THAT(Stage(batch), IsOk());
    }
    if (random.Bernoulli(0.5)) {
      ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
    }
    if (round % 100 == 99) {
      ASSERT_THAT(disk_.database().committer().Commit(), IsOk());
      Crash();
    }
  }
  for (int32_t attempt : {1, 2}) {
    std::vector<MetricPoint> expected;
    for (const auto& [key, value] : model) {
      if (key.first == attempt) {
        expected.push_back({key.second, value});
      }
    }
    EXPECT_TRUE(All({{attempt, 0}}) == expected);
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
