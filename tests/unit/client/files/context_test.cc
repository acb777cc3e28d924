#include "client/files/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/errors.h"
#include "common/status_macros.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/client/files/fake_cli.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::HasSubstr;

constexpr char kFile[] =
    "current: lab\n"
    "contexts:\n"
    "  lab: {server: \"gpu-a:7421\", tls_ca: ca.pem, tls_cert: me.pem, tls_key: /k/me.key}\n"
    "  other: {server: \"gpu-b:7421\"}\n";

class ContextTest : public ::testing::Test {
 protected:
  ContextTest() {
    fake_.env["HOME"] = "/home/ann";
    fake_.env["CVCTL_CONFIG"] = "/etc/cvctl.yaml";
    CVT_CHECK_OK(fake_.files.CreateDir("/etc"));
  }

  void WriteFile(const std::string& text) {
    CVT_CHECK_OK(WriteFileAtomic(fake_.files, "/etc/cvctl.yaml", text));
  }
  absl::StatusOr<Context> Resolve(const std::string& server = "", const std::string& context = "",
                                  const TlsFiles& tls = {}) {
    return ResolveContext(fake_.cli(), server, context, tls);
  }

  FakeCli fake_;
};

TEST_F(ContextTest, IsTheLocalClusterWithoutAnythingElse) {
  CVT_ASSERT_OK_AND_ASSIGN(const Context context, Resolve());
  EXPECT_EQ(context.server, "unix:/home/ann/.local/state/cvtrain/coordinator.sock");
}

TEST_F(ContextTest, TakesTheCurrentEntryWithPathsRelativeToTheFile) {
  WriteFile(kFile);
  CVT_ASSERT_OK_AND_ASSIGN(const Context context, Resolve());
  EXPECT_EQ(context.server, "gpu-a:7421");
  EXPECT_EQ(context.tls.ca, "/etc/ca.pem");
  EXPECT_EQ(context.tls.key, "/k/me.key");
}

TEST_F(ContextTest, PrefersFlagThenEnvironmentThenFile) {
  WriteFile(kFile);
  fake_.env["CVCTL_CONTEXT"] = "other";
  CVT_ASSERT_OK_AND_ASSIGN(Context context, Resolve());
  EXPECT_EQ(context.server, "gpu-b:7421");
  fake_.env["CVCTL_SERVER"] = "gpu-c:7421";
  CVT_ASSERT_OK_AND_ASSIGN(context, Resolve());
  EXPECT_EQ(context.server, "gpu-c:7421");
  CVT_ASSERT_OK_AND_ASSIGN(context, Resolve("", "lab"));
  EXPECT_EQ(context.server, "gpu-a:7421");
  CVT_ASSERT_OK_AND_ASSIGN(context, Resolve("gpu-d:7421", "lab"));
  EXPECT_EQ(context.server, "gpu-d:7421");
}

TEST_F(ContextTest, LaysTlsFlagsAndEnvironmentOverTheEntry) {
  WriteFile(kFile);
  fake_.env["CVCTL_TLS_KEY"] = "/env/key";
  fake_.env["CVCTL_TLS_CERT"] = "/env/cert";
  CVT_ASSERT_OK_AND_ASSIGN(const Context context,
                           Resolve("", "lab", {.ca = "", .cert = "/flag/cert", .key = ""}));
  EXPECT_EQ(context.tls.ca, "/etc/ca.pem");
  EXPECT_EQ(context.tls.cert, "/flag/cert");
  EXPECT_EQ(context.tls.key, "/env/key");
}

TEST_F(ContextTest, LeavesTlsOfTheEnvironmentAwayFromASocket) {
  fake_.env["CVCTL_TLS_KEY"] = "/env/key";
  CVT_ASSERT_OK_AND_ASSIGN(const Context context, Resolve("unix:/run/c.sock"));
  EXPECT_EQ(context.tls.key, "");
}

TEST_F(ContextTest, NamesTheFileAndTheEntryThatItLacks) {
  EXPECT_THAT(Resolve("", "lab"), StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  WriteFile(kFile);
  EXPECT_THAT(Resolve("", "nowhere").status().message(),
              ::testing::AllOf(HasSubstr("/etc/cvctl.yaml"), HasSubstr("nowhere")));
}

TEST_F(ContextTest, NamesTheLineOfAFileThatIsNoYaml) {
  WriteFile("current: lab\ncontexts: [\n");
  EXPECT_THAT(Resolve(), StatusIs(absl::StatusCode::kInvalidArgument, Reason("USAGE")));
  EXPECT_THAT(Resolve().status().message(), HasSubstr("line "));
}

}  // namespace
}  // namespace cvtrain::client
