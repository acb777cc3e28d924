#ifndef CVTRAIN_CLIENT_DATASET_COCO_FILE_H_
#define CVTRAIN_CLIENT_DATASET_COCO_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cvtrain/storage/v1/annotation.pb.h"
#include "formats/shard/shard_format.h"

namespace cvtrain::client {

// What a file of instances of COCO says (Lin et al., 2014; https://cocodataset.org/#format-data).
struct CocoFile {
  struct Category {
    int64_t id = 0;
    std::string name;
  };
  struct Picture {
    int64_t id = 0;
    // As the file spells it: not checked.
    std::string file_name;
    formats::PictureSize size;  // 0x0 if the file does not say
    // Boxes have the place of their category in `categories` as their label.
    storage::v1::Annotation annotation;
    // Why the picture must be left out: `label_out_of_range`, `bad_annotation`, with a detail;
    // empty if it need not.
    std::string problem;
    std::string problem_detail;
  };

  std::vector<Category> categories;  // by id
  std::vector<Picture> pictures;     // by id
  // Annotations of pictures that are not there: what they say, for the report.
  std::vector<std::string> strays;
};

// Reads one. Returns INVALID_ARGUMENT (DATA_BAD) if it is no such file: no JSON, no categories or
// pictures, one id or name twice; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED).
absl::StatusOr<CocoFile> ParseCocoFile(absl::string_view text);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_COCO_FILE_H_
