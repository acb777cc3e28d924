#ifndef CVTRAIN_TESTS_UNIT_CLIENT_VIEW_SAMPLES_H_
#define CVTRAIN_TESTS_UNIT_CLIENT_VIEW_SAMPLES_H_

#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/view/table.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/trial.pb.h"
#include "tests/support/proto_matchers.h"

// Resources as a coordinator answers them, for tests of what people see.
namespace cvtrain::client {

inline absl::Time Now() { return absl::FromUnixSeconds(1'714'521'600); }

// A sweep with six trials, of which two run.
inline v1::Experiment Sweep() {
  return testing::ParseTextProto<v1::Experiment>(R"pb(
    name: "experiments/1"
    spec {
      name: "psnr"
      project: "vision"
      priority: 50
      search {
        linear {}
        objective { metric: "val/top1" mode: MODE_MAX }
      }
    }
    state: STATE_ACTIVE
    creator: "ann"
    create_time { seconds: 1714521540 }
    trials { left: 1 queued: 1 running: 2 succeeded: 1 failed: 1 cancelled: 0 }
    best_trial: "experiments/1/trials/4"
    best_value: 88.25
  )pb");
}

inline v1::Trial RunningTrial(int number = 1) {
  v1::Trial trial = testing::ParseTextProto<v1::Trial>(R"pb(
    state: STATE_RUNNING
    create_time { seconds: 1714521540 }
    parameters { key: "recipe.augmentation.range_augment.target_psnr.end" value: "20" }
    attempt_count: 1
    priority: 50
    slots: 2
    workers: "workers/gpu-a"
    best_objective: 87.92
    last_objective: 85.5
    progress {
      step: 1234
      step_total: 5678
      epoch: 3
      epoch_total: 10
      stage: 2
      stage_total: 5
      height: 192
      width: 192
      images_per_second: 1534.4
      loss: 2.345
      flops: 4.5e15
      eta { seconds: 725 }
    }
  )pb");
  trial.set_name(absl::StrCat("experiments/1/trials/", number));
  return trial;
}

// As an ended trial comes from the journal: steps and FLOPs, no loss, no speed.
inline v1::Trial EndedTrial(int number, v1::Trial::State state) {
  v1::Trial trial = RunningTrial(number);
  trial.set_state(state);
  trial.clear_workers();
  v1::Progress& progress = *trial.mutable_progress();
  progress.clear_loss();
  progress.clear_images_per_second();
  progress.clear_eta();
  progress.set_step(5678);
  if (state != v1::Trial::STATE_SUCCEEDED) progress.clear_step_total();
  return trial;
}

inline v1::Trial QueuedTrial(int number) {
  v1::Trial trial;
  trial.set_name(absl::StrCat("experiments/1/trials/", number));
  trial.set_state(v1::Trial::STATE_QUEUED);
  trial.set_reason("waiting for 2 slots: 1 of 2 free");
  return trial;
}

inline std::string TextOf(const Table& table) {
  std::ostringstream out;
  table.Print(out);
  return out.str();
}

inline std::vector<std::string> LinesOf(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// The cells of one line of a table without empty cells.
inline std::vector<std::string> CellsOf(const std::string& line) {
  std::vector<std::string> cells;
  for (absl::string_view cell : absl::StrSplit(line, "  ", absl::SkipWhitespace()))
    cells.emplace_back(absl::StripAsciiWhitespace(cell));
  return cells;
}

}  // namespace cvtrain::client

#endif  // CVTRAIN_TESTS_UNIT_CLIENT_VIEW_SAMPLES_H_
