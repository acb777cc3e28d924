// What `cvctl dataset preview` shows is what a trainer decodes: both sides, on the same shards.

#include "client/dataset/stage_preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/memory_file_system.h"
#include "cvtrain/v1/recipe.pb.h"
#include "plan/curriculum/forecast.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/trainer/data/photo_dataset.h"
#include "worker/trainer/data/shard_batch_source.h"

namespace cvtrain::trainer {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr char kPreviewRecipe[] = R"pb(
  task: TASK_CLASSIFICATION
  dataset { name: "photos" train_split: "train" validation_split: "test" }
  model {
    small_resnet { widths: 8 blocks: 1 }
    num_classes: 3
  }
  epochs: 4
  sampler {
    multi_scale {
      base { height: 24 width: 24 batch_size: 4 }
      scales { min: 16 max: 32 count: 3 divisible_by: 8 }
      variable_batch: true
      curriculum { linear { grow_until_epoch: 3 start_max: 16 } }
    }
  }
  augmentation {
    random_resized_crop { scale_min: 0.3 scale_max: 1 ratio_min: 0.75 ratio_max: 1.33 }
    horizontal_flip { probability: 0.5 }
    trivial_augment { num_magnitude_bins: 31 }
  }
  seed: 7
)pb";

class StagePreviewTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<client::SheetRow>> Preview(
      const client::StagePreviewOptions& options = {}) {
    return client::PreviewStages(recipe_, photos_.version(), /*logical_ranks=*/2, options, open_);
  }

  cvtrain::v1::Recipe recipe_ = ParseTextProto<cvtrain::v1::Recipe>(kPreviewRecipe);
  PhotoDataset photos_{{{.name = "train", .images = 22}, {.name = "test", .images = 5}}};
  InMemoryFileSystem disk_;
  client::OpenShard open_ =
      [this](const cvtrain::v1::Shard& shard) -> absl::StatusOr<std::unique_ptr<RandomAccessFile>> {
    const std::string path = absl::StrCat("/", shard.index());
    EXPECT_THAT(WriteFileAtomic(disk_, path, photos_.bytes(shard.index())), IsOk());
    return disk_.NewRandomAccessFile(path);
  };
};

TEST_F(StagePreviewTest, ShowsPixelByPixelWhatATrainerDecodes) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto rows, Preview({.pictures = 3}));
  ASSERT_GE(rows.size(), 4u);

  CVT_ASSERT_OK_AND_ASSIGN(const plan::TrialPlan plan,
                           plan::PlanTrial(recipe_, {.images = 22, .logical_ranks = 2}));
  CVT_ASSERT_OK_AND_ASSIGN(const auto source,
                           NewShardBatchSource({.recipe = recipe_,
                                                .dataset = photos_.version(),
                                                .plan = plan,
                                                .share = LogicalShareOf(0, 1, 2)},
                                               photos_, {}));
  ASSERT_THAT(source->StartTraining(0), IsOk());
  std::vector<std::string> fed;  // the first pictures of each batch, as one string each
  while (true) {
    const absl::StatusOr<Batch> batch = source->NextTraining();
    if (!batch.ok()) break;
    const size_t bytes = static_cast<size_t>(batch->height) * static_cast<size_t>(batch->width) * 3;
    const size_t shown = std::min<size_t>(3, static_cast<size_t>(batch->count)) * bytes;
    fed.emplace_back(reinterpret_cast<const char*>(batch->pixels.data()), shown);
  }
  for (const client::SheetRow& row : rows) {
    std::string shown;
    for (const formats::Image& tile : row.tiles) {
      shown.append(reinterpret_cast<const char*>(tile.pixels.data()), tile.pixels.size());
    }
    EXPECT_THAT(fed, ::testing::Contains(shown)) << row.caption;
  }
}

TEST_F(StagePreviewTest, HasARowForEachStageAndSize) {
  CVT_ASSERT_OK_AND_ASSIGN(const auto rows, Preview({.pictures = 2}));
  std::vector<std::string> captions;
  for (const client::SheetRow& row : rows) {
    captions.push_back(row.caption);
    EXPECT_THAT(row.tiles, SizeIs(2));
  }
  EXPECT_THAT(captions, ::testing::Contains("stage 1, epochs 1-2: 16x16, batch 9"));
  CVT_ASSERT_OK_AND_ASSIGN(const auto one, Preview({.stage = 0}));
  for (const client::SheetRow& row : one) {
    EXPECT_TRUE(absl::StartsWith(row.caption, "stage 1,")) << row.caption;
  }
  EXPECT_LT(one.size(), rows.size());
  CVT_ASSERT_OK_AND_ASSIGN(const auto few, Preview({.sizes_max = 1}));
  EXPECT_LT(few.size(), rows.size());
}

TEST_F(StagePreviewTest, SaysWhatItCannotShow) {
  EXPECT_THAT(Preview({.stage = 100}),
              AllOf(StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID")),
                    Message(HasSubstr("stage 101"))));
  recipe_.mutable_dataset()->set_train_split("training");
  EXPECT_THAT(Preview(), AllOf(StatusIs(absl::StatusCode::kInvalidArgument),
                               Message(HasSubstr("no split training"))));
}

TEST_F(StagePreviewTest, RefusesADamagedShard) {
  std::string& shard = photos_.bytes(0);
  shard[shard.size() / 2] = static_cast<char>(shard[shard.size() / 2] ^ 1);
  EXPECT_THAT(Preview({.pictures = 64}),
              StatusIs(absl::StatusCode::kDataLoss, Reason("SHARD_BAD")));
}

}  // namespace
}  // namespace cvtrain::trainer
