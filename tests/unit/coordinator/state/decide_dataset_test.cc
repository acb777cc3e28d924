#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/status_matchers.h"
#include "tests/unit/coordinator/state/decide_fixture.h"

namespace cvtrain::coordinator {
namespace {

using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

TEST_F(DecideTest, CommitsVersionsOfADataSet) {
  auto request = DatasetRequest();
  const auto commit = [&] {
    return driver_.Commit(DecideCommitDataset(driver_.state, request, driver_.now));
  };
  EXPECT_THAT(commit(), IsOkAndHolds("datasets/trash/versions/1"));
  EXPECT_THAT(commit(), IsOkAndHolds("datasets/trash/versions/1")) << "same digest, same version";
  EXPECT_EQ(driver_.state.revision(), 1);
  request.mutable_version()->set_digest(std::string(64, 'f'));
  EXPECT_THAT(commit(), IsOkAndHolds("datasets/trash/versions/2"));
  CVT_ASSERT_OK_AND_ASSIGN(
      const v1::DatasetVersion* newest,
      driver_.state.FindDatasetVersion(DatasetVersionName(DatasetName("trash"), 0)));
  EXPECT_EQ(newest->name(), "datasets/trash/versions/2");
  EXPECT_THAT(driver_.state.FindDatasetVersion(DatasetVersionName(DatasetName("trsh"), 0)).status(),
              StatusIs(absl::StatusCode::kNotFound, Message(HasSubstr("trash"))));
}

TEST_F(DecideTest, RefusesADataSetThatContradictsItself) {
  const auto status = [this](const v1::CommitDatasetVersionRequest& request) {
    return DecideCommitDataset(driver_.state, request, driver_.now).status();
  };
  const auto invalid = StatusIs(absl::StatusCode::kInvalidArgument, Reason("FIELD_INVALID"));
  auto request = DatasetRequest();
  request.mutable_version()->set_digest("x");
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->mutable_shards(1)->set_first_image(4);
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->mutable_shards()->RemoveLast();
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->mutable_splits(0)->set_class_images(0, 9);
  EXPECT_THAT(status(request), invalid);
  for (const auto& rungs :
       {std::vector<int>{72, 72}, {0}, {112, 72}, {20'000}, {1, 2, 3, 4, 5, 6, 7, 8, 9}}) {
    request = DatasetRequest();
    request.mutable_version()->mutable_rungs()->Assign(rungs.begin(), rungs.end());
    EXPECT_THAT(status(request), invalid);
  }
  request = DatasetRequest();
  request.mutable_version()->add_short_sides()->set_side(2'000'000'000);
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.mutable_version()->add_short_sides()->set_images(-1);
  EXPECT_THAT(status(request), invalid);
  request = DatasetRequest();
  request.set_dataset("../x");
  EXPECT_THAT(status(request),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("BAD_RESOURCE_NAME")));
}

}  // namespace
}  // namespace cvtrain::coordinator
