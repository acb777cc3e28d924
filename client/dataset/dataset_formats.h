#ifndef CVTRAIN_CLIENT_DATASET_DATASET_FORMATS_H_
#define CVTRAIN_CLIENT_DATASET_DATASET_FORMATS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/dataset/dataset_reader.h"
#include "common/file_system.h"

namespace cvtrain::client {

// A format that data sets come in: one file that defines it, and one line in dataset_formats.cc.
struct DatasetFormat {
  // As `--format` spells it.
  const char* name;
  // What it looks like, in a line.
  const char* layout;
  // Takes what no other format does.
  bool is_fallback;
  // Whether `root` looks like it, by a few names and first bytes. Answers false for what cannot be
  // read.
  bool (*fits)(FileSystem& files, const std::string& root);
  // `files` must outlive the reader.
  std::unique_ptr<DatasetReader> (*make)(FileSystem& files, const std::string& root,
                                         const ReaderOptions& options);
};

// All formats, in the order in which help lists them.
absl::Span<const DatasetFormat* const> DatasetFormats();

// INVALID_ARGUMENT (USAGE) with near names if there is none.
absl::StatusOr<const DatasetFormat*> FindDatasetFormat(absl::string_view name);

// The format that `root` looks like.
//
// Returns NOT_FOUND (FILE_NOT_FOUND) if nothing is there; INVALID_ARGUMENT (FIELD_INVALID) with the
// choices if it looks like none or like several.
absl::StatusOr<const DatasetFormat*> GuessDatasetFormat(FileSystem& files, const std::string& root);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_DATASET_FORMATS_H_
