#ifndef CVTRAIN_WORKER_AGENT_SUPERVISE_REPORT_THREAD_H_
#define CVTRAIN_WORKER_AGENT_SUPERVISE_REPORT_THREAD_H_

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/clock.h"
#include "common/thread.h"
#include "worker/agent/supervise/mailbox.h"
#include "worker/agent/supervise/report_sender.h"

namespace cvtrain::worker {

// The thread that owns a ReportSender, and with it the spool: the loop never waits for
// this disk. Thread-safe, but Start() and Stop() are its owner's.
class ReportThread {
 public:
  using Work = std::function<void(ReportSender&)>;

  // `clock` must outlive it.
  explicit ReportThread(const Clock& clock);
  // Stop().
  ~ReportThread();

  // For the sender's answers; valid before Start().
  Mailbox& mailbox() { return mailbox_; }

  void Start(std::unique_ptr<ReportSender> sender);
  // Runs what was posted, so that it is in the spool, and ends the thread.
  void Stop();

  // Work that must be done.
  void Post(Work work);
  // Work that may be refused when the disk does not keep up: false.
  bool TryPost(Work work);

 private:
  void Run(const StopToken& stop);
  void Wake() ABSL_LOCKS_EXCLUDED(mu_);

  const Clock& clock_;
  Mailbox mailbox_;
  std::unique_ptr<ReportSender> sender_;  // owned by the thread once it runs

  absl::Mutex mu_;
  absl::CondVar changed_;
  bool awake_ ABSL_GUARDED_BY(mu_) = false;

  std::unique_ptr<Thread> thread_;
};

}  // namespace cvtrain::worker

#endif  // CVTRAIN_WORKER_AGENT_SUPERVISE_REPORT_THREAD_H_
