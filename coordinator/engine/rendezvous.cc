#include "coordinator/engine/rendezvous.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "coordinator/state/proto_time.h"

namespace cvtrain::coordinator {
namespace {

using session::v1::StoreOperation;
using session::v1::StoreResult;

constexpr absl::Duration kWaitMax = absl::Seconds(30);
constexpr size_t kKeySizeBytesMax = 1024;
constexpr int kKeysPerOperationMax = 4096;

absl::Status Check(const StoreOperation& operation) {
  const auto bad_key = [](absl::string_view key) {
    return key.empty() || key.size() > kKeySizeBytesMax;
  };
  const auto refuse = [](absl::string_view what) {
    return InvalidArgument(Reason::kFieldInvalid, absl::StrCat("operation.", what));
  };
  if (operation.value().size() > limits::kStoreValueSizeBytesMax) {
    return LimitExceeded("kStoreValueSizeBytesMax",
                         absl::StrCat("operation.value: has ", operation.value().size(),
                                      " bytes, more than ", limits::kStoreValueSizeBytesMax));
  }
  switch (operation.kind()) {
    case StoreOperation::KIND_SET:
    case StoreOperation::KIND_GET:
    case StoreOperation::KIND_ADD:
    case StoreOperation::KIND_COMPARE_SET:
    case StoreOperation::KIND_DELETE:
      return bad_key(operation.key()) ? refuse("key: must have 1 to 1024 bytes") : absl::OkStatus();
    case StoreOperation::KIND_WAIT:
    case StoreOperation::KIND_CHECK:
      if (operation.keys().empty() || operation.keys_size() > kKeysPerOperationMax ||
          std::any_of(operation.keys().begin(), operation.keys().end(), bad_key)) {
        return refuse("keys: must be 1 to 4096, each of 1 to 1024 bytes");
      }
      return absl::OkStatus();
    case StoreOperation::KIND_COUNT:
      return absl::OkStatus();
    default:
      return refuse("kind: must be given");
  }
}

template <typename Keys>
bool HasAll(const absl::btree_map<std::string, std::string>& values, const Keys& keys) {
  return std::all_of(keys.begin(), keys.end(),
                     [&](const std::string& key) { return values.contains(key); });
}

}  // namespace

Rendezvous::Rendezvous() : Rendezvous(Options()) {}

void Rendezvous::Access(const AttemptName& attempt, const StoreOperation& operation,
                        absl::Duration now, Done done) {
  if (absl::Status status = Check(operation); !status.ok()) return done(status);
  Store& store = stores_[attempt];
  const bool is_get = operation.kind() == StoreOperation::KIND_GET;
  if (!is_get && operation.kind() != StoreOperation::KIND_WAIT) {
    done(Run(store, operation));
    return Wake(store);
  }
  Waiter waiter;
  waiter.answers_value = is_get;
  waiter.keys = is_get ? std::vector<std::string>{operation.key()}
                       : std::vector<std::string>(operation.keys().begin(), operation.keys().end());
  if (!HasAll(store.values, waiter.keys) && store.waiters.size() >= options_.waiting_max) {
    return done(LimitExceeded(
        "waiting_max", absl::StrCat("store: ", store.waiters.size(), " operations wait already")));
  }
  waiter.deadline =
      now + std::clamp(FromDuration(operation.timeout()), absl::ZeroDuration(), kWaitMax);
  waiter.done = std::move(done);
  store.waiters.push_back(std::move(waiter));
  Wake(store);
}

absl::StatusOr<StoreResult> Rendezvous::Run(Store& store, const StoreOperation& operation) {
  StoreResult result;
  const auto found = store.values.find(operation.key());
  switch (operation.kind()) {
    case StoreOperation::KIND_SET:
      if (absl::Status status = Set(store, operation.key(), operation.value()); !status.ok()) {
        return status;
      }
      break;
    case StoreOperation::KIND_ADD: {
      int64_t sum = 0;
      if (found != store.values.end() && !absl::SimpleAtoi(found->second, &sum)) {
        return InvalidArgument(Reason::kFieldInvalid,
                               "operation: add: the key does not hold a decimal number");
      }
      if (__builtin_add_overflow(sum, operation.amount(), &sum)) {
        return InvalidArgument(Reason::kFieldInvalid, "operation: add: the sum overflows");
      }
      if (absl::Status status = Set(store, operation.key(), absl::StrCat(sum)); !status.ok()) {
        return status;
      }
      result.set_amount(sum);
      break;
    }
    case StoreOperation::KIND_COMPARE_SET: {
      const bool matches = found == store.values.end() ? operation.expected().empty()
                                                       : found->second == operation.expected();
      if (matches) {
        if (absl::Status status = Set(store, operation.key(), operation.value()); !status.ok()) {
          return status;
        }
        result.set_value(operation.value());
      } else if (found != store.values.end()) {
        result.set_value(found->second);
      } else {
        // As c10d's own stores: the key is absent, and so is what was expected.
        result.set_value(operation.expected());
      }
      break;
    }
    case StoreOperation::KIND_CHECK:
      result.set_amount(HasAll(store.values, operation.keys()) ? 1 : 0);
      break;
    case StoreOperation::KIND_DELETE:
      if (found != store.values.end()) {
        store.size_bytes -= found->first.size() + found->second.size();
        store.values.erase(found);
        result.set_amount(1);
      }
      break;
    case StoreOperation::KIND_COUNT:
      result.set_amount(static_cast<int64_t>(store.values.size()));
      break;
    default:
      break;
  }
  return result;
}

absl::Status Rendezvous::Set(Store& store, const std::string& key, std::string value) {
  const auto found = store.values.find(key);
  const bool is_new = found == store.values.end();
  if (is_new && store.values.size() >= options_.keys_max) {
    return LimitExceeded("kStoreKeysMax",
                         absl::StrCat("store: has ", store.values.size(), " keys already"));
  }
  const size_t before = is_new ? 0 : key.size() + found->second.size();
  const size_t after = store.size_bytes - before + key.size() + value.size();
  if (after > options_.size_bytes_max) {
    return LimitExceeded("size_bytes_max", absl::StrCat("store: would hold ", after, " bytes"));
  }
  store.size_bytes = after;
  store.values[key] = std::move(value);
  return absl::OkStatus();
}

void Rendezvous::Wake(Store& store) {
  for (auto waiter = store.waiters.begin(); waiter != store.waiters.end();) {
    if (!HasAll(store.values, waiter->keys)) {
      ++waiter;
      continue;
    }
    StoreResult result;
    if (waiter->answers_value) result.set_value(store.values.at(waiter->keys.front()));
    waiter->done(result);
    waiter = store.waiters.erase(waiter);
  }
}

void Rendezvous::Tick(absl::Duration now) {
  StoreResult timed_out;
  timed_out.set_timed_out(true);
  for (auto& [attempt, store] : stores_) {
    for (auto waiter = store.waiters.begin(); waiter != store.waiters.end();) {
      if (waiter->deadline > now) {
        ++waiter;
        continue;
      }
      waiter->done(timed_out);
      waiter = store.waiters.erase(waiter);
    }
  }
}

void Rendezvous::DropAll(const absl::Status& status) {
  for (const auto& [attempt, store] : std::exchange(stores_, {})) {
    for (const Waiter& waiter : store.waiters) waiter.done(status);
  }
}

void Rendezvous::Drop(const AttemptName& attempt) {
  const auto found = stores_.find(attempt);
  if (found == stores_.end()) return;
  const Store store = std::move(found->second);
  stores_.erase(found);
  for (const Waiter& waiter : store.waiters) {
    waiter.done(Aborted(Reason::kLeaseLost, absl::StrCat(attempt.ToString(), ": has ended")));
  }
}

}  // namespace cvtrain::coordinator
