#include "client/simulate/batch_schedule.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>

namespace cvtrain::client {
namespace {

// When the noise of the gradients lets a batch double: from each of these epochs on.
struct Doublings {
  TraceModel model;
  int batch_size;
  int gpus;
  std::initializer_list<int> epochs;
};

using enum TraceModel;
const Doublings kDoublings[] = {
    {kResnet18, 16, 1, {31, 41, 51, 71}},
    {kResnet18, 16, 2, {21, 31, 91, 111}},
    {kResnet18, 16, 4, {11, 21, 81, 91}},
    {kResnet18, 32, 1, {21, 31, 51}},
    {kResnet18, 32, 2, {11, 21, 41}},
    {kResnet18, 32, 4, {21, 31, 61}},
    {kResnet18, 64, 1, {11, 31}},
    {kResnet18, 64, 2, {21, 41}},
    {kResnet18, 64, 4, {11, 61}},
    {kResnet18, 128, 1, {11}},
    {kResnet18, 128, 2, {41}},
    {kResnet18, 128, 4, {11}},
    {kResnet50, 32, 2, {101, 111}},
    {kResnet50, 32, 4, {131, 221}},
    {kResnet50, 64, 1, {101}},
    {kResnet50, 64, 2, {81}},
    {kResnet50, 64, 4, {191}},
    {kLanguageModel, 5, 1, {31, 41, 61, 71}},
    {kLanguageModel, 5, 2, {31, 51, 61, 71}},
    {kLanguageModel, 5, 4, {11, 31, 71, 91}},
    {kLanguageModel, 10, 1, {11, 21, 41}},
    {kLanguageModel, 10, 2, {11, 31, 41}},
    {kLanguageModel, 10, 4, {11, 31, 61}},
    {kLanguageModel, 20, 1, {11, 41}},
    {kLanguageModel, 20, 2, {31, 41}},
    {kLanguageModel, 20, 4, {11, 61}},
    {kLanguageModel, 40, 1, {11}},
    {kLanguageModel, 40, 2, {11}},
    {kLanguageModel, 40, 4, {61}},
    {kRecommendation, 512, 1, {21, 41, 71, 91}},
    {kRecommendation, 1024, 1, {21, 51, 91}},
    {kRecommendation, 2048, 1, {21, 41}},
    {kRecommendation, 4096, 1, {41}},
};

const Doublings* FindDoublings(const ShockwaveJob& job) {
  for (const Doublings& one : kDoublings) {
    if (one.model == job.model && one.batch_size == job.batch_size && one.gpus == job.gpus) {
      return &one;
    }
  }
  return nullptr;
}

int BatchAfter(const ShockwaveJob& job, size_t doublings) {
  return std::min(job.batch_size << doublings, LargestBatch(job.model));
}

size_t CountBefore(const Doublings& doublings, int64_t epoch) {
  return static_cast<size_t>(std::count_if(doublings.epochs.begin(), doublings.epochs.end(),
                                           [epoch](int64_t from) { return from <= epoch; }));
}

bool Within(int64_t epoch, int64_t begin, int64_t end) { return begin <= epoch && epoch < end; }

// Where gradients of Recommendation calm down first.
int64_t RecommendationHead(int batch_size) {
  if (batch_size <= 1024) return 30;
  return batch_size == 2048 ? 40 : 10;
}

int64_t CeilingDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

int64_t DatasetSize(TraceModel model) {
  switch (model) {
    case kResnet18:
      return 50'000;
    case kResnet50:
      return 100'000;
    case kTransformer:
      return 10'000;
    case kLanguageModel:
      return 59'675;
    case kRecommendation:
      return 117'907;
  }
  return 0;
}

int LargestBatch(TraceModel model) {
  switch (model) {
    case kResnet18:
      return 256;
    case kResnet50:
    case kTransformer:
      return 128;
    case kLanguageModel:
      return 80;
    case kRecommendation:
      return 8192;
  }
  return 0;
}

int SmallestBatch(TraceModel model) {
  switch (model) {
    case kResnet18:
    case kResnet50:
    case kTransformer:
      return 16;
    case kLanguageModel:
      return 5;
    case kRecommendation:
      return 512;
  }
  return 0;
}

int64_t StepsPerEpoch(TraceModel model, int batch_size) {
  return CeilingDiv(DatasetSize(model), batch_size);
}

int64_t EpochsOf(const ShockwaveJob& job) {
  return CeilingDiv(job.steps, StepsPerEpoch(job.model, job.batch_size));
}

std::vector<int> DeclaredBatches(const ShockwaveJob& job, int64_t epochs) {
  std::vector<int> batches(static_cast<size_t>(epochs), job.batch_size);
  if (job.mode == BatchMode::kNoiseScale) {
    const Doublings* doublings = FindDoublings(job);
    // One that ends before the first doubling, or with it, has none.
    if (doublings == nullptr || epochs <= *doublings->epochs.begin()) return batches;
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const size_t count = CountBefore(*doublings, epoch);
      // The last epoch falls back, but for one that has doubled only once.
      if (epoch + 1 < epochs || count < 2) {
        batches[static_cast<size_t>(epoch)] = BatchAfter(job, count);
      }
    }
  } else if (job.mode == BatchMode::kAccordion && job.model != kTransformer) {
    for (int64_t epoch = 0; epoch < epochs; ++epoch) {
      const bool late_critical =
          job.model == kRecommendation && (Within(epoch, 60, 70) || Within(epoch, 80, 90));
      if (IsCriticalAsSimulated(job, epoch) || late_critical) continue;
      if (static_cast<double>(epoch) > 0.3 * static_cast<double>(epochs)) {
        batches[static_cast<size_t>(epoch)] = LargestBatch(job.model);
      }
    }
  }
  return batches;
}

int NoiseScaleBatch(const ShockwaveJob& job, int64_t epoch) {
  const Doublings* doublings = FindDoublings(job);
  return doublings == nullptr ? job.batch_size : BatchAfter(job, CountBefore(*doublings, epoch));
}

bool IsCriticalAsSimulated(const ShockwaveJob& job, int64_t epoch) {
  switch (job.model) {
    case kResnet18:
      return Within(epoch, 0, job.batch_size == 256 ? 20 : 10) || Within(epoch, 150, 160) ||
             Within(epoch, 250, 260);
    case kResnet50:
      return epoch % 30 < 10;
    case kTransformer:
      return true;
    case kLanguageModel:
      return epoch < 10;
    case kRecommendation:
      return epoch < RecommendationHead(job.batch_size);
  }
  return true;
}

}  // namespace cvtrain::client
