#include "client/simulate/shockwave_trace.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/dataset/json.h"
#include "client/simulate/trace_field.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr std::pair<absl::string_view, TraceModel> kTraceModels[] = {
    {"ResNet-18", TraceModel::kResnet18},
    {"ResNet-50", TraceModel::kResnet50},
    {"Transformer", TraceModel::kTransformer},
    {"LM", TraceModel::kLanguageModel},
    {"Recommendation", TraceModel::kRecommendation},
};

constexpr std::pair<absl::string_view, BatchMode> kBatchModes[] = {
    {"static", BatchMode::kStatic},
    {"accordion", BatchMode::kAccordion},
    {"gns", BatchMode::kNoiseScale},
};

// The fields of a line; those that are not read say what the job's own program wants.
constexpr std::array<absl::string_view, 12> kFieldNames = {
    "type",        "command", "directory", "steps flag", "needs data directory",
    "total steps", "gpus",    "mode",      "weight",     "SLO",
    "duration",    "arrival"};
constexpr size_t kFieldType = 0, kFieldSteps = 5, kFieldGpus = 6, kFieldMode = 7, kFieldWeight = 8,
                 kFieldDuration = 10, kFieldArrival = 11;

constexpr int64_t kBatchSizeMax = 1 << 20;
constexpr int64_t kStepsMax = int64_t{1} << 40;
constexpr double kWeightMin = 1e-6, kWeightMax = 1e6;
constexpr double kSecondsMax = 1e9;
// Steps per second: a job that makes none in a round would never end.
constexpr double kSpeedMin = 0.1, kSpeedMax = 1e6;

struct JobType {
  TraceModel model;
  int batch_size;
};

// "ResNet-18 (batch size 32)"; nullopt if it is none, or of another model.
std::optional<JobType> ParseJobType(absl::string_view text) {
  for (const auto& [name, model] : kTraceModels) {
    absl::string_view rest = text;
    int64_t batch_size = 0;
    if (absl::ConsumePrefix(&rest, name) && absl::ConsumePrefix(&rest, " (batch size ") &&
        absl::ConsumeSuffix(&rest, ")") && absl::SimpleAtoi(rest, &batch_size) && batch_size > 0 &&
        batch_size <= kBatchSizeMax) {
      return JobType{model, static_cast<int>(batch_size)};
    }
  }
  return std::nullopt;
}

absl::StatusOr<ShockwaveJob> ReadLine(absl::string_view line, size_t number) {
  const std::vector<absl::string_view> texts = absl::StrSplit(line, '\t');
  if (texts.size() != kFieldNames.size()) {
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("line ", number, ": must have ", kFieldNames.size(),
                                        " fields separated by tabs, has ", texts.size()));
  }
  const auto field = [&](size_t i) { return TraceField{number, kFieldNames[i], texts[i]}; };
  ShockwaveJob job{.line = number};
  const std::optional<JobType> type = ParseJobType(texts[kFieldType]);
  if (!type.has_value()) {
    return FieldError(field(kFieldType),
                      "ResNet-18, ResNet-50, Transformer, LM or Recommendation with its batch "
                      "size, such as LM (batch size 10)");
  }
  job.model = type->model;
  job.batch_size = type->batch_size;
  CVT_ASSIGN_OR_RETURN(job.steps, ReadInteger(field(kFieldSteps), 1, kStepsMax));
  CVT_ASSIGN_OR_RETURN(const int64_t gpus, ReadInteger(field(kFieldGpus), 1, kTraceGpusMax));
  job.gpus = static_cast<int>(gpus);
  const auto* mode =
      std::find_if(std::begin(kBatchModes), std::end(kBatchModes),
                   [&](const auto& known) { return known.first == texts[kFieldMode]; });
  if (mode == std::end(kBatchModes)) {
    return FieldError(field(kFieldMode), "static, accordion or gns");
  }
  job.mode = mode->second;
  CVT_ASSIGN_OR_RETURN(job.weight, ReadNumber(field(kFieldWeight), kWeightMin, kWeightMax));
  // Nobody simulates by it, but a trace without it is damaged.
  CVT_RETURN_IF_ERROR(ReadNumber(field(kFieldDuration), 0, kSecondsMax).status());
  CVT_ASSIGN_OR_RETURN(job.arrival_seconds, ReadNumber(field(kFieldArrival), 0, kSecondsMax));
  return job;
}

// "('ResNet-18 (batch size 32)', 1)" -> its type and 1.
std::optional<std::pair<absl::string_view, int>> SplitKey(absl::string_view key) {
  int gpus = 0;
  const size_t comma = key.rfind("', ");
  if (comma == absl::string_view::npos || !absl::ConsumePrefix(&key, "('")) return std::nullopt;
  const absl::string_view type = key.substr(0, comma - 2);
  absl::string_view count = key.substr(comma + 1);
  if (!absl::ConsumeSuffix(&count, ")") || !absl::SimpleAtoi(count, &gpus) || gpus < 1) {
    return std::nullopt;
  }
  return std::pair(type, gpus);
}

absl::Status BadEntry(absl::string_view entry, absl::string_view rule) {
  return InvalidArgument(Reason::kDataBad,
                         absl::StrCat("throughputs, v100, ", SafeText(entry, 64), ": ", rule));
}

}  // namespace

absl::string_view TraceModelName(TraceModel model) {
  for (const auto& [name, known] : kTraceModels) {
    if (known == model) return name;
  }
  return "";
}

absl::StatusOr<std::vector<ShockwaveJob>> ReadShockwaveTrace(absl::string_view text) {
  std::vector<ShockwaveJob> jobs;
  size_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty()) continue;
    if (jobs.size() == kTraceJobsMax) {
      return LimitExceeded("kTraceJobsMax",
                           absl::StrCat("line ", number, ": more than ", kTraceJobsMax, " jobs"));
    }
    CVT_ASSIGN_OR_RETURN(const ShockwaveJob job, ReadLine(line, number));
    if (!jobs.empty() && job.arrival_seconds < jobs.back().arrival_seconds) {
      return InvalidArgument(Reason::kDataBad, absl::StrCat("line ", number,
                                                            ", arrival: must not be before that of "
                                                            "the line above"));
    }
    jobs.push_back(job);
  }
  if (jobs.empty()) return InvalidArgument(Reason::kDataBad, "the trace has no jobs");
  return jobs;
}

absl::StatusOr<Throughputs> Throughputs::Parse(absl::string_view json) {
  CVT_ASSIGN_OR_RETURN(const Json root, ParseJson(json));
  const Json* v100 = root.Find("v100");
  if (v100 == nullptr || v100->kind != Json::Kind::kObject) {
    return InvalidArgument(Reason::kDataBad, "throughputs: must be an object with a member v100");
  }
  Throughputs throughputs;
  for (const auto& [key, entry] : v100->members) {
    const auto split = SplitKey(key);
    if (!split.has_value()) {
      return BadEntry(key, "must be named like ('LM (batch size 10)', 1)");
    }
    const std::optional<JobType> type = ParseJobType(split->first);
    if (!type.has_value()) continue;
    const Json* alone = entry.Find("null");
    const bool is_number = alone != nullptr && alone->kind == Json::Kind::kNumber;
    // It did not fit the GPU's memory.
    if (is_number && alone->number == 0) continue;
    if (!is_number || !(alone->number >= kSpeedMin && alone->number <= kSpeedMax)) {
      return BadEntry(key, absl::StrCat("must have a member null, steps per second from ",
                                        kSpeedMin, " to ", kSpeedMax, " or 0"));
    }
    throughputs.steps_per_second_[{type->model, type->batch_size, split->second}] = alone->number;
  }
  return throughputs;
}

double Throughputs::StepsPerSecond(TraceModel model, int batch_size, int gpus) const {
  const auto at = steps_per_second_.find({model, batch_size, gpus});
  return at == steps_per_second_.end() ? 0 : at->second;
}

}  // namespace cvtrain::client
