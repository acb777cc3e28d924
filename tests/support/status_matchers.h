#ifndef CVTRAIN_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define CVTRAIN_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>

#include <ostream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/errors.h"

// Matchers for absl::Status and absl::StatusOr<T>:
//
//   EXPECT_THAT(Open(path), IsOk());
//   EXPECT_THAT(Count(), IsOkAndHolds(3));
//   EXPECT_THAT(Cancel(trial), StatusIs(absl::StatusCode::kFailedPrecondition,
//                                       Reason("TRIAL_FINISHED")));
//   CVT_ASSERT_OK_AND_ASSIGN(auto file, files.NewRandomAccessFile(path));
namespace cvtrain::testing {

// The codes that tests of formats name most.
inline constexpr auto kDataLoss = absl::StatusCode::kDataLoss;
inline constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
inline constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

namespace internal {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

// The code, reason and message: what a failed test should show.
std::string Describe(const absl::Status& status);

class IsOkMatcher {
 public:
  using is_gtest_matcher = void;
  template <typename T>
  bool MatchAndExplain(const T& value, std::ostream* os) const {
    const absl::Status& status = StatusOf(value);
    if (os != nullptr && !status.ok()) *os << "which is " << Describe(status);
    return status.ok();
  }
  void DescribeTo(std::ostream* os) const { *os << "is OK"; }
  void DescribeNegationTo(std::ostream* os) const { *os << "is not OK"; }
};

template <typename Inner>
class IsOkAndHoldsMatcher {
 public:
  using is_gtest_matcher = void;
  explicit IsOkAndHoldsMatcher(Inner inner) : inner_(std::move(inner)) {}

  template <typename T>
  bool MatchAndExplain(const absl::StatusOr<T>& value,
                       ::testing::MatchResultListener* listener) const {
    if (!value.ok()) {
      *listener << "which is " << Describe(value.status());
      return false;
    }
    return ::testing::SafeMatcherCast<const T&>(inner_).MatchAndExplain(*value, listener);
  }
  void DescribeTo(std::ostream* os) const { *os << "is OK and holds the expected value"; }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "is not OK or does not hold the expected value";
  }

 private:
  Inner inner_;
};

}  // namespace internal

inline internal::IsOkMatcher IsOk() { return {}; }

template <typename Inner>
internal::IsOkAndHoldsMatcher<std::decay_t<Inner>> IsOkAndHolds(Inner&& inner) {
  return internal::IsOkAndHoldsMatcher<std::decay_t<Inner>>(std::forward<Inner>(inner));
}

// Matches a status with this reason; also alone: EXPECT_THAT(s, Reason("DISK_FULL")).
// (Inside this namespace the word is the matcher; the enum is cvtrain::Reason.)
class Reason {
 public:
  using is_gtest_matcher = void;
  explicit Reason(absl::string_view name) : name_(name) {}
  explicit Reason(cvtrain::Reason reason) : name_(ReasonName(reason)) {}

  template <typename T>
  bool MatchAndExplain(const T& value, std::ostream* os) const {
    const absl::Status& status = internal::StatusOf(value);
    const bool matches = !status.ok() && ReasonNameOf(status) == name_;
    if (os != nullptr && !matches) *os << "which is " << internal::Describe(status);
    return matches;
  }
  void DescribeTo(std::ostream* os) const { *os << "has reason " << name_; }
  void DescribeNegationTo(std::ostream* os) const { *os << "does not have reason " << name_; }

 private:
  std::string name_;
};

// Matches a status whose message contains (or matches) something:
// EXPECT_THAT(s, Message(HasSubstr("lr"))).
class Message {
 public:
  using is_gtest_matcher = void;
  explicit Message(::testing::Matcher<std::string> inner) : inner_(std::move(inner)) {}

  template <typename T>
  bool MatchAndExplain(const T& value, ::testing::MatchResultListener* listener) const {
    const absl::Status& status = internal::StatusOf(value);
    *listener << "which is " << internal::Describe(status) << " ";
    return inner_.MatchAndExplain(std::string(status.message()), listener);
  }
  void DescribeTo(std::ostream* os) const {
    *os << "has a message that ";
    inner_.DescribeTo(os);
  }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "has a message that ";
    inner_.DescribeNegationTo(os);
  }

 private:
  ::testing::Matcher<std::string> inner_;
};

namespace internal {

class CodeIs {
 public:
  using is_gtest_matcher = void;
  explicit CodeIs(absl::StatusCode code) : code_(code) {}
  template <typename T>
  bool MatchAndExplain(const T& value, std::ostream* os) const {
    const absl::Status& status = StatusOf(value);
    if (os != nullptr && status.code() != code_) *os << "which is " << Describe(status);
    return status.code() == code_;
  }
  void DescribeTo(std::ostream* os) const { *os << "has code " << absl::StatusCodeToString(code_); }
  void DescribeNegationTo(std::ostream* os) const {
    *os << "does not have code " << absl::StatusCodeToString(code_);
  }

 private:
  absl::StatusCode code_;
};

}  // namespace internal

// Matches the code and everything else that is given: Reason(), Message().
template <typename... More>
auto StatusIs(absl::StatusCode code, More&&... more) {
  return ::testing::AllOf(internal::CodeIs(code), std::forward<More>(more)...);
}

}  // namespace cvtrain::testing

// Ends the test unless the StatusOr `...` is OK; else moves its value into `decl`.
#define CVT_ASSERT_OK_AND_ASSIGN(decl, ...) \
  CVT_INTERNAL_ASSERT_OK_AND_ASSIGN(CVT_TEST_CONCAT(cvt_value_, __COUNTER__), decl, (__VA_ARGS__))
#define CVT_INTERNAL_ASSERT_OK_AND_ASSIGN(value, decl, expr) \
  auto value = expr;                                         \
  ASSERT_THAT(value, ::cvtrain::testing::IsOk());            \
  decl = *::std::move(value)
#define CVT_TEST_CONCAT_(a, b) a##b
#define CVT_TEST_CONCAT(a, b) CVT_TEST_CONCAT_(a, b)

#define CVT_EXPECT_OK(...) EXPECT_THAT((__VA_ARGS__), ::cvtrain::testing::IsOk())
#define CVT_ASSERT_OK(...) ASSERT_THAT((__VA_ARGS__), ::cvtrain::testing::IsOk())

#endif  // CVTRAIN_TESTS_SUPPORT_STATUS_MATCHERS_H_
