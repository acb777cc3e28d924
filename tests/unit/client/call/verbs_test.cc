// What verbs share: subcommands, request ids, the form of errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/call/verb.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(SubcommandTest, HelpIsNoError) {
  for (const VerbFunction verb : {RunCkpt, RunDataset, RunWorker, RunCompletion}) {
    for (const char* help : {"--help", "-h"}) {
      FakeCli fake;
      EXPECT_THAT(verb(fake.cli(), {help}), IsOkAndHolds(ExitCode::kDone));
      EXPECT_THAT(fake.out.str(), HasSubstr("usage: cvctl "));
    }
  }
}

TEST(SubcommandTest, RefusesAnUnknownOneAndOffersTheNearest) {
  FakeCli fake;
  const absl::Status status = RunCkpt(fake.cli(), {"exprot"}).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  EXPECT_THAT(status.message(), AllOf(HasSubstr("exprot"), HasSubstr("did you mean export")));
  EXPECT_THAT(RunWorker(fake.cli(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
}

TEST(SubcommandTest, PutsAKindBeforeABareName) {
  EXPECT_EQ(WithKind("worker", {"gpu-a", "-o", "json"}), (Arguments{"worker/gpu-a", "-o", "json"}));
  EXPECT_EQ(WithKind("worker", {"worker/gpu-a"}), Arguments{"worker/gpu-a"});
  EXPECT_EQ(WithKind("worker", {"--help"}), Arguments{"--help"});
}

TEST(CompletionTest, ZshUsesNothingOfBash) {
  FakeCli fake;
  EXPECT_THAT(RunCompletion(fake.cli(), {"zsh"}), IsOkAndHolds(ExitCode::kDone));
  EXPECT_THAT(fake.out.str(),
              AllOf(HasSubstr("compadd"), Not(HasSubstr("mapfile")), Not(HasSubstr("COMPREPLY"))));
}

TEST(RequestIdTest, IsAUuidOrMadeAnew) {
  FakeCli fake;
  EXPECT_THAT(RequestIdOf(fake.cli(), "9F3C5D1E-0b7a-4c66-8f0e-2f6f1c0d9a11"),
              IsOkAndHolds("9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11"));
  CVT_ASSERT_OK_AND_ASSIGN(const std::string made, RequestIdOf(fake.cli(), ""));
  EXPECT_THAT(RequestIdOf(fake.cli(), made), IsOkAndHolds(made));
}

TEST(RequestIdTest, RefusesAnythingElseAsAUsageError) {
  FakeCli fake;
  for (const char* text : {"../../home", "x", "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11/.."}) {
    const absl::Status status = RequestIdOf(fake.cli(), text).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
    EXPECT_EQ(ExitCodeFor(status), ExitCode::kUsage);
  }
}

TEST(RepeatCommandTest, QuotesForAShellAndAddsTheId) {
  EXPECT_EQ(RepeatCommand("submit", {"my file.yaml", "--set", "recipe.epochs=5", "it's"}, "ID"),
            "cvctl submit 'my file.yaml' --set recipe.epochs=5 'it'\\''s' --request-id ID");
  EXPECT_EQ(RepeatCommand("submit", {"a.yaml", "--request-id=ID"}, "ID"),
            "cvctl submit a.yaml --request-id=ID");
}

TEST(AsksForJsonTest, KnowsEverySpelling) {
  EXPECT_TRUE(AsksForJson({"get", "exp", "-o", "json"}));
  EXPECT_TRUE(AsksForJson({"get", "-ojson", "exp"}));
  EXPECT_TRUE(AsksForJson({"get", "--output=json"}));
  EXPECT_TRUE(AsksForJson({"get", "--output", "json", "trails"}));
  EXPECT_FALSE(AsksForJson({"get", "exp"}));
  EXPECT_FALSE(AsksForJson({"get", "-o", "json", "-o", "yaml"}));
  EXPECT_FALSE(AsksForJson({"get", "--", "-o", "json"}));
}

}  // namespace
}  // namespace cvtrain::client
