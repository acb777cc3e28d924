#include "worker/trainer/data/shard_batch_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/errors.h"
#include "common/thread.h"
#include "cvtrain/v1/recipe.pb.h"
#include "formats/picture/picture_editor.h"
#include "plan/augment/picture_draw.h"
#include "plan/curriculum/sample_order.h"
#include "plan/curriculum/stages.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kRecipe[] = R"pb(
  task: TASK_CLASSIFICATION
  dataset { name: "photos" train_split: "train" validation_split: "test" }
  model {
    small_resnet { widths: 8 blocks: 1 }
    num_classes: 3
  }
  epochs: 2
  sampler {
    multi_scale {
      base { height: 24 width: 24 batch_size: 4 }
      scales { min: 16 max: 32 count: 3 divisible_by: 8 }
      variable_batch: true
      include_base: true
    }
  }
  augmentation {
    random_resized_crop { scale_min: 0.3 scale_max: 1 ratio_min: 0.75 ratio_max: 1.33 }
    horizontal_flip { probability: 0.5 }
  }
  seed: 7
)pb";

// A batch by value.
struct Kept {
  int32_t height;
  std::vector<int64_t> samples;
  std::vector<int64_t> labels;
  std::vector<uint8_t> pixels;
  friend bool operator==(const Kept&, const Kept&) = default;
};

Kept Keep(const Batch& batch) {
  return {.height = batch.height,
          .samples = {batch.samples.begin(), batch.samples.end()},
          .labels = {batch.labels.begin(), batch.labels.end()},
          .pixels = {batch.pixels.begin(), batch.pixels.end()}};
}

// What a source is made from, and how many processes there are.
struct SourceSetup {
  int train = 22;
  int test = 7;
  std::set<int> broken = {};
  int logical_ranks = 2;
  int rank = 0;
  int world_size = 1;
  int decode_threads = 2;
  int64_t picture_cache_bytes = 0;
  int64_t fetch_ahead_bytes = 0;
};

class ShardBatchSourceTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<BatchSource>> Make(const SourceSetup& setup) {
    datasets_.push_back(std::make_unique<PhotoDataset>(std::vector<PhotoDataset::Split>{
        {.name = "test", .images = setup.test},
        {.name = "train", .images = setup.train, .broken = setup.broken}}));
    photos_ = datasets_.back().get();
    return MakeFromPhotos(setup);
  }

  absl::StatusOr<std::unique_ptr<BatchSource>> MakeFromPhotos(const SourceSetup& setup) {
    plan_.emplace(*plan::TrialPlan::Create(
        *plan::Curriculum::Create(recipe_),
        {.seed = 7, .images = setup.train, .logical_ranks = setup.logical_ranks}));
    return NewShardBatchSource(
        {.recipe = recipe_,
         .dataset = photos_->version(),
         .plan = *plan_,
         .share = LogicalShareOf(setup.rank, setup.world_size, setup.logical_ranks),
         .rank = setup.rank,
         .world_size = setup.world_size},
        *photos_,
        {.decode_threads = setup.decode_threads,
         .nice = 0,
         .picture_cache_bytes = setup.picture_cache_bytes,
         .fetch_ahead_bytes = setup.fetch_ahead_bytes});
  }

  // All training batches from `step` on.
  static std::vector<Kept> Train(BatchSource& source, int64_t step = 0) {
    std::vector<Kept> batches;
    EXPECT_THAT(source.StartTraining(step), IsOk());
    while (true) {
      const absl::StatusOr<Batch> batch = source.NextTraining();
      if (!batch.ok()) {
        EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kOutOfRange));
        return batches;
      }
      batches.push_back(Keep(*batch));
    }
  }

  static std::vector<Kept> Evaluate(BatchSource& source, const EvaluationView& view) {
    std::vector<Kept> batches;
    EXPECT_THAT(source.StartEvaluation(view), IsOk());
    while (true) {
      absl::StatusOr<std::optional<Batch>> batch = source.NextEvaluation();
      EXPECT_THAT(batch, IsOk());
      if (!batch.ok() || !batch->has_value()) return batches;
      batches.push_back(Keep(**batch));
    }
  }

  cvtrain::v1::Recipe recipe_ = ParseTextProto<cvtrain::v1::Recipe>(kRecipe);
  std::vector<std::unique_ptr<PhotoDataset>> datasets_;  // they outlive their sources
  PhotoDataset* photos_ = nullptr;                       // the last one
  std::optional<plan::TrialPlan> plan_;
};

TEST_F(ShardBatchSourceTest, GivesTheBatchesOfThePlan) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  const std::vector<Kept> batches = Train(*source);
  ASSERT_EQ(batches.size(), static_cast<size_t>(plan_->step_total()) * 2);
  std::vector<int64_t> seen;
  size_t next = 0;
  for (int32_t epoch = 0; epoch < plan_->epochs(); ++epoch) {
    const plan::SampleOrder order(*plan_, epoch);
    for (const plan::PlannedStep& step : plan_->EpochSteps(epoch)) {
      for (int32_t rank = 0; rank < 2; ++rank) {
        const Kept& batch = batches[next++];
        EXPECT_EQ(batch.height, step.scale.height);
        EXPECT_EQ(batch.samples, order.Batch(step, rank));
        EXPECT_EQ(batch.pixels.size(), batch.samples.size() * 3 *
                                           static_cast<size_t>(step.scale.height) *
                                           static_cast<size_t>(step.scale.width));
        for (size_t i = 0; i < batch.samples.size(); ++i) {
          EXPECT_EQ(batch.labels[i], batch.samples[i] % PhotoDataset::kClasses);
          if (epoch == 0) seen.push_back(batch.samples[i]);
        }
      }
    }
  }
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  EXPECT_THAT(seen, ::testing::SizeIs(22)) << "an epoch shows every picture";
}

TEST_F(ShardBatchSourceTest, IsTheSameWhateverTheThreadsAndProcesses) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  const std::vector<Kept> all = Train(*source);
  CVT_ASSERT_OK_AND_ASSIGN(auto slow, Make({.decode_threads = 1}));
  EXPECT_EQ(Train(*slow), all);
  // Room for all that is decoded, and for a part of it.
  for (const int64_t bytes : {int64_t{1} << 24, int64_t{40'000}}) {
    CVT_ASSERT_OK_AND_ASSIGN(auto cached, Make({.picture_cache_bytes = bytes}));
    EXPECT_EQ(Train(*cached), all) << "with a cache of " << bytes << " bytes";
  }
  for (int rank = 0; rank < 2; ++rank) {
    CVT_ASSERT_OK_AND_ASSIGN(auto part, Make({.rank = rank, .world_size = 2}));
    std::vector<Kept> mine;
    for (size_t i = static_cast<size_t>(rank); i < all.size(); i += 2) mine.push_back(all[i]);
    EXPECT_EQ(Train(*part), mine) << "rank " << rank;
  }
}

void TurnOnOperations(cvtrain::v1::Recipe& recipe) {
  recipe.mutable_augmentation()->MergeFrom(ParseTextProto<cvtrain::v1::Augmentation>(R"pb(
    color_jitter { brightness: 0.4 contrast: 0.4 saturation: 0.4 hue: 0.1 probability: 0.8 }
    rand_augment { num_ops: 3 magnitude: 15 num_magnitude_bins: 31 }
  )pb"));
}

TEST_F(ShardBatchSourceTest, DoesToEachPictureWhatIsDrawnForIt) {
  CVT_ASSERT_OK_AND_ASSIGN(auto plain, Make({}));
  std::vector<Kept> expected = Train(*plain);
  TurnOnOperations(recipe_);
  size_t next = 0;
  int64_t steps_done = 0;
  formats::PictureEditor editor;
  for (int32_t epoch = 0; epoch < plan_->epochs(); ++epoch) {
    const auto planned = plan_->EpochSteps(epoch);
    for (size_t step = 0; step < planned.size(); ++step) {
      for (int32_t rank = 0; rank < 2; ++rank) {
        Kept& batch = expected[next++];
        const int side = batch.height;
        const size_t bytes = static_cast<size_t>(side * side * 3);
        for (size_t i = 0; i < batch.samples.size(); ++i) {
          const plan::SampleKey key = {.step = {.seed = 7,
                                                .epoch = epoch,
                                                .step_in_epoch = static_cast<int64_t>(step),
                                                .logical_rank = rank},
                                       .position = static_cast<int32_t>(i)};
          const plan::PictureDraw draw =
              plan::DrawPicture(recipe_.augmentation(), {.width = 64, .height = 64},
                                {.width = side, .height = side}, key);
          steps_done += static_cast<int64_t>(draw.steps.size());
          editor.Apply(draw.steps,
                       {absl::MakeSpan(batch.pixels).subspan(i * bytes, bytes), side, side});
        }
      }
    }
  }
  EXPECT_GT(steps_done, 100);
  CVT_ASSERT_OK_AND_ASSIGN(auto augmented, MakeFromPhotos({}));
  EXPECT_EQ(Train(*augmented), expected);
}

TEST_F(ShardBatchSourceTest, AugmentedItIsTheSameWhateverTheThreadsAndProcesses) {
  TurnOnOperations(recipe_);
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({.decode_threads = 3}));
  const std::vector<Kept> all = Train(*source);
  for (int rank = 0; rank < 2; ++rank) {
    CVT_ASSERT_OK_AND_ASSIGN(auto part, Make({.rank = rank, .world_size = 2, .decode_threads = 1}));
    std::vector<Kept> mine;
    for (size_t i = static_cast<size_t>(rank); i < all.size(); i += 2) mine.push_back(all[i]);
    EXPECT_EQ(Train(*part), mine) << "rank " << rank;
  }
}

TEST_F(ShardBatchSourceTest, AnEvaluationIsNotAugmented) {
  const EvaluationView view = {.resize = 36, .crop = 32, .batch_size = 3};
  CVT_ASSERT_OK_AND_ASSIGN(auto plain, Make({}));
  const std::vector<Kept> expected = Evaluate(*plain, view);
  TurnOnOperations(recipe_);
  CVT_ASSERT_OK_AND_ASSIGN(auto augmented, MakeFromPhotos({}));
  EXPECT_EQ(Evaluate(*augmented, view), expected);
}

TEST_F(ShardBatchSourceTest, WithoutChanceAPictureIsTheSameInEveryEpoch) {
  for (const char* cut : {"resize {}", "center_crop { resize_ratio: 1.2 }"}) {
    *recipe_.mutable_augmentation() = ParseTextProto<cvtrain::v1::Augmentation>(cut);
    recipe_.mutable_augmentation()->mutable_horizontal_flip()->set_probability(0);
    CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
    // By position and size.
    std::map<std::pair<int64_t, int32_t>, std::vector<uint8_t>> seen;
    int repeated = 0;
    for (const Kept& batch : Train(*source)) {
      const auto bytes = static_cast<int64_t>(batch.pixels.size() / batch.samples.size());
      for (size_t i = 0; i < batch.samples.size(); ++i) {
        const auto begin = batch.pixels.begin() + static_cast<int64_t>(i) * bytes;
        const std::vector<uint8_t> pixels(begin, begin + bytes);
        const auto [first, is_new] = seen.try_emplace({batch.samples[i], batch.height}, pixels);
        if (!is_new) ++repeated;
        EXPECT_EQ(first->second, pixels) << cut;
      }
    }
    EXPECT_GT(repeated, 5) << cut;
  }
}

TEST_F(ShardBatchSourceTest, GoesOnInTheMiddleOfAnEpochAsIfNothingHadHappened) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  const std::vector<Kept> all = Train(*source);
  for (int64_t step = 0; step <= plan_->step_total(); ++step) {
    CVT_ASSERT_OK_AND_ASSIGN(auto later, MakeFromPhotos({}));
    EXPECT_EQ(Train(*later, step), std::vector<Kept>(all.begin() + 2 * step, all.end()))
        << "from step " << step;
  }
}

TEST_F(ShardBatchSourceTest, AnEvaluationInBetweenChangesNothing) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  const std::vector<Kept> all = Train(*source);
  CVT_ASSERT_OK_AND_ASSIGN(auto other, MakeFromPhotos({}));
  ASSERT_THAT(other->StartTraining(0), IsOk());
  const EvaluationView view = {.resize = 36, .crop = 32, .batch_size = 3};
  std::vector<Kept> mixed;
  std::vector<std::vector<Kept>> passes;
  for (size_t i = 0; i < all.size(); ++i) {
    CVT_ASSERT_OK_AND_ASSIGN(const Batch batch, other->NextTraining());
    mixed.push_back(Keep(batch));
    if (i % 3 == 0) passes.push_back(Evaluate(*other, view));
  }
  EXPECT_EQ(mixed, all);
  EXPECT_THAT(passes, ::testing::Each(passes.front()));
}

TEST_F(ShardBatchSourceTest, EvaluationShowsEveryPictureOnceOverAllProcesses) {
  std::vector<int64_t> seen;
  for (int rank = 0; rank < 2; ++rank) {
    CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({.rank = rank, .world_size = 2}));
    for (const Kept& batch : Evaluate(*source, {.resize = 36, .crop = 32, .batch_size = 3})) {
      EXPECT_EQ(batch.height, 32);
      EXPECT_LE(batch.samples.size(), 3u);
      for (const int64_t sample : batch.samples) {
        EXPECT_EQ(sample % 2, rank);
        seen.push_back(sample);
      }
    }
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3, 4, 5, 6));
}

TEST_F(ShardBatchSourceTest, APassThatIsBrokenOffLeavesNothingToTheNext) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  const EvaluationView view = {.resize = 36, .crop = 32, .batch_size = 2};
  const std::vector<Kept> whole = Evaluate(*source, view);
  ASSERT_THAT(source->StartEvaluation({.resize = 20, .crop = 16, .batch_size = 1}), IsOk());
  ASSERT_THAT(source->NextEvaluation(), IsOk());
  EXPECT_EQ(Evaluate(*source, view), whole);
}

TEST_F(ShardBatchSourceTest, ABadPictureIsReplacedByTheNextAndCounted) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({.broken = {4}}));
  const std::vector<Kept> batches = Train(*source);
  int64_t shown = 0;
  for (const Kept& batch : batches) {
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      if (batch.samples[i] != 4) continue;
      ++shown;
      EXPECT_EQ(batch.labels[i], 5 % PhotoDataset::kClasses) << "the label of what is shown";
    }
  }
  EXPECT_THAT(shown, Gt(0));
  EXPECT_EQ(source->replaced_samples(), shown);
}

TEST_F(ShardBatchSourceTest, TooManyBadPicturesEndItAndOneOfThemIsNamed) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({.broken = {4, 5}}));
  ASSERT_THAT(source->StartTraining(0), IsOk());
  absl::Status status;
  while (status.ok()) status = source->NextTraining().status();
  EXPECT_THAT(status, AllOf(StatusIs(absl::StatusCode::kDataLoss, Reason("DATA_BAD")),
                            Message(HasSubstr("train/"))));
  EXPECT_THAT(source->NextTraining(), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(ShardBatchSourceTest, BadPicturesOfAnAttemptBeforeCount) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto source, Make({.broken = {5}}));
  // One of 22 may be bad.
  source->NoteBadSamples({7});
  EXPECT_THAT(source->StartTraining(0), IsOk());
  absl::Status status;
  while (status.ok()) status = source->NextTraining().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, Reason("DATA_BAD")));
  EXPECT_THAT(source->bad_samples(), ElementsAre(5, 7));
}

TEST_F(ShardBatchSourceTest, ADamagedShardIsNeverTakenForABadPicture) {
  ASSERT_THAT(Make({}), IsOk());
  std::string& bytes = photos_->bytes(2);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  CVT_ASSERT_OK_AND_ASSIGN(auto source, MakeFromPhotos({}));
  ASSERT_THAT(source->StartTraining(0), IsOk());
  absl::Status status;
  while (status.ok()) status = source->NextTraining().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

TEST_F(ShardBatchSourceTest, AShardThatCannotBeHadEndsItWithTheReason) {
  ASSERT_THAT(Make({}), IsOk());
  photos_->Fail(2, absl::UnavailableError("no room in the cache"));
  CVT_ASSERT_OK_AND_ASSIGN(auto source, MakeFromPhotos({}));
  ASSERT_THAT(source->StartTraining(0), IsOk());
  absl::Status status;
  while (status.ok()) status = source->NextTraining().status();
  EXPECT_THAT(status, AllOf(StatusIs(absl::StatusCode::kUnavailable),
                            Message(HasSubstr("no room in the cache"))));
}

TEST_F(ShardBatchSourceTest, ABatchOutlivesItsSource) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  ASSERT_THAT(source->StartTraining(0), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const Batch batch, source->NextTraining());
  const Kept before = Keep(batch);
  source.reset();
  EXPECT_EQ(Keep(batch), before);
}

TEST_F(ShardBatchSourceTest, CancelEndsItForGood) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  ASSERT_THAT(source->StartTraining(0), IsOk());
  {
    Thread other("cancel", [&](const StopToken&) { source->Cancel(); });
  }
  EXPECT_THAT(source->NextTraining(), StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
  EXPECT_THAT(source->NextEvaluation(), StatusIs(absl::StatusCode::kCancelled, Reason("STOPPING")));
}

TEST_F(ShardBatchSourceTest, AsksForTheShardsOfTheFirstBatchesAtOnce) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto source, Make({.decode_threads = 0}));
  EXPECT_THAT(source->StartTraining(0), IsOk());
  // The first of `train` comes after two of `test`; each once, and only what will be used.
  std::vector<int32_t> prefetched = photos_->prefetched();
  const std::set<int32_t> distinct(prefetched.begin(), prefetched.end());
  EXPECT_EQ(distinct.size(), prefetched.size());
  EXPECT_GT(prefetched.size(), 3u);
  EXPECT_GE(*distinct.begin(), 2);
  EXPECT_THAT(photos_->asked(), IsEmpty());
}

TEST_F(ShardBatchSourceTest, AWaitForDataEndsWithItsTime) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto source, Make({}));
  photos_->Stall();
  EXPECT_THAT(source->StartTraining(0), IsOk());
  EXPECT_FALSE(source->WaitForTraining(1, absl::ZeroDuration()));
}

TEST_F(ShardBatchSourceTest, TellsWhenABatchIsThere) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto source, Make({}));
  EXPECT_THAT(source->StartTraining(0), IsOk());
  EXPECT_TRUE(source->WaitForTraining(2, absl::InfiniteDuration()));
  EXPECT_THAT(source->NextTraining(), IsOk());
}

TEST_F(ShardBatchSourceTest, ItsEndWaitsForNoShard) {
  CVT_ASSERT_OK_AND_ASSIGN(auto source, Make({}));
  photos_->Stall();
  EXPECT_THAT(source->StartTraining(0), IsOk());
  while (photos_->asked().empty()) source->WaitForTraining(1, absl::Milliseconds(1));
  source.reset();  // joins the thread that waits for one
}

TEST_F(ShardBatchSourceTest, RefusesADataSetThatIsNotTheOneThatWasPinned) {
  ASSERT_THAT(Make({}), IsOk());
  cvtrain::v1::Recipe pinned = recipe_;
  pinned.mutable_dataset()->set_digest(std::string(64, 'e'));
  EXPECT_THAT(NewShardBatchSource({.recipe = pinned,
                                   .dataset = photos_->version(),
                                   .plan = *plan_,
                                   .share = {.first = 0, .count = 2}},
                                  *photos_, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

TEST_F(ShardBatchSourceTest, RefusesAPlanForAnotherNumberOfPictures) {
  ASSERT_THAT(Make({}), IsOk());
  EXPECT_THAT(MakeFromPhotos({.train = 23}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID")));
}

TEST_F(ShardBatchSourceTest, GivesTheSameBatchesWhateverIsFetchedAhead) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto plain, Make({}));
  const std::vector<Kept> wanted = Train(*plain);
  CVT_ASSERT_OK_AND_ASSIGN(const auto ahead, Make({.fetch_ahead_bytes = int64_t{1} << 30}));
  EXPECT_EQ(Train(*ahead), wanted);
}

TEST_F(ShardBatchSourceTest, AsksForTheRungsThatItReadsAndForTheRestWhenAPictureNeedsIt) {
  // Crops of at least 0.3 of pictures of 56 and 64 pixels, at 16 to 32 pixels, need the rung of 40
  // and the source.
  CVT_ASSERT_OK_AND_ASSIGN(const auto source, Make({}));
  Train(*source);
  for (const std::vector<int32_t>& sections : photos_->asked_sections()) {
    EXPECT_THAT(sections, ::testing::Not(IsEmpty())) << "all of a shard was asked for";
  }
}

}  // namespace
}  // namespace cvtrain::trainer
