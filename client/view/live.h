#ifndef CVTRAIN_CLIENT_VIEW_LIVE_H_
#define CVTRAIN_CLIENT_VIEW_LIVE_H_

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/files/cli.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/trial.pb.h"

namespace cvtrain::client {

// What `watch` and `submit -f` show while an experiment runs.
//
// On a terminal: a line per trial with stage, size, step, images/s, loss, best,
// progress bar and ETA, redrawn in place. Elsewhere: one plain line for each
// thing that happened (a state, a stage, an evaluation), so that a log file
// stays short. Thread-compatible.
class LiveView {
 public:
  struct Options {
    bool terminal = false;
    // Asked at each redraw: what does not fit is left out, and counted.
    std::function<TerminalSize()> size = [] { return TerminalSize(); };
    bool color = false;
  };

  LiveView(std::ostream& out, const Options& options) : out_(out), options_(options) {}

  // Shows how things stand at `now`.
  void Update(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials,
              absl::Time now);

  // Says, in the view's own way, that the coordinator does not answer.
  void ShowOutage(const std::string& message);

  // Leaves the cursor below the view.
  void Finish();

 private:
  struct Seen {
    v1::Trial::State state = v1::Trial::STATE_UNSPECIFIED;
    int stage = -1;
    int64_t evaluation_step = -1;
    int attempts = 0;
  };

  void Redraw(const std::vector<std::string>& lines, const TerminalSize& size);
  void PrintNews(const v1::Experiment& experiment, const v1::Trial& trial, absl::Time now);

  std::ostream& out_;
  const Options options_;
  size_t lines_drawn_ = 0;
  TerminalSize drawn_for_;
  bool outage_ = false;
  std::map<std::string, Seen> seen_;  // by trial
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_VIEW_LIVE_H_
