#include "worker/agent/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/errors.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::worker {
namespace {

using ::cvtrain::testing::IsOk;
using ::testing::SizeIs;

Options Good() {
  Options options;
  options.coordinator = "unix:/run/cvtrain/coordinator.sock";
  options.state_dir = "/var/lib/cvtrain";
  return options;
}

TEST(OptionsTest, DefaultsNeedOnlyCoordinatorAndDirectory) {
  EXPECT_THAT(Validate(Good()), IsOk());
  EXPECT_THAT(FieldViolationsOf(Validate(Options())), SizeIs(2));
}

TEST(OptionsTest, NamesEveryProblemAtOnce) {
  Options options = Good();
  options.name = "Not A Label";
  options.slots = -1;
  options.threads_per_slot = 0;
  options.cache_bytes = 5;
  options.spool_bytes = 5;
  options.hang_timeout = -absl::Seconds(1);
  options.grace = absl::Hours(1);
  options.metrics_address = "9090";
  options.collective_address = "";
  EXPECT_THAT(FieldViolationsOf(Validate(options)), SizeIs(9));
}

TEST(OptionsTest, ANetworkAddressNeedsTls) {
  Options options = Good();
  options.coordinator = "gpu-a:7421";
  EXPECT_THAT(FieldViolationsOf(Validate(options)), SizeIs(1));
  options.tls = {.ca = "ca.pem", .cert = "cert.pem", .key = "key.pem"};
  EXPECT_THAT(Validate(options), IsOk());
}

TEST(OptionsTest, MakesALabelOfAnyHostname) {
  EXPECT_EQ(LabelFromHostname("GPU-A.example.org"), "gpu-a-example-org");
  EXPECT_EQ(LabelFromHostname("__x__"), "x");
  EXPECT_EQ(LabelFromHostname(""), "worker");
  EXPECT_EQ(LabelFromHostname("../../etc"), "etc");
  EXPECT_EQ(LabelFromHostname(std::string(100, 'a')).size(), 63u);
}

}  // namespace
}  // namespace cvtrain::worker
