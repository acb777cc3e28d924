#ifndef CVTRAIN_TESTS_UNIT_WORKER_TRAINER_SUPPORT_FAKE_GPU_H_
#define CVTRAIN_TESTS_UNIT_WORKER_TRAINER_SUPPORT_FAKE_GPU_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/trainer/device/device.h"

namespace cvtrain::trainer {

// What is asked of a GPU, done by the CPU, and noted. Thread-safe.
class FakeGpu : public Device {
 public:
  // "pin", "unpin", "mark", "copy": in the order in which they were asked for.
  std::vector<std::string> events() const {
    absl::MutexLock lock(&mu_);
    return events_;
  }
  int recorders() const { return recorders_; }
  // Runs of each key, of all recorders.
  const std::map<Recorder::Key, int>& runs() const { return runs_; }

  at::Device place() const override { return at::Device(at::DeviceType::CPU); }
  std::string name() const override { return "fake"; }
  void SetMemoryLimit(int64_t) override {}
  void Pin(absl::Span<char>) override { Note("pin"); }
  void Unpin(absl::Span<char>) override { Note("unpin"); }
  void Mark() override { Note("mark"); }
  void CopyFromMark(absl::FunctionRef<void()> copy) override {
    Note("copy");
    copy();
  }
  std::unique_ptr<Recorder> NewRecorder() override {
    ++recorders_;
    return std::make_unique<CountingRecorder>(runs_);
  }

 private:
  class CountingRecorder : public Recorder {
   public:
    explicit CountingRecorder(std::map<Key, int>& runs) : runs_(runs) {}
    void Run(const Key& key, absl::FunctionRef<void()> body) override {
      ++runs_[key];
      body();
    }

   private:
    std::map<Key, int>& runs_;
  };

  void Note(const char* event) {
    absl::MutexLock lock(&mu_);
    events_.push_back(event);
  }

  mutable absl::Mutex mu_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mu_);
  int recorders_ = 0;
  std::map<Recorder::Key, int> runs_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_TESTS_UNIT_WORKER_TRAINER_SUPPORT_FAKE_GPU_H_
