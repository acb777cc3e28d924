#include "coordinator/state/requests.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {

RememberedRequests::RememberedRequests() : size_max_(limits::kRequestIdsMax) {}

const storage::v1::RequestRecord* RememberedRequests::Find(absl::string_view id) const {
  const auto found = revisions_.find(std::string(id));
  return found == revisions_.end() ? nullptr : &by_revision_.at(found->second);
}

absl::Status RememberedRequests::CheckRoom(absl::Time now) const {
  if (by_revision_.size() < size_max_ ||
      FromTimestamp(by_revision_.begin()->second.time()) + limits::kRequestIdKept <= now) {
    return absl::OkStatus();
  }
  return LimitExceeded("kRequestIdsMax",
                       absl::StrCat("request ids: ", size_max_,
                                    " are remembered, and the oldest is younger than a day; "
                                    "repeat later"));
}

absl::Status RememberedRequests::Add(storage::v1::RequestRecord record) {
  if (!revisions_.emplace(record.id(), record.revision()).second) {
    return DataLoss(Reason::kJournalDamaged,
                    absl::StrCat("request ", record.id(), " was answered twice"));
  }
  const int64_t revision = record.revision();
  by_revision_.emplace(revision, std::move(record));
  return absl::OkStatus();
}

void RememberedRequests::Forget(absl::Time now) {
  while (!by_revision_.empty()) {
    const auto oldest = by_revision_.begin();
    if (FromTimestamp(oldest->second.time()) + limits::kRequestIdKept > now) return;
    revisions_.erase(oldest->second.id());
    by_revision_.erase(oldest);
  }
}

}  // namespace cvtrain::coordinator
