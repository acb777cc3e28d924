// Random histories of a whole cluster in one process: submissions, cancellations, workers that
// report, die, restart, fall silent and return, duplicates, and an engine that crashes in between.
// After each step the invariants hold; when faults stop, everything ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/fake_cluster.h"
#include "tests/unit/coordinator/state/invariants.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::TestSeed;

constexpr int kWorkers = 3;

class RandomCluster {
 public:
  explicit RandomCluster(uint64_t seed) : stream_("cluster/v1", {seed}), cluster_(Options()) {
    for (int i = 0; i < kWorkers; ++i) cluster_.AddWorker(absl::StrCat("w", i), 2);
  }

  void Step() {
    FakeWorker& worker = cluster_.workers.at(absl::StrCat("w", stream_.UniformInt(kWorkers)));
    switch (stream_.UniformInt(20)) {
      case 0:
        Submit();
        break;
      case 1:
        Cancel();
        break;
      case 2:
        cluster_.Crash();
        break;
      case 3:
        if (worker.session != 0) cluster_.Disconnect(worker);
        break;
      case 4:
        cluster_.Restart(worker);
        break;
      case 5:
        worker.session = 0;  // cut off without a word
        break;
      case 6:
        cluster_.Advance(absl::Seconds(1 + static_cast<double>(stream_.UniformInt(12))));
        break;
      case 7:
        Repeat();
        break;
      case 8:
      case 9:
        if (worker.session == 0) cluster_.Connect(worker);
        break;
      default:
        Report(worker);
    }
    cluster_.Turn();
    Check();
  }

  // Faults stop: workers connect, do what they are told, and finish what they run.
  void Settle() {
    for (int turn = 0; turn < 400 && !cluster_.engine->state().active().empty(); ++turn) {
      for (auto& [label, worker] : cluster_.workers) {
        if (worker.session == 0) cluster_.Connect(worker);
        const std::map<std::string, FakeWorker::Held> held = worker.held;
        for (const auto& [attempt, hold] : held) {
          const std::string cause =
              hold.stop ? v1::Cause_Name(hold.stop->cause()) : "CAUSE_FINISHED";
          cluster_.Report(worker, attempt, {absl::StrCat("ended { cause: ", cause, " }")})
              .status()
              .IgnoreError();  // a lease may be lost, which is what is told
        }
      }
      cluster_.Advance(absl::Seconds(1));
      Check();
    }
    EXPECT_TRUE(cluster_.engine->state().active().empty()) << "something never ends";
    for (const auto& [name, worker] : cluster_.engine->state().workers()) {
      EXPECT_TRUE(worker.busy.empty()) << "a slot is never freed";
    }
  }

  void CheckRecovery() {
    const std::string live = cluster_.engine->state().Fingerprint();
    EXPECT_EQ(shadow_.Fingerprint(), live);
    cluster_.Crash();
    EXPECT_EQ(cluster_.engine->state().Fingerprint(), live);
  }

  std::string Fingerprint() const { return cluster_.engine->state().Fingerprint(); }

 private:
  static Engine::Options Options() {
    Engine::Options options;
    options.snapshot_events = 37;
    return options;
  }

  void Check() {
    EXPECT_THAT(cluster_.engine->fatal(), IsOk());
    EXPECT_EQ(cluster_.engine->state().revision(), cluster_.journal.last_revision());
    // At each revision, as the journal tells it.
    EXPECT_THAT(cluster_.journal.Replay(shadow_.revision(),
                                        [&](const JournalRecord& record) -> absl::Status {
                                          storage::v1::Event event;
                                          EXPECT_TRUE(event.ParseFromString(record.bytes));
                                          CVT_RETURN_IF_ERROR(shadow_.Apply(event));
                                          checker_.Check(shadow_);
                                          return absl::OkStatus();
                                        }),
                IsOk());
    // What was acknowledged is there.
    for (const auto& [id, resource] : acknowledged_) {
      const auto* known = cluster_.engine->state().requests().Find(id);
      ASSERT_NE(known, nullptr) << id;
      EXPECT_EQ(known->resource(), resource);
    }
  }

  void Submit() {
    if (cluster_.engine->state().active().size() > 5) return;
    const std::string id = absl::StrCat("id-", ++submitted_);
    std::string more = absl::StrCat("resources { slots: ", 1 + stream_.UniformInt(3), " } ");
    if (stream_.Bernoulli(0.5)) more += LinearSearch(5, 3, static_cast<int>(stream_.UniformInt(3)));
    const v1::ExperimentSpec spec = SyntheticSpec(absl::StrCat("e", submitted_), more);
    if (stream_.Bernoulli(0.2)) {
      cluster_.PostSpec(spec, id);  // no answer is waited for
      if (stream_.Bernoulli(0.5)) cluster_.Crash();
      cluster_.Turn();
    }
    const absl::StatusOr<Answer> answer = cluster_.Submit(spec, id);
    ASSERT_THAT(answer, IsOk());
    acknowledged_[id] = answer->resource;
    specs_[id] = spec;
  }

  // A request again: the same answer, whatever happened since.
  void Repeat() {
    if (acknowledged_.empty()) return;
    auto request = acknowledged_.begin();
    std::advance(request, static_cast<int64_t>(stream_.UniformInt(acknowledged_.size())));
    const absl::StatusOr<Answer> answer =
        cluster_.Submit(specs_.at(request->first), request->first);
    ASSERT_THAT(answer, IsOk());
    EXPECT_EQ(answer->resource, request->second);
  }

  void Cancel() {
    if (acknowledged_.empty() || stream_.Bernoulli(0.6)) return;
    const int64_t experiment =
        1 + static_cast<int64_t>(stream_.UniformInt(cluster_.engine->state().experiments().size()));
    const TrialName trial(ExperimentName(experiment),
                          1 + static_cast<int64_t>(stream_.UniformInt(3)));
    cluster_.CancelTrial(trial.ToString(), stream_.Bernoulli(0.5))
        .status()
        .IgnoreError();  // it may have ended
  }

  void Report(FakeWorker& worker) {
    if (worker.held.empty()) return;
    auto held = worker.held.begin();
    std::advance(held, static_cast<int64_t>(stream_.UniformInt(worker.held.size())));
    const std::string attempt = held->first;
    const int64_t step = static_cast<int64_t>(stream_.UniformInt(100));
    absl::StatusOr<Answer> answer;
    switch (stream_.UniformInt(4)) {
      case 0:
        answer = cluster_.Begin(worker, attempt);
        break;
      case 1:
        answer = cluster_.Report(
            worker, attempt,
            {absl::StrCat("evaluation { step: ", step,
                          " metrics { key: 'val/top1' value: ", stream_.UniformInt(90), " } }")});
        break;
      case 2:
        answer = cluster_.Save(worker, attempt, ++checkpoints_, step);
        break;
      default: {
        static constexpr const char* kCauses[] = {"FINISHED", "FINISHED", "INTERNAL", "DIVERGED",
                                                  "OUT_OF_MEMORY"};
        const std::string cause =
            held->second.stop
                ? v1::Cause_Name(held->second.stop->cause()).substr(std::string("CAUSE_").size())
                : kCauses[stream_.UniformInt(5)];
        answer = cluster_.End(worker, attempt, cause);
      }
    }
    if (!answer.ok()) {
      EXPECT_EQ(answer.status().code(), absl::StatusCode::kAborted) << answer.status();
    }
  }

  KeyedStream stream_;
  FakeCluster cluster_;
  ClusterState shadow_;  // follows the journal event by event
  InvariantChecker checker_;
  std::map<std::string, std::string> acknowledged_;
  std::map<std::string, v1::ExperimentSpec> specs_;
  int submitted_ = 0;
  int checkpoints_ = 0;
};

TEST(RandomClusterTest, KeepsItsPromisesAndEnds) {
  const uint64_t seed = TestSeed();
  for (uint64_t round = 0; round < 15; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    RandomCluster cluster(seed + round);
    for (int step = 0; step < 250; ++step) {
      cluster.Step();
      ASSERT_FALSE(::testing::Test::HasFailure()) << "step " << step;
    }
    cluster.CheckRecovery();
    cluster.Settle();
    cluster.CheckRecovery();
    ASSERT_FALSE(::testing::Test::HasFailure());
  }
}

TEST(RandomClusterTest, IsTheSameForTheSameSeed) {
  const uint64_t seed = TestSeed();
  std::string fingerprints[2];
  for (std::string& fingerprint : fingerprints) {
    RandomCluster cluster(seed);
    for (int step = 0; step < 150; ++step) cluster.Step();
    fingerprint = cluster.Fingerprint();
  }
  EXPECT_EQ(fingerprints[0], fingerprints[1]);
}

}  // namespace
}  // namespace cvtrain::coordinator
