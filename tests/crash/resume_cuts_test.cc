// Trials that are cut off at any step with any number of processes, and go on with another number:
// the same sequence of samples and sizes, and with the same number the same weights, to the bit.

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/unit/worker/trainer/train/training_fixtures.h"

namespace cvtrain::trainer {
namespace {

int cuts_total = 6;

constexpr int kLogicalRanks = 4;

// Everything that a resume has to carry over: RangeAugment, momentum, averages, scales of a
// curriculum in two stages.
v1::Start MakeTrial() {
  v1::Start start = MakeTrainingStart(1, kLogicalRanks);
  start.mutable_recipe()->mutable_ema()->set_decay(0.9);
  start.mutable_recipe()->mutable_ema()->set_every_steps(2);
  start.mutable_recipe()->mutable_sampler()->mutable_multi_scale()->mutable_base()->set_batch_size(
      2);
  return start;
}

using Ranks = std::vector<std::unique_ptr<Rank>>;

// Digests by step, of all evaluations that `ranks` report.
void CollectDigests(const Ranks& ranks, std::map<int64_t, std::string>& digests) {
  for (const auto& fact : ranks[0]->host.facts()) {
    if (!fact.has_evaluation()) continue;
    EXPECT_FALSE(fact.evaluation().sample_digest().empty());
    digests[fact.evaluation().step()] = fact.evaluation().sample_digest();
  }
}

struct Whole {
  std::map<int64_t, std::string> digests;
  std::string digest;
  std::string checkpoint;
  int64_t steps = 0;
};

// The trial without a cut, on so many processes; once each.
const Whole& WholeOn(int processes) {
  static auto& known = *new std::map<int, Whole>;
  const auto [entry, is_new] = known.try_emplace(processes);
  if (!is_new) return entry->second;
  Ranks ranks = MakeRanks(processes);
  RunTogether(MakeTrial(), ranks);
  EXPECT_EQ(ranks[0]->result.cause, cvtrain::v1::CAUSE_FINISHED) << ranks[0]->result.message;
  Whole& whole = entry->second;
  CollectDigests(ranks, whole.digests);
  whole.digest = ranks[0]->result.sample_digest;
  whole.checkpoint = LastFile(*ranks[0]);
  whole.steps = ranks[0]->result.end_step;
  return whole;
}

// Of two checkpoints, over all of their floating point tensors, relative to each one's size.
double LargestDifference(const std::string& a, const std::string& b) {
  const auto left = TensorsOf(a), right = TensorsOf(b);
  double worst = 0;
  for (const auto& [name, bytes] : left) {
    if (name.ends_with("num_batches_tracked")) continue;
    double difference = 0, size = 1e-3;
    for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      float x = 0, y = 0;
      std::memcpy(&x, bytes.data() + i, sizeof(float));
      std::memcpy(&y, right.at(name).data() + i, sizeof(float));
      difference = std::max(difference, static_cast<double>(std::abs(x - y)));
      size = std::max(size, static_cast<double>(std::abs(x)));
    }
    worst = std::max(worst, difference / size);
  }
  return worst;
}

TEST(ResumeCutsTest, TheSequenceDoesNotDependOnCutsAndProcesses) {
  KeyedStream random("resume cuts", {testing::TestSeed()});
  const auto draw = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random.UniformInt(static_cast<uint64_t>(high - low + 1)));
  };
  const int64_t steps = WholeOn(1).steps;
  ASSERT_GT(steps, 10);
  int same_processes = 0;
  for (int cuts = 0; cuts < cuts_total;) {
    // One to three cuts in a trial; every third trial keeps its processes.
    const bool keeps = cuts % 3 == 0;
    int processes = static_cast<int>(draw(1, kLogicalRanks));
    std::string checkpoint;
    std::string history;
    std::map<int64_t, std::string> digests;
    std::string digest;
    int64_t step = 0;
    bool changed = false;
    const int64_t cuts_here = std::min<int64_t>(draw(1, 3), cuts_total - cuts);
    for (int64_t attempt = 0; attempt <= cuts_here; ++attempt) {
      if (attempt > 0 && !keeps) {
        const int before = processes;
        processes = static_cast<int>(draw(1, kLogicalRanks));
        changed |= processes != before;
      }
      const v1::Start start =
          checkpoint.empty() ? MakeTrial() : ResumeFrom(MakeTrial(), checkpoint);
      Ranks ranks = MakeRanks(processes);
      const bool is_last = attempt == cuts_here || step + 2 >= steps;
      if (!is_last) {
        // Any of the ranks hears of it first.
        ranks[static_cast<size_t>(draw(0, processes - 1))]->host.StopAfter(
            draw(step + 1, steps - 1), kPause);
        ++cuts;
      }
      RunTogether(start, ranks, checkpoint);
      ASSERT_EQ(ranks[0]->result.cause, is_last ? cvtrain::v1::CAUSE_FINISHED : kPause.cause)
          << ranks[0]->result.message;
      absl::StrAppend(&history, processes, " processes from step ", step, "; ");
      CollectDigests(ranks, digests);
      digest = ranks[0]->result.sample_digest;
      checkpoint = LastFile(*ranks[0]);
      step = ranks[0]->result.end_step;
      if (is_last) break;
    }
    const Whole& whole = WholeOn(changed ? 1 : processes);
    EXPECT_EQ(step, whole.steps) << history;
    EXPECT_EQ(digest, whole.digest) << history;
    EXPECT_EQ(digests, whole.digests) << history;
    if (!changed) {
      EXPECT_EQ(TensorsOf(checkpoint), TensorsOf(whole.checkpoint)) << history;
      ++same_processes;
    } else {
      // Sums are made in another order; 5e-6 were seen.
      EXPECT_LT(LargestDifference(whole.checkpoint, checkpoint), 1e-3) << history;
    }
    std::printf("%2d cuts: %s%s\n", cuts, history.c_str(), changed ? "" : "the same bits");
  }
  EXPECT_GT(same_processes, 0);
}

}  // namespace
}  // namespace cvtrain::trainer

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--cuts=")) {
      if (!absl::SimpleAtoi(argument, &cvtrain::trainer::cuts_total)) return 64;
    }
  }
  return RUN_ALL_TESTS();
}
