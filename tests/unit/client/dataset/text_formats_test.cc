// What the readers parse: CSV, JSON, XML.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/dataset/csv.h"
#include "client/dataset/json.h"
#include "client/dataset/xml.h"
#include "common/errors.h"
#include "tests/support/status_matchers.h"

namespace cvtrain::client {
namespace {

using ::cvtrain::testing::kExhausted;
using ::cvtrain::testing::kInvalid;
using ::cvtrain::testing::Message;
using ::cvtrain::testing::Reason;
using ::cvtrain::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// --- CSV
// ------------------------------------------------------------------------------------------

// Fields joined by |, a row each.
absl::StatusOr<std::vector<std::string>> Rows(const std::string& text) {
  CsvRows rows(text);
  std::vector<std::string> all, row;
  while (rows.Next(&row)) all.push_back(absl::StrJoin(row, "|"));
  if (!rows.status().ok()) return rows.status();
  return all;
}

TEST(CsvTest, ReadsRowsWithAndWithoutQuotes) {
  EXPECT_THAT(*Rows("a,b\n1,2"), ElementsAre("a|b", "1|2"));
  EXPECT_THAT(*Rows("\xef\xbb\xbf"
                    "a,b\r\n\r\n1,\r\n"),
              ElementsAre("a|b", "1|"));
  EXPECT_THAT(*Rows("\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\n,,\n"),
              ElementsAre("a,b|say \"hi\"|two\nlines", "||"));
  EXPECT_THAT(*Rows(""), ElementsAre());
}

TEST(CsvTest, KnowsTheLineOfARow) {
  const std::string text = "a\n\"x\ny\"\n\nb\n";
  CsvRows rows(text);
  std::vector<std::string> row;
  std::vector<size_t> lines;
  while (rows.Next(&row)) lines.push_back(rows.line());
  EXPECT_THAT(lines, ElementsAre(1u, 2u, 5u));
}

TEST(CsvTest, RefusesQuotesThatAreWrongAndWhatIsTooMuch) {
  EXPECT_THAT(Rows("a\n\"x"), StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("line 2"))));
  EXPECT_THAT(Rows("\"a\"b"), StatusIs(kInvalid, Message(HasSubstr("behind the quotes"))));
  EXPECT_THAT(Rows("a\"b"), StatusIs(kInvalid, Message(HasSubstr("quote within"))));
  EXPECT_THAT(Rows(std::string(100, ',')), StatusIs(kInvalid, Message(HasSubstr("64 columns"))));
  EXPECT_THAT(Rows(std::string(70'000, 'x')), StatusIs(kInvalid, Message(HasSubstr("too long"))));
  EXPECT_THAT(Rows("\"" + std::string(70'000, 'x')), StatusIs(kInvalid));
}

TEST(CsvTest, WritesWhatItReads) {
  for (const std::string field : {"plain", "a,b", "say \"hi\"", "two\nlines", ""}) {
    EXPECT_THAT(*Rows(CsvField(field) + ",end\n"), ElementsAre(field + "|end"));
  }
}

// --- JSON
// -----------------------------------------------------------------------------------------

TEST(JsonTest, ReadsValuesOfEveryKind) {
  CVT_ASSERT_OK_AND_ASSIGN(
      const Json json,
      ParseJson(R"({"a": [1, -2.5, true, null, "x\u00e9"], "b": {"c": {}}, "big": 12345678901})"));
  ASSERT_EQ(json.kind, Json::Kind::kObject);
  const Json& a = *json.Find("a");
  ASSERT_EQ(a.items.size(), 5u);
  EXPECT_EQ(a.items[0].AsInteger(), 1);
  EXPECT_EQ(a.items[1].number, -2.5);
  EXPECT_EQ(a.items[1].AsInteger(), std::nullopt);
  EXPECT_EQ(a.items[2].kind, Json::Kind::kBool);
  EXPECT_EQ(a.items[3].kind, Json::Kind::kNull);
  EXPECT_EQ(a.items[4].text, "x\xc3\xa9");
  EXPECT_EQ(json.Find("b")->Find("c")->kind, Json::Kind::kObject);
  EXPECT_EQ(json.Find("big")->AsInteger(), 12345678901);
  EXPECT_EQ(json.Find("d"), nullptr);
  EXPECT_EQ(ParseJson("7")->AsInteger(), 7);
}

TEST(JsonTest, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "[1,]", "{\"a\" 1}", "nul", "1 2", "\"\\ud800\""}) {
    EXPECT_THAT(ParseJson(text),
                StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("offset"))))
        << text;
  }
}

TEST(JsonTest, BoundsDepthAndValues) {
  CVT_EXPECT_OK(ParseJson(Repeat("[", 32) + Repeat("]", 32)));
  EXPECT_THAT(ParseJson(Repeat("[", 33) + Repeat("]", 33)),
              StatusIs(kExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_THAT(ParseJson(Repeat("[", 10'000'000)), StatusIs(kExhausted));
  EXPECT_THAT(ParseJson("[" + Repeat("0,", 4'000'001) + "0]"), StatusIs(kExhausted));
}

TEST(JsonTest, HandsOnTheItemsOfLists) {
  std::vector<std::string> taken;
  const auto take = [&](absl::string_view list, Json item) {
    taken.push_back(absl::StrCat(list, ":", item.Find("id")->number, item.members.size()));
    return absl::OkStatus();
  };
  CVT_ASSERT_OK(ParseJsonLists(R"({"info": {"images": [{"id": 9}]}, "n": 3,
      "images": [{"id": 1, "deep": [[{"id": 8}]]}, {"id": 2}], "other": [], "annotations": [{"id": 3}]})",
                               take));
  EXPECT_THAT(taken, ElementsAre("images:12", "images:21", "annotations:31"));
}

TEST(JsonTest, HandsOnItemsThatAreNoObjects) {
  std::vector<std::string> taken;
  CVT_ASSERT_OK(ParseJsonLists(R"({"a": [1, "x", [2, 3]]})", [&](absl::string_view, Json item) {
    taken.push_back(absl::StrCat(item.number, item.text, item.items.size()));
    return absl::OkStatus();
  }));
  EXPECT_THAT(taken, ElementsAre("10", "0x0", "02"));
}

TEST(JsonTest, EndsWithTheErrorOfWhoTakes) {
  EXPECT_THAT(ParseJsonLists(R"({"a": [1, 2]})",
                             [](absl::string_view, Json) {
                               return InvalidArgument(cvtrain::Reason::kDataBad, "enough");
                             }),
              StatusIs(kInvalid, Message("enough")));
  const auto take = [](absl::string_view, Json) { return absl::OkStatus(); };
  EXPECT_THAT(ParseJsonLists("[1]", take), StatusIs(kInvalid, Message(HasSubstr("an object"))));
  EXPECT_THAT(ParseJsonLists("{\"a\": [1", take), StatusIs(kInvalid));
}

// --- XML
// ------------------------------------------------------------------------------------------

TEST(XmlTest, ReadsElementsAndTheirText) {
  CVT_ASSERT_OK_AND_ASSIGN(const Xml root,
                           ParseXml("<?xml version='1.0'?>\n<a x='1'>\n <b> one &lt; "
                                    "two </b><b/><!-- c --><c><d>3</d></c></a>"));
  EXPECT_EQ(root.name, "a");
  ASSERT_EQ(root.children.size(), 3u);
  EXPECT_EQ(root.Find("b")->text, "one < two");
  EXPECT_EQ(root.Find("c")->Find("d")->text, "3");
  EXPECT_EQ(root.Find("d"), nullptr);
}

TEST(XmlTest, RefusesWhatIsNone) {
  for (const char* text : {"", "<a>", "<a></b>", "text", "<a>&nothing;</a>", "<a/><b/>"}) {
    EXPECT_THAT(ParseXml(text), StatusIs(kInvalid, Reason("DATA_BAD"), Message(HasSubstr("line "))))
        << text;
  }
}

// Entities that grow, or that read files.
TEST(XmlTest, RefusesDocumentTypes) {
  EXPECT_THAT(ParseXml("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"),
              StatusIs(kInvalid, Message(HasSubstr("document type"))));
}

TEST(XmlTest, BoundsDepthAndElements) {
  CVT_EXPECT_OK(ParseXml(Repeat("<a>", 32) + Repeat("</a>", 32)));
  EXPECT_THAT(ParseXml(Repeat("<a>", 33) + Repeat("</a>", 33)),
              StatusIs(kExhausted, Reason("LIMIT_EXCEEDED")));
  EXPECT_THAT(ParseXml("<a>" + Repeat("<b/>", 200'000) + "</a>"), StatusIs(kExhausted));
}

}  // namespace
}  // namespace cvtrain::client
