// Tables of workers, checkpoints and data sets of client/view/show.h.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/view/show.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

std::string HealthText(const v1::Worker& worker) {
  if (worker.state() != v1::Worker::STATE_READY) return "no answer";
  if (worker.failures() == 0) return worker.cordoned() ? "cordoned" : "ok";
  const std::string failures =
      absl::StrCat(worker.failures(), worker.failures() == 1 ? " failure" : " failures");
  return worker.cordoned() ? absl::StrCat("cordoned, ", failures) : failures;
}

// What the slots of a worker come to.
struct SlotSums {
  int free = 0;
  int threads = 0;
  int64_t memory_bytes = 0;
  std::set<std::string> jobs;
  std::map<std::string, int> gpus;  // by model
  std::set<std::string> devices;
};

SlotSums SumOf(const v1::Worker& worker) {
  SlotSums sums;
  for (const v1::Slot& slot : worker.slots()) {
    sums.memory_bytes += slot.memory_bytes();
    sums.threads += slot.threads();
    if (slot.attempt().empty()) {
      ++sums.free;
    } else {
      sums.jobs.insert(ShortName(slot.attempt()));
    }
    if (slot.kind() == v1::Slot::KIND_GPU) ++sums.gpus[slot.device()];
    if (!slot.device().empty()) sums.devices.insert(slot.device());
  }
  return sums;
}

// "4xH100"
std::string GpuText(const SlotSums& sums) {
  return absl::StrJoin(sums.gpus, ",", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.second, "x", entry.first);
  });
}

// What only a checkpoint has that a trial made.
std::string OfTrial(const v1::Checkpoint& checkpoint, const std::string& text) {
  return checkpoint.trial().empty() ? "" : text;
}

std::string BytesText(int64_t bytes) {
  return bytes <= 0 ? "" : FormatBytes(static_cast<uint64_t>(bytes));
}

}  // namespace

Table WorkerTable(const std::vector<v1::Worker>& workers, absl::Time now, bool wide) {
  std::vector<std::string> headers = {"NAME",   "STATE", "SLOTS(free/all)", "GPU",       "MEM",
                                      "HEALTH", "JOBS",  "LABELS",          "HEARTBEAT", "VERSION"};
  if (wide) {
    headers.insert(headers.end(),
                   {"HOST", "DEVICE", "THREADS", "CACHE(used/max)", "REGISTERED", "BUILD"});
  }
  Table table(headers);
  for (const v1::Worker& worker : workers) {
    const SlotSums sums = SumOf(worker);
    std::vector<std::string> row = {ShortName(worker.name()),
                                    StateText(worker.state()),
                                    absl::StrCat(sums.free, "/", worker.slots_size()),
                                    GpuText(sums),
                                    BytesText(sums.memory_bytes),
                                    HealthText(worker),
                                    absl::StrJoin(sums.jobs, ","),
                                    "",  // workers have no labels yet
                                    AgeText(worker.renew_time(), now),
                                    worker.program_version()};
    if (wide) {
      row.insert(row.end(),
                 {worker.hostname(), absl::StrJoin(sums.devices, ","), absl::StrCat(sums.threads),
                  absl::StrCat(FormatBytes(static_cast<uint64_t>(worker.cache_bytes())), "/",
                               FormatBytes(static_cast<uint64_t>(worker.cache_bytes_max()))),
                  AgeText(worker.register_time(), now), worker.build_id()});
    }
    table.AddRow(row);
  }
  return table;
}

Table CheckpointTable(const std::vector<v1::Checkpoint>& checkpoints, absl::Time now, bool wide) {
  std::vector<std::string> headers = {"UUID",  "TRIAL",  "STEP", "METRIC", "SIZE",
                                      "STATE", "DIGEST", "AGE",  "LABEL"};
  if (wide) headers.insert(headers.end(), {"ATTEMPT", "EPOCH", "STAGE", "FULL-DIGEST"});
  Table table(headers);
  for (const v1::Checkpoint& checkpoint : checkpoints) {
    std::vector<std::string> row = {
        std::string(absl::StripPrefix(checkpoint.name(), "checkpoints/")),
        ShortName(checkpoint.trial()),
        OfTrial(checkpoint, absl::StrCat(checkpoint.step())),
        checkpoint.has_objective() ? MetricText(checkpoint.objective()) : "",
        BytesText(checkpoint.size_bytes()),
        checkpoint.damaged() ? "damaged" : absl::StrJoin(checkpoint.kept_as(), ","),
        checkpoint.digest().substr(0, 12),
        AgeText(checkpoint.create_time(), now),
        checkpoint.label()};
    if (wide) {
      row.insert(
          row.end(),
          {ShortName(checkpoint.attempt()), OfTrial(checkpoint, absl::StrCat(checkpoint.epoch())),
           OfTrial(checkpoint, absl::StrCat(checkpoint.stage() + 1)), checkpoint.digest()});
    }
    table.AddRow(row);
  }
  return table;
}

Table DatasetTable(const std::vector<v1::DatasetVersion>& versions, absl::Time now, bool wide) {
  std::vector<std::string> headers = {"NAME", "CLASSES", "IMAGES", "SPLITS",
                                      "SIZE", "DIGEST",  "AGE"};
  if (wide) headers.insert(headers.end(), {"RUNGS", "SKIPPED", "SHA-256"});
  Table table(headers);
  for (const v1::DatasetVersion& version : versions) {
    int64_t images = 0;
    int64_t skipped = 0;
    for (const v1::Split& split : version.splits()) images += split.images();
    for (const auto& [cause, count] : version.skipped()) skipped += count;
    std::vector<std::string> row = {ShortName(version.name()),
                                    absl::StrCat(version.classes_size()),
                                    absl::StrCat(images),
                                    absl::StrJoin(version.splits(), ",",
                                                  [](std::string* out, const v1::Split& split) {
                                                    absl::StrAppend(out, split.name(), "=",
                                                                    split.images());
                                                  }),
                                    BytesText(version.size_bytes()),
                                    version.digest().substr(0, 12),
                                    AgeText(version.create_time(), now)};
    if (wide) {
      row.insert(row.end(),
                 {absl::StrJoin(version.rungs(), ","), absl::StrCat(skipped), version.digest()});
    }
    table.AddRow(row);
  }
  return table;
}

}  // namespace cvtrain::client
