#include "tests/unit/worker/trainer/link/trainer_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "common/clock.h"
#include "common/env.h"
#include "common/status_macros.h"
#include "formats/checkpoint/checkpoint.h"

namespace cvtrain::trainer {

TrainerProcess::TrainerProcess() {
  auto ends = UnixConnection::Pair();
  CVT_CHECK_OK(ends.status());
  connection_ = std::move(ends->first);
  auto process = Process::Spawn(
      {.argv = {GetEnv("CVTRAIN_BIN_DIR").value_or("bin") + "/cvtrain-trainer", "--agent-fd=3"},
       .environment = {{"OMP_NUM_THREADS", "1"}, {"OMP_WAIT_POLICY", "passive"}},
       .descriptors = {{ends->second->fd(), 3}}});
  CVT_CHECK_OK(process.status());
  process_ = *std::move(process);
  const auto frame = Receive();
  CVT_CHECK_OK(frame.status());
  CVT_CHECK(frame->has_hello());
  hello_ = frame->hello();
}

void TrainerProcess::Send(const v1::AgentFrame& frame, int fd) {
  const std::string bytes = frame.SerializeAsString();
  const absl::Status sent = fd < 0 ? connection_->Send(bytes) : connection_->Send(bytes, {fd});
  // A trainer that was killed is noticed by Serve().
  EXPECT_TRUE(sent.ok() || absl::IsUnavailable(sent)) << sent;
}

void TrainerProcess::SendStart(v1::AgentFrame start, const std::string& checkpoint) {
  start_time_ = RealClock().SteadyNow();
  if (checkpoint.empty()) {
    Send(start);
    return;
  }
  const auto view = formats::CheckpointView::Open(checkpoint, "checkpoint");
  CVT_CHECK_OK(view.status());
  auto memory = SharedMemory::Create("resume", checkpoint.size());
  CVT_CHECK_OK(memory.status());
  std::copy(checkpoint.begin(), checkpoint.end(), memory->mutable_bytes().begin());
  session::v1::ResumePoint& resume = *start.mutable_start()->mutable_resume();
  resume.set_step(view->manifest().step());
  resume.set_size_bytes(static_cast<int64_t>(checkpoint.size()));
  Send(start, memory->fd());
}

absl::StatusOr<v1::TrainerFrame> TrainerProcess::Receive(std::vector<UniqueFd>* descriptors) {
  CVT_ASSIGN_OR_RETURN(Frame frame, connection_->Receive(kPatience));
  v1::TrainerFrame message;
  EXPECT_TRUE(message.ParseFromString(frame.bytes));
  if (descriptors != nullptr) *descriptors = std::move(frame.descriptors);
  return message;
}

ServedAttempt TrainerProcess::Serve(const Surroundings& surroundings) {
  ServedAttempt attempt;
  while (true) {
    std::vector<UniqueFd> descriptors;
    const auto frame = Receive(&descriptors);
    if (!frame.ok()) {
      EXPECT_EQ(frame.status().code(), absl::StatusCode::kUnavailable) << frame.status();
      return attempt;
    }
    TakeReport(frame->report(), attempt);
    if (frame->has_checkpoint_ready()) {
      TakeCheckpoint(frame->checkpoint_ready(), descriptors, attempt);
      if (frame->checkpoint_ready().step() == surroundings.kill_at_step) {
        EXPECT_TRUE(process_->Signal(SIGKILL).ok());
      }
    }
    Answer(*frame, surroundings);
    if (frame->has_exit()) {
      attempt.exit = frame->exit();
      return attempt;
    }
  }
}

void TrainerProcess::TakeReport(const v1::Report& report, ServedAttempt& attempt) {
  for (const auto& series : report.series()) {
    if (series.metric() == "loss") {
      attempt.loss_steps.insert(attempt.loss_steps.end(), series.steps().begin(),
                                series.steps().end());
    } else if (series.metric() == "images_per_second") {
      attempt.image_rates.insert(attempt.image_rates.end(), series.values().begin(),
                                 series.values().end());
    }
  }
  for (const auto& fact : report.facts()) {
    if (fact.has_started()) {
      attempt.start_latency = absl::FromUnixSeconds(fact.time().seconds()) +
                              absl::Nanoseconds(fact.time().nanos()) - RealClock().WallNow() +
                              (RealClock().SteadyNow() - start_time_);
    }
    attempt.facts.push_back(fact);
  }
}

void TrainerProcess::TakeCheckpoint(const v1::CheckpointReady& ready,
                                    std::vector<UniqueFd>& descriptors, ServedAttempt& attempt) {
  attempt.checkpoints.push_back(ready);
  SharedMemory& buffer = buffers_[static_cast<size_t>(ready.buffer())];
  if (!descriptors.empty()) {
    auto mapped = SharedMemory::MapReadOnly(std::move(descriptors[0]), size_t{1} << 30);
    CVT_CHECK_OK(mapped.status());
    buffer = *std::move(mapped);
  }
  attempt.last_checkpoint.assign(buffer.bytes().data(), static_cast<size_t>(ready.size_bytes()));
  CVT_CHECK_OK(formats::FinishTrailer(absl::MakeSpan(attempt.last_checkpoint)).status());
}

void TrainerProcess::Answer(const v1::TrainerFrame& frame, const Surroundings& surroundings) {
  v1::AgentFrame answer;
  if (frame.has_shard_request()) {
    answer.mutable_shard()->set_index(frame.shard_request().index());
    answer.mutable_shard()->set_id(frame.shard_request().id());
    Send(answer, surroundings.shards.at(static_cast<size_t>(frame.shard_request().index())));
  } else if (frame.has_checkpoint_ready()) {
    answer.mutable_checkpoint_released()->set_buffer(frame.checkpoint_ready().buffer());
    answer.mutable_checkpoint_released()->set_step(frame.checkpoint_ready().step());
    Send(answer);
  } else if (frame.has_store_call()) {
    answer.mutable_store_reply()->set_id(frame.store_call().id());
    const auto result = surroundings.store->Call(frame.store_call().operation());
    if (result.ok()) {
      *answer.mutable_store_reply()->mutable_result() = *result;
    } else {
      answer.mutable_store_reply()->set_error(std::string(result.status().message()));
    }
    Send(answer);
  }
}

}  // namespace cvtrain::trainer
