#include "worker/trainer/data/ahead_fetcher.h"

#include <stop_token>
#include <utility>

#include "common/log.h"

namespace cvtrain::trainer {

AheadFetcher::AheadFetcher(SplitReader& train, SplitReader& validation, Options options)
    : train_(train),
      validation_(validation),
      options_(std::move(options)),
      stage_(options_.stage),
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
  const size_t first = options_.stage;
  SectionSet fetched = options_.stages[first];
  if (!FetchAll(train_, fetched, first, stop)) return;
  if (!FetchAll(validation_, options_.evaluation, first, stop)) return;
  for (size_t next = first + 1; next < options_.stages.size(); ++next) {
    fetched |= options_.stages[next];
    if (!FetchAll(train_, fetched, next, stop)) return;
  }
}

bool AheadFetcher::FetchAll(SplitReader& split, SectionSet sections, size_t for_stage,
                            const StopToken& stop) {
  if (sections.empty()) return true;
  const int count = split.shard_count();
  const int begin = static_cast<int>(int64_t{options_.rank} * count / options_.world_size);
  for (int i = 0; i < count; ++i) {
    if (!WaitForRoom(for_stage, stop)) return false;
    const absl::StatusOr<int64_t> bytes = split.Fetch((begin + i) % count, sections);
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
  while (!stop.stop_requested() && for_stage > stage_ && ahead_bytes_ >= options_.budget_bytes) {
    changed_.Wait(&mu_);
  }
  return !stop.stop_requested();
}

}  // namespace cvtrain::trainer
