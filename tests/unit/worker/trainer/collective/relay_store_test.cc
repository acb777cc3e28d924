#include "worker/trainer/collective/relay_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <chrono>
#include <string>
#include <vector>

#include "common/errors.h"
#include "tests/unit/worker/trainer/support/fakes.h"

namespace cvtrain::trainer {
namespace {

using ::testing::ElementsAre;
using std::chrono_literals::operator""ms;

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }

class RelayStoreTest : public ::testing::Test {
 protected:
  InMemoryStore memory_;
  RelayStore store_{memory_, 20ms};
};

TEST_F(RelayStoreTest, ReadsWhatAnotherRankWrote) {
  RelayStore other(memory_, 20ms);
  other.set("key", Bytes("value"));
  EXPECT_EQ(store_.get("key"), Bytes("value"));
  EXPECT_TRUE(store_.check({"key"}));
  EXPECT_FALSE(store_.check({"key", "absent"}));
}

TEST_F(RelayStoreTest, EscapesKeysThatAreNoText) {
  const std::string key("\0\xff/1", 4);
  store_.set(key, Bytes("value"));
  EXPECT_EQ(store_.get(key), Bytes("value"));
  EXPECT_THAT(memory_.keys(), ElementsAre(R"(\000\377/1)"));
}

TEST_F(RelayStoreTest, KeepsBinaryValues) {
  const std::vector<uint8_t> value = {0, 255, 10, 0};
  store_.set("key", value);
  EXPECT_EQ(store_.get("key"), value);
}

TEST_F(RelayStoreTest, CountsAndDeletes) {
  EXPECT_EQ(store_.add("n", 2), 2);
  EXPECT_EQ(store_.add("n", 3), 5);
  EXPECT_EQ(store_.getNumKeys(), 1);
  EXPECT_TRUE(store_.deleteKey("n"));
  EXPECT_FALSE(store_.deleteKey("n"));
}

TEST_F(RelayStoreTest, SetsOnlyWhatIsAsExpected) {
  EXPECT_EQ(store_.compareSet("key", Bytes(""), Bytes("first")), Bytes("first"));
  EXPECT_EQ(store_.compareSet("key", Bytes(""), Bytes("second")), Bytes("first"));
}

TEST_F(RelayStoreTest, AsksAgainUntilItsOwnTimeout) {
  RelayStore patient(memory_, 31'000ms);
  EXPECT_THROW(patient.wait({"absent"}), c10::DistStoreError);
  // Pieces of at most 30 s.
  EXPECT_EQ(memory_.calls(), 2);
}

TEST_F(RelayStoreTest, ThrowsWhenTheTransportFails) {
  memory_.Fail(Unavailable(Reason::kPeerGone, "the agent is gone"));
  EXPECT_THROW(store_.set("key", Bytes("value")), c10::DistStoreError);
  EXPECT_THROW(store_.get("key"), c10::DistStoreError);
}

}  // namespace
}  // namespace cvtrain::trainer
