#ifndef CVTRAIN_WORKER_TRAINER_LINK_REPORTER_H_
#define CVTRAIN_WORKER_TRAINER_LINK_REPORTER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/thread.h"
#include "cvtrain/trainer/v1/trainer.pb.h"

namespace cvtrain::trainer {

// Gathers what an attempt reports and sends it as frames, on a thread of its own: facts at once,
// every 100 ms what else has come, and progress at least twice a second. Progress is repeated
// whatever the attempt does; the count of its activity tells the agent a slow trainer from one
// that hangs.
//
// Order is kept among points of one series, among facts and among log lines; points go before the
// facts that came with them. Thread-safe.
class Reporter {
 public:
  // Sends one frame; called by one thread at a time, never after the destructor. What was in a
  // frame that could not be sent is lost: who sends ends the connection then.
  using Send = std::function<absl::Status(const v1::TrainerFrame&)>;

  // `interval`: for what does not go at once.
  Reporter(const Clock& clock, Send send, absl::Duration interval = kInterval);
  // Sends nothing more.
  ~Reporter();

  // Waits while kPointsMax points are unsent.
  void AddPoint(absl::string_view metric, int64_t step, double value) ABSL_LOCKS_EXCLUDED(mu_);
  void AddFact(session::v1::Fact fact) ABSL_LOCKS_EXCLUDED(mu_);
  void SetProgress(const cvtrain::v1::Progress& progress) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteActivity() ABSL_LOCKS_EXCLUDED(mu_);
  void AddLine(cvtrain::v1::LogLevel level, absl::string_view text) ABSL_LOCKS_EXCLUDED(mu_);

  // Sends everything that came before the call. Errors of `send`.
  absl::Status Flush() ABSL_LOCKS_EXCLUDED(mu_, send_mu_);

  // Forgets everything, progress too: an attempt begins.
  void Clear() ABSL_LOCKS_EXCLUDED(mu_);

  static constexpr absl::Duration kInterval = absl::Milliseconds(100);
  static constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);
  // Unsent points and lines of the log. Points wait at this bound, lines are dropped and counted.
  static constexpr int64_t kPointsMax = 200'000;
  static constexpr int64_t kLinesMax = 10'000;

 private:
  struct Series {
    std::vector<int64_t> steps;
    std::vector<double> values;
  };
  struct Unsent {
    std::vector<std::string> names;  // of series, in order of their first point
    absl::flat_hash_map<std::string, Series> series;
    int64_t points = 0;
    std::vector<session::v1::Fact> facts;
    std::vector<cvtrain::v1::LogLine> lines;
    int64_t lines_dropped = 0;
    bool progress_changed = false;
    bool active = false;
  };

  void Run();
  // Waits for a fact, or for the end of the interval; false at the end.
  bool WaitForWork() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status SendUnsent(bool progress_is_due) ABSL_LOCKS_EXCLUDED(mu_)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(send_mu_);
  absl::Status SendLines(Unsent& unsent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(send_mu_);
  // `last` has what goes with the last frame: progress and activity.
  absl::Status SendReports(Unsent& unsent, v1::Report last) ABSL_EXCLUSIVE_LOCKS_REQUIRED(send_mu_);

  // Constant after construction.
  const Clock& clock_;
  const Send send_;
  const absl::Duration interval_;

  // Held while frames are sent, so that they go out in order; taken before mu_.
  absl::Mutex send_mu_;

  absl::Mutex mu_;
  Unsent unsent_ ABSL_GUARDED_BY(mu_);
  std::optional<cvtrain::v1::Progress> progress_ ABSL_GUARDED_BY(mu_);
  int64_t activity_ ABSL_GUARDED_BY(mu_) = 0;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;

  Thread thread_;  // last: it uses the members above
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_LINK_REPORTER_H_
