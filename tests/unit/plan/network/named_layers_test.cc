#include "plan/network/named_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/network/parameters.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/plan/network/models.h"

namespace cvtrain::plan {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// Names of the parameters that are frozen.
std::vector<std::string> FrozenOf(const NetworkDescription& network,
                                  const std::vector<std::string>& names) {
  const std::vector<bool> frozen = FrozenLayers(network, names).value();
  std::vector<std::string> parameters;
  for (const TensorSpec& spec : StateTensors(network)) {
    if (spec.IsParameter() && frozen[static_cast<size_t>(spec.layer)]) {
      parameters.push_back(spec.name);
    }
  }
  return parameters;
}

TEST(FrozenLayersTest, TakesLayersAndPartsOfTheNetwork) {
  const NetworkDescription network = Describe(ResNetModel(18));
  EXPECT_THAT(FrozenLayers(network, {}).value(), IsEmpty());
  EXPECT_THAT(FrozenOf(network, {"conv1", "bn1"}),
              ElementsAre("conv1.weight", "bn1.weight", "bn1.bias"));
  EXPECT_THAT(FrozenOf(network, {"layer1.0"}), Each(StartsWith("layer1.0.")));
  EXPECT_EQ(FrozenOf(network, {"layer1"}).size(), 12u);
  EXPECT_EQ(FrozenOf(network, {"backbone"}).size(), 60u);  // all 62 but those of `fc`
}

TEST(FrozenLayersTest, TakesWhatTransformersLearnAboutPlaces) {
  const NetworkDescription network = Describe(ModelOf("vit { size: SIZE_TINY }"));
  EXPECT_THAT(FrozenOf(network, {"pos_embed"}), ElementsAre("cls_token", "pos_embed"));
}

TEST(FrozenLayersTest, RefusesWhatIsNoLayer) {
  const NetworkDescription network = Describe(ResNetModel(18));
  EXPECT_THAT(
      FrozenLayers(network, {"layer5"}),
      StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
               Message(AllOf(HasSubstr("'layer5' is no layer of resnet"), HasSubstr("layer1")))));
  // A name ends where a word does.
  EXPECT_THAT(FrozenLayers(network, {"lay"}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FrozenLayers(network, {"relu"}), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(FrozenLayersTest, LeavesSomethingToTrain) {
  EXPECT_THAT(FrozenLayers(Describe(ResNetModel(18)), {"backbone", "fc"}),
              StatusIs(absl::StatusCode::kInvalidArgument, Reason("RECIPE_INVALID"),
                       Message(HasSubstr("leaves nothing to train"))));
}

}  // namespace
}  // namespace cvtrain::plan
