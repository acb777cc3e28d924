// The small parts of the engine: leases, rendezvous, page tokens, callers, the journal in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/engine/caller.h"
#include "coordinator/engine/command.h"
#include "coordinator/engine/in_memory_journal.h"
#include "coordinator/engine/lease_table.h"
#include "coordinator/engine/page_token.h"
#include "coordinator/engine/rendezvous.h"
#include "cvtrain/v1/trial.pb.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/journal_conformance.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// --- LeaseTable ---

using Standing = LeaseTable::Standing;

class LeaseTableTest : public ::testing::Test {
 protected:
  const WorkerName worker_{"w1"};
  LeaseTable table_{LeaseTable::Options()};
};

TEST_F(LeaseTableTest, SuspectsAfterThreeIntervalsAndExpiresAfterTen) {
  table_.Renew(worker_, absl::Seconds(100));
  EXPECT_EQ(table_.StandingOf(worker_, absl::Seconds(102.9)), Standing::kReady);
  EXPECT_EQ(table_.StandingOf(worker_, absl::Seconds(103)), Standing::kSuspect);
  EXPECT_THAT(table_.Expired(absl::Seconds(109.9)), IsEmpty());
  EXPECT_THAT(table_.Expired(absl::Seconds(110)), ElementsAre(worker_));
  table_.Renew(worker_, absl::Seconds(110));
  EXPECT_EQ(table_.StandingOf(worker_, absl::Seconds(111)), Standing::kReady);
}

TEST_F(LeaseTableTest, KnowsNobodyThatDidNotRenew) {
  EXPECT_EQ(table_.StandingOf(worker_, absl::Seconds(1)), Standing::kExpired);
  EXPECT_EQ(table_.RenewedAt(worker_), std::nullopt);
}

TEST_F(LeaseTableTest, LetsNobodyExpireUntilAllHadTimeToReturn) {
  std::vector<WorkerName> workers;
  for (int i = 0; i < 1000; ++i) workers.push_back(WorkerName(absl::StrCat("w", i)));
  table_.Start(workers, absl::Seconds(50));
  // 10 s of lease and 1,000 / 50 s to connect.
  EXPECT_THAT(table_.Expired(absl::Seconds(79.9)), IsEmpty());
  EXPECT_EQ(table_.Expired(absl::Seconds(80)).size(), 1000u);
}

TEST_F(LeaseTableTest, WaitsAtMostFiveMinutesAfterAStart) {
  std::vector<WorkerName> workers;
  for (int i = 0; i < 100'000; ++i) workers.push_back(WorkerName(absl::StrCat("w", i)));
  LeaseTable::Options options;
  options.renewals_per_second_max = 1e9;
  LeaseTable table(options);
  table.Start(workers, absl::ZeroDuration());
  EXPECT_THAT(table.Expired(absl::Seconds(299)), IsEmpty());
  EXPECT_EQ(table.Expired(absl::Seconds(300)).size(), workers.size());
}

TEST_F(LeaseTableTest, RenewsLessOftenWithManyWorkers) {
  EXPECT_EQ(table_.renew_interval(), absl::Seconds(1));
  for (int i = 0; i < 5000; ++i) {
    table_.Renew(WorkerName(absl::StrCat("w", i)), absl::ZeroDuration());
  }
  EXPECT_EQ(table_.renew_interval(), absl::Seconds(5));
  EXPECT_EQ(table_.lease_duration(), absl::Seconds(50));
}

// --- Rendezvous ---

class RendezvousTest : public ::testing::Test {
 protected:
  using Result = std::optional<absl::StatusOr<session::v1::StoreResult>>;

  std::shared_ptr<Result> Access(const std::string& operation, int attempt = 1) {
    auto result = std::make_shared<Result>();
    rendezvous_.Access(Name(attempt), ParseTextProto<session::v1::StoreOperation>(operation), now_,
                       [result](const absl::StatusOr<session::v1::StoreResult>& answer) {
                         EXPECT_FALSE(result->has_value()) << "answered twice";
                         *result = answer;
                       });
    return result;
  }
  static AttemptName Name(int attempt) {
    return AttemptName(TrialName(ExperimentName(1), 1), attempt);
  }

  absl::Duration now_ = absl::Seconds(10);
  Rendezvous rendezvous_{Rendezvous::Options{.keys_max = 3, .size_bytes_max = 100}};
};

TEST_F(RendezvousTest, AnswersAGetWhenTheKeyIsSet) {
  auto waiting = Access("kind: KIND_GET key: 'a' timeout { seconds: 5 }");
  EXPECT_FALSE(waiting->has_value());
  Access("kind: KIND_SET key: 'a' value: 'x'");
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((**waiting)->value(), "x");
  EXPECT_EQ((**Access("kind: KIND_GET key: 'a'"))->value(), "x");
}

TEST_F(RendezvousTest, WaitsForAllKeys) {
  auto waiting = Access("kind: KIND_WAIT keys: 'a' keys: 'b' timeout { seconds: 5 }");
  Access("kind: KIND_SET key: 'a'");
  EXPECT_FALSE(waiting->has_value());
  Access("kind: KIND_ADD key: 'b' amount: 1");
  EXPECT_TRUE(waiting->has_value());
}

TEST_F(RendezvousTest, EndsAWaitInTime) {
  auto waiting = Access("kind: KIND_GET key: 'a' timeout { seconds: 5 }");
  auto longest = Access("kind: KIND_GET key: 'a' timeout { seconds: 500 }");
  rendezvous_.Tick(now_ + absl::Seconds(4.9));
  EXPECT_FALSE(waiting->has_value());
  rendezvous_.Tick(now_ + absl::Seconds(5));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_TRUE((**waiting)->timed_out());
  rendezvous_.Tick(now_ + absl::Seconds(30));
  EXPECT_TRUE(longest->has_value());
}

TEST_F(RendezvousTest, CountsAndCompares) {
  EXPECT_EQ((**Access("kind: KIND_ADD key: 'n' amount: 2"))->amount(), 2);
  EXPECT_EQ((**Access("kind: KIND_ADD key: 'n' amount: 3"))->amount(), 5);
  EXPECT_EQ((**Access("kind: KIND_COMPARE_SET key: 'c' value: 'x'"))->value(), "x");
  EXPECT_EQ((**Access("kind: KIND_COMPARE_SET key: 'c' expected: 'y' value: 'z'"))->value(), "x");
  EXPECT_EQ((**Access("kind: KIND_COMPARE_SET key: 'c' expected: 'x' value: 'z'"))->value(), "z");
  EXPECT_EQ((**Access("kind: KIND_CHECK keys: 'c' keys: 'n'"))->amount(), 1);
  EXPECT_EQ((**Access("kind: KIND_CHECK keys: 'c' keys: 'm'"))->amount(), 0);
  EXPECT_EQ((**Access("kind: KIND_COUNT"))->amount(), 2);
  EXPECT_EQ((**Access("kind: KIND_DELETE key: 'c'"))->amount(), 1);
  EXPECT_EQ((**Access("kind: KIND_DELETE key: 'c'"))->amount(), 0);
}

TEST_F(RendezvousTest, KeepsAttemptsApart) {
  Access("kind: KIND_SET key: 'a'", 1);
  EXPECT_EQ((**Access("kind: KIND_CHECK keys: 'a'", 2))->amount(), 0);
}

TEST_F(RendezvousTest, EndsWaitsWithTheAttempt) {
  auto waiting = Access("kind: KIND_GET key: 'a' timeout { seconds: 5 }");
  rendezvous_.Drop(Name(1));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_THAT(**waiting, StatusIs(absl::StatusCode::kAborted, Reason("LEASE_LOST")));
  EXPECT_EQ(rendezvous_.size(), 0u);
}

TEST_F(RendezvousTest, RefusesWhatIsMalformedOrTooMuch) {
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"));
  const auto limit = StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED"));
  EXPECT_THAT(**Access(""), invalid);
  EXPECT_THAT(**Access("kind: KIND_SET"), invalid);
  EXPECT_THAT(**Access("kind: KIND_WAIT"), invalid);
  Access("kind: KIND_SET key: 'a' value: 'text'");
  EXPECT_THAT(**Access("kind: KIND_ADD key: 'a' amount: 1"), invalid);
  Access("kind: KIND_ADD key: 'n' amount: 9223372036854775807");
  EXPECT_THAT(**Access("kind: KIND_ADD key: 'n' amount: 1"), invalid);
  EXPECT_THAT(**Access("kind: KIND_SET key: 'b' value: '" + std::string(100, 'v') + "'"), limit);
  Access("kind: KIND_SET key: 'b'");
  EXPECT_THAT(**Access("kind: KIND_SET key: 'c'"), limit);
  EXPECT_THAT(**Access("kind: KIND_SET key: 'b' value: 'ok'"), IsOk());
}

// --- PageTokens ---

TEST(PageTokensTest, OpensWhatItSealed) {
  const PageTokens tokens("secret");
  EXPECT_THAT(tokens.Open("query", tokens.Seal("query", "12.3")), IsOkAndHolds("12.3"));
}

TEST(PageTokensTest, RefusesForgedTokensAndThoseOfOtherQueries) {
  const PageTokens tokens("secret");
  const auto bad = StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_PAGE_TOKEN"));
  const std::string token = tokens.Seal("query", "12");
  EXPECT_THAT(tokens.Open("other", token), bad);
  EXPECT_THAT(tokens.Open("quer", tokens.Seal("query", "12")), bad);
  EXPECT_THAT(PageTokens("other secret").Open("query", token), bad);
  EXPECT_THAT(tokens.Open("query", ""), bad);
  EXPECT_THAT(tokens.Open("query", "!!"), bad);
  EXPECT_THAT(tokens.Open("query", std::string(2000, 'A')), bad);
  for (size_t i = 0; i < token.size(); ++i) {
    std::string forged = token;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    const auto opened = tokens.Open("query", forged);
    // The last character may hold bits that say nothing.
    if (opened.ok()) {
      EXPECT_EQ(*opened, "12");
    }
  }
}

// --- Caller, Fingerprint ---

TEST(CallerTest, RolesAreALadderAndWorkersStandBeside) {
  EXPECT_TRUE(Includes(Role::kAdmin, Role::kViewer));
  EXPECT_TRUE(Includes(Role::kSubmitter, Role::kSubmitter));
  EXPECT_FALSE(Includes(Role::kViewer, Role::kSubmitter));
  EXPECT_FALSE(Includes(Role::kAdmin, Role::kWorker));
  EXPECT_FALSE(Includes(Role::kWorker, Role::kViewer));
  EXPECT_TRUE(Includes(Role::kWorker, Role::kWorker));
  EXPECT_EQ(RoleName(Role::kOperator), "operator");
}

TEST(FingerprintTest, TellsMethodsCallersAndBodiesApart) {
  v1::CancelTrialRequest request;
  request.set_name("experiments/1/trials/1");
  const Caller caller{"ann", Role::kAdmin};
  const std::string fingerprint = Fingerprint("Cancel", caller, request);
  EXPECT_EQ(Fingerprint("Cancel", caller, request), fingerprint);
  EXPECT_NE(Fingerprint("Delete", caller, request), fingerprint);
  EXPECT_NE(Fingerprint("Cancel", {"bob", Role::kAdmin}, request), fingerprint);
  EXPECT_NE(Fingerprint("Cance", {"l", Role::kAdmin}, request), fingerprint);
  request.set_now(true);
  EXPECT_NE(Fingerprint("Cancel", caller, request), fingerprint);
}

// --- InMemoryJournal ---

class InMemoryHarness : public JournalHarness {
 public:
  Journal& journal() override { return journal_; }
  void Reopen() override {}

 private:
  InMemoryJournal journal_{"00000000-0000-4000-8000-000000000000", kTailRecords};
};

std::unique_ptr<JournalHarness> MakeInMemoryHarness() {
  return std::make_unique<InMemoryHarness>();
}

INSTANTIATE_TEST_SUITE_P(InMemory, JournalConformanceTest, ::testing::Values(&MakeInMemoryHarness));

}  // namespace
}  // namespace cvtrain::coordinator
