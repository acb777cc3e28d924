// What a recipe may ask of training beside the plain: optimizers, averages, parts of a batch, what
// is frozen, float16, and what happens where the memory does not suffice.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "formats/safetensors/safetensors.h"
#include "tests/unit/worker/trainer/train/training_fixtures.h"
#include "worker/trainer/train/memory_limit.h"

namespace cvtrain::trainer {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

// One epoch of AdamW and dropout without RangeAugment or batch norm: parts of a batch change
// rounding only.
v1::Start TransformerStart() {
  v1::Start start = MakeTrainingStart();
  cvtrain::v1::Recipe& recipe = *start.mutable_recipe();
  recipe.mutable_model()->mutable_vit()->set_size(cvtrain::v1::VisionTransformer::SIZE_TINY);
  recipe.mutable_model()->mutable_vit()->set_depth(2);
  recipe.mutable_model()->mutable_vit()->set_patch(8);
  recipe.mutable_model()->mutable_vit()->set_image(24);
  recipe.mutable_model()->mutable_vit()->set_drop_path(0.2);
  recipe.set_epochs(1);
  recipe.mutable_augmentation()->clear_range_augment();
  cvtrain::v1::AdamW& adamw = *recipe.mutable_optimizer()->mutable_adamw();
  adamw.set_beta1(0.9);
  adamw.set_beta2(0.999);
  adamw.set_epsilon(1e-8);
  adamw.set_weight_decay(0.05);
  recipe.mutable_learning_rate()->mutable_cosine()->set_max(1e-3);
  recipe.mutable_learning_rate()->mutable_cosine()->set_warmup_steps(0);
  return start;
}

// The largest difference of one tensor, as a share of the largest number of it.
double Difference(const std::string& got, const std::string& want) {
  double difference = 0, largest = 1e-30;
  for (size_t i = 0; i < want.size(); i += sizeof(float)) {
    float a = 0, b = 0;
    std::memcpy(&a, got.data() + i, sizeof(float));
    std::memcpy(&b, want.data() + i, sizeof(float));
    difference = std::max(difference, static_cast<double>(std::abs(a - b)));
    largest = std::max(largest, static_cast<double>(std::abs(b)));
  }
  return difference / largest;
}

// That every attempt that goes on ends where one that was not interrupted does, to the bit.
void ExpectExactResume(const v1::Start& start) {
  Rank whole;
  RunAlone(start, whole);
  ASSERT_EQ(whole.result.cause, cvtrain::v1::CAUSE_FINISHED) << whole.result.message;
  Rank first;
  first.host.StopAfter(3, kPause);
  RunAlone(start, first);
  ASSERT_EQ(first.result.end_step, 3) << first.result.message;
  Rank second;
  RunAlone(ResumeFrom(start, LastFile(first)), second, LastFile(first));
  EXPECT_EQ(second.result.cause, cvtrain::v1::CAUSE_FINISHED) << second.result.message;
  EXPECT_EQ(TensorsOf(LastFile(second)), TensorsOf(LastFile(whole)));
}

TEST(TrainingOptionsTest, GoesOnExactlyWithAdamWAveragesAndClipping) {
  v1::Start start = TransformerStart();
  start.mutable_recipe()->mutable_optimizer()->set_clip_norm(0.5);
  start.mutable_recipe()->mutable_ema()->set_decay(0.9);
  start.mutable_recipe()->mutable_ema()->set_every_steps(2);
  start.mutable_recipe()->mutable_ema()->set_warmup(true);
  start.mutable_recipe()->set_micro_batches(2);
  ExpectExactResume(start);
}

TEST(TrainingOptionsTest, ReportsTheNormThatItClips) {
  v1::Start start = TransformerStart();
  Rank plain;
  RunAlone(start, plain);
  EXPECT_THAT(plain.host.Points("gradient_norm"), IsEmpty());
  start.mutable_recipe()->mutable_optimizer()->set_clip_norm(1e-3);
  Rank clipped;
  RunAlone(start, clipped);
  ASSERT_THAT(clipped.host.Points("gradient_norm"), SizeIs(clipped.result.end_step));
  EXPECT_GT(clipped.host.Points("gradient_norm")[0].second, 1e-3);
}

TEST(TrainingOptionsTest, PartsOfABatchMakeTheSameUpdate) {
  const v1::Start start = TransformerStart();
  Rank whole;
  RunAlone(start, whole);
  v1::Start in_parts = start;
  in_parts.mutable_recipe()->set_micro_batches(4);  // batches of 6 and 13: parts of 2 and 4
  Rank parts;
  RunAlone(in_parts, parts);
  ASSERT_EQ(parts.result.cause, cvtrain::v1::CAUSE_FINISHED) << parts.result.message;
  const auto expected = TensorsOf(LastFile(whole));
  for (const auto& [name, bytes] : TensorsOf(LastFile(parts))) {
    if (name.starts_with("exp_avg/")) {
      EXPECT_LT(Difference(bytes, expected.at(name)), 1e-3) << name;
    }
  }
  for (size_t i = 0; i < whole.host.Points("loss").size(); ++i) {
    EXPECT_NEAR(parts.host.Points("loss")[i].second, whole.host.Points("loss")[i].second, 1e-4)
        << i;
  }
}

// The ranges of RangeAugment get the gradient of all parts together.
TEST(TrainingOptionsTest, PartsOfABatchShareTheAugmentation) {
  v1::Start start = TransformerStart();
  *start.mutable_recipe()->mutable_augmentation() = MakeTrainingStart().recipe().augmentation();
  for (int ranks : {1, 2}) {
    start.set_logical_ranks(ranks);
    auto whole = MakeRanks(ranks);
    RunTogether(start, whole);
    v1::Start in_parts = start;
    in_parts.mutable_recipe()->set_micro_batches(2);
    auto parts = MakeRanks(ranks);
    RunTogether(in_parts, parts);
    ASSERT_EQ(parts[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << parts[0]->result.message;
    const auto expected = TensorsOf(LastFile(*whole[0]));
    const auto got = TensorsOf(LastFile(*parts[0]));
    int compared = 0;
    for (const auto& [name, bytes] : got) {
      if (!name.starts_with("exp_avg/range_augment")) continue;
      EXPECT_LT(Difference(bytes, expected.at(name)), 1e-3) << name;
      ++compared;
    }
    EXPECT_EQ(compared, 6);
  }
}

TEST(TrainingOptionsTest, EvaluatesAndExportsTheAverages) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->set_epochs(1);
  start.mutable_recipe()->mutable_augmentation()->clear_range_augment();
  Rank plain;
  RunAlone(start, plain);
  // Never moves from where it began: an untrained network.
  start.mutable_recipe()->mutable_ema()->set_decay(0.999999);
  start.mutable_recipe()->mutable_ema()->set_every_steps(1);
  start.mutable_recipe()->mutable_ema()->set_warmup(false);
  Rank slow;
  RunAlone(start, slow);
  ASSERT_EQ(slow.result.cause, cvtrain::v1::CAUSE_FINISHED) << slow.result.message;
  const auto top1 = [](const Rank& rank) { return rank.host.Points("val/loss").back().second; };
  EXPECT_NEAR(top1(slow), std::log(kClasses), 0.2);
  EXPECT_GT(std::abs(top1(slow) - top1(plain)), 0.1);
  // Training is not touched by it.
  EXPECT_EQ(slow.host.Points("loss"), plain.host.Points("loss"));
  EXPECT_EQ(TensorsOf(LastFile(slow)).at("fc.weight"), TensorsOf(LastFile(plain)).at("fc.weight"));

  const std::string file = LastFile(slow);
  const auto view = formats::CheckpointView::Open(file, "c");
  ASSERT_EQ(formats::EvaluatedWeights(*view), formats::Weights::kAveraged);
  const auto exported = [&](formats::Weights weights) {
    std::string bytes;
    CVT_CHECK_OK(formats::WriteSafetensors(*view, weights, [&](absl::string_view piece) {
      bytes.append(piece.data(), piece.size());
      return absl::OkStatus();
    }));
    std::map<std::string, std::string> tensors;
    const auto read = formats::SafetensorsView::Open(bytes, "f");
    for (const auto& tensor : read->tensors()) tensors[tensor.name] = std::string(tensor.data);
    return tensors;
  };
  const auto tensors = TensorsOf(file);
  EXPECT_EQ(exported(formats::Weights::kAveraged).at("fc.weight"), tensors.at("ema/fc.weight"));
  EXPECT_EQ(exported(formats::Weights::kTrained).at("fc.weight"), tensors.at("fc.weight"));
  EXPECT_THAT(exported(formats::Weights::kAveraged), Not(Contains(Key(HasSubstr("ema")))));
}

TEST(TrainingOptionsTest, LeavesFrozenLayersAsTheyAre) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->set_epochs(1);
  start.mutable_recipe()->mutable_augmentation()->clear_range_augment();
  Rank free;
  free.host.StopAfter(3, kPause);  // the first step of the warm-up changes nothing
  RunAlone(start, free);
  start.mutable_recipe()->add_frozen("layer1");
  start.mutable_recipe()->add_frozen("conv1");
  start.mutable_recipe()->add_frozen("bn1");
  Rank early, late;
  early.host.StopAfter(1, kPause);
  RunAlone(start, early);
  RunAlone(start, late);
  ASSERT_EQ(late.result.cause, cvtrain::v1::CAUSE_FINISHED) << late.result.message;
  const auto before = TensorsOf(LastFile(early)), after = TensorsOf(LastFile(late));
  for (const auto& [name, bytes] : before) {
    const bool frozen =
        name.starts_with("layer1.") || name.starts_with("conv1.") || name.starts_with("bn1.");
    EXPECT_EQ(bytes == after.at(name), frozen) << name;
  }
  EXPECT_THAT(before, Not(Contains(Key("momentum/conv1.weight"))));
  EXPECT_NE(before.at("conv1.weight"), TensorsOf(LastFile(free)).at("conv1.weight"));
}

TEST(TrainingOptionsTest, RefusesToFreezeWhatIsNotThere) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->add_frozen("stem");
  Rank rank;
  RunAlone(start, rank);
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_USER_ERROR);
  EXPECT_THAT(rank.result.message, HasSubstr("'stem' is no layer of small_resnet"));
}

// ---- weights to begin with ----

v1::Start InitFrom(v1::Start start, const std::string& file) {
  cvtrain::v1::InitFrom& init = *start.mutable_recipe()->mutable_init_from();
  init.set_checkpoint("checkpoints/9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11");
  start.mutable_init()->set_checkpoint(init.checkpoint());
  start.mutable_init()->set_size_bytes(static_cast<int64_t>(file.size()));
  return start;
}

class InitFromTest : public ::testing::Test {
 protected:
  // A trial of one epoch, with averages; and one whose first step changes no weight.
  InitFromTest() : start_(MakeTrainingStart()) {
    start_.mutable_recipe()->set_epochs(1);
    v1::Start source = start_;
    source.mutable_recipe()->mutable_ema()->set_decay(0.5);
    source.mutable_recipe()->mutable_ema()->set_every_steps(1);
    Rank rank;
    RunAlone(source, rank);
    EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
    file_ = LastFile(rank);
  }

  AttemptResult Fail(const v1::Start& start, const std::string& file) {
    Rank rank;
    RunAlone(start, rank, file);
    EXPECT_THAT(rank.sink.taken(), IsEmpty());
    return rank.result;
  }

  v1::Start start_;
  std::string file_;
};

TEST_F(InitFromTest, BeginsWithTheWeightsThatWereEvaluated) {
  v1::Start start = InitFrom(start_, file_);
  start.mutable_recipe()->mutable_ema()->set_decay(0.5);
  start.mutable_recipe()->mutable_ema()->set_every_steps(100);  // stays as it began
  Rank rank;
  rank.host.StopAfter(1, kPause);  // the first step of the warm-up
  RunAlone(start, rank, file_);
  const auto source = TensorsOf(file_), got = TensorsOf(LastFile(rank));
  for (const char* name : {"conv1.weight", "layer2.0.bn1.weight", "fc.weight"}) {
    EXPECT_EQ(got.at(name), source.at(std::string("ema/") + name)) << name;
    EXPECT_EQ(got.at(std::string("ema/") + name), source.at(std::string("ema/") + name)) << name;
    EXPECT_NE(got.at(name), source.at(name)) << name;
  }
  EXPECT_EQ(got.at("ema/bn1.running_mean"), source.at("ema/bn1.running_mean"));

  // And goes on from its own checkpoints.
  Rank whole, second;
  RunAlone(start, whole, file_);
  v1::Start resumed = ResumeFrom(start, LastFile(rank));
  resumed.clear_init();
  RunAlone(resumed, second, LastFile(rank));
  EXPECT_EQ(second.result.cause, cvtrain::v1::CAUSE_FINISHED) << second.result.message;
  EXPECT_EQ(TensorsOf(LastFile(second)), TensorsOf(LastFile(whole)));
}

TEST_F(InitFromTest, DrawsWhatIsExcepted) {
  v1::Start start = InitFrom(start_, file_);
  start.mutable_recipe()->mutable_model()->set_num_classes(kClasses + 3);
  start.mutable_recipe()->mutable_init_from()->add_except("fc");
  Rank rank, drawn;
  rank.host.StopAfter(1, kPause);
  RunAlone(start, rank, file_);
  ASSERT_EQ(rank.result.cause, kPause.cause) << rank.result.message;
  start.clear_init();
  start.mutable_recipe()->clear_init_from();
  drawn.host.StopAfter(1, kPause);
  RunAlone(start, drawn);
  EXPECT_EQ(TensorsOf(LastFile(rank)).at("fc.weight"), TensorsOf(LastFile(drawn)).at("fc.weight"));
  EXPECT_EQ(TensorsOf(LastFile(rank)).at("conv1.weight"), TensorsOf(file_).at("ema/conv1.weight"));
}

TEST_F(InitFromTest, NamesTheTensorThatDoesNotFit) {
  v1::Start start = InitFrom(start_, file_);
  start.mutable_recipe()->mutable_model()->set_num_classes(kClasses + 3);
  AttemptResult result = Fail(start, file_);
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_USER_ERROR);
  EXPECT_THAT(result.message, AllOf(HasSubstr("fc.weight"), HasSubstr("shape [4, 16], not [7, 16]"),
                                    HasSubstr("recipe.init_from.except")));

  start = InitFrom(start_, file_);
  start.mutable_recipe()->mutable_model()->mutable_small_resnet()->add_widths(32);
  result = Fail(start, file_);
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_USER_ERROR);
  EXPECT_THAT(result.message, HasSubstr("tensor layer3.0.conv1.weight is missing"));

  start = InitFrom(start_, file_);
  cvtrain::v1::SmallResNet& model =
      *start.mutable_recipe()->mutable_model()->mutable_small_resnet();
  model.clear_widths();
  model.add_widths(8);
  start.mutable_recipe()->mutable_init_from()->add_except("fc");
  result = Fail(start, file_);
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_USER_ERROR);
  EXPECT_THAT(result.message, HasSubstr("tensor layer2.0.conv1.weight is none of this network"));

  start = InitFrom(start_, file_);
  start.mutable_recipe()->mutable_init_from()->add_except("head");
  result = Fail(start, file_);
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_USER_ERROR);
  EXPECT_THAT(result.message, HasSubstr("recipe.init_from.except: 'head' is no layer"));
}

TEST_F(InitFromTest, SuspectsADamagedFile) {
  std::string damaged = file_;
  damaged[damaged.size() / 2] ^= 1;
  const AttemptResult result = Fail(InitFrom(start_, file_), damaged);
  EXPECT_EQ(result.cause, cvtrain::v1::CAUSE_INTERNAL);
  EXPECT_EQ(result.suspect, v1::Exit::SUSPECT_CHECKPOINT);
}

TEST(TrainingOptionsTest, TrainsInFloat16WithAScale) {
  v1::Start start = MakeTrainingStart();
  start.mutable_recipe()->set_epochs(1);
  start.mutable_recipe()->mutable_augmentation()->clear_range_augment();
  Rank exact;
  RunAlone(start, exact);
  start.mutable_recipe()->set_precision(cvtrain::v1::Recipe::PRECISION_FP16);
  Rank rank;
  RunAlone(start, rank);
  ASSERT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
  EXPECT_NEAR(rank.host.Points("loss").back().second, exact.host.Points("loss").back().second, 0.1);
  EXPECT_NE(rank.host.Points("loss")[0].second, exact.host.Points("loss")[0].second);
  EXPECT_THAT(rank.host.Points("loss_scale"), SizeIs(rank.result.end_step));
  EXPECT_THAT(TensorsOf(LastFile(rank)), Contains(Key("loss_scale")));
  ExpectExactResume(start);
}

TEST(TrainingOptionsTest, CountsWhichClassIsTakenForWhich) {
  v1::Start start = MakeTrainingStart(1, 2);
  start.mutable_recipe()->set_epochs(1);
  start.mutable_recipe()->mutable_evaluation()->set_confusion_matrix(true);
  auto ranks = MakeRanks(2);
  RunTogether(start, ranks);
  ASSERT_EQ(ranks[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << ranks[0]->result.message;
  cvtrain::v1::EvaluationResult result;
  for (const auto& fact : ranks[0]->host.facts()) {
    if (fact.has_evaluation()) result = fact.evaluation();
  }
  const cvtrain::v1::ConfusionMatrix& confusion = result.confusion();
  ASSERT_EQ(confusion.classes(), kClasses);
  ASSERT_EQ(confusion.counts_size(), kClasses * kClasses);
  int64_t right = 0;
  for (int row = 0; row < kClasses; ++row) {
    int64_t total = 0;
    for (int column = 0; column < kClasses; ++column) {
      total += confusion.counts(row * kClasses + column);
    }
    EXPECT_EQ(total, 24 / kClasses) << row;  // the split has as many of each
    right += confusion.counts(row * kClasses + row);
  }
  EXPECT_DOUBLE_EQ(100.0 * static_cast<double>(right) / 24, result.metrics().at("val/top1"));
}

// One epoch, evaluated under fog of two severities, of one of them and of the other.
v1::Start CorruptedStart() {
  v1::Start start = MakeTrainingStart(1, 2);
  start.mutable_recipe()->set_epochs(1);
  cvtrain::v1::Evaluation& evaluation = *start.mutable_recipe()->mutable_evaluation();
  evaluation.clear_conditions();
  evaluation.clear_sizes();
  *evaluation.add_sizes() = MakeTrainingStart().recipe().evaluation().sizes(0);
  evaluation.add_conditions()->set_name("clean");
  for (const auto& [name, severities] :
       std::map<std::string, std::vector<int>>{{"fog", {1, 5}}, {"fog1", {1}}, {"fog5", {5}}}) {
    cvtrain::v1::EvaluationCondition& condition = *evaluation.add_conditions();
    condition.set_name(name);
    condition.set_corruption(cvtrain::v1::EvaluationCondition::CORRUPTION_FOG);
    condition.set_levels(cvtrain::v1::EvaluationCondition::LEVELS_IMAGENET_C);
    for (const int severity : severities) condition.add_severities(severity);
  }
  return start;
}

TEST(TrainingOptionsTest, EvaluatesCorruptedPicturesOverTheirSeverities) {
  const v1::Start start = CorruptedStart();
  const auto last = [](const Rank& rank, const std::string& metric) {
    return rank.host.Points(metric).back().second;
  };
  Rank alone;
  RunAlone(start, alone);
  ASSERT_EQ(alone.result.cause, cvtrain::v1::CAUSE_FINISHED) << alone.result.message;
  for (const char* value : {"/loss", "/top1", "/top5"}) {
    EXPECT_NEAR(last(alone, std::string("val/fog") + value),
                (last(alone, std::string("val/fog1") + value) +
                 last(alone, std::string("val/fog5") + value)) /
                    2,
                1e-9);
  }
  EXPECT_NE(last(alone, "val/fog1/loss"), last(alone, "val/loss"));
  EXPECT_NE(last(alone, "val/fog1/loss"), last(alone, "val/fog5/loss"));
  EXPECT_NEAR(
      last(alone, "val/mean/loss"),
      (last(alone, "val/loss") + 2 * last(alone, "val/fog/loss") + last(alone, "val/fog/loss")) / 4,
      1e-9);

  auto ranks = MakeRanks(2);
  RunTogether(start, ranks);
  ASSERT_EQ(ranks[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << ranks[0]->result.message;
  for (const char* metric : {"val/loss", "val/fog/loss", "val/fog5/loss"}) {
    EXPECT_NEAR(last(*ranks[0], metric), last(alone, metric), 1e-4) << metric;
  }
}

// ---- memory ----

class MemoryTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { InstallMemoryLimit(); }
  void TearDown() override { SetMemoryLimit(0); }

  // A batch that needs some MiB for its activations.
  static v1::Start LargeStart() {
    v1::Start start = TransformerStart();
    cvtrain::v1::SizedBatch& size =
        *start.mutable_recipe()->mutable_sampler()->mutable_single_scale();
    size.set_height(24);
    size.set_width(24);
    size.set_batch_size(50);
    start.mutable_recipe()->mutable_model()->mutable_vit()->set_patch(2);
    return start;
  }

  // Bytes at the peak of a run, above what is held before it.
  static int64_t PeakOf(const v1::Start& start) {
    TakePeakTensorMemoryBytes();
    const int64_t before = TensorMemoryBytes();
    Rank rank;
    RunAlone(start, rank);
    EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
    return TakePeakTensorMemoryBytes() - before;
  }
};

TEST_F(MemoryTest, GoesOnInPartsWhereTheMemoryDoesNotSuffice) {
  v1::Start start = LargeStart();
  Rank whole;
  RunAlone(start, whole);
  const int64_t peak = PeakOf(start);
  start.set_memory_bytes(TensorMemoryBytes() + peak * 6 / 10);
  Rank rank;
  RunAlone(start, rank);
  ASSERT_EQ(rank.result.cause, cvtrain::v1::CAUSE_FINISHED) << rank.result.message;
  ASSERT_THAT(rank.host.Points("micro_batches"), Contains(Pair(0, 2)));
  EXPECT_LE(rank.host.Points("micro_batches").back().second, 4);
  ASSERT_EQ(rank.result.end_step, whole.result.end_step);
  EXPECT_EQ(rank.result.sample_digest, whole.result.sample_digest);
  for (size_t i = 0; i < whole.host.Points("loss").size(); ++i) {
    EXPECT_NEAR(rank.host.Points("loss")[i].second, whole.host.Points("loss")[i].second, 1e-4);
  }
}

TEST_F(MemoryTest, AnAttemptThatGoesOnKeepsTheParts) {
  v1::Start start = LargeStart();
  start.mutable_recipe()->set_epochs(3);
  const int64_t peak = PeakOf(start);
  start.set_memory_bytes(TensorMemoryBytes() + peak * 6 / 10);
  Rank first;
  first.host.StopAfter(1, kPause);
  RunAlone(start, first);
  ASSERT_THAT(first.host.Points("micro_batches"), Not(IsEmpty())) << first.result.message;
  // With all the memory that it wants: what was decided stays.
  start.set_memory_bytes(0);
  Rank second;
  RunAlone(ResumeFrom(start, LastFile(first)), second, LastFile(first));
  ASSERT_EQ(second.result.cause, cvtrain::v1::CAUSE_FINISHED) << second.result.message;
  EXPECT_THAT(second.host.Points("micro_batches"), IsEmpty());
  const storage::v1::CheckpointManifest manifest = ManifestIn(LastFile(second));
  const double parts = first.host.Points("micro_batches").back().second;
  const auto is_parts = [&](const storage::v1::NamedState& state) {
    return state.name() == "micro_batches" && std::stod(state.value()) == parts;
  };
  EXPECT_TRUE(std::any_of(manifest.states().begin(), manifest.states().end(), is_parts));
}

TEST_F(MemoryTest, AllRanksGoOnInTheSameParts) {
  v1::Start start = LargeStart();
  const int64_t peak = PeakOf(start);
  start.set_logical_ranks(2);
  // The ranks are threads of one process and share its limit; each has half of the pictures.
  start.set_memory_bytes(TensorMemoryBytes() + peak * 7 / 10);
  auto ranks = MakeRanks(2);
  RunTogether(start, ranks);
  ASSERT_EQ(ranks[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << ranks[0]->result.message;
  ASSERT_EQ(ranks[1]->result.cause, cvtrain::v1::CAUSE_FINISHED) << ranks[1]->result.message;
  EXPECT_THAT(ranks[0]->host.Points("micro_batches"), Not(IsEmpty()));
}

TEST_F(MemoryTest, EndsWhereOneImageIsTooMuch) {
  v1::Start start = LargeStart();
  start.set_memory_bytes(TensorMemoryBytes() + (int64_t{6} << 20));
  Rank rank;
  RunAlone(start, rank);
  EXPECT_EQ(rank.result.cause, cvtrain::v1::CAUSE_OUT_OF_MEMORY) << rank.result.message;
}

// Graphs of backward passes that failed go with them: the next one has as much memory.
TEST_F(MemoryTest, WhatFailedLeavesNothingBehind) {
  v1::Start start = LargeStart();
  *start.mutable_recipe()->mutable_augmentation() = MakeTrainingStart().recipe().augmentation();
  const int64_t peak = PeakOf(start);
  const int64_t before = TensorMemoryBytes();
  // From too little for the forward pass to nearly enough for the backward pass.
  for (int tenths = 3; tenths <= 9; ++tenths) {
    start.set_memory_bytes(before + peak * tenths / 10);
    Rank rank;
    RunAlone(start, rank);
    EXPECT_LE(TensorMemoryBytes(), before + (64 << 10)) << tenths;
  }
}

}  // namespace
}  // namespace cvtrain::trainer
