#include "worker/agent/session/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/errors.h"
#include "tests/support/fake_random.h"

namespace cvtrain::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kAttempt[] = "experiments/1/trials/2/attempts/3";

AttemptKey Key(int64_t generation = 7, int64_t attempt = 3) {
  return {.attempt = AttemptName(TrialName(ExperimentName(1), 2), attempt),
          .generation = generation};
}

template <typename T>
std::vector<T> Of(const std::vector<SessionOutput>& outputs) {
  std::vector<T> found;
  for (const SessionOutput& output : outputs) {
    if (const T* one = std::get_if<T>(&output)) found.push_back(*one);
  }
  return found;
}

SessionOptions MakeOptions() {
  SessionOptions options;
  options.hello.set_worker("workers/w1");
  options.hello.set_instance("instance");
  for (int index = 0; index < 2; ++index) options.hello.add_slots()->set_index(index);
  return options;
}

class SessionTest : public ::testing::Test {
 protected:
  explicit SessionTest(std::vector<RecoveredAttempt> recovered = {})
      : session_(MakeOptions(), std::move(recovered), random_) {}

  std::vector<SessionOutput> Step(SessionInput input) {
    return session_.Step(std::move(input), {.steady = now_, .wall = absl::UnixEpoch() + now_});
  }
  std::vector<SessionOutput> After(absl::Duration time) {
    now_ += time;
    return Step(Tick());
  }

  session::v1::ConnectResponse WelcomeMessage(std::vector<AttemptKey> keep = {}) {
    session::v1::ConnectResponse message;
    session::v1::Welcome& welcome = *message.mutable_welcome();
    welcome.set_protocol(2);
    welcome.set_cluster_id("cluster");
    welcome.set_revision(5);
    welcome.mutable_renew_interval()->set_seconds(1);
    welcome.mutable_lease_duration()->set_seconds(10);
    welcome.mutable_orphan_limit()->set_seconds(600);
    for (const AttemptKey& key : keep) {
      session::v1::HeldAttempt& held = *welcome.add_keep();
      held.set_attempt(key.attempt.ToString());
      held.set_lease_generation(key.generation);
    }
    return message;
  }

  std::vector<SessionOutput> Connect(std::vector<AttemptKey> keep = {}) {
    // Past any back-off.
    now_ += MakeOptions().reconnect_delay_max;
    Step(Tick());
    EXPECT_EQ(session_.state(), Session::State::kOpening);
    Step(StreamOpened());
    return Step(Received{WelcomeMessage(std::move(keep))});
  }

  session::v1::Assign MakeAssign(int ranks = 1, int64_t generation = 7) {
    session::v1::Assign assign;
    assign.set_attempt(kAttempt);
    assign.set_lease_generation(generation);
    assign.set_world_size(ranks);
    for (int rank = 0; rank < ranks; ++rank) {
      assign.add_ranks()->set_rank(rank);
      assign.mutable_ranks(rank)->set_slot(rank);
    }
    return assign;
  }
  std::vector<SessionOutput> Assign(const session::v1::Assign& assign) {
    session::v1::ConnectResponse message;
    *message.mutable_assign() = assign;
    return Step(Received{message});
  }
  std::vector<SessionOutput> Stop(session::v1::StopAttempt::Mode mode, v1::Cause cause) {
    session::v1::ConnectResponse message;
    message.mutable_stop()->set_attempt(kAttempt);
    message.mutable_stop()->set_lease_generation(7);
    message.mutable_stop()->set_mode(mode);
    message.mutable_stop()->set_cause(cause);
    return Step(Received{message});
  }
  std::vector<SessionOutput> End(int rank, v1::Cause cause, const std::string& message = "") {
    return Step(
        RankEnded{.key = Key(), .rank = rank, .cause = cause, .message = message, .end_step = 100});
  }
  // What a Hello would say now about held attempts.
  session::v1::Hello Reconnect() {
    Step(StreamClosed{absl::UnavailableError("gone")});
    now_ += MakeOptions().reconnect_delay_max;
    Step(Tick());
    const auto sent = Of<SendMessage>(Step(StreamOpened()));
    EXPECT_THAT(sent, SizeIs(1));
    return sent.at(0).message.hello();
  }

  SeededRandom random_{1};
  absl::Duration now_ = absl::Seconds(1'000);
  Session session_;
};

TEST_F(SessionTest, GreetsAndRenewsAtItsInterval) {
  EXPECT_THAT(Of<OpenStream>(Step(Tick())), SizeIs(1));
  const auto sent = Of<SendMessage>(Step(StreamOpened()));
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].message.hello().worker(), "workers/w1");
  EXPECT_EQ(sent[0].message.hello().protocol_max(), 2);

  const auto first = Of<SendMessage>(Step(Received{WelcomeMessage()}));
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].message.renew().sequence(), 1);
  EXPECT_THAT(Of<SendMessage>(After(absl::Milliseconds(999))), IsEmpty());
  EXPECT_THAT(Of<SendMessage>(After(absl::Milliseconds(1))), SizeIs(1));
}

TEST_F(SessionTest, RemembersClusterAndRevision) {
  const auto saved = Of<SaveIdentity>(Connect());
  ASSERT_THAT(saved, SizeIs(1));
  EXPECT_EQ(saved[0].cluster_id, "cluster");
  EXPECT_EQ(saved[0].revision, 5);
  EXPECT_EQ(Reconnect().revision(), 5);
}

TEST_F(SessionTest, StaysAwayFromAnotherCluster) {
  Connect();
  Reconnect();
  session::v1::ConnectResponse message = WelcomeMessage();
  message.mutable_welcome()->set_cluster_id("other");
  EXPECT_THAT(Of<CloseStream>(Step(Received{message})), SizeIs(1));
  EXPECT_EQ(session_.state(), Session::State::kWaiting);
}

TEST_F(SessionTest, WaitsLongerAfterEachFailureButWithinTheBound) {
  absl::Duration longest = absl::ZeroDuration();
  for (int i = 0; i < 50; ++i) {
    Step(Tick());
    Step(StreamClosed{absl::UnavailableError("no")});
    const absl::Duration wait = session_.NextTick(now_) - now_;
    EXPECT_LE(wait, MakeOptions().reconnect_delay_max);
    if (i == 0) {
      EXPECT_LE(wait, MakeOptions().reconnect_delay_first);
    }
    longest = std::max(longest, wait);
    now_ += wait;
  }
  EXPECT_GT(longest, MakeOptions().reconnect_delay_max / 2);
}

TEST_F(SessionTest, GivesUpAStreamThatBringsNoWelcome) {
  Step(Tick());
  Step(StreamOpened());
  EXPECT_THAT(Of<CloseStream>(After(absl::Seconds(10))), SizeIs(1));
  EXPECT_EQ(session_.state(), Session::State::kWaiting);
}

TEST_F(SessionTest, EndsTheProcessIfItIsRefusedFromTheStart) {
  Step(Tick());
  const auto ended = Of<EndProcess>(Step(StreamClosed{
      FailedPrecondition(cvtrain::Reason::kProtocolUnsupported, "speaks versions 2 to 3")}));
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].exit_code, 1);
  EXPECT_THAT(ended[0].message, HasSubstr("speaks versions"));
}

TEST_F(SessionTest, StartsRanksOnce) {
  Connect();
  const auto first = Assign(MakeAssign(2));
  ASSERT_THAT(Of<StartRanks>(first), SizeIs(1));
  EXPECT_EQ(Of<StartRanks>(first)[0].assign.ranks_size(), 2);
  ASSERT_THAT(Of<SetPublishing>(first), SizeIs(1));
  EXPECT_TRUE(Of<SetPublishing>(first)[0].on);
  EXPECT_THAT(Of<StartRanks>(Assign(MakeAssign(2))), IsEmpty());
}

TEST_F(SessionTest, RefusesAnAssignmentThatItCannotRun) {
  Connect();
  session::v1::Assign assign = MakeAssign();
  assign.mutable_ranks(0)->set_slot(9);
  const auto outputs = Assign(assign);
  EXPECT_THAT(Of<StartRanks>(outputs), IsEmpty());
  const auto facts = Of<SpoolFact>(outputs);
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].fact.ended().cause(), v1::CAUSE_INTERNAL);
  EXPECT_THAT(facts[0].fact.ended().message(), HasSubstr("no slot 9"));
}

TEST_F(SessionTest, RefusesASlotThatIsTaken) {
  Connect();
  Assign(MakeAssign());
  session::v1::Assign other = MakeAssign();
  other.set_attempt("experiments/1/trials/9/attempts/1");
  EXPECT_THAT(Of<SpoolFact>(Assign(other))[0].fact.ended().message(), HasSubstr("slot 0 is taken"));
}

TEST_F(SessionTest, FreesTheSlotWhenTheRankEnds) {
  Connect();
  Assign(MakeAssign());
  End(0, v1::CAUSE_FINISHED);
  session::v1::Assign other = MakeAssign();
  other.set_attempt("experiments/1/trials/9/attempts/1");
  EXPECT_THAT(Of<StartRanks>(Assign(other)), SizeIs(1));
}

TEST_F(SessionTest, PassesReportsOnAndNumbersNothing) {
  Connect();
  Assign(MakeAssign());
  trainer::v1::Report report;
  report.add_series()->set_metric("loss");
  session::v1::Fact& fact = *report.add_facts();
  fact.set_sequence(99);
  fact.mutable_started()->set_start_step(0);
  report.add_facts()->mutable_ended();  // not the trainer's to say
  const auto outputs = Step(RankReported{.key = Key(), .rank = 0, .report = report});
  EXPECT_THAT(Of<SpoolSeries>(outputs), SizeIs(1));
  const auto facts = Of<SpoolFact>(outputs);
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].fact.sequence(), 0);
  EXPECT_TRUE(facts[0].fact.has_time());
}

TEST_F(SessionTest, TellsProgressWithEachRenewal) {
  Connect();
  Assign(MakeAssign());
  trainer::v1::Report report;
  report.mutable_progress()->set_step(41);
  Step(RankReported{.key = Key(), .rank = 0, .report = report});
  const auto sent = Of<SendMessage>(After(absl::Seconds(1)));
  ASSERT_THAT(sent, SizeIs(1));
  ASSERT_EQ(sent[0].message.renew().progress_size(), 1);
  EXPECT_EQ(sent[0].message.renew().progress(0).attempt(), kAttempt);
  EXPECT_EQ(sent[0].message.renew().progress(0).progress().step(), 41);
}

TEST_F(SessionTest, ReportsTheEndWhenTheLastRankHasEnded) {
  Connect();
  Assign(MakeAssign(2));
  EXPECT_THAT(Of<SpoolFact>(End(1, v1::CAUSE_FINISHED)), IsEmpty());
  const auto facts = Of<SpoolFact>(End(0, v1::CAUSE_FINISHED));
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].fact.ended().cause(), v1::CAUSE_FINISHED);
  EXPECT_EQ(facts[0].fact.ended().end_step(), 100);
}

TEST_F(SessionTest, TheEndTellsFlopsAndWhatWasDamaged) {
  Connect();
  Assign(MakeAssign(2));
  trainer::v1::Report report;
  report.mutable_progress()->set_flops(1.5e12);
  Step(RankReported{.key = Key(), .rank = 0, .report = report});
  Step(RankEnded{.key = Key(),
                 .rank = 1,
                 .cause = v1::CAUSE_INTERNAL,
                 .damaged_checkpoint = "checkpoints/uuid"});
  const auto facts = Of<SpoolFact>(End(0, v1::CAUSE_INTERNAL));
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].fact.ended().flops(), 1.5e12);
  EXPECT_EQ(facts[0].fact.ended().damaged_checkpoint(), "checkpoints/uuid");
}

TEST_F(SessionTest, KillsTheOtherRanksWhenOneEndsBadly) {
  Connect();
  Assign(MakeAssign(2));
  const auto outputs = End(1, v1::CAUSE_OUT_OF_MEMORY, "rank 1 ran out of memory");
  ASSERT_THAT(Of<KillRanks>(outputs), SizeIs(1));
  const auto facts = Of<SpoolFact>(End(0, v1::CAUSE_INTERNAL, "killed"));
  ASSERT_THAT(facts, SizeIs(1));
  // The first bad end is the cause, not what it caused.
  EXPECT_EQ(facts[0].fact.ended().cause(), v1::CAUSE_OUT_OF_MEMORY);
  EXPECT_EQ(facts[0].fact.ended().message(), "rank 1 ran out of memory");
}

TEST_F(SessionTest, ALostPeerIsNoCauseOnceThePeerSaysWhy) {
  Connect();
  Assign(MakeAssign(2));
  End(1, v1::CAUSE_WORKER_LOST, "lost rank 0");
  const auto facts = Of<SpoolFact>(End(0, v1::CAUSE_DATA, "shard 3 is damaged"));
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].fact.ended().cause(), v1::CAUSE_DATA);
  EXPECT_EQ(facts[0].fact.ended().message(), "shard 3 is damaged");
}

TEST_F(SessionTest, ALostPeerStaysTheCauseOfARankThatWasKilledForIt) {
  Connect();
  Assign(MakeAssign(2));
  End(1, v1::CAUSE_WORKER_LOST, "lost a peer elsewhere");
  const auto facts = Of<SpoolFact>(End(0, v1::CAUSE_INTERNAL, "killed"));
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].fact.ended().cause(), v1::CAUSE_WORKER_LOST);
}

TEST_F(SessionTest, ABadEndCountsMoreThanAnEarlierGoodOne) {
  Connect();
  Assign(MakeAssign(2));
  EXPECT_THAT(Of<KillRanks>(End(0, v1::CAUSE_FINISHED)), IsEmpty());
  EXPECT_EQ(Of<SpoolFact>(End(1, v1::CAUSE_INTERNAL))[0].fact.ended().cause(), v1::CAUSE_INTERNAL);
}

TEST_F(SessionTest, PassesAStopOn) {
  Connect();
  Assign(MakeAssign());
  const auto stops =
      Of<StopRanks>(Stop(session::v1::StopAttempt::MODE_CHECKPOINT, v1::CAUSE_PAUSED));
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_EQ(stops[0].cause, v1::CAUSE_PAUSED);
  EXPECT_THAT(Of<KillRanks>(After(absl::Minutes(1))), IsEmpty());
}

TEST_F(SessionTest, KillsWhatDoesNotStopNow) {
  Connect();
  Assign(MakeAssign());
  Stop(session::v1::StopAttempt::MODE_NOW, v1::CAUSE_CANCELLED);
  EXPECT_THAT(Of<KillRanks>(After(absl::Milliseconds(1999))), IsEmpty());
  const auto kills = Of<KillRanks>(After(absl::Milliseconds(1)));
  ASSERT_THAT(kills, SizeIs(1));
  EXPECT_EQ(kills[0].cause, v1::CAUSE_CANCELLED);
}

TEST_F(SessionTest, KeepsComputingButNotPublishingWhileTheCoordinatorIsAway) {
  Connect();
  Assign(MakeAssign());
  const auto broken = Step(StreamClosed{absl::UnavailableError("gone")});
  ASSERT_THAT(Of<SetPublishing>(broken), SizeIs(1));
  EXPECT_FALSE(Of<SetPublishing>(broken)[0].on);
  EXPECT_THAT(Of<KillRanks>(broken), IsEmpty());
  EXPECT_EQ(session_.running_count(), 1);

  const auto back = Connect({Key()});
  ASSERT_THAT(Of<SetPublishing>(back), SizeIs(1));
  EXPECT_TRUE(Of<SetPublishing>(back)[0].on);
  EXPECT_EQ(session_.reconnects(), 1);
}

TEST_F(SessionTest, NamesWhatItHoldsInItsHello) {
  Connect();
  Assign(MakeAssign(2));
  session::v1::Hello hello = Reconnect();
  ASSERT_EQ(hello.held_size(), 1);
  EXPECT_EQ(hello.held(0).attempt(), kAttempt);
  EXPECT_EQ(hello.held(0).lease_generation(), 7);
  EXPECT_TRUE(hello.held(0).running());
  EXPECT_EQ(hello.slots(1).attempt(), kAttempt);

  End(0, v1::CAUSE_FINISHED);
  End(1, v1::CAUSE_FINISHED);
  hello = Reconnect();
  ASSERT_EQ(hello.held_size(), 1);
  EXPECT_FALSE(hello.held(0).running());
}

TEST_F(SessionTest, DropsWhatAWelcomeDoesNotKeep) {
  Connect();
  Assign(MakeAssign());
  Reconnect();
  const auto outputs = Step(Received{WelcomeMessage({Key(8)})});  // another generation
  EXPECT_THAT(Of<KillRanks>(outputs), SizeIs(1));
  EXPECT_THAT(Of<DropAttempt>(outputs), SizeIs(1));
  EXPECT_THAT(Reconnect().held(), IsEmpty());
}

TEST_F(SessionTest, StopsAnAttemptAtOnceWhenItsLeaseIsLost) {
  Connect();
  Assign(MakeAssign());
  const auto outputs =
      Step(ReportRefused{.key = Key(), .status = Aborted(cvtrain::Reason::kLeaseLost, "stale")});
  ASSERT_THAT(Of<KillRanks>(outputs), SizeIs(1));
  EXPECT_THAT(Of<DropAttempt>(outputs), SizeIs(1));
  // What its rank says in dying concerns nobody.
  EXPECT_THAT(Of<SpoolFact>(End(0, v1::CAUSE_INTERNAL)), IsEmpty());
}

TEST_F(SessionTest, ANewerGenerationReplacesTheOlder) {
  Connect();
  Assign(MakeAssign());
  const auto outputs = Assign(MakeAssign(1, 8));
  ASSERT_THAT(Of<DropAttempt>(outputs), SizeIs(1));
  EXPECT_EQ(Of<DropAttempt>(outputs)[0].key, Key(7));
  ASSERT_THAT(Of<StartRanks>(outputs), SizeIs(1));
  EXPECT_EQ(Of<StartRanks>(outputs)[0].key, Key(8));
  // And the older does not come back.
  EXPECT_THAT(Of<StartRanks>(Assign(MakeAssign(1, 7))), IsEmpty());
}

TEST_F(SessionTest, AnExpiredLeaseMustBeConfirmedAnew) {
  Connect();
  Assign(MakeAssign());
  const auto outputs = After(absl::Seconds(10));
  EXPECT_THAT(Of<CloseStream>(outputs), SizeIs(1));
  ASSERT_THAT(Of<SetPublishing>(outputs), SizeIs(1));
  EXPECT_FALSE(Of<SetPublishing>(outputs)[0].on);
  EXPECT_THAT(Of<KillRanks>(outputs), IsEmpty());
  EXPECT_THAT(Of<StopRanks>(outputs), IsEmpty());
}

TEST_F(SessionTest, AnsweredRenewalsKeepTheLease) {
  Connect();
  Assign(MakeAssign());
  for (int64_t i = 2; i < 30; ++i) {
    const auto outputs = After(absl::Seconds(1));
    ASSERT_THAT(Of<CloseStream>(outputs), IsEmpty());
    session::v1::ConnectResponse message;
    message.mutable_lease_state()->set_sequence(i);
    Step(Received{message});
  }
}

TEST_F(SessionTest, AnOrphanStopsAfterItsLimit) {
  Connect();
  Assign(MakeAssign());
  Step(StreamClosed{absl::UnavailableError("gone")});
  EXPECT_THAT(Of<StopRanks>(After(absl::Seconds(609))), IsEmpty());
  const auto stops = Of<StopRanks>(After(absl::Seconds(1)));
  ASSERT_THAT(stops, SizeIs(1));
  EXPECT_EQ(stops[0].mode, session::v1::StopAttempt::MODE_CHECKPOINT);
  EXPECT_EQ(stops[0].cause, v1::CAUSE_WORKER_LOST);
  EXPECT_THAT(Of<KillRanks>(After(MakeOptions().drain_grace)), SizeIs(1));
}

TEST_F(SessionTest, AStopDrainsWhatRunsAndThenEnds) {
  Connect();
  Assign(MakeAssign());
  const auto outputs = Step(StopRequested());
  ASSERT_THAT(Of<StopRanks>(outputs), SizeIs(1));
  EXPECT_EQ(Of<StopRanks>(outputs)[0].mode, session::v1::StopAttempt::MODE_CHECKPOINT);
  EXPECT_THAT(Of<EndProcess>(outputs), IsEmpty());
  EXPECT_THAT(Of<EndProcess>(End(0, v1::CAUSE_PREEMPTED)), IsEmpty());  // reports remain
  const auto ended = Of<EndProcess>(Step(AttemptSettled{Key()}));
  ASSERT_THAT(ended, SizeIs(1));
  EXPECT_EQ(ended[0].exit_code, 0);
}

TEST_F(SessionTest, AStopTakesNoNewWork) {
  Connect();
  Assign(MakeAssign());
  Step(StopRequested());
  session::v1::Assign other = MakeAssign();
  other.set_attempt("experiments/1/trials/9/attempts/1");
  const auto outputs = Assign(other);
  EXPECT_THAT(Of<StartRanks>(outputs), IsEmpty());
  EXPECT_EQ(Of<SpoolFact>(outputs)[0].fact.ended().cause(), v1::CAUSE_WORKER_LOST);
}

TEST_F(SessionTest, AStopKillsAfterItsGraceAndEndsAnyway) {
  Connect();
  Assign(MakeAssign());
  Step(StopRequested());
  EXPECT_THAT(Of<KillRanks>(After(MakeOptions().drain_grace)), SizeIs(1));
  EXPECT_THAT(Of<EndProcess>(After(MakeOptions().drain_reports)), SizeIs(1));
}

TEST_F(SessionTest, AnIdleWorkerStopsAtOnce) {
  Connect();
  EXPECT_THAT(Of<EndProcess>(Step(StopRequested())), SizeIs(1));
}

TEST_F(SessionTest, AStopWithoutACoordinatorWaitsForNoReports) {
  Connect();
  Assign(MakeAssign());
  Step(StreamClosed{absl::UnavailableError("gone")});
  Step(StopRequested());
  EXPECT_THAT(Of<EndProcess>(End(0, v1::CAUSE_PREEMPTED)), SizeIs(1));
}

class RecoveredSessionTest : public SessionTest {
 protected:
  RecoveredSessionTest()
      : SessionTest({{.key = Key(7, 3), .ended = false}, {.key = Key(7, 4), .ended = true}}) {}
};

TEST_F(RecoveredSessionTest, EndsWhatAnEarlierProcessLeftRunning) {
  const auto facts = Of<SpoolFact>(Step(Tick()));
  ASSERT_THAT(facts, SizeIs(1));
  EXPECT_EQ(facts[0].key, Key(7, 3));
  EXPECT_EQ(facts[0].fact.ended().cause(), v1::CAUSE_WORKER_LOST);
  EXPECT_THAT(facts[0].fact.ended().message(), HasSubstr("worker restarted"));
}

TEST_F(RecoveredSessionTest, PublishesWhatIsLeftOnceItIsKept) {
  const auto outputs = Connect({Key(7, 4)});
  const auto publishing = Of<SetPublishing>(outputs);
  ASSERT_THAT(publishing, SizeIs(1));
  EXPECT_EQ(publishing[0].key, Key(7, 4));
  ASSERT_THAT(Of<DropAttempt>(outputs), SizeIs(1));
  EXPECT_EQ(Of<DropAttempt>(outputs)[0].key, Key(7, 3));
}

}  // namespace
}  // namespace cvtrain::worker
