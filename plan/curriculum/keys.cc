#include "plan/curriculum/keys.h"

#include "absl/strings/string_view.h"

namespace cvtrain::plan {
namespace {

uint64_t Word(int64_t value) { return static_cast<uint64_t>(value); }

KeyedStream StepStream(absl::string_view tag, const RankStepKey& key) {
  return KeyedStream(tag,
                     {key.seed, Word(key.epoch), Word(key.step_in_epoch), Word(key.logical_rank)});
}

KeyedStream SampleStream(absl::string_view tag, const SampleKey& key) {
  return KeyedStream(tag, {key.step.seed, Word(key.step.epoch), Word(key.step.step_in_epoch),
                           Word(key.step.logical_rank), Word(key.position)});
}

constexpr absl::string_view kChoiceTags[] = {"range_augment/choice/brightness/v1",
                                             "range_augment/choice/contrast/v1",
                                             "range_augment/choice/noise/v1"};
constexpr absl::string_view kMagnitudeTags[] = {"range_augment/magnitude/brightness/v1",
                                                "range_augment/magnitude/contrast/v1",
                                                "range_augment/magnitude/noise/v1"};

}  // namespace

KeyedStream CropStream(const SampleKey& key) { return SampleStream("crop/v1", key); }

KeyedStream FlipStream(const SampleKey& key) { return SampleStream("flip/v1", key); }

KeyedStream ColorJitterStream(const SampleKey& key) { return SampleStream("color_jitter/v1", key); }

KeyedStream PolicyStream(const SampleKey& key) { return SampleStream("policy/v1", key); }

KeyedStream ErasingStream(const SampleKey& key) { return SampleStream("erasing/v1", key); }

KeyedStream ErasingNoiseStream(const SampleKey& key) {
  return SampleStream("erasing/noise/v1", key);
}

KeyedStream MixStream(const RankStepKey& key) { return StepStream("mix/v1", key); }

KeyedStream DropStream(const RankStepKey& key, int32_t layer) {
  return KeyedStream("drop/v1", {key.seed, Word(key.epoch), Word(key.step_in_epoch),
                                 Word(key.logical_rank), Word(layer)});
}

KeyedStream RangeAugmentOrderStream(const RankStepKey& key) {
  return StepStream("range_augment/order/v1", key);
}

KeyedStream RangeAugmentChoiceStream(const RankStepKey& key, RangeAugmentOperation operation) {
  return StepStream(kChoiceTags[static_cast<int>(operation)], key);
}

KeyedStream RangeAugmentMagnitudeStream(const SampleKey& key, RangeAugmentOperation operation) {
  return SampleStream(kMagnitudeTags[static_cast<int>(operation)], key);
}

KeyedStream RangeAugmentNoiseStream(const SampleKey& key) {
  return SampleStream("range_augment/noise/v1", key);
}

KeyedStream InitStream(uint64_t seed, int32_t tensor) {
  return KeyedStream("network_init/v1", {seed, Word(tensor)});
}

KeyedStream EvaluationNoiseStream(int64_t image) {
  return KeyedStream("evaluation_noise/v1", {Word(image)});
}

KeyedStream CorruptionStream(int64_t image, int32_t corruption, int32_t severity) {
  return KeyedStream("evaluation_corruption/v1", {Word(image), Word(corruption), Word(severity)});
}

ScaleDraw::ScaleDraw(uint64_t seed, int32_t epoch) {
  KeyedStream stream("scale_draw/v1", {seed, Word(epoch)});
  key_ = {stream.NextU32(), stream.NextU32()};
}

int32_t ScaleDraw::At(int64_t step_in_epoch, int32_t scale_count) const {
  if (scale_count == 1) {
    return 0;
  }
  const uint64_t step = Word(step_in_epoch);
  const std::array<uint32_t, 4> block =
      Philox4x32({static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), 0, 0}, key_);
  return static_cast<int32_t>((uint64_t{block[0]} * static_cast<uint64_t>(scale_count)) >> 32);
}

}  // namespace cvtrain::plan
