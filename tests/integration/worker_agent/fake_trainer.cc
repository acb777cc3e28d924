// A trainer without LibTorch for tests of the agent: speaks the frames of
// cvtrain.trainer.v1 and does what the `synthetic` part of the recipe says. With shards it
// reads each; with several ranks it meets the others in the store first.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/build_info.h"
#include "common/file_system.h"
#include "common/flags.h"
#include "common/memfd.h"
#include "common/status_macros.h"
#include "common/unix_socket.h"
#include "cvtrain/trainer/v1/trainer.pb.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain {
namespace {

class FakeTrainer {
 public:
  explicit FakeTrainer(int fd) : agent_(UniqueFd(fd)) {}

  void Run(const std::string& build_id) {
    trainer::v1::TrainerFrame hello;
    hello.mutable_hello()->set_build_id(build_id);
    hello.mutable_hello()->set_pid(::getpid());
    Send(hello);
    while (true) {
      trainer::v1::AgentFrame frame = Wait(absl::InfiniteDuration());
      if (frame.has_shutdown()) return;
      if (frame.has_start()) RunAttempt(frame.start());
    }
  }

 private:
  void Send(const trainer::v1::TrainerFrame& frame, int descriptor = -1) {
    const absl::Status sent = agent_.Send(frame.SerializeAsString(),
                                          absl::MakeConstSpan(&descriptor, descriptor < 0 ? 0 : 1));
    if (!sent.ok()) std::_Exit(1);
  }

  // The next frame; an empty one after `timeout`. The process ends without its agent.
  trainer::v1::AgentFrame Wait(absl::Duration timeout) {
    trainer::v1::AgentFrame message;
    auto frame = agent_.Receive(timeout);
    if (absl::IsDeadlineExceeded(frame.status())) return message;
    if (!frame.ok()) std::_Exit(1);
    message.ParseFromString(frame->bytes);
    descriptors_ = std::move(frame->descriptors);
    if (message.has_checkpoint_released()) busy_[message.checkpoint_released().buffer()] = false;
    return message;
  }

  void Exit(v1::Cause cause, int64_t step, const std::string& message = "",
            trainer::v1::Exit::Suspect suspect = trainer::v1::Exit::SUSPECT_UNSPECIFIED) {
    trainer::v1::TrainerFrame frame;
    frame.mutable_exit()->set_suspect(suspect);
    frame.mutable_exit()->set_cause(cause);
    frame.mutable_exit()->set_end_step(step);
    frame.mutable_exit()->set_message(message);
    Send(frame);
  }

  void Log(const std::string& text) {
    trainer::v1::TrainerFrame frame;
    v1::LogLine& line = *frame.mutable_log()->add_lines();
    line.set_level(v1::LOG_LEVEL_INFO);
    line.set_text(text);
    Send(frame);
  }

  std::string ReadDescriptor() {
    const auto file = RandomAccessFileFromDescriptor(std::move(descriptors_.at(0)), "shard");
    std::string content(*file->Size(), '\0');
    CVT_CHECK_OK(file->Read(0, absl::MakeSpan(content)).status());
    return content;
  }

  // Says what it read, so that a test can compare.
  void ReadShards(const trainer::v1::Start& start) {
    for (const v1::Shard& shard : start.dataset().shards()) {
      trainer::v1::TrainerFrame request;
      request.mutable_shard_request()->set_index(shard.index());
      Send(request);
      trainer::v1::AgentFrame answer;
      while (!answer.has_shard()) answer = Wait(absl::InfiniteDuration());
      Log(answer.shard().error().empty()
              ? absl::StrCat("shard: ", ReadDescriptor().substr(0, 100))
              : absl::StrCat("no shard (", v1::Cause_Name(answer.shard().cause()),
                             "): ", answer.shard().error()));
    }
  }

  session::v1::StoreResult CallStore(const session::v1::StoreOperation& operation) {
    trainer::v1::TrainerFrame frame;
    frame.mutable_store_call()->set_id(++store_calls_);
    *frame.mutable_store_call()->mutable_operation() = operation;
    Send(frame);
    while (true) {
      const trainer::v1::AgentFrame answer = Wait(absl::InfiniteDuration());
      if (answer.has_store_reply()) return answer.store_reply().result();
    }
  }

  void MeetOthers(const trainer::v1::Start& start) {
    session::v1::StoreOperation operation;
    operation.set_kind(session::v1::StoreOperation::KIND_ADD);
    operation.set_key("arrived");
    operation.set_amount(1);
    const int64_t arrived = CallStore(operation).amount();
    Log(absl::StrCat("arrived as number ", arrived, " of ", start.world_size()));
  }

  void SendCheckpoint(int64_t step, int64_t bytes) {
    const int buffer = static_cast<int>(checkpoints_++ % 2);
    while (busy_[buffer]) Wait(absl::InfiniteDuration());
    const auto layout =
        formats::CheckpointLayout::Plan({{.name = "state",
                                          .data_type = storage::v1::Tensor::DATA_TYPE_U8,
                                          .shape = {std::max<int64_t>(bytes, 1)},
                                          .role = storage::v1::Tensor::ROLE_PARAMETER}});
    CVT_CHECK_OK(layout.status());
    const bool fresh = !memory_.contains(buffer);
    if (fresh) {
      auto memory = SharedMemory::Create("checkpoint", static_cast<size_t>(layout->file_bytes()));
      CVT_CHECK_OK(memory.status());
      memory_.emplace(buffer, *std::move(memory));
    }
    SharedMemory& memory = memory_.at(buffer);
    formats::CheckpointManifest manifest;
    manifest.set_step(step);
    CVT_CHECK_OK(layout->WriteHeaderAndManifest(manifest, memory.mutable_bytes()));
    trainer::v1::TrainerFrame frame;
    trainer::v1::CheckpointReady& ready = *frame.mutable_checkpoint_ready();
    ready.set_buffer(buffer);
    ready.set_step(step);
    ready.set_size_bytes(layout->file_bytes());
    busy_[buffer] = true;
    Send(frame, fresh ? memory.fd() : -1);
  }

  void Report(int rank, int64_t step, int64_t steps) {
    trainer::v1::TrainerFrame frame;
    trainer::v1::Report& report = *frame.mutable_report();
    report.mutable_progress()->set_step(step);
    report.mutable_progress()->set_step_total(steps);
    if (rank == 0) {
      v1::MetricSeries& series = *report.add_series();
      series.set_metric("loss");
      series.add_steps(step);
      series.add_values(1.0 / static_cast<double>(step));
    }
    Send(frame);
  }

  void ReportStarted(int64_t step) {
    trainer::v1::TrainerFrame frame;
    frame.mutable_report()->add_facts()->mutable_started()->set_start_step(step);
    Send(frame);
  }

  // True if the attempt is over.
  bool Fail(v1::Synthetic::Failure failure, int64_t step) {
    std::fprintf(stderr, "about to fail at step %ld\n", static_cast<long>(step));
    switch (failure) {
      case v1::Synthetic::FAILURE_CRASH:
        ::kill(::getpid(), SIGKILL);
        break;
      case v1::Synthetic::FAILURE_HANG:
        // The loop hangs; the thread that reports goes on repeating its progress.
        while (true) {
          Wait(absl::Milliseconds(20));
          Report(/*rank=*/1, step, step);
        }
      case v1::Synthetic::FAILURE_OUT_OF_MEMORY:
        Exit(v1::CAUSE_OUT_OF_MEMORY, step, "out of memory");
        break;
      default:
        Exit(v1::CAUSE_USER_ERROR, step, "as asked");
        break;
    }
    std::_Exit(1);
  }

  void RunAttempt(const trainer::v1::Start& start) {
    const v1::Synthetic& plan = start.recipe().synthetic();
    int64_t step = start.resume().step();
    if (start.has_resume()) {
      const std::string file = ReadDescriptor();
      const auto view = formats::CheckpointView::Open(file, "resume");
      if (!view.ok()) {
        Exit(v1::CAUSE_INTERNAL, step, std::string(view.status().message()),
             trainer::v1::Exit::SUSPECT_CHECKPOINT);
        std::_Exit(1);
      }
      step = view->manifest().step();
    }
    busy_.clear();
    memory_.clear();
    checkpoints_ = 0;
    ReadShards(start);
    if (start.world_size() > 1) MeetOthers(start);
    if (start.rank() == 0) ReportStarted(step);
    const int64_t every = start.recipe().checkpoint().every().steps();
    while (step < plan.steps()) {
      const absl::Time end = absl::Now() + absl::Milliseconds(plan.step_time_ms());
      ++step;
      Report(start.rank(), step, plan.steps());
      if (plan.has_fail_at_step() && step == plan.fail_at_step()) Fail(plan.failure(), step);
      if (start.rank() == 0 && every > 0 && step % every == 0) {
        SendCheckpoint(step, plan.checkpoint_bytes());
      }
      do {
        const trainer::v1::AgentFrame frame =
            Wait(std::max(absl::ZeroDuration(), end - absl::Now()));
        if (!frame.has_stop()) continue;
        if (frame.stop().mode() == session::v1::StopAttempt::MODE_CHECKPOINT && start.rank() == 0) {
          SendCheckpoint(step, plan.checkpoint_bytes());
        }
        Exit(frame.stop().cause(), step);
        return;
      } while (absl::Now() < end);
    }
    if (start.rank() == 0) SendCheckpoint(step, plan.checkpoint_bytes());
    Exit(v1::CAUSE_FINISHED, step);
  }

  UnixConnection agent_;
  std::vector<UniqueFd> descriptors_;  // of the last frame
  int64_t store_calls_ = 0;
  int64_t checkpoints_ = 0;
  std::map<int, bool> busy_;
  std::map<int, SharedMemory> memory_;
};

}  // namespace
}  // namespace cvtrain

int main(int argc, char** argv) {
  int fd = -1;
  std::string build_id = cvtrain::GetBuildInfo().build_id;
  cvtrain::FlagSet flags("fake-trainer --agent-fd=N", "A trainer for tests.");
  flags.Int("agent-fd", 0, &fd, 0, 1 << 20, "socket of the agent");
  if (!flags.Parse(argc, argv).ok()) return 2;
  // The name of the program says how it misbehaves: the agent gives it no other flags.
  const std::string name = cvtrain::BaseName(argv[0]);
  if (name == "fake-trainer-of-another-build") build_id = "another";
  if (name == "fake-trainer-that-fails-to-start") {
    std::fprintf(stderr, "cannot load a library\n");
    return 3;
  }
  cvtrain::FakeTrainer(fd).Run(build_id);
  return 0;
}
