#include "client/dataset/dataset_formats.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/dataset/source_files.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "common/text.h"

// Each is defined in the file of its name.
#define CVTRAIN_DATASET_FORMATS(X) \
  X(kImageFolderFormat)            \
  X(kWebDatasetFormat)             \
  X(kCifarFormat)                  \
  X(kIdxFormat)                    \
  X(kCocoFormat)                   \
  X(kVocFormat)                    \
  X(kAudioFolderFormat)            \
  X(kCsvManifestFormat)

namespace cvtrain::client {

#define CVTRAIN_DECLARE_FORMAT(format) extern const DatasetFormat format;
CVTRAIN_DATASET_FORMATS(CVTRAIN_DECLARE_FORMAT)
#undef CVTRAIN_DECLARE_FORMAT

namespace {

#define CVTRAIN_LIST_FORMAT(format) &format,
const DatasetFormat* const kFormats[] = {CVTRAIN_DATASET_FORMATS(CVTRAIN_LIST_FORMAT)};
#undef CVTRAIN_LIST_FORMAT

std::vector<const DatasetFormat*> Fitting(FileSystem& files, const std::string& root,
                                          bool fallbacks) {
  std::vector<const DatasetFormat*> fitting;
  for (const DatasetFormat* format : kFormats) {
    if (format->is_fallback == fallbacks && format->fits(files, root)) fitting.push_back(format);
  }
  return fitting;
}

bool IsPacked(FileSystem& files, const std::string& path) {
  if (!IsFile(files, path)) return false;
  const auto file = files.NewRandomAccessFile(path);
  if (!file.ok()) return false;
  const auto bytes = ReadRange(**file, 0, 2);
  return bytes.ok() && IsGzip(*bytes);
}

}  // namespace

absl::Span<const DatasetFormat* const> DatasetFormats() { return kFormats; }

absl::StatusOr<const DatasetFormat*> FindDatasetFormat(absl::string_view name) {
  std::vector<std::string> names;
  for (const DatasetFormat* format : kFormats) {
    if (format->name == name) return format;
    names.emplace_back(format->name);
  }
  return InvalidArgument(
      Reason::kUsage,
      absl::StrCat("--format: must be one of ", absl::StrJoin(names, ", "), ", got ",
                   SafeText(name), DidYouMean(NearestNames(name, names))));
}

absl::StatusOr<const DatasetFormat*> GuessDatasetFormat(FileSystem& files,
                                                        const std::string& root) {
  CVT_RETURN_IF_ERROR(files.Stat(root).status());
  std::vector<const DatasetFormat*> fitting = Fitting(files, root, /*fallbacks=*/false);
  if (fitting.empty()) fitting = Fitting(files, root, /*fallbacks=*/true);
  if (fitting.size() == 1) return fitting[0];
  std::string message;
  if (fitting.empty() && IsPacked(files, root)) {
    message = absl::StrCat(SafeText(root),
                           ": is packed by gzip; unpack it, and name what comes out; formats are:");
    fitting.assign(std::begin(kFormats), std::end(kFormats));
  } else if (fitting.empty()) {
    message = absl::StrCat(SafeText(root), ": looks like no data set that is known; these are:");
    fitting.assign(std::begin(kFormats), std::end(kFormats));
  } else {
    message = absl::StrCat(SafeText(root), ": looks like several formats; say which by --format:");
  }
  for (const DatasetFormat* format : fitting) {
    absl::StrAppend(&message, "\n  ", format->name, ": ", format->layout);
  }
  return InvalidArgument(Reason::kFieldInvalid, message);
}

}  // namespace cvtrain::client
