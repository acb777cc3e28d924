#ifndef CVTRAIN_FORMATS_SAFETENSORS_INDEX_PARSER_H_
#define CVTRAIN_FORMATS_SAFETENSORS_INDEX_PARSER_H_

// Inside the safetensors library: the way from the first bytes of a file to its index.

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/safetensors/safetensors.h"

namespace cvtrain::formats::internal {

// The length of the header comes before it.
inline constexpr uint64_t kHeaderLengthBytes = 8;

// kDataBad: `problem` of the file that people know as `name`.
absl::Status BadFile(absl::string_view name, absl::string_view problem);

// Where the data begins, as the first kHeaderLengthBytes of a file of `file_bytes` say.
// Errors of this file are those of ReadSafetensorsIndex().
absl::StatusOr<uint64_t> DataOffset(absl::string_view begin, uint64_t file_bytes,
                                    absl::string_view name);

// `json` lies between kHeaderLengthBytes and the data.
absl::StatusOr<SafetensorsIndex> ParseIndex(absl::string_view json, uint64_t file_bytes,
                                            absl::string_view name);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_SAFETENSORS_INDEX_PARSER_H_
