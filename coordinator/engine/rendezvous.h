#ifndef CVTRAIN_COORDINATOR_ENGINE_RENDEZVOUS_H_
#define CVTRAIN_COORDINATOR_ENGINE_RENDEZVOUS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/ids.h"
#include "cvtrain/session/v1/session.pb.h"

namespace cvtrain::coordinator {

// The key-value stores in which the ranks of attempts find each other (c10d::Store): one for each
// attempt, in memory, dropped with it. A group that is formed needs it no more, so losing it in a
// restart costs only attempts that are just starting.
//
// Not responsible for who may ask: see CheckLease(). Times are steady time. Thread-compatible.
class Rendezvous {
 public:
  using Done = std::function<void(const absl::StatusOr<session::v1::StoreResult>&)>;

  struct Options {
    size_t keys_max = 100'000;  // of one attempt
    size_t size_bytes_max = 64 << 20;
    size_t waiting_max = 16'384;  // operations of one attempt
  };

  Rendezvous();
  explicit Rendezvous(const Options& options) : options_(options) {}

  // Runs `operation`; `done` is called now, or later by an operation, Tick() or Drop(). It must
  // not call this object.
  //
  // INVALID_ARGUMENT (FIELD_INVALID) for an operation without kind, a key that is empty or too
  // long, or ADD on what is no number; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED). Waiting operations end
  // with `timed_out` after their time-out (at most 30 s), and with ABORTED (LEASE_LOST) when the
  // attempt is dropped.
  void Access(const AttemptName& attempt, const session::v1::StoreOperation& operation,
              absl::Duration now, Done done);

  // Ends waits whose time is over.
  void Tick(absl::Duration now);

  // Forgets the store of an attempt.
  void Drop(const AttemptName& attempt);

  // Forgets all stores; what waits ends with `status`.
  void DropAll(const absl::Status& status);

  size_t size() const { return stores_.size(); }

 private:
  struct Waiter {
    std::vector<std::string> keys;
    bool answers_value = false;  // GET; else WAIT
    absl::Duration deadline;
    Done done;
  };
  struct Store {
    absl::btree_map<std::string, std::string> values;
    size_t size_bytes = 0;
    std::list<Waiter> waiters;
  };

  absl::StatusOr<session::v1::StoreResult> Run(Store& store,
                                               const session::v1::StoreOperation& operation);
  absl::Status Set(Store& store, const std::string& key, std::string value);
  void Wake(Store& store);

  Options options_;
  absl::btree_map<AttemptName, Store> stores_;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_ENGINE_RENDEZVOUS_H_
