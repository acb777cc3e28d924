#include "plan/curriculum/sample_order.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "common/errors.h"
#include "common/sha256.h"

namespace cvtrain::plan {
namespace {

void AppendInt(int64_t value, std::string& bytes) {
  auto bits = static_cast<uint64_t>(value);
  for (int i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(bits & 0xff));
    bits >>= 8;
  }
}

bool IsLowerHexDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
}

}  // namespace

SampleOrder::SampleOrder(const TrialPlan& plan, int32_t epoch)
    : permutation_(static_cast<uint64_t>(plan.images()),
                   {plan.seed(), static_cast<uint64_t>(epoch)}),
      images_(plan.images()),
      images_per_rank_(plan.images_per_rank()),
      logical_ranks_(plan.logical_ranks()) {}

int64_t SampleOrder::At(int32_t logical_rank, int64_t position) const {
  const int64_t entry = position % images_per_rank_ * logical_ranks_ + logical_rank;
  return static_cast<int64_t>(permutation_.At(static_cast<uint64_t>(entry % images_)));
}

std::vector<int64_t> SampleOrder::Batch(const PlannedStep& step, int32_t logical_rank) const {
  std::vector<int64_t> batch;
  batch.reserve(static_cast<size_t>(step.scale.batch_size));
  for (int32_t i = 0; i < step.scale.batch_size; ++i) {
    batch.push_back(At(logical_rank, step.first_position + i));
  }
  return batch;
}

absl::StatusOr<SampleDigest> SampleDigest::FromHex(absl::string_view hex) {
  SampleDigest digest;
  if (hex.size() != 2 * digest.state_.size() ||
      !std::all_of(hex.begin(), hex.end(), IsLowerHexDigit)) {
    return InvalidArgument(Reason::kCheckpointBad, "sample digest: must be 64 hex digits");
  }
  const std::string bytes = absl::HexStringToBytes(hex);
  std::copy(bytes.begin(), bytes.end(), digest.state_.begin());
  return digest;
}

void SampleDigest::Fold(const TrialPlan& plan, const SampleOrder& order,
                        const StepPosition& position, const PlannedStep& step) {
  std::string bytes(state_.begin(), state_.end());
  AppendInt(position.epoch, bytes);
  AppendInt(position.step_in_epoch, bytes);
  AppendInt(step.scale.height, bytes);
  AppendInt(step.scale.width, bytes);
  AppendInt(step.scale.batch_size, bytes);
  for (int32_t rank = 0; rank < plan.logical_ranks(); ++rank) {
    for (int32_t i = 0; i < step.scale.batch_size; ++i) {
      AppendInt(order.At(rank, step.first_position + i), bytes);
    }
  }
  state_ = Sha256Of(bytes);
}

std::string SampleDigest::Hex() const { return ToHex(state_); }

}  // namespace cvtrain::plan
