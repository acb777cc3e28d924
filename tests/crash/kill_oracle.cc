#include "tests/crash/kill_oracle.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace cvtrain {

KillOracle::KillOracle(FileSystem& files, const std::string& path) {
  auto file = files.NewWritableFile(path, {});
  CVT_CHECK_OK(file.status());
  file_ = *std::move(file);
}

void KillOracle::Assigned(const std::string& trial, const std::string& attempt) {
  absl::MutexLock lock(&mu_);
  SentTrial& sent = trials[trial];
  if (!sent.attempt.empty() && sent.attempt != attempt) {
    violations_.push_back(
        {Violation::Kind::kOther,
         absl::StrCat(trial, ": was given out again as ", attempt, " while a worker had ",
                      sent.attempt, ": its lease was dropped")});
  }
  sent.attempt = attempt;
}

void KillOracle::Dropped(const std::string& trial, absl::string_view how) {
  absl::MutexLock lock(&mu_);
  SentTrial& sent = trials[trial];
  if (!sent.end_sent) {
    violations_.push_back(
        {Violation::Kind::kOther,
         absl::StrCat(sent.attempt, ": its lease was dropped (", how, ") before its end")});
  } else if (!sent.end_acknowledged) {
    // Who may not go on because the attempt has ended has been told that the end is durable.
    Write(absl::StrCat("end ", trial));
    sent.end_acknowledged = true;
  }
}

int64_t KillOracle::Count(Violation::Kind kind) const {
  absl::MutexLock lock(&mu_);
  return std::count_if(violations_.begin(), violations_.end(),
                       [kind](const Violation& violation) { return violation.kind == kind; });
}

void KillOracle::Write(absl::string_view what) {
  CVT_CHECK_OK(file_->Append(absl::StrCat(what, "\n")));
  CVT_CHECK_OK(file_->Sync());
  ++acknowledged_;
}

}  // namespace cvtrain
