#ifndef CVTRAIN_CLIENT_VIEW_LIVE_ROWS_H_
#define CVTRAIN_CLIENT_VIEW_LIVE_ROWS_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/files/cli.h"
#include "cvtrain/v1/experiment.pb.h"
#include "cvtrain/v1/trial.pb.h"

namespace cvtrain::client {

// The lines of the live view as a terminal of `size` holds them: a head, a header,
// and one for each trial with stage, size, step, images/s, loss, best, progress bar
// and ETA. Lines are shorter than the terminal is wide, and fewer than it is high.
//
// What does not fit goes in this order: the parameters, the bar down to six cells,
// the columns of the state, of images/s, of the loss, the stage, the best and the
// step. Name, progress and ETA stay. Of too many trials the running ones stay, and
// the others are counted in the last line.
std::vector<std::string> LiveRows(const v1::Experiment& experiment,
                                  const std::vector<v1::Trial>& trials, absl::Time now,
                                  const TerminalSize& size, bool color);

// True for a trial that runs or has run, so that its progress says something.
bool ShowsWork(const v1::Trial& trial);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_VIEW_LIVE_ROWS_H_
