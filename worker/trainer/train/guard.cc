#include "worker/trainer/train/guard.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <new>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "common/errors.h"

namespace cvtrain::trainer {
namespace {

// The first line: what follows is a stack trace.
absl::string_view FirstLine(absl::string_view text) { return text.substr(0, text.find('\n')); }

absl::Status OutOfMemory(absl::string_view doing, absl::string_view what) {
  return ResourceExhausted(
      Reason::kOutOfMemory,
      absl::StrCat(doing, ": out of memory: ", FirstLine(what),
                   "; use a smaller batch or size, or slots with more memory"));
}

}  // namespace

absl::Status Guard(absl::string_view doing, absl::FunctionRef<absl::Status()> body) {
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return OutOfMemory(doing, error.what_without_backtrace());
  } catch (const c10::DistError& error) {
    return Unavailable(Reason::kPeerGone,
                       absl::StrCat(doing, ": ", FirstLine(error.what_without_backtrace())));
  } catch (const c10::Error& error) {
    return Internal(Reason::kInternal,
                    absl::StrCat(doing, ": ", FirstLine(error.what_without_backtrace())));
  } catch (const std::bad_alloc& error) {
    return OutOfMemory(doing, error.what());
  } catch (const std::exception& error) {
    // Gloo's own errors are no c10::Error.
    const absl::string_view text = FirstLine(error.what());
    return Unavailable(Reason::kPeerGone, absl::StrCat(doing, ": ", text));
  }
}

}  // namespace cvtrain::trainer
