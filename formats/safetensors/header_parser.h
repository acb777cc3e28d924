#ifndef CVTRAIN_FORMATS_SAFETENSORS_HEADER_PARSER_H_
#define CVTRAIN_FORMATS_SAFETENSORS_HEADER_PARSER_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cvtrain::formats::internal {

// The header of a safetensors file as its JSON says it, in the order of the text. Nothing of it has
// been compared with anything.
struct SafetensorsHeader {
  struct Entry {
    std::string name;
    std::string dtype;
    std::vector<int64_t> shape;
    std::array<int64_t, 2> data_offsets = {0, 0};
  };
  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;
};

// Reads the one form of JSON that such a header has, strictly (RFC 8259): no duplicate names at any
// level, no number but an integer from 0 to 2^53, no unknown key, at most kTensorsPerCheckpointMax
// entries and kTensorRankMax dimensions, valid UTF-8, nothing but spaces after the end.
//
// Returns INVALID_ARGUMENT (DATA_BAD) with the offset in `json` otherwise.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view json);

}  // namespace cvtrain::formats::internal

#endif  // CVTRAIN_FORMATS_SAFETENSORS_HEADER_PARSER_H_
