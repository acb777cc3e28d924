#include "worker/agent/supervise/report_thread.h"

#include <algorithm>
#include <stop_token>
#include <utility>

namespace cvtrain::worker {
namespace {

// Pieces of work from trainers that wait for the disk.
constexpr size_t kWorkMax = 10'000;
// What failed for a reason that nobody announces, as a full disk, is tried again.
constexpr absl::Duration kStepInterval = absl::Seconds(1);

}  // namespace

ReportThread::ReportThread(const Clock& clock)
    : clock_(clock), mailbox_(kWorkMax, [this] { Wake(); }) {}

ReportThread::~ReportThread() { Stop(); }

void ReportThread::Start(std::unique_ptr<ReportSender> sender) {
  sender_ = std::move(sender);
  thread_ = std::make_unique<Thread>("reports", [this](StopToken stop) { Run(stop); });
}

void ReportThread::Stop() { thread_.reset(); }

void ReportThread::Post(Work work) {
  mailbox_.Post([this, work = std::move(work)] { work(*sender_); });
}

bool ReportThread::TryPost(Work work) {
  return mailbox_.TryPost([this, work = std::move(work)] { work(*sender_); });
}

void ReportThread::Wake() {
  absl::MutexLock lock(&mu_);
  awake_ = true;
  changed_.SignalAll();
}

void ReportThread::Run(const StopToken& stop) {
  std::stop_callback wake(stop, [this] { Wake(); });
  while (true) {
    const bool stopping = stop.stop_requested();
    for (const Mailbox::Work& work : mailbox_.Take()) work();
    if (stopping) return;
    const absl::Duration now = clock_.SteadyNow();
    const absl::Duration wait = std::min(kStepInterval, sender_->Step(now) - now);
    absl::MutexLock lock(&mu_);
    if (!awake_) changed_.WaitWithTimeout(&mu_, std::max(wait, absl::ZeroDuration()));
    awake_ = false;
  }
}

}  // namespace cvtrain::worker
