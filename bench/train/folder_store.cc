#include "bench/train/folder_store.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/status_macros.h"
#include "common/thread.h"

namespace cvtrain::bench {

using session::v1::StoreOperation;
using session::v1::StoreResult;

std::string FolderStore::PathOf(const std::string& key) const {
  return absl::StrCat(folder_, "/", absl::BytesToHexString(key));
}

absl::StatusOr<StoreResult> FolderStore::Call(const StoreOperation& operation) {
  constexpr absl::Duration kPoll = absl::Milliseconds(2);
  FileSystem& files = PosixFileSystem();
  const auto read = [&](const std::string& key) { return ReadFile(files, PathOf(key), 1 << 20); };
  const auto wait_for = [&](const std::string& key) {
    for (int i = 0; i < 60'000; ++i) {
      if (read(key).ok()) return true;
      WaitForStop(StopToken(), kPoll);
    }
    return false;
  };
  StoreResult result;
  switch (operation.kind()) {
    case StoreOperation::KIND_SET:
      CVT_RETURN_IF_ERROR(WriteFileAtomic(files, PathOf(operation.key()), operation.value()));
      return result;
    case StoreOperation::KIND_GET: {
      result.set_timed_out(!wait_for(operation.key()));
      if (!result.timed_out()) {
        CVT_ASSIGN_OR_RETURN(*result.mutable_value(), read(operation.key()));
      }
      return result;
    }
    case StoreOperation::KIND_WAIT:
      for (const std::string& key : operation.keys()) {
        if (!wait_for(key)) result.set_timed_out(true);
      }
      return result;
    case StoreOperation::KIND_CHECK:
      result.set_amount(std::all_of(operation.keys().begin(), operation.keys().end(),
                                    [&](const std::string& key) { return read(key).ok(); }));
      return result;
    default:
      return InvalidArgument(Reason::kUsage, "a folder knows set, get, wait and check only");
  }
}

std::unique_ptr<trainer::ProcessGroup> Meet(const RankOptions& options,
                                            trainer::StoreTransport& store) {
  using Backend = trainer::ProcessGroup::Backend;
  return trainer::ProcessGroup::Create(
      {.rank = options.rank,
       .world_size = options.world,
       .backend = options.backend == "gloo" ? Backend::kGloo : Backend::kSharedMemory},
      store);
}

}  // namespace cvtrain::bench
