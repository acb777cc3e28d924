#include "tests/support/proto_matchers.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include "common/status_macros.h"

namespace cvtrain::testing {
namespace {

// Keeps what is wrong with a text instead of printing it.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text_.empty()) {
      text_ = std::to_string(line + 1) + ":" + std::to_string(column + 1) + ": " + message;
    }
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

bool Parse(const std::string& text, google::protobuf::Message& message, std::string& error) {
  FirstError errors;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  const bool parsed = parser.ParseFromString(text, &message);
  error = errors.text();
  return parsed;
}

}  // namespace

EqualsProto::EqualsProto(const google::protobuf::Message& expected) {
  std::shared_ptr<google::protobuf::Message> copy(expected.New());
  copy->CopyFrom(expected);
  expected_ = std::move(copy);
  text_ = expected.ShortDebugString();
}

bool EqualsProto::MatchAndExplain(const google::protobuf::Message& actual, std::ostream* os) const {
  std::shared_ptr<const google::protobuf::Message> expected = expected_;
  if (expected == nullptr) {
    std::shared_ptr<google::protobuf::Message> parsed(actual.New());
    std::string error;
    if (!Parse(text_, *parsed, error)) {
      if (os != nullptr)
        *os << "but the expectation is no " << actual.GetTypeName() << ": " << error;
      return false;
    }
    expected = std::move(parsed);
  }
  if (expected->GetDescriptor() != actual.GetDescriptor()) {
    if (os != nullptr) {
      *os << "which is a " << actual.GetTypeName() << " and not a " << expected->GetTypeName();
    }
    return false;
  }
  google::protobuf::util::MessageDifferencer differencer;
  std::string differences;
  differencer.ReportDifferencesToString(&differences);
  const bool equal = differencer.Compare(*expected, actual);
  if (!equal && os != nullptr) *os << "which differs:\n" << differences;
  return equal;
}

void EqualsProto::DescribeTo(std::ostream* os) const { *os << "equals { " << text_ << " }"; }
void EqualsProto::DescribeNegationTo(std::ostream* os) const {
  *os << "does not equal { " << text_ << " }";
}

namespace internal {

void ParseTextProtoOrDie(const std::string& text, google::protobuf::Message& message) {
  std::string error;
  const bool parsed = Parse(text, message, error);
  CVT_CHECK(parsed) << message.GetTypeName() << " " << error << "\n" << text;
}

}  // namespace internal
}  // namespace cvtrain::testing
