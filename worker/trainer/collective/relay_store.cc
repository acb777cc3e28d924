#include "worker/trainer/collective/relay_store.h"

#include <algorithm>

#include "absl/strings/escaping.h"

namespace cvtrain::trainer {
namespace {

using session::v1::StoreOperation;
using session::v1::StoreResult;

constexpr std::chrono::milliseconds kWaitMax = std::chrono::seconds(30);

std::vector<uint8_t> ToBytes(const std::string& text) {
  return std::vector<uint8_t>(text.begin(), text.end());
}

std::string ToText(const std::vector<uint8_t>& bytes) {
  return std::string(bytes.begin(), bytes.end());
}

StoreOperation MakeOperation(StoreOperation::Kind kind, const std::string& key) {
  StoreOperation operation;
  operation.set_kind(kind);
  operation.set_key(absl::CEscape(key));
  return operation;
}

StoreOperation MakeOperation(StoreOperation::Kind kind, const std::vector<std::string>& keys) {
  StoreOperation operation;
  operation.set_kind(kind);
  for (const std::string& key : keys) operation.add_keys(absl::CEscape(key));
  return operation;
}

}  // namespace

c10::intrusive_ptr<c10d::Store> RelayStore::clone() {
  return c10::make_intrusive<RelayStore>(transport_, timeout_);
}

StoreResult RelayStore::Call(const StoreOperation& operation) {
  absl::StatusOr<StoreResult> result = transport_.Call(operation);
  if (!result.ok()) {
    C10_THROW_ERROR(DistStoreError, "rendezvous store: " + std::string(result.status().message()));
  }
  return *std::move(result);
}

StoreResult RelayStore::CallWaiting(StoreOperation operation, std::chrono::milliseconds timeout) {
  // 0 means no limit, in c10d.
  const bool limited = timeout != kNoTimeout;
  std::chrono::milliseconds left = timeout;
  while (true) {
    const std::chrono::milliseconds piece = limited ? std::min(left, kWaitMax) : kWaitMax;
    operation.mutable_timeout()->set_seconds(piece.count() / 1000);
    operation.mutable_timeout()->set_nanos(static_cast<int32_t>(piece.count() % 1000) * 1'000'000);
    StoreResult result = Call(operation);
    if (!result.timed_out()) return result;
    left -= piece;
    if (limited && left.count() <= 0) {
      C10_THROW_ERROR(DistStoreError,
                      "rendezvous store: timed out waiting for " +
                          (operation.keys_size() > 0 ? operation.keys(0) : operation.key()));
    }
  }
}

void RelayStore::set(const std::string& key, const std::vector<uint8_t>& value) {
  StoreOperation operation = MakeOperation(StoreOperation::KIND_SET, key);
  operation.set_value(ToText(value));
  Call(operation);
}

std::vector<uint8_t> RelayStore::compareSet(const std::string& key,
                                            const std::vector<uint8_t>& expected,
                                            const std::vector<uint8_t>& desired) {
  StoreOperation operation = MakeOperation(StoreOperation::KIND_COMPARE_SET, key);
  operation.set_expected(ToText(expected));
  operation.set_value(ToText(desired));
  return ToBytes(Call(operation).value());
}

std::vector<uint8_t> RelayStore::get(const std::string& key) {
  return ToBytes(CallWaiting(MakeOperation(StoreOperation::KIND_GET, key), timeout_).value());
}

int64_t RelayStore::add(const std::string& key, int64_t value) {
  StoreOperation operation = MakeOperation(StoreOperation::KIND_ADD, key);
  operation.set_amount(value);
  return Call(operation).amount();
}

bool RelayStore::deleteKey(const std::string& key) {
  return Call(MakeOperation(StoreOperation::KIND_DELETE, key)).amount() == 1;
}

bool RelayStore::check(const std::vector<std::string>& keys) {
  return Call(MakeOperation(StoreOperation::KIND_CHECK, keys)).amount() == 1;
}

int64_t RelayStore::getNumKeys() {
  StoreOperation operation;
  operation.set_kind(StoreOperation::KIND_COUNT);
  return Call(operation).amount();
}

void RelayStore::wait(const std::vector<std::string>& keys,
                      const std::chrono::milliseconds& timeout) {
  CallWaiting(MakeOperation(StoreOperation::KIND_WAIT, keys), timeout);
}

}  // namespace cvtrain::trainer
