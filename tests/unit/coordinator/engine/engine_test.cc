#include "coordinator/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/errors.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/engine/fake_cluster.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kAttempt2[] = "experiments/1/trials/1/attempts/2";
constexpr auto kQueued = v1::Trial::STATE_QUEUED;
constexpr auto kRunning = v1::Trial::STATE_RUNNING;
constexpr auto kSucceeded = v1::Trial::STATE_SUCCEEDED;
constexpr auto kCancelled = v1::Trial::STATE_CANCELLED;

const auto kStorageFailed = [] {
  return StatusIs(absl::StatusCode::kUnavailable, Reason("STORAGE_FAILED"));
};

// --- Commands ---

TEST(EngineCommandTest, AnswersAndShowsOnlyWhatIsDurable) {
  FakeCluster cluster;
  auto answer = cluster.PostSpec(SyntheticSpec("one"), "id-1");
  std::optional<size_t> seen;
  cluster.engine->Read(
      [&](const absl::StatusOr<View>& view) { seen = view->state().experiments().size(); },
      cluster.Now());
  EXPECT_EQ(cluster.engine->state().revision(), 1);
  EXPECT_EQ(cluster.engine->revision(), 0);
  EXPECT_EQ(cluster.journal.last_revision(), 0);
  EXPECT_FALSE(answer->has_value());
  EXPECT_FALSE(seen.has_value());
  cluster.Turn();
  EXPECT_EQ(cluster.journal.last_revision(), 1);
  ASSERT_TRUE(answer->has_value());
  EXPECT_EQ((**answer)->resource, "experiments/1");
  EXPECT_EQ(seen, 1u);
}

TEST(EngineCommandTest, WritesABatchAtOnceAndAnswersInOrder) {
  FakeCluster cluster;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) {
    Command command;
    command.caller = {"tester", Role::kAdmin};
    command.decide = [i](const ClusterState& state, absl::Time now) {
      v1::CreateExperimentRequest request;
      *request.mutable_spec() = SyntheticSpec(absl::StrCat("e", i));
      return DecideCreateExperiment(state, request, "1.0", now);
    };
    command.done = [&order, i](const View& view, const absl::StatusOr<Answer>& answer) {
      EXPECT_THAT(answer, IsOk());
      EXPECT_EQ(view.state().experiments().size(), 3u);
      order.push_back(i);
    };
    cluster.engine->Commit(std::move(command), cluster.Now());
  }
  cluster.Turn();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
}

TEST(EngineCommandTest, GivesARepeatedRequestTheFirstAnswer) {
  FakeCluster cluster;
  CVT_ASSERT_OK_AND_ASSIGN(const Answer first, cluster.Submit(SyntheticSpec("one"), "id-1"));
  ASSERT_THAT(cluster.Submit(SyntheticSpec("two"), "id-2"), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(const Answer again, cluster.Submit(SyntheticSpec("one"), "id-1"));
  EXPECT_EQ(again.resource, first.resource);
  EXPECT_EQ(again.revision, first.revision);
  EXPECT_THAT(cluster.Submit(SyntheticSpec("other"), "id-1"),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("REQUEST_ID_REUSED")));
  cluster.Crash();
  CVT_ASSERT_OK_AND_ASSIGN(const Answer after, cluster.Submit(SyntheticSpec("one"), "id-1"));
  EXPECT_EQ(after.revision, first.revision);
  EXPECT_EQ(cluster.journal.last_revision(), 2);
}

TEST(EngineCommandTest, RepeatsWithinOneBatchHaveOneEffect) {
  FakeCluster cluster;
  auto first = cluster.PostSpec(SyntheticSpec("one"), "id-1");
  auto second = cluster.PostSpec(SyntheticSpec("one"), "id-1");
  cluster.Turn();
  EXPECT_EQ((**first)->resource, (**second)->resource);
  EXPECT_EQ(cluster.journal.last_revision(), 1);
}

TEST(EngineCommandTest, ForgetsARequestAfterADay) {
  FakeCluster cluster;
  ASSERT_THAT(cluster.Submit(SyntheticSpec("one"), "id-1"), IsOk());
  cluster.clock.Advance(absl::Hours(24));
  EXPECT_THAT(cluster.Submit(SyntheticSpec("other"), "id-1"), IsOk());
}

TEST(EngineCommandTest, RemembersNoRequestThatWasRefused) {
  FakeCluster cluster;
  ASSERT_THAT(cluster.Submit(SyntheticSpec("one"), "id-1"), IsOk());
  EXPECT_THAT(cluster.Submit(SyntheticSpec("one"), "id-2"),
              StatusIs(absl::StatusCode::kAlreadyExists, Reason("EXPERIMENT_EXISTS")));
  EXPECT_THAT(cluster.Submit(SyntheticSpec("two"), "id-2"), IsOk());
}

TEST(EngineCommandTest, TimeOfEventsNeverGoesBack) {
  FakeCluster cluster;
  ASSERT_THAT(cluster.Submit(SyntheticSpec("one")), IsOk());
  const absl::Time before = cluster.engine->state().time();
  cluster.clock.SetWall(before - absl::Hours(5));
  ASSERT_THAT(cluster.Submit(SyntheticSpec("two")), IsOk());
  EXPECT_EQ(cluster.engine->state().time(), before);
}

TEST(EngineCommandTest, RefusesMoreThanItsQueueHolds) {
  Engine::Options options;
  options.pending_max = 2;
  FakeCluster cluster(options);
  auto first = cluster.PostSpec(SyntheticSpec("one"), "");
  auto second = cluster.PostSpec(SyntheticSpec("two"), "");
  auto third = cluster.PostSpec(SyntheticSpec("three"), "");
  ASSERT_TRUE(third->has_value()) << "refused at once";
  EXPECT_THAT(**third, StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_EQ(LimitNameOf((**third).status()), "kEngineQueueLengthMax");
  bool refused = false;
  cluster.engine->Read([&](const absl::StatusOr<View>& view) { refused = !view.ok(); },
                       cluster.Now());
  EXPECT_TRUE(refused);
  cluster.Turn();
  EXPECT_THAT(**first, IsOk());
  EXPECT_EQ(cluster.engine->state().experiments().size(), 2u);
}

TEST(EngineCommandTest, RefusesAnEventThatIsTooLarge) {
  FakeCluster cluster;
  auto answer = cluster.Post("", "", [](const ClusterState&, absl::Time) -> Decision {
    Decided decided;
    decided.event.emplace().mutable_worker_registered()->set_name("workers/w1");
    decided.event->mutable_worker_registered()->set_hostname(std::string(2 << 20, 'x'));
    return decided;
  });
  cluster.Turn();
  EXPECT_THAT(**answer, StatusIs(absl::StatusCode::kResourceExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_EQ(cluster.engine->state().revision(), 0);
}

// --- Storage ---

class StorageFailureTest : public ::testing::TestWithParam<InMemoryJournal::Outcome> {};

TEST_P(StorageFailureTest, StopsAndTheRepetitionGetsTheOneAnswer) {
  FakeCluster cluster;
  ASSERT_THAT(cluster.Submit(SyntheticSpec("before"), "id-0"), IsOk());
  cluster.AddWorker("w1", 1);
  auto answer = cluster.PostSpec(SyntheticSpec("one"), "id-1");
  absl::Status read;
  cluster.engine->Read([&](const absl::StatusOr<View>& view) { read = view.status(); },
                       cluster.Now());
  cluster.journal.FailNext(Unavailable(cvtrain::Reason::kStorageFailed, "EIO"), GetParam());
  cluster.engine->Flush(cluster.Now());
  EXPECT_THAT(**answer, kStorageFailed());
  EXPECT_THAT(read, kStorageFailed());
  EXPECT_FALSE(cluster.engine->fatal().ok());
  EXPECT_THAT(cluster.engine->TakeOutputs().messages, IsEmpty());
  auto later = cluster.PostSpec(SyntheticSpec("two"), "id-2");
  ASSERT_TRUE(later->has_value());
  EXPECT_THAT(**later, kStorageFailed());
  EXPECT_FALSE(cluster.engine->PutSnapshot().ok());

  cluster.Crash();
  CVT_ASSERT_OK_AND_ASSIGN(const Answer again, cluster.Submit(SyntheticSpec("one"), "id-1"));
  EXPECT_EQ(again.resource, "experiments/2");
  EXPECT_EQ(cluster.engine->state().experiments().size(), 2u);
}

INSTANTIATE_TEST_SUITE_P(Outcomes, StorageFailureTest,
                         ::testing::Values(InMemoryJournal::Outcome::kLost,
                                           InMemoryJournal::Outcome::kStored));

TEST(EngineStorageTest, ForgetsInACrashWhatWasNotAnswered) {
  FakeCluster cluster;
  auto answer = cluster.PostSpec(SyntheticSpec("one"), "id-1");
  cluster.Crash();
  EXPECT_FALSE(answer->has_value());
  EXPECT_THAT(cluster.engine->state().experiments(), IsEmpty());
}

TEST(EngineStorageTest, RestoresSnapshotAndTail) {
  Engine::Options options;
  options.snapshot_events = 4;
  FakeCluster cluster(options);
  FakeWorker& worker = cluster.AddWorker("w1", 2);
  ASSERT_THAT(cluster.Submit(SyntheticSpec("sweep", LinearSearch(3, 3)), "id-1"), IsOk());
  ASSERT_THAT(cluster.Begin(worker, kAttempt1), IsOk());
  ASSERT_THAT(cluster.Save(worker, kAttempt1, 1, 10), IsOk());
  CVT_ASSERT_OK_AND_ASSIGN(auto snapshot, cluster.journal.LoadSnapshot());
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_LT(snapshot->revision, cluster.journal.last_revision());
  const std::string before = cluster.engine->state().Fingerprint();
  cluster.Crash();
  EXPECT_EQ(cluster.engine->state().Fingerprint(), before);
  ASSERT_THAT(cluster.engine->PutSnapshot(), IsOk());
  cluster.Crash();
  EXPECT_EQ(cluster.engine->state().Fingerprint(), before);
}

TEST(EngineStorageTest, RefusesAJournalThatCannotBeRead) {
  InMemoryJournal journal;
  ASSERT_THAT(journal.Append({{1, "no event"}}), IsOk());
  EXPECT_THAT(Engine::Recover(journal, {}, {}).status(),
              StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_DAMAGED")));
}

// --- Sessions ---

class SessionTest : public ::testing::Test {
 protected:
  void Submit(const std::string& more = "") {
    ASSERT_THAT(cluster_.Submit(SyntheticSpec("plain", more)), IsOk());
  }

  FakeCluster cluster_;
};

TEST_F(SessionTest, WelcomesAWorkerAndAssignsWhatWaits) {
  Submit("priority: 7 resources { slots: 2 logical_ranks: 4 }");
  const FakeWorker& worker = cluster_.AddWorker("w1", 2);
  ASSERT_THAT(worker.received, SizeIs(2));
  const session::v1::Welcome& welcome = worker.received[0].welcome();
  EXPECT_EQ(welcome.protocol(), 2);
  EXPECT_EQ(welcome.cluster_id(), cluster_.journal.cluster_id());
  EXPECT_EQ(welcome.revision(), cluster_.journal.last_revision());
  EXPECT_EQ(welcome.renew_interval().seconds(), 1);
  EXPECT_EQ(welcome.lease_duration().seconds(), 10);
  EXPECT_EQ(welcome.orphan_limit().seconds(), 600);
  const session::v1::Assign& assign = worker.received[1].assign();
  EXPECT_EQ(assign.attempt(), kAttempt1);
  EXPECT_EQ(assign.lease_generation(), cluster_.journal.last_revision());
  EXPECT_EQ(assign.recipe().synthetic().steps(), 100);
  EXPECT_THAT(assign.recipe_digest(), SizeIs(64));
  EXPECT_EQ(assign.plan_version(), plan::kPlanVersion);
  EXPECT_EQ(assign.world_size(), 2);
  EXPECT_EQ(assign.logical_ranks(), 4);
  EXPECT_THAT(assign.ranks(), SizeIs(2));
  EXPECT_EQ(assign.ranks(1).slot(), 1);
  EXPECT_FALSE(assign.has_resume());
  EXPECT_EQ(assign.objective().metric(), "val/top1");
  EXPECT_TRUE(assign.has_grant_time());
}

TEST_F(SessionTest, GoesOnFromTheNewestCheckpoint) {
  Submit();
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 1, 10), IsOk());
  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 2, 20), IsOk());
  EXPECT_THAT(cluster_.deleted_checkpoints, SizeIs(1));
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "INTERNAL"), IsOk());
  const session::v1::Assign& assign = worker.held.at(kAttempt2).assign;
  EXPECT_EQ(assign.resume().checkpoint(), "checkpoints/" + StateDriver::Checkpoint(2));
  EXPECT_EQ(assign.resume().step(), 20);
  EXPECT_EQ(assign.resume().size_bytes(), 10);
}

TEST_F(SessionTest, BeginsWithTheWeightsOfACheckpoint) {
  Submit();
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  ASSERT_THAT(cluster_.Save(worker, kAttempt1, 1, 10), IsOk());
  const std::string name = "checkpoints/" + StateDriver::Checkpoint(1);
  ASSERT_THAT(cluster_.Submit(SpecFrom("tuned", name)), IsOk());
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "FINISHED"), IsOk());
  constexpr char kTuned[] = "experiments/2/trials/1/attempts/1";
  const session::v1::Assign& assign = worker.held.at(kTuned).assign;
  EXPECT_FALSE(assign.has_resume());
  EXPECT_EQ(assign.init().checkpoint(), name);
  EXPECT_EQ(assign.init().size_bytes(), 10);
  // What has a checkpoint of its own goes on from that.
  ASSERT_THAT(cluster_.Begin(worker, kTuned), IsOk());
  ASSERT_THAT(cluster_.Save(worker, kTuned, 2, 10), IsOk());
  ASSERT_THAT(cluster_.End(worker, kTuned, "INTERNAL"), IsOk());
  const session::v1::Assign& second = worker.held.at("experiments/2/trials/1/attempts/2").assign;
  EXPECT_FALSE(second.has_init());
  EXPECT_EQ(second.resume().checkpoint(), "checkpoints/" + StateDriver::Checkpoint(2));
}

TEST_F(SessionTest, BeginsWithWeightsThatWereImported) {
  cluster_.Post("", "", [](const ClusterState& state, absl::Time now) {
    return DecideImportCheckpoint(state, StateDriver::ImportHeader(1), now);
  });
  cluster_.Turn();
  const std::string name = "checkpoints/" + StateDriver::Checkpoint(1);
  ASSERT_THAT(cluster_.Submit(SpecFrom("tuned", name)), IsOk());
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  const session::v1::Assign& assign = worker.held.at(kAttempt1).assign;
  EXPECT_FALSE(assign.has_resume());
  EXPECT_EQ(assign.init().checkpoint(), name);
  EXPECT_EQ(assign.init().size_bytes(), 2000);
  EXPECT_EQ(assign.init().digest(), std::string(64, 'b'));
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "FINISHED"), IsOk());
  EXPECT_THAT(cluster_.deleted_checkpoints, IsEmpty());
  cluster_.Post("", "", [name](const ClusterState& state, absl::Time now) {
    v1::DeleteCheckpointRequest request;
    request.set_name(name);
    return DecideDeleteCheckpoint(state, request, now);
  });
  cluster_.Turn();
  EXPECT_THAT(cluster_.deleted_checkpoints, ElementsAre(*CheckpointName::Parse(name)));
}

TEST_F(SessionTest, RefusesAHelloThatDoesNotFit) {
  struct Case {
    std::string change;
    absl::StatusCode code;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {"worker: 'w1'", absl::StatusCode::kInvalidArgument, "BAD_RESOURCE_NAME"},
      {"instance: ''", absl::StatusCode::kInvalidArgument, "FIELD_INVALID"},
      {"protocol_min: 3 protocol_max: 4", absl::StatusCode::kFailedPrecondition,
       "PROTOCOL_UNSUPPORTED"},
      {"plan_version: 999", absl::StatusCode::kFailedPrecondition, "PLAN_VERSION_MISMATCH"},
      {"revision: 5", absl::StatusCode::kInvalidArgument, "FIELD_INVALID"},
      {"cluster_id: 'another'", absl::StatusCode::kFailedPrecondition, "WRONG_STATE"},
      {"slots { index: -1 kind: KIND_CPU }", absl::StatusCode::kInvalidArgument, "FIELD_INVALID"}};
  FakeWorker worker;
  worker.name = "workers/w1";
  SessionId session = 100;
  for (const Case& refused : cases) {
    session::v1::Hello hello = cluster_.MakeHello(worker);
    hello.MergeFrom(ParseTextProto<session::v1::Hello>(refused.change));
    if (refused.change == "instance: ''") hello.clear_instance();
    cluster_.engine->OpenSession(++session, hello, cluster_.Now());
    cluster_.Turn();
    EXPECT_THAT(cluster_.closed[session], StatusIs(refused.code, Reason(refused.reason)))
        << refused.change;
  }
  EXPECT_THAT(cluster_.engine->state().workers(), IsEmpty());
}

TEST_F(SessionTest, RefusesToServeBehindAWorker) {
  Submit();
  FakeWorker worker;
  worker.name = "workers/w1";
  worker.revision = 99;
  auto answer = cluster_.PostSpec(SyntheticSpec("other"), "id-1");
  cluster_.engine->OpenSession(1, cluster_.MakeHello(worker), cluster_.Now());
  EXPECT_THAT(cluster_.engine->fatal(),
              StatusIs(absl::StatusCode::kDataLoss, Reason("JOURNAL_BEHIND")));
  EXPECT_THAT(**answer, kStorageFailed());
}

TEST_F(SessionTest, ClosesTheOlderSessionOfAWorker) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  const SessionId older = worker.session;
  cluster_.Connect(worker);
  EXPECT_THAT(cluster_.closed[older], StatusIs(absl::StatusCode::kAborted, Reason("PEER_GONE")));
  EXPECT_NE(worker.session, 0);
}

TEST_F(SessionTest, ClosesASessionThatSaysHelloTwice) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  session::v1::ConnectRequest message;
  *message.mutable_hello() = cluster_.MakeHello(worker);
  const SessionId session = worker.session;
  cluster_.engine->OnMessage(session, message, cluster_.Now());
  cluster_.Turn();
  EXPECT_THAT(cluster_.closed[session], StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SessionTest, AnswersRenewals) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  worker.received.clear();
  cluster_.Renew(worker);
  cluster_.Turn();
  ASSERT_THAT(worker.received, SizeIs(1));
  EXPECT_EQ(worker.received[0].lease_state().sequence(), 1);
  EXPECT_EQ(worker.received[0].lease_state().revision(), cluster_.journal.last_revision());
}

TEST_F(SessionTest, RequeuesWhatALostWorkerRanAndPlacesItElsewhere) {
  FakeWorker& first = cluster_.AddWorker("w1", 1);
  Submit();
  ASSERT_THAT(cluster_.Begin(first, kAttempt1), IsOk());
  FakeWorker& second = cluster_.AddWorker("w2", 1);
  const SessionId session = first.session;
  first.session = 0;  // it is cut off; the stream is still open here
  cluster_.Advance(absl::Seconds(9));
  EXPECT_EQ(cluster_.StateOf(1, 1), kRunning);
  EXPECT_EQ(cluster_.Trial(1, 1).record.attempts_size(), 1);
  cluster_.Advance(absl::Seconds(1));
  EXPECT_THAT(cluster_.closed[session], StatusIs(absl::StatusCode::kAborted, Reason("LEASE_LOST")));
  EXPECT_TRUE(second.held.contains(kAttempt2));
  EXPECT_EQ(cluster_.Trial(1, 1).record.attempts(0).cause(), v1::CAUSE_WORKER_LOST);
  // It comes back: its old attempt is dropped, and what it reports changes nothing.
  const FakeWorker::Held stale = first.held.at(kAttempt1);
  cluster_.Connect(first);
  EXPECT_THAT(first.held, IsEmpty());
  first.held[kAttempt1] = stale;
  EXPECT_THAT(cluster_.End(first, kAttempt1, "FINISHED"),
              StatusIs(absl::StatusCode::kAborted, Reason("LEASE_LOST")));
  EXPECT_EQ(cluster_.StateOf(1, 1), kRunning);
}

TEST_F(SessionTest, GivesASuspectWorkerNothingNew) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  const SessionId session = worker.session;
  worker.session = 0;
  cluster_.Advance(absl::Seconds(3));
  Submit();
  EXPECT_EQ(cluster_.StateOf(1, 1), kQueued);
  worker.session = session;
  cluster_.Advance(absl::Seconds(1));
  EXPECT_EQ(cluster_.StateOf(1, 1), kRunning);
}

TEST_F(SessionTest, GivesADisconnectedWorkerNothingNew) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  cluster_.Disconnect(worker);
  Submit();
  EXPECT_EQ(cluster_.StateOf(1, 1), kQueued);
  cluster_.Connect(worker);
  EXPECT_EQ(cluster_.StateOf(1, 1), kRunning);
}

TEST_F(SessionTest, ReadoptsAfterARestartWithoutASecondAssignment) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  const int64_t revision = cluster_.journal.last_revision();
  cluster_.Crash();
  cluster_.Advance(absl::Seconds(8));
  cluster_.Connect(worker);
  EXPECT_TRUE(worker.held.contains(kAttempt1));
  ASSERT_THAT(worker.received, SizeIs(1)) << "a welcome and nothing else";
  EXPECT_EQ(cluster_.journal.last_revision(), revision);
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "FINISHED"), IsOk());
  EXPECT_EQ(cluster_.StateOf(1, 1), kSucceeded);
}

TEST_F(SessionTest, DeclaresNobodyLostRightAfterARestart) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  cluster_.Advance(absl::Seconds(5));
  cluster_.Crash();
  cluster_.Advance(absl::Seconds(9));
  EXPECT_EQ(cluster_.StateOf(1, 1), kRunning);
  cluster_.Advance(absl::Seconds(2));
  EXPECT_EQ(cluster_.StateOf(1, 1), kQueued);
  EXPECT_TRUE(worker.held.contains(kAttempt1));
}

TEST_F(SessionTest, RepeatsAnAssignmentThatMayNotHaveArrived) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  cluster_.Restart(worker);
  EXPECT_TRUE(worker.held.contains(kAttempt1));
  EXPECT_EQ(cluster_.Trial(1, 1).record.attempts_size(), 1);
}

TEST_F(SessionTest, LosesWhatARestartedWorkerHoldsNoMore) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  cluster_.Restart(worker);
  EXPECT_TRUE(worker.held.contains(kAttempt2));
  EXPECT_EQ(cluster_.Trial(1, 1).record.attempts(0).cause(), v1::CAUSE_WORKER_LOST);
}

TEST_F(SessionTest, LosesWhatWasConfirmedByARenewalOnly) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  cluster_.Advance(absl::Seconds(1));
  cluster_.Restart(worker);
  EXPECT_TRUE(worker.held.contains(kAttempt2));
}

TEST_F(SessionTest, LosesEverythingOfAnotherInstance) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  cluster_.Disconnect(worker);
  worker.held.clear();
  worker.instance = "second";
  cluster_.Connect(worker);
  EXPECT_TRUE(worker.held.contains(kAttempt2));
}

TEST_F(SessionTest, SkipsFactsThatAreSentTwice) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  const int64_t revision = cluster_.journal.last_revision();
  worker.held.at(kAttempt1).sequence = 0;
  ASSERT_THAT(cluster_.Begin(worker, kAttempt1), IsOk());
  EXPECT_EQ(cluster_.journal.last_revision(), revision);
}

TEST_F(SessionTest, WaitsLongerBeforeEachAttemptThatBringsNothing) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  const auto fail = [&](int attempt) {
    const std::string name = absl::StrCat("experiments/1/trials/1/attempts/", attempt);
    ASSERT_TRUE(worker.held.contains(name)) << name;
    ASSERT_THAT(cluster_.End(worker, name, "WORKER_LOST"), IsOk());
  };
  fail(1);
  fail(2);  // at once
  EXPECT_EQ(cluster_.StateOf(1, 1), kQueued);
  cluster_.Advance(absl::Seconds(1));
  fail(3);
  cluster_.Advance(absl::Seconds(1));
  EXPECT_EQ(cluster_.StateOf(1, 1), kQueued);
  cluster_.Advance(absl::Seconds(1));
  ASSERT_THAT(cluster_.Begin(worker, "experiments/1/trials/1/attempts/4"), IsOk());
  ASSERT_THAT(cluster_.Save(worker, "experiments/1/trials/1/attempts/4", 1, 10), IsOk());
  fail(4);
  cluster_.Advance(absl::Seconds(4));
  // It had come further, so what follows counts anew.
  fail(5);
  EXPECT_TRUE(worker.held.contains("experiments/1/trials/1/attempts/6"));
}

// Found by the simulation: the time of the journal stands still when the wall clock went back.
TEST_F(SessionTest, WaitsBetweenAttemptsForNoClockThatWentBack) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  for (const int attempt : {1, 2}) {
    const std::string name = absl::StrCat("experiments/1/trials/1/attempts/", attempt);
    ASSERT_THAT(cluster_.End(worker, name, "WORKER_LOST"), IsOk());
  }
  ASSERT_EQ(cluster_.StateOf(1, 1), kQueued);
  cluster_.clock.SetWall(cluster_.clock.WallNow() - absl::Hours(5));
  cluster_.Advance(absl::Seconds(2));
  EXPECT_TRUE(worker.held.contains("experiments/1/trials/1/attempts/3"));
}

// --- Stops ---

TEST_F(SessionTest, StopsARunningTrialThatIsCancelled) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  ASSERT_THAT(cluster_.CancelTrial("experiments/1/trials/1"), IsOk());
  ASSERT_TRUE(worker.held.at(kAttempt1).stop.has_value());
  EXPECT_EQ(worker.held.at(kAttempt1).stop->mode(), session::v1::StopAttempt::MODE_CHECKPOINT);
  EXPECT_EQ(worker.held.at(kAttempt1).stop->cause(), v1::CAUSE_CANCELLED);
  ASSERT_THAT(cluster_.CancelTrial("experiments/1/trials/1", /*at_once=*/true), IsOk());
  EXPECT_EQ(worker.held.at(kAttempt1).stop->mode(), session::v1::StopAttempt::MODE_NOW);
  // A new session hears it again.
  worker.held.at(kAttempt1).stop.reset();
  cluster_.Connect(worker);
  EXPECT_TRUE(worker.held.at(kAttempt1).stop.has_value());
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "CANCELLED"), IsOk());
  EXPECT_EQ(cluster_.StateOf(1, 1), kCancelled);
}

TEST_F(SessionTest, StopsTheOtherWorkersOfAnAttemptThatFails) {
  FakeWorker& first = cluster_.AddWorker("w1", 1);
  FakeWorker& second = cluster_.AddWorker("w2", 1);
  Submit("resources { slots: 2 }");
  ASSERT_THAT(cluster_.Begin(first, kAttempt1), IsOk());
  ASSERT_THAT(cluster_.End(second, kAttempt1, "OUT_OF_MEMORY"), IsOk());
  ASSERT_TRUE(first.held.at(kAttempt1).stop.has_value());
  EXPECT_EQ(first.held.at(kAttempt1).stop->mode(), session::v1::StopAttempt::MODE_NOW);
  EXPECT_EQ(first.held.at(kAttempt1).stop->cause(), v1::CAUSE_OUT_OF_MEMORY);
  ASSERT_THAT(cluster_.End(first, kAttempt1, "OUT_OF_MEMORY"), IsOk());
  EXPECT_TRUE(first.held.contains(kAttempt2)) << "placed again at once";
}

TEST_F(SessionTest, TellsAWorkerThatGoesOnWithAnAttemptThatIsOver) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  const FakeWorker::Held held = worker.held.at(kAttempt1);
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "FINISHED"), IsOk());
  worker.held[kAttempt1] = held;
  cluster_.Renew(worker);
  cluster_.Turn();
  ASSERT_TRUE(worker.held.at(kAttempt1).stop.has_value());
  EXPECT_EQ(worker.held.at(kAttempt1).stop->mode(), session::v1::StopAttempt::MODE_NOW);
}

// --- The ranks' store ---

TEST_F(SessionTest, GivesTheStoreToRanksOfTheAttemptAlone) {
  FakeWorker& worker = cluster_.AddWorker("w1", 1);
  Submit();
  session::v1::AccessStoreRequest request;
  request.set_worker(worker.name);
  request.set_attempt(kAttempt1);
  request.set_lease_generation(worker.held.at(kAttempt1).assign.lease_generation());
  request.mutable_operation()->set_kind(session::v1::StoreOperation::KIND_GET);
  request.mutable_operation()->set_key("master");
  request.mutable_operation()->mutable_timeout()->set_seconds(5);
  std::optional<absl::StatusOr<session::v1::StoreResult>> result;
  const auto keep = [&](const absl::StatusOr<session::v1::StoreResult>& answer) {
    result = answer;
  };
  cluster_.engine->AccessStore(request, keep, cluster_.Now());
  EXPECT_FALSE(result.has_value());
  cluster_.Advance(absl::Seconds(5));
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE((*result)->timed_out());
  result.reset();
  cluster_.engine->AccessStore(request, keep, cluster_.Now());
  ASSERT_THAT(cluster_.End(worker, kAttempt1, "FINISHED"), IsOk());
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, StatusIs(absl::StatusCode::kAborted, Reason("LEASE_LOST")));
  result.reset();
  cluster_.engine->AccessStore(request, keep, cluster_.Now());
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, StatusIs(absl::StatusCode::kAborted, Reason("LEASE_LOST")));
}

// --- The end ---

TEST(EngineEndTest, EndsEverySessionAndEveryWait) {
  FakeCluster cluster;
  FakeWorker& one = cluster.AddWorker("w1", 1);
  FakeWorker& two = cluster.AddWorker("w2", 1);
  ASSERT_THAT(cluster.Submit(SyntheticSpec("plain")), IsOk());
  FakeWorker& busy = one.held.empty() ? two : one;
  std::optional<absl::Status> waited;
  session::v1::AccessStoreRequest get;
  get.set_worker(busy.name);
  get.set_attempt(kAttempt1);
  get.set_lease_generation(busy.held.at(kAttempt1).assign.lease_generation());
  get.mutable_operation()->set_kind(session::v1::StoreOperation::KIND_GET);
  get.mutable_operation()->set_key("never set");
  get.mutable_operation()->mutable_timeout()->set_seconds(30);
  cluster.engine->AccessStore(
      get, [&](const auto& result) { waited = result.status(); }, cluster.Now());
  ASSERT_FALSE(waited.has_value());
  const std::vector<SessionId> sessions = {one.session, two.session};
  cluster.engine->EndSessions();
  cluster.Turn();
  const auto stopping = [] { return StatusIs(absl::StatusCode::kUnavailable, Reason("STOPPING")); };
  ASSERT_TRUE(waited.has_value());
  EXPECT_THAT(*waited, stopping());
  for (const SessionId session : sessions) EXPECT_THAT(cluster.closed[session], stopping());
  cluster.Connect(busy);
  EXPECT_EQ(busy.held.count(kAttempt1), 1u) << "it keeps its attempt";
}

}  // namespace
}  // namespace cvtrain::coordinator
