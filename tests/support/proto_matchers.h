#ifndef CVTRAIN_TESTS_SUPPORT_PROTO_MATCHERS_H_
#define CVTRAIN_TESTS_SUPPORT_PROTO_MATCHERS_H_

#include <gmock/gmock.h>
#include <google/protobuf/message.h>

#include <memory>
#include <ostream>
#include <string>

namespace cvtrain::testing {

// Matches a message that has the same type and fields as another, or as one in text
// format; says in a failure which fields differ.
//
//   EXPECT_THAT(trial, EqualsProto(R"pb(name: "experiments/1/trials/2" state: STATE_QUEUED)pb"));
//   EXPECT_THAT(trial, EqualsProto(expected));
//
// Text that is no message of the type never matches, and the failure says why.
class EqualsProto {
 public:
  using is_gtest_matcher = void;
  explicit EqualsProto(const std::string& text) : text_(text) {}
  explicit EqualsProto(const google::protobuf::Message& expected);

  bool MatchAndExplain(const google::protobuf::Message& actual, std::ostream* os) const;
  void DescribeTo(std::ostream* os) const;
  void DescribeNegationTo(std::ostream* os) const;

 private:
  std::shared_ptr<const google::protobuf::Message> expected_;  // shared: matchers are copied
  std::string text_;
};

// Reads a message in text format; ends the program if `text` is none, for fixtures.
template <typename T>
T ParseTextProto(const std::string& text);

namespace internal {
void ParseTextProtoOrDie(const std::string& text, google::protobuf::Message& message);
}  // namespace internal

template <typename T>
T ParseTextProto(const std::string& text) {
  T message;
  internal::ParseTextProtoOrDie(text, message);
  return message;
}

}  // namespace cvtrain::testing

#endif  // CVTRAIN_TESTS_SUPPORT_PROTO_MATCHERS_H_
