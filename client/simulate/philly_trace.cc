#include "client/simulate/philly_trace.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/dataset/csv.h"
#include "client/simulate/shockwave_trace.h"
#include "client/simulate/trace_field.h"
#include "common/errors.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

const std::vector<std::string>& PhillyColumns() {
  static const auto* const columns =
      new std::vector<std::string>{"timestamp", "duration", "num_gpus", "gpu_time", "cluster"};
  return *columns;
}

constexpr double kDurationMax = 1e9;
constexpr double kGpuTimeMax = kDurationMax * kTraceGpusMax;

absl::StatusOr<absl::Time> ReadTimestamp(const TraceField& field) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime("%Y-%m-%d %H:%M:%S", field.text, absl::UTCTimeZone(), &time, &error)) {
    return time;
  }
  return FieldError(field, "a time such as 2017-10-09 07:01:55");
}

absl::StatusOr<PhillyJob> ReadRow(const std::vector<std::string>& row, size_t line) {
  const std::vector<std::string>& names = PhillyColumns();
  if (row.size() != names.size()) {
    return InvalidArgument(
        Reason::kDataBad,
        absl::StrCat("line ", line, ": must have ", names.size(), " columns, has ", row.size()));
  }
  const auto field = [&](size_t i) { return TraceField{line, names[i], row[i]}; };
  PhillyJob job;
  job.line = line;
  CVT_ASSIGN_OR_RETURN(job.submitted, ReadTimestamp(field(0)));
  CVT_ASSIGN_OR_RETURN(job.duration_seconds, ReadNumber(field(1), 0, kDurationMax));
  CVT_ASSIGN_OR_RETURN(const int64_t gpus, ReadInteger(field(2), 1, kTraceGpusMax));
  job.gpus = static_cast<int>(gpus);
  // The product of the two, and nobody's to read; but a row without them is damaged.
  CVT_RETURN_IF_ERROR(ReadNumber(field(3), 0, kGpuTimeMax).status());
  if (row[4].empty()) return FieldError(field(4), "the name of a cluster");
  return job;
}

}  // namespace

bool IsPhillyTrace(absl::string_view text) {
  return absl::StartsWith(text, absl::StrJoin(PhillyColumns(), ","));
}

absl::StatusOr<std::vector<PhillyJob>> ReadPhillyTrace(absl::string_view text) {
  CsvRows rows(text);
  std::vector<std::string> row;
  if (!rows.Next(&row) || row != PhillyColumns()) {
    CVT_RETURN_IF_ERROR(rows.status());
    return InvalidArgument(Reason::kDataBad,
                           absl::StrCat("line 1: must be ", absl::StrJoin(PhillyColumns(), ",")));
  }
  std::vector<PhillyJob> jobs;
  while (rows.Next(&row)) {
    if (jobs.size() == kTraceJobsMax) {
      return LimitExceeded("kTraceJobsMax", absl::StrCat("line ", rows.line(), ": more than ",
                                                         kTraceJobsMax, " jobs"));
    }
    CVT_ASSIGN_OR_RETURN(const PhillyJob job, ReadRow(row, rows.line()));
    jobs.push_back(job);
  }
  CVT_RETURN_IF_ERROR(rows.status());
  return jobs;
}

std::vector<PhillyJob> SelectJobs(std::vector<PhillyJob> jobs, const PhillySelection& selection) {
  const auto counts = [&](const PhillyJob& job) {
    return job.submitted >= selection.from && job.submitted < selection.until &&
           job.duration_seconds >= selection.duration_seconds_min &&
           job.gpus <= selection.gpus_max &&
           job.duration_seconds * job.gpus < selection.gpu_hours_below * 3600;
  };
  jobs.erase(
      std::remove_if(jobs.begin(), jobs.end(), [&](const PhillyJob& job) { return !counts(job); }),
      jobs.end());
  std::stable_sort(jobs.begin(), jobs.end(), [](const PhillyJob& a, const PhillyJob& b) {
    return a.submitted != b.submitted ? a.submitted < b.submitted
                                      : a.duration_seconds < b.duration_seconds;
  });
  return jobs;
}

}  // namespace cvtrain::client
