#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "common/random.h"
#include "coordinator/search/searcher.h"
#include "cvtrain/v1/recipe.pb.h"
#include "tests/support/proto_matchers.h"
#include "tests/support/seed.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::ParseTextProto;
using ::cvtrain::testing::TestSeed;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using State = TrialResult::State;

v1::ExperimentSpec Spec(const std::string& search) {
  return ParseTextProto<v1::ExperimentSpec>("recipe { seed: 7 } search { " + search + " }");
}

// The values of the only parameter, in order.
std::vector<std::string> Values(const SearchAdvance& advance) {
  std::vector<std::string> values;
  for (const Parameters& parameters : advance.created) {
    values.push_back(parameters.begin()->second);
  }
  return values;
}

std::vector<size_t> Discarded(const SearchAdvance& advance) {
  std::vector<size_t> discarded;
  for (const SearchAdvance::Discard& discard : advance.discarded)
    discarded.push_back(discard.trial);
  return discarded;
}

TEST(SearchTest, MakesOneTrialOfThePlainRecipe) {
  const auto searcher = MakeSearcher(ParseTextProto<v1::ExperimentSpec>("name: 'plain'"));
  const SearchAdvance advance = searcher->Advance({}, 10);
  EXPECT_THAT(advance.created, ElementsAre(IsEmpty()));
  EXPECT_TRUE(advance.done);
  EXPECT_EQ(searcher->TrialTotal(), 1);
}

TEST(GridSearchTest, VariesTheLastParameterFastest) {
  const auto searcher =
      MakeSearcher(Spec(R"pb(grid {
                               parameters { parameter: "a" values: "1" values: "2" }
                               parameters { parameter: "b" values: "x" values: "y" values: "z" }
                             })pb"));
  const SearchAdvance advance = searcher->Advance({}, 100);
  ASSERT_THAT(advance.created, SizeIs(6));
  EXPECT_THAT(advance.created[0], ElementsAre(Pair("a", "1"), Pair("b", "x")));
  EXPECT_THAT(advance.created[1], ElementsAre(Pair("a", "1"), Pair("b", "y")));
  EXPECT_THAT(advance.created[3], ElementsAre(Pair("a", "2"), Pair("b", "x")));
  EXPECT_TRUE(advance.done);
  EXPECT_EQ(searcher->TrialTotal(), 6);
}

TEST(GridSearchTest, MakesNoMoreThanThereIsRoomForAndGoesOnWhereItStopped) {
  const auto searcher = MakeSearcher(
      Spec(R"pb(grid { parameters { parameter: "a" values: "1" values: "2" values: "3" } })pb"));
  const SearchAdvance first = searcher->Advance({}, 2);
  EXPECT_THAT(Values(first), ElementsAre("1", "2"));
  EXPECT_FALSE(first.done);
  EXPECT_EQ(first.left, 1);
  const SearchAdvance none = searcher->Advance(std::vector<TrialResult>(2), 0);
  EXPECT_THAT(none.created, IsEmpty());
  EXPECT_FALSE(none.done);
  const SearchAdvance last = searcher->Advance(std::vector<TrialResult>(2), 5);
  EXPECT_THAT(Values(last), ElementsAre("3"));
  EXPECT_TRUE(last.done);
}

TEST(RandomSearchTest, DrawsTheSameTrialsHoweverManyAreMadeAtOnce) {
  const v1::ExperimentSpec spec = Spec(R"pb(random {
                                              trials: 20
                                              seed: 3
                                              parameters {
                                                parameter: "a"
                                                uniform { min: 2 max: 3 }
                                              }
                                              parameters {
                                                parameter: "b"
                                                log_uniform { min: 0.001 max: 1000 }
                                              }
                                              parameters {
                                                parameter: "c"
                                                integer { min: -2 max: 2 }
                                              }
                                              parameters {
                                                parameter: "d"
                                                choice { values: "u" values: "v" }
                                              }
                                            })pb");
  const SearchAdvance all = MakeSearcher(spec)->Advance({}, 100);
  ASSERT_THAT(all.created, SizeIs(20));
  std::vector<TrialResult> results;
  std::set<std::string> integers;
  for (const Parameters& expected : all.created) {
    const SearchAdvance one = MakeSearcher(spec)->Advance(results, 1);
    EXPECT_THAT(one.created, ElementsAre(expected));
    results.push_back({State::kSucceeded, 1.0});
    EXPECT_GE(std::stod(expected.at("a")), 2);
    EXPECT_LE(std::stod(expected.at("a")), 3);
    EXPECT_GE(std::stod(expected.at("b")), 0.001);
    EXPECT_LE(std::stod(expected.at("b")), 1000);
    integers.insert(expected.at("c"));
    EXPECT_THAT(expected.at("d"), ::testing::AnyOf("u", "v"));
  }
  EXPECT_THAT(integers, ::testing::IsSubsetOf({"-2", "-1", "0", "1", "2"}));
  EXPECT_GE(integers.size(), 3u);
}

TEST(RandomSearchTest, TakesTheRecipesSeedUnlessItHasItsOwn) {
  const std::string parameters = "parameters { parameter: 'a' uniform { min: 0 max: 1 } }";
  const auto draw = [](const v1::ExperimentSpec& spec) {
    return Values(MakeSearcher(spec)->Advance({}, 1));
  };
  const auto by_recipe = draw(Spec("random { trials: 1 " + parameters + " }"));
  EXPECT_EQ(by_recipe, draw(Spec("random { trials: 1 seed: 7 " + parameters + " }")));
  EXPECT_NE(by_recipe, draw(Spec("random { trials: 1 seed: 8 " + parameters + " }")));
}

TEST(RandomSearchTest, DrawsOverTheWholeRangeOfIntegers) {
  const auto searcher =
      MakeSearcher(Spec(R"pb(random {
                               trials: 50
                               parameters {
                                 parameter: "a"
                                 integer { min: -9223372036854775808 max: 9223372036854775807 }
                               }
                             })pb"));
  const std::vector<std::string> values = Values(searcher->Advance({}, 50));
  EXPECT_EQ(std::set<std::string>(values.begin(), values.end()).size(), 50u);
}

constexpr char kLinear[] = R"pb(
  linear { parameter: "a" start: 40 stop: 10 step: -10 }
  objective { metric: "val/top1" mode: MODE_MAX }
)pb";

TEST(LinearSearchTest, VisitsStartAndStop) {
  const auto searcher = MakeSearcher(Spec(kLinear));
  EXPECT_THAT(Values(searcher->Advance({}, 100)), ElementsAre("40", "30", "20", "10"));
  EXPECT_EQ(searcher->TrialTotal(), 4);
  EXPECT_FALSE(searcher->DependsOnResults());
}

TEST(LinearSearchTest, SpellsPointsWithoutRoundingNoise) {
  const auto searcher =
      MakeSearcher(Spec("linear { parameter: 'a' start: 0.1 stop: 0.5 step: 0.1 }"));
  EXPECT_THAT(Values(searcher->Advance({}, 100)), ElementsAre("0.1", "0.2", "0.3", "0.4", "0.5"));
}

TEST(LinearSearchTest, VisitsListedPointsInTheirOrder) {
  const auto searcher =
      MakeSearcher(Spec("linear { parameter: 'a' values: 3 values: 1 values: 2 }"));
  EXPECT_THAT(Values(searcher->Advance({}, 100)), ElementsAre("3", "1", "2"));
}

class PatienceTest : public ::testing::Test {
 protected:
  // Six points, patience two; the third is the best.
  const v1::ExperimentSpec spec_ = Spec(R"pb(
    linear { parameter: "a" start: 1 stop: 6 step: 1 patience: 2 }
    objective { metric: "val/top1" mode: MODE_MAX }
  )pb");
  const std::unique_ptr<Searcher> searcher_ = MakeSearcher(spec_);
  const std::vector<TrialResult> results_ = {{State::kSucceeded, 50}, {State::kSucceeded, 60},
                                             {State::kSucceeded, 70}, {State::kSucceeded, 65},
                                             {State::kSucceeded, 70}, {State::kSucceeded, 90}};
};

TEST_F(PatienceTest, EndsAfterSoManyPointsWithoutImprovement) {
  const absl::Span<const TrialResult> all(results_);
  EXPECT_FALSE(searcher_->Advance(all.subspan(0, 4), 1).done);
  const SearchAdvance end = searcher_->Advance(all.subspan(0, 5), 1);
  EXPECT_TRUE(end.done);
  EXPECT_THAT(end.created, IsEmpty());
  EXPECT_THAT(end.discarded, IsEmpty());
}

TEST_F(PatienceTest, DiscardsWhatWasStartedAheadEvenIfItEnded) {
  const SearchAdvance end = searcher_->Advance(results_, 1);
  EXPECT_TRUE(end.done);
  EXPECT_THAT(Discarded(end), ElementsAre(5));
}

TEST_F(PatienceTest, WaitsForTheFirstOpenTrial) {
  std::vector<TrialResult> results = results_;
  results[3].state = State::kOpen;
  EXPECT_FALSE(searcher_->Advance(results, 0).done);
}

TEST_F(PatienceTest, CountsFailuresAsNoImprovement) {
  const std::vector<TrialResult> results = {
      {State::kSucceeded, 50}, {State::kFailed, 99}, {State::kCancelled, std::nullopt}};
  EXPECT_TRUE(searcher_->Advance(results, 1).done);
}

TEST_F(PatienceTest, IsDoneWithAllPointsOnlyWhenTheyHaveEnded) {
  std::vector<TrialResult> results(6, {State::kSucceeded, 0});
  for (size_t i = 0; i < results.size(); ++i) results[i].objective = static_cast<double>(i);
  results[5].state = State::kOpen;
  EXPECT_FALSE(searcher_->Advance(results, 1).done);
  results[5].state = State::kSucceeded;
  EXPECT_TRUE(searcher_->Advance(results, 1).done);
}

TEST_F(PatienceTest, LooksForTheLeastIfAskedTo) {
  v1::ExperimentSpec spec = spec_;
  spec.mutable_search()->mutable_objective()->set_mode(v1::Objective::MODE_MIN);
  EXPECT_TRUE(MakeSearcher(spec)->Advance(absl::MakeSpan(results_).subspan(0, 3), 1).done);
}

// Trials that end in any order lead to the same points.
TEST_F(PatienceTest, EndsAtTheSamePointInWhateverOrderTrialsEnd) {
  KeyedStream stream("test/v1", {TestSeed()});
  for (int round = 0; round < 200; ++round) {
    std::vector<TrialResult> results(6);
    std::vector<size_t> order = {0, 1, 2, 3, 4, 5};
    stream.Shuffle(order);
    std::vector<size_t> discarded;
    for (const size_t next : order) {
      results[next] = results_[next];
      const SearchAdvance advance = searcher_->Advance(results, 0);
      if (!advance.done) continue;
      discarded = Discarded(advance);
      break;
    }
    EXPECT_THAT(discarded, ElementsAre(5));
  }
}

}  // namespace
}  // namespace cvtrain::coordinator
