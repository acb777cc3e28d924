#ifndef CVTRAIN_COMMON_STATUS_MACROS_H_
#define CVTRAIN_COMMON_STATUS_MACROS_H_

#include <memory>
#include <ostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// CVT_RETURN_IF_ERROR(expr) returns the absl::Status `expr` from this function
// unless it is OK. `expr` is evaluated once.
#define CVT_RETURN_IF_ERROR(...) \
  CVT_INTERNAL_RETURN_IF_ERROR(CVT_INTERNAL_CONCAT(cvt_status_, __COUNTER__), (__VA_ARGS__))

// CVT_ASSIGN_OR_RETURN(decl, expr) moves the value of the absl::StatusOr `expr`
// into `decl`, or returns its status. A `decl` that holds a comma is put in
// parentheses: CVT_ASSIGN_OR_RETURN((const auto& [key, value]), Next()).
// It is two statements: not the body of an `if` without braces.
#define CVT_ASSIGN_OR_RETURN(decl, ...)                                       \
  CVT_INTERNAL_ASSIGN_OR_RETURN(CVT_INTERNAL_CONCAT(cvt_value_, __COUNTER__), \
                                CVT_INTERNAL_UNPAREN(decl), (__VA_ARGS__))

// CVT_CHECK(cond) << "text" ends the process, in release builds too, if `cond`
// is false: a broken invariant of the program, never bad input or a broken
// environment, which return a status. Prints file, line, condition and text.
#define CVT_CHECK(cond)               \
  (__builtin_expect(!!(cond), 1))     \
      ? (void)0                       \
      : ::cvtrain::internal::Void() & \
            ::cvtrain::internal::CheckFailure(__FILE__, __LINE__, #cond).stream()

// CVT_CHECK_OK(status) is CVT_CHECK for an absl::Status; prints the status.
#define CVT_CHECK_OK(...) ::cvtrain::internal::CheckOk(__FILE__, __LINE__, (__VA_ARGS__))

#define CVT_INTERNAL_CONCAT_(a, b) a##b
#define CVT_INTERNAL_CONCAT(a, b) CVT_INTERNAL_CONCAT_(a, b)

#define CVT_INTERNAL_RETURN_IF_ERROR(status, expr)    \
  do {                                                \
    if (::absl::Status status = expr; !status.ok()) { \
      return status;                                  \
    }                                                 \
  } while (false)

#define CVT_INTERNAL_ASSIGN_OR_RETURN(value, decl, expr) \
  auto value = expr;                                     \
  if (!value.ok()) {                                     \
    return ::std::move(value).status();                  \
  }                                                      \
  decl = *::std::move(value)

// Removes one pair of parentheses around its argument, if there is one.
#define CVT_INTERNAL_UNPAREN(x) CVT_INTERNAL_UNPAREN_1(CVT_INTERNAL_ISH x)
#define CVT_INTERNAL_UNPAREN_1(...) CVT_INTERNAL_UNPAREN_2(__VA_ARGS__)
#define CVT_INTERNAL_UNPAREN_2(...) CVT_INTERNAL_VAN##__VA_ARGS__
#define CVT_INTERNAL_ISH(...) CVT_INTERNAL_ISH __VA_ARGS__
#define CVT_INTERNAL_VANCVT_INTERNAL_ISH

namespace cvtrain::internal {

// Collects the text of a failed check; its destructor prints it and aborts.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  [[noreturn]] ~CheckFailure();

  std::ostream& stream() { return *stream_; }

 private:
  std::unique_ptr<std::ostream> stream_;
};

// Turns the stream of a check into void; & binds weaker than << and tighter than ?:.
struct Void {
  void operator&(std::ostream&) const {}
};

void CheckOk(const char* file, int line, const absl::Status& status);

}  // namespace cvtrain::internal

#endif  // CVTRAIN_COMMON_STATUS_MACROS_H_
