#include "common/rpc/status.h"

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/errors.h"

namespace cvtrain {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(GrpcStatusTest, KeepsCodeMessageAndReason) {
  const absl::Status before = FailedPrecondition(Reason::kTrialFinished, "trial/1.2 has ended");

  const absl::Status after = FromGrpcStatus(ToGrpcStatus(before));

  EXPECT_EQ(after.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(after.message(), "trial/1.2 has ended");
  EXPECT_EQ(ReasonOf(after), Reason::kTrialFinished);
}

TEST(GrpcStatusTest, KeepsViolationsWithTheirReason) {
  const FieldViolation violation = {
      .field = "recipe.epochs", .rule = "must be at least 1", .value = "0"};
  const absl::Status before = FieldViolations({violation}, Reason::kRecipeInvalid);

  const absl::Status after = FromGrpcStatus(ToGrpcStatus(before));

  EXPECT_THAT(FieldViolationsOf(after), ElementsAre(violation));
  EXPECT_EQ(ReasonOf(after), Reason::kRecipeInvalid);
  EXPECT_EQ(after.message(), before.message());
}

TEST(GrpcStatusTest, KeepsLimitAndRetryDelay) {
  const absl::Status before = WithRetryDelay(LimitExceeded("engine_queue", "10,000 commands wait"),
                                             absl::Milliseconds(250));

  const absl::Status after = FromGrpcStatus(ToGrpcStatus(before));

  EXPECT_EQ(LimitNameOf(after), "engine_queue");
  EXPECT_EQ(RetryDelayOf(after), absl::Milliseconds(250));
  EXPECT_EQ(ReasonOf(after), Reason::kLimitExceeded);
}

TEST(GrpcStatusTest, KeepsAReasonThatThisBuildDoesNotKnow) {
  absl::Status before = Aborted(Reason::kInternal, "from the future");
  SetReasonName(before, "NOT_YET_INVENTED");

  const absl::Status after = FromGrpcStatus(ToGrpcStatus(before));

  EXPECT_EQ(ReasonNameOf(after), "NOT_YET_INVENTED");
}

TEST(GrpcStatusTest, NamesWhatGrpcItselfReports) {
  const absl::Status unreachable =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection refused"));
  const absl::Status late =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "late"));

  EXPECT_EQ(ReasonOf(unreachable), Reason::kServerUnreachable);
  EXPECT_THAT(std::string(unreachable.message()), HasSubstr("connection refused"));
  EXPECT_EQ(ReasonOf(late), Reason::kDeadline);
}

TEST(GrpcStatusTest, ALongErrorStillFitsTheTrailersWithItsReason) {
  const std::string line(300, 'x');
  const std::vector<FieldViolation> many(20, {.field = line, .rule = line, .value = line});
  const grpc::Status wire = ToGrpcStatus(FieldViolations(many, Reason::kRecipeInvalid));

  EXPECT_LE(wire.error_message().size() + wire.error_details().size() * 4 / 3, 7'168u);
  const absl::Status after = FromGrpcStatus(wire);
  EXPECT_EQ(ReasonOf(after), Reason::kRecipeInvalid);
  EXPECT_GE(FieldViolationsOf(after).size(), 4u);
  EXPECT_EQ(FieldViolationsOf(after)[0].field.substr(0, 200), line.substr(0, 200));
}

TEST(GrpcStatusTest, TwentyOrdinaryViolationsArriveWhole) {
  const FieldViolation violation = {.field = "recipe.augmentation.range_augment.alpha",
                                    .rule = "must be in (0, 1e6]",
                                    .value = "-1"};
  const absl::Status before =
      FieldViolations(std::vector<FieldViolation>(20, violation), Reason::kRecipeInvalid);

  const absl::Status after = FromGrpcStatus(ToGrpcStatus(before));

  EXPECT_EQ(FieldViolationsOf(after).size(), 20u);
  EXPECT_EQ(after.message(), before.message());
}

TEST(GrpcStatusTest, OkStaysOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

}  // namespace
}  // namespace cvtrain
