#ifndef CVTRAIN_WORKER_TRAINER_COLLECTIVE_RELAY_STORE_H_
#define CVTRAIN_WORKER_TRAINER_COLLECTIVE_RELAY_STORE_H_

// Private to this folder: it brings in c10d's headers.

#include <chrono>
#include <cstdint>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "worker/trainer/collective/store_transport.h"

namespace cvtrain::trainer {

// A c10d::Store whose keys live elsewhere: every operation goes through a transport.
//
// Keys are escaped, because c10d's are bytes and the wire's are text. A wait is sent in pieces of
// at most 30 s, as the protocol wants, until the store's own time-out has passed. Thread-safe.
// Throws c10::DistStoreError if the transport fails or a wait times out.
class RelayStore : public c10d::Store {
 public:
  RelayStore(StoreTransport& transport, std::chrono::milliseconds timeout)
      : c10d::Store(timeout), transport_(transport) {}

  c10::intrusive_ptr<c10d::Store> clone() override;

  void set(const std::string& key, const std::vector<uint8_t>& value) override;
  std::vector<uint8_t> compareSet(const std::string& key, const std::vector<uint8_t>& expected,
                                  const std::vector<uint8_t>& desired) override;
  std::vector<uint8_t> get(const std::string& key) override;
  int64_t add(const std::string& key, int64_t value) override;
  bool deleteKey(const std::string& key) override;
  bool check(const std::vector<std::string>& keys) override;
  int64_t getNumKeys() override;
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys,
            const std::chrono::milliseconds& timeout) override;

  using c10d::Store::compareSet;
  using c10d::Store::set;

 private:
  session::v1::StoreResult Call(const session::v1::StoreOperation& operation);
  // Repeats `operation`, which waits, until it has not timed out or `timeout` has passed.
  session::v1::StoreResult CallWaiting(session::v1::StoreOperation operation,
                                       std::chrono::milliseconds timeout);

  StoreTransport& transport_;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_COLLECTIVE_RELAY_STORE_H_
