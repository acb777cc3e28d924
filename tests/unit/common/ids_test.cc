#include "common/ids.h"

#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "tests/support/status_matchers.h"

namespace cvtrain {
namespace {

using ::cvtrain::testing::IsOk;
using ::cvtrain::testing::IsOkAndHolds;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::VariantWith;
using ReasonIs = ::cvtrain::testing::Reason;

constexpr char kUuid[] = "9f3c5d1e-0b7a-4c66-8f0e-2f6f1c0d9a11";

template <typename Name>
void ExpectRoundTrip(const std::string& text) {
  const auto name = Name::Parse(text);
  ASSERT_THAT(name, IsOk());
  EXPECT_EQ(name->ToString(), text);
}

TEST(IdsTest, NamesReadBack) {
  ExpectRoundTrip<ExperimentName>("experiments/12");
  ExpectRoundTrip<TrialName>("experiments/12/trials/3");
  ExpectRoundTrip<AttemptName>("experiments/12/trials/3/attempts/2");
  ExpectRoundTrip<WorkerName>("workers/gpu-a.rack_1");
  ExpectRoundTrip<CheckpointName>(std::string("checkpoints/") + kUuid);
  ExpectRoundTrip<DatasetName>("datasets/imagenet-1k");
  ExpectRoundTrip<DatasetVersionName>("datasets/imagenet-1k/versions/7");
  ExpectRoundTrip<ExperimentName>("experiments/9223372036854775807");
}

TEST(IdsTest, PartsAreTyped) {
  CVT_ASSERT_OK_AND_ASSIGN(const AttemptName attempt,
                           AttemptName::Parse("experiments/12/trials/3/attempts/2"));
  EXPECT_EQ(attempt.trial(), TrialName(ExperimentName(12), 3));
  EXPECT_EQ(attempt.trial().experiment().number(), 12);
  EXPECT_EQ(attempt.number(), 2);
}

// Bad inputs of the kinds that turned into file accesses elsewhere.
const std::vector<std::string>& BadParts() {
  static const auto* const parts = new std::vector<std::string>{"",
                                                                " ",
                                                                "..",
                                                                ".",
                                                                "../x",
                                                                "a..b",
                                                                "/x",
                                                                "x/",
                                                                "x//y",
                                                                "%2e%2e",
                                                                "x%2f",
                                                                "x\\y",
                                                                std::string("x\0y", 3),
                                                                "x\n",
                                                                "X",
                                                                "-x",
                                                                "x-",
                                                                ".x",
                                                                "\xc3\xbc",
                                                                "\xc0\xae",
                                                                "x y",
                                                                "x*",
                                                                "$(x)",
                                                                "~",
                                                                std::string(64, 'x'),
                                                                std::string(100'000, 'x')};
  return *parts;
}

TEST(IdsTest, RefusesPathLikeNames) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("BAD_RESOURCE_NAME"));
  for (const std::string& part : BadParts()) {
    EXPECT_THAT(DatasetName::Parse("datasets/" + part), refused) << part;
    EXPECT_THAT(WorkerName::Parse("workers/" + part), refused) << part;
    EXPECT_THAT(DatasetVersionName::Parse("datasets/" + part + "/versions/1"), refused) << part;
    EXPECT_THAT(ExperimentName::Parse("experiments/" + part), refused) << part;
    EXPECT_THAT(TrialName::Parse("experiments/1/trials/" + part), refused) << part;
    EXPECT_THAT(CheckpointName::Parse("checkpoints/" + part), refused) << part;
    EXPECT_THAT(ValidateLabelName("dataset", part), refused) << part;
  }
}

TEST(IdsTest, NumbersHaveOneSpelling) {
  for (const char* const number : {"0", "01", "+1", "-1", "1.0", "1e3", "0x1", " 1", "1 ",
                                   "9223372036854775808", "99999999999999999999"}) {
    EXPECT_THAT(ExperimentName::Parse(std::string("experiments/") + number),
                StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("BAD_RESOURCE_NAME")))
        << number;
  }
}

TEST(IdsTest, RefusesOtherKindsAndOtherCase) {
  EXPECT_FALSE(TrialName::Parse("experiments/1").ok());
  EXPECT_FALSE(ExperimentName::Parse("experiments/1/trials/2").ok());
  EXPECT_FALSE(ExperimentName::Parse("Experiments/1").ok());
  EXPECT_FALSE(CheckpointName::Parse("checkpoints/9F3C5D1E-0B7A-4C66-8F0E-2F6F1C0D9A11").ok());
}

TEST(IdsTest, SaysWhatItExpectedAndEscapesWhatItGot) {
  EXPECT_THAT(TrialName::Parse("\x1b[2J"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Message("must be experiments/{number}/trials/{number}, got '\\x1b[2J'")));
  EXPECT_THAT(ValidateLabelName("recipe.dataset.name", "A b"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       Message(HasSubstr("recipe.dataset.name: must be 1 to 63"))));
}

TEST(IdsTest, LabelsMayBeAsLongAsSaid) {
  EXPECT_THAT(ValidateLabelName("name", std::string(63, 'x')), IsOk());
  EXPECT_THAT(ValidateLabelName("name", "a"), IsOk());
}

TEST(IdsTest, OrderIsByNumberAndHashesAgree) {
  EXPECT_LT(TrialName(ExperimentName(2), 9), TrialName(ExperimentName(10), 1));
  EXPECT_LT(TrialName(ExperimentName(2), 9), TrialName(ExperimentName(2), 10));
  const absl::flat_hash_set<TrialName> names = {TrialName(ExperimentName(2), 9)};
  EXPECT_TRUE(names.contains(TrialName(ExperimentName(2), 9)));
  EXPECT_FALSE(names.contains(TrialName(ExperimentName(9), 2)));
}

TEST(ShortNameTest, FormatsAsPeopleType) {
  const TrialName trial(ExperimentName(12), 3);
  EXPECT_EQ(FormatShort(ExperimentName(12)), "exp/12");
  EXPECT_EQ(FormatShort(trial), "trial/12.3");
  EXPECT_EQ(FormatShort(AttemptName(trial, 2)), "trial/12.3#2");
  EXPECT_EQ(FormatShort(WorkerName("gpu-a")), "worker/gpu-a");
  EXPECT_EQ(FormatShort(CheckpointName(*Uuid::Parse(kUuid))), "ckpt/9f3c5d1e");
  EXPECT_EQ(FormatShort(DatasetVersionName(DatasetName("trashnet"), 2)), "dataset/trashnet@2");
}

TEST(ShortNameTest, ReadsShortFormsBareOnesAndFullNames) {
  const TrialName trial(ExperimentName(12), 3);
  const auto is_experiment = IsOkAndHolds(VariantWith<ExperimentName>(ExperimentName(12)));
  const auto is_trial = IsOkAndHolds(VariantWith<TrialName>(trial));
  const NameKind kind = NameKind::kExperiment;
  EXPECT_THAT(ParseShort("exp/12", kind), is_experiment);
  EXPECT_THAT(ParseShort("sweep/12", kind), is_experiment);
  EXPECT_THAT(ParseShort("experiments/12", kind), is_experiment);
  EXPECT_THAT(ParseShort("12", kind), is_experiment);
  EXPECT_THAT(ParseShort("12", NameKind::kTrial), is_experiment);
  EXPECT_THAT(ParseShort("trial/12.3", kind), is_trial);
  EXPECT_THAT(ParseShort("12.3", kind), is_trial);
  EXPECT_THAT(ParseShort("experiments/12/trials/3", kind), is_trial);
  EXPECT_THAT(ParseShort("12.3#2", kind),
              IsOkAndHolds(VariantWith<AttemptName>(AttemptName(trial, 2))));
  EXPECT_THAT(ParseShort("gpu-a", NameKind::kWorker),
              IsOkAndHolds(VariantWith<WorkerName>(WorkerName("gpu-a"))));
  EXPECT_THAT(ParseShort("ckpt/9f3C", kind),
              IsOkAndHolds(VariantWith<CheckpointPrefix>(CheckpointPrefix{"9f3c"})));
  EXPECT_THAT(ParseShort(std::string("ckpt/") + kUuid, kind),
              IsOkAndHolds(VariantWith<CheckpointName>(CheckpointName(*Uuid::Parse(kUuid)))));
  EXPECT_THAT(ParseShort("trashnet", NameKind::kDataset),
              IsOkAndHolds(VariantWith<DatasetName>(DatasetName("trashnet"))));
  EXPECT_THAT(ParseShort("dataset/trashnet@2", kind),
              IsOkAndHolds(
                  VariantWith<DatasetVersionName>(DatasetVersionName(DatasetName("trashnet"), 2))));
}

TEST(ShortNameTest, FormattedNamesReadBack) {
  const TrialName trial(ExperimentName(12), 3);
  EXPECT_THAT(ParseShort(FormatShort(trial), NameKind::kWorker),
              IsOkAndHolds(VariantWith<TrialName>(trial)));
  EXPECT_THAT(ParseShort(FormatShort(AttemptName(trial, 1)), NameKind::kDataset),
              IsOkAndHolds(VariantWith<AttemptName>(AttemptName(trial, 1))));
}

TEST(ShortNameTest, RefusesTheRest) {
  for (const char* const text :
       {"", "exp/", "exp/0", "exp/12.3", "trial/12", "trial/12.0", "12.3#0", "12.3.4", "tril/12.3",
        "ckpt/9f3", "ckpt/9f3g", "ckpt/9f3c5d1e0", "dataset/../x", "dataset/a@0", "worker/",
        "worker/A", "exp/12/trials/3", "../../etc/passwd", "exp/\x1b"}) {
    EXPECT_THAT(ParseShort(text, NameKind::kExperiment),
                StatusIs(absl::StatusCode::kInvalidArgument, ReasonIs("BAD_RESOURCE_NAME")))
        << text;
  }
  EXPECT_FALSE(ParseShort(std::string(100'000, '1'), NameKind::kExperiment).ok());
}

}  // namespace
}  // namespace cvtrain
