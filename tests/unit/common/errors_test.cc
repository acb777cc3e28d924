#include "common/errors.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "common/limits.h"
#include "common/posix_error.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;

TEST(ErrorsTest, CarriesOneReason) {
  const absl::Status status = FailedPrecondition(Reason::kTrialFinished, "experiments/1/trials/2");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "experiments/1/trials/2");
  EXPECT_THAT(ReasonOf(status), Optional(Reason::kTrialFinished));
  EXPECT_EQ(ReasonNameOf(status), "TRIAL_FINISHED");
}

TEST(ErrorsTest, EachMakerHasItsCode) {
  using absl::StatusCode;
  constexpr Reason kReason = Reason::kInternal;
  EXPECT_EQ(InvalidArgument(kReason, "").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(NotFound(kReason, "").code(), StatusCode::kNotFound);
  EXPECT_EQ(AlreadyExists(kReason, "").code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(FailedPrecondition(kReason, "").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Aborted(kReason, "").code(), StatusCode::kAborted);
  EXPECT_EQ(ResourceExhausted(kReason, "").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Unavailable(kReason, "").code(), StatusCode::kUnavailable);
  EXPECT_EQ(DeadlineExceeded(kReason, "").code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Cancelled(kReason, "").code(), StatusCode::kCancelled);
  EXPECT_EQ(DataLoss(kReason, "").code(), StatusCode::kDataLoss);
  EXPECT_EQ(PermissionDenied(kReason, "").code(), StatusCode::kPermissionDenied);
  EXPECT_EQ(Unauthenticated(kReason, "").code(), StatusCode::kUnauthenticated);
  EXPECT_EQ(Internal(kReason, "").code(), StatusCode::kInternal);
}

TEST(ErrorsTest, NamesAndReasonsAreOneToOne) {
  std::set<std::string> names;
  for (const Reason reason : AllReasons()) {
    const std::string name(ReasonName(reason));
    EXPECT_TRUE(names.insert(name).second) << name << " is there twice";
    EXPECT_THAT(ReasonFromName(name), Optional(reason));
  }
  EXPECT_EQ(ReasonFromName("NEVER_HEARD_OF"), std::nullopt);
}

// docs/errors.md has one row "| `NAME` | codes | meaning | way out |" per reason.
TEST(ErrorsTest, TheDocumentListsExactlyTheReasons) {
  std::ifstream file("docs/errors.md");
  ASSERT_TRUE(file.is_open()) << "run in the root of the repository";
  std::set<std::string> documented;
  for (std::string line; std::getline(file, line);) {
    const size_t begin = line.find("| `");
    const size_t end = line.find("` |");
    if (begin != 0 || end == std::string::npos) continue;
    const std::string name = line.substr(3, end - 3);
    EXPECT_TRUE(documented.insert(name).second) << name << " is documented twice";
    EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 5) << line;
  }
  std::set<std::string> known;
  for (const Reason reason : AllReasons()) known.insert(std::string(ReasonName(reason)));
  EXPECT_EQ(documented, known);
}

TEST(ErrorsTest, StatusesOfOthersHaveNoReason) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), std::nullopt);
  EXPECT_EQ(ReasonNameOf(absl::InternalError("x")), "");
}

TEST(ErrorsTest, KeepsTheNameOfAReasonItDoesNotKnow) {
  absl::Status status = absl::AbortedError("x");
  SetReasonName(status, "FROM_THE_FUTURE");
  EXPECT_EQ(ReasonNameOf(status), "FROM_THE_FUTURE");
  EXPECT_EQ(ReasonOf(status), std::nullopt);
  absl::Status ok;
  SetReasonName(ok, "INTERNAL");
  EXPECT_TRUE(ok.ok());
}

TEST(ErrorsTest, AnnotateKeepsCodeAndPayloads) {
  const absl::Status status =
      Annotate(LimitExceeded("recipe_size_bytes_max", "too long"), "reading", "a.yaml");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "reading a.yaml: too long (limit recipe_size_bytes_max)");
  EXPECT_THAT(ReasonOf(status), Optional(Reason::kLimitExceeded));
  EXPECT_EQ(LimitNameOf(status), "recipe_size_bytes_max");
  EXPECT_THAT(Annotate(absl::OkStatus(), "reading"), IsOk());
}

TEST(ErrorsTest, SaysWhenToTryAgain) {
  const absl::Status status =
      WithRetryDelay(Unavailable(Reason::kStopping, "bye"), absl::Milliseconds(1'500));
  EXPECT_THAT(RetryDelayOf(status), Optional(absl::Milliseconds(1'500)));
  EXPECT_EQ(RetryDelayOf(absl::InternalError("x")), std::nullopt);
}

TEST(FieldViolationsTest, ListsEachProblemOnALine) {
  const absl::Status status = FieldViolations(
      {{"recipe.optimizer.lr", "must be in (0, 10]", "-1"}, {"recipe.model", "is required", ""}},
      Reason::kRecipeInvalid);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(ReasonOf(status), Optional(Reason::kRecipeInvalid));
  EXPECT_EQ(status.message(),
            "recipe.optimizer.lr: must be in (0, 10], got -1\nrecipe.model: is required");
}

TEST(FieldViolationsTest, NoProblemIsOk) { EXPECT_THAT(FieldViolations({}), IsOk()); }

TEST(FieldViolationsTest, ReadsThemBackWhateverTheyContain) {
  const std::vector<FieldViolation> violations = {
      {"a:b", "must not 3:", std::string("x\0|\n", 4)}, {"", "", ""}, {"c", "d", "12:"}};
  EXPECT_EQ(FieldViolationsOf(FieldViolations(violations)), violations);
  EXPECT_THAT(FieldViolationsOf(absl::InternalError("x")), IsEmpty());
}

TEST(FieldViolationsTest, SurvivesADamagedPayload) {
  for (const char* const payload : {"5:ab", "x", "99999999999999999999:a", "1:a2:bb", "-1:a"}) {
    absl::Status status = absl::InvalidArgumentError("x");
    status.SetPayload("cvtrain/field_violations", absl::Cord(payload));
    EXPECT_THAT(FieldViolationsOf(status), IsEmpty()) << payload;
  }
}

TEST(FieldViolationsTest, ListsTwentyAndCountsTheRest) {
  const std::vector<FieldViolation> violations(limits::kFieldViolationsMax + 3, {"f", "r", "v"});
  const absl::Status status = FieldViolations(violations);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\nand 3 more"));
  EXPECT_EQ(FieldViolationsOf(status).size(), limits::kFieldViolationsMax);
}

TEST(PosixErrorTest, MapsErrnoToCodeAndReason) {
  EXPECT_THAT(ErrnoToStatus(ENOSPC, "writing", "/a"),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::Reason("DISK_FULL"),
                       testing::Message(HasSubstr("writing /a: No space left"))));
  EXPECT_THAT(ErrnoToStatus(EIO, "syncing", "/a"),
              StatusIs(absl::StatusCode::kUnavailable, testing::Reason("STORAGE_FAILED")));
  EXPECT_THAT(ErrnoToStatus(EROFS, "writing", "/a"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::Reason("FILE_FORBIDDEN")));
  EXPECT_THAT(ErrnoToStatus(EMFILE, "opening", "/a"),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::Reason("LIMIT_EXCEEDED")));
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument(Reason::kFieldInvalid, "odd");
  return value / 2;
}

absl::StatusOr<std::pair<int, int>> Quarter(int value) {
  CVT_ASSIGN_OR_RETURN(const int half, Half(value));
  int quarter = 0;
  CVT_ASSIGN_OR_RETURN(quarter, Half(half));
  return std::pair(half, quarter);
}

absl::StatusOr<int> Sum(int value) {
  CVT_ASSIGN_OR_RETURN((const auto [half, quarter]), Quarter(value));
  CVT_RETURN_IF_ERROR(Half(half).status());
  return half + quarter;
}

TEST(StatusMacrosTest, PassValuesAndReturnErrors) {
  EXPECT_THAT(Sum(8), testing::IsOkAndHolds(6));
  EXPECT_THAT(Sum(7), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Sum(6), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(StatusMacrosDeathTest, CheckStopsTheProcessWithPlaceConditionAndText) {
  const int slots = -1;
  CVT_CHECK(slots < 0) << "not evaluated";
  EXPECT_DEATH(CVT_CHECK(slots >= 0) << "slots " << slots,
               "errors_test.cc:[0-9]+: CVT_CHECK failed: slots >= 0 slots -1");
  CVT_CHECK_OK(absl::OkStatus());
  EXPECT_DEATH(CVT_CHECK_OK(absl::InternalError("broken")), "broken");
}

}  // namespace
}  // namespace cvtrain
