#include "client/files/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/errors.h"

namespace cvtrain::client {
namespace {

TEST(ExitCodeTest, TellsTheCommandLineFromARefusedRecipe) {
  EXPECT_EQ(ExitCodeFor(absl::OkStatus()), ExitCode::kDone);
  EXPECT_EQ(ExitCodeFor(InvalidArgument(Reason::kUsage, "")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeFor(InvalidArgument(Reason::kBadResourceName, "")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeFor(InvalidArgument(Reason::kRecipeInvalid, "")), ExitCode::kInvalid);
  // A name inside of a recipe is about the recipe.
  EXPECT_EQ(ExitCodeFor(FieldViolations({{.field = "name", .rule = "", .value = ""}},
                                        Reason::kBadResourceName)),
            ExitCode::kInvalid);
}

TEST(ExitCodeTest, HasANumberForEachKindOfError) {
  EXPECT_EQ(ExitCodeFor(NotFound(Reason::kTrialNotFound, "")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeFor(Unauthenticated(Reason::kTokenInvalid, "")), ExitCode::kDenied);
  EXPECT_EQ(ExitCodeFor(PermissionDenied(Reason::kRoleRequired, "")), ExitCode::kDenied);
  EXPECT_EQ(ExitCodeFor(Unavailable(Reason::kServerUnreachable, "")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeFor(AlreadyExists(Reason::kExperimentExists, "")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeFor(FailedPrecondition(Reason::kTrialFinished, "")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeFor(Aborted(Reason::kEtagMismatch, "")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeFor(DeadlineExceeded(Reason::kDeadline, "")), ExitCode::kTimeout);
  EXPECT_EQ(ExitCodeFor(DataLoss(Reason::kCheckpointBad, "")), ExitCode::kFailed);
  EXPECT_EQ(ExitCodeFor(Internal(Reason::kInternal, "")), ExitCode::kFailed);
}

TEST(ExitCodeTest, IsThatOfADetachedVerbAfterCtrlC) {
  EXPECT_EQ(ExitCodeFor(Interrupted()), ExitCode::kDetached);
  EXPECT_EQ(ExitCodeFor(absl::CancelledError("by the server")), ExitCode::kFailed);
}

}  // namespace
}  // namespace cvtrain::client
