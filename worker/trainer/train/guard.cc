#include "worker/trainer/train/guard.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <dnnl.hpp>
#include <new>
#include <stdexcept>
#include <string>

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

absl::Status Guard(absl::string_view doing, int world_size,
                   absl::FunctionRef<absl::Status()> body) {
  // Without peers nobody can be gone, and what is no fault of the machine must not be repeated as
  // if it were.
  const auto failure = [&](bool may_be_a_peer, absl::string_view what) {
    const std::string message = absl::StrCat(doing, ": ", FirstLine(what));
    return may_be_a_peer && world_size > 1 ? Unavailable(Reason::kPeerGone, message)
                                           : Internal(Reason::kInternal, message);
  };
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return OutOfMemory(doing, error.what_without_backtrace());
  } catch (const c10::AcceleratorError& error) {
    // Whatever it computed is lost, and so is the process: its GPU answers it no more.
    return FailedPrecondition(Reason::kDeviceFault,
                              absl::StrCat(doing, ": ", FirstLine(error.what_without_backtrace())));
  } catch (const c10::DistError& error) {
    return failure(true, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    return failure(false, error.what_without_backtrace());
  } catch (const std::bad_alloc& error) {
    return OutOfMemory(doing, error.what());
  } catch (const dnnl::error& error) {
    return error.status == dnnl_out_of_memory ? OutOfMemory(doing, error.what())
                                              : failure(false, error.what());
  } catch (const std::exception& error) {
    // Gloo's own errors are no c10::Error.
    return failure(true, error.what());
  }
}

}  // namespace cvtrain::trainer
