#ifndef CVTRAIN_COORDINATOR_STATE_REQUESTS_H_
#define CVTRAIN_COORDINATOR_STATE_REQUESTS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cvtrain/storage/v1/snapshot.pb.h"

namespace cvtrain::coordinator {

// The answers to requests of the last 24 hours, so that a repetition gets the first one's.
//
// Part of the state: time here is the time of events. Thread-compatible.
class RememberedRequests {
 public:
  explicit RememberedRequests(size_t size_max) : size_max_(size_max) {}
  RememberedRequests();

  // nullptr if there is none, or if it has been forgotten. Valid until the next change.
  const storage::v1::RequestRecord* Find(absl::string_view id) const;

  // OK if one more may be remembered at `now`, else RESOURCE_EXHAUSTED (LIMIT_EXCEEDED).
  absl::Status CheckRoom(absl::Time now) const;

  // Returns DATA_LOSS (JOURNAL_DAMAGED) if the id is known: it was answered twice.
  absl::Status Add(storage::v1::RequestRecord record);

  // Drops what is older than a day at `now`.
  void Forget(absl::Time now);

  // By revision.
  const absl::btree_map<int64_t, storage::v1::RequestRecord>& by_revision() const {
    return by_revision_;
  }

 private:
  size_t size_max_;
  absl::btree_map<int64_t, storage::v1::RequestRecord> by_revision_;
  absl::btree_map<std::string, int64_t> revisions_;  // by id
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STATE_REQUESTS_H_
