#include "worker/trainer/data/ahead_fetcher.h"

#include <stop_token>
#include <utility>

#include "common/log.h"

namespace cvtrain::trainer {

AheadFetcher::AheadFetcher(SplitReader& train, SplitReader& validation,
                           std::vector<SectionSet> stages, SectionSet evaluation, size_t stage,
                           int64_t budget_bytes)
    : train_(train),
      validation_(validation),
      stages_(std::move(stages)),
      evaluation_(evaluation),
      budget_bytes_(budget_bytes),
      stage_(stage),
      thread_("fetch-ahead", [this](const StopToken& stop) { Run(stop); }) {}

void AheadFetcher::BeginStage(size_t stage) {
  absl::MutexLock lock(&mu_);
  if (stage_ == stage) return;
  stage_ = stage;
  // What came for this stage is not ahead any more. What came for those after it is little, and
  // not worth a book of its own.
  ahead_bytes_ = 0;
  changed_.SignalAll();
}

void AheadFetcher::Run(const StopToken& stop) {
  size_t first = 0;
  {
    absl::MutexLock lock(&mu_);
    first = stage_;
  }
  if (!FetchAll(train_, stages_[first], first, stop)) return;
  if (!FetchAll(validation_, evaluation_, first, stop)) return;
  SectionSet fetched = stages_[first];
  for (size_t next = first + 1; next < stages_.size(); ++next) {
    fetched |= stages_[next];
    if (!FetchAll(train_, fetched, next, stop)) return;
  }
}

bool AheadFetcher::FetchAll(SplitReader& split, SectionSet sections, size_t for_stage,
                            const StopToken& stop) {
  if (sections.empty()) return true;
  for (int shard = 0; shard < split.shard_count(); ++shard) {
    if (!WaitForRoom(for_stage, stop)) return false;
    const absl::StatusOr<int64_t> bytes = split.Fetch(shard, sections);
    if (!bytes.ok()) {
      if (!absl::IsCancelled(bytes.status())) {
        CVT_LOG(kWarning, "nothing more is fetched ahead").Field("status", bytes.status());
      }
      return false;
    }
    absl::MutexLock lock(&mu_);
    if (for_stage > stage_) ahead_bytes_ += *bytes;
  }
  return true;
}

bool AheadFetcher::WaitForRoom(size_t for_stage, const StopToken& stop) {
  std::stop_callback wake(stop, [this] {
    absl::MutexLock lock(&mu_);
    changed_.SignalAll();
  });
  absl::MutexLock lock(&mu_);
  while (!stop.stop_requested() && for_stage > stage_ && ahead_bytes_ >= budget_bytes_) {
    changed_.Wait(&mu_);
  }
  return !stop.stop_requested();
}

}  // namespace cvtrain::trainer
