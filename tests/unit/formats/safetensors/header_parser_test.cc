#include "formats/safetensors/header_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/random.h"
#include "tests/support/seed.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::formats::internal {
namespace {

using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kGood[] =
    R"({"__metadata__":{"format":"pt","a":"b"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";

TEST(SafetensorsHeaderTest, ReadsTensorsAndMetadata) {
  CVT_ASSERT_OK_AND_ASSIGN(const SafetensorsHeader header, ParseSafetensorsHeader(kGood));
  EXPECT_THAT(header.metadata, ElementsAre(Pair("a", "b"), Pair("format", "pt")));
  ASSERT_EQ(header.entries.size(), 1u);
  EXPECT_EQ(header.entries[0].name, "w");
  EXPECT_EQ(header.entries[0].dtype, "F32");
  EXPECT_THAT(header.entries[0].shape, ElementsAre(2, 3));
  EXPECT_THAT(header.entries[0].data_offsets, ElementsAre(0, 24));
}

TEST(SafetensorsHeaderTest, AllowsSpaceBetweenTokensAndSpacesAfterTheEnd) {
  CVT_EXPECT_OK(ParseSafetensorsHeader("{ }   "));
  CVT_EXPECT_OK(ParseSafetensorsHeader(
      "{\n\t\"w\" : {\"shape\" : [ ] ,\r\n\"data_offsets\":[0 , 4], \"dtype\":\"F32\"} }"));
}

TEST(SafetensorsHeaderTest, ReadsEscapes) {
  CVT_ASSERT_OK_AND_ASSIGN(
      const SafetensorsHeader header,
      ParseSafetensorsHeader(
          R"({"__metadata__":{"k":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00é"}})"));
  EXPECT_EQ(header.metadata.at("k"), "\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001F600\u00e9");
}

TEST(SafetensorsHeaderTest, RefusesEverythingElse) {
  const std::string tensor = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  const struct {
    std::string json;
    const char* found;
  } cases[] = {
      {"", "expected '{'"},
      {"[]", "expected '{'"},
      {"{", "expected '\"'"},
      {"{}x", "only spaces may follow"},
      {"{}\n", "only spaces may follow"},
      {absl::StrCat("{\"w\":{", tensor, "},}"), "expected '\"'"},
      {absl::StrCat("{\"w\":{", tensor, "}"), "expected '}'"},
      {absl::StrCat("{\"w\":{", tensor, "},\"w\":{", tensor, "}}"), "occurs twice"},
      {absl::StrCat("{\"w\":{", tensor, ",\"dtype\":\"F32\"}}"), "occurs twice"},
      {absl::StrCat("{\"w\":{", tensor, ",\"extra\":1}}"), "unknown key extra"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "occurs twice"},
      {R"({"__metadata__":{},"__metadata__":{}})", "occurs twice"},
      {R"({"__metadata__":{"a":1}})", "expected '\"'"},
      {R"({"__metadata__":{"a":{}}})", "expected '\"'"},
      {R"({"w":{"dtype":"F32","shape":[1]}})", "needs dtype, shape and data_offsets"},
      {R"({"w":{}})", "needs dtype"},
      {R"({"w":null})", "expected '{'"},
      {R"({"w":{"dtype":1}})", "expected '\"'"},
      {R"({"w":{"shape":1}})", "expected '['"},
      {R"({"w":{"shape":[-1]}})", "not negative"},
      {R"({"w":{"shape":[1.5]}})", "expected ']'"},
      {R"({"w":{"shape":[1e3]}})", "expected ']'"},
      {R"({"w":{"shape":[01]}})", "must not begin with 0"},
      {R"({"w":{"shape":[9007199254740993]}})", "too large"},
      {R"({"w":{"shape":[99999999999999999999999]}})", "too large"},
      {R"({"w":{"shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}})", "more than 16 dimensions"},
      {R"({"w":{"data_offsets":[0]}})", "two numbers"},
      {R"({"w":{"data_offsets":[0,1,2]}})", "two numbers"},
      {R"({"w":{"data_offsets":[]}})", "two numbers"},
      {"{\"a\nb\":", "control character"},
      {R"({"\x")", "unknown escape"},
      {R"({"\u12g4")", "four hex digits"},
      {R"({"\u12)", "four hex digits"},
      {R"({"\ud83d")", "surrogate"},
      {R"({"\ud83d\u0041")", "surrogate"},
      {R"({"\ude00")", "surrogate"},
      {R"({"w)", "does not end"},
      {"{\"\xff\":", "not UTF-8"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ParseSafetensorsHeader(c.json),
                StatusIs(absl::StatusCode::kInvalidArgument, Reason("DATA_BAD"),
                         Message(HasSubstr(c.found))))
        << c.json;
  }
}

TEST(SafetensorsHeaderTest, NestsNoDeeperThanTheForm) {
  EXPECT_THAT(ParseSafetensorsHeader("{\"w\":{\"shape\":" + std::string(1 << 20, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(ParseSafetensorsHeader(objects), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(SafetensorsHeaderTest, RefusesMoreTensorsThanTheLimit) {
  std::string json = "{";
  for (int i = 0; i <= 100'000; ++i) {
    absl::StrAppend(&json, i == 0 ? "" : ",", "\"", i,
                    R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  }
  EXPECT_THAT(ParseSafetensorsHeader(json + "}"),
              StatusIs(absl::StatusCode::kInvalidArgument, Message(HasSubstr("100000 tensors"))));
}

TEST(SafetensorsHeaderTest, SurvivesAnyDamage) {
  KeyedStream random("safetensors-test/v1", {cvtrain::testing::TestSeed()});
  const std::string good = kGood;
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good.substr(0, 1 + random.UniformInt(good.size()));
    for (int k = 0; k < 2; ++k) {
      bad[random.UniformInt(bad.size())] = "{}[]\",:0123456789\\u \xff"[random.UniformInt(21)];
    }
    ParseSafetensorsHeader(bad).status().IgnoreError();  // either answer is right; a crash is not
  }
}

}  // namespace
}  // namespace cvtrain::formats::internal
