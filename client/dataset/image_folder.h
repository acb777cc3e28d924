#ifndef CVTRAIN_CLIENT_DATASET_IMAGE_FOLDER_H_
#define CVTRAIN_CLIENT_DATASET_IMAGE_FOLDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/dataset/dataset_reader.h"
#include "common/file_system.h"

namespace cvtrain::client {

// What a folder of pictures, or of sounds, holds, before any file of it is opened.
struct ImageFolder {
  struct File {
    // Path below the split: "cat/1.jpg". Unique in the split.
    std::string key;
    // Index into `classes`.
    uint32_t label = 0;
    std::string path;
    // Another number for another file: StampOf().
    uint64_t stamp = 0;
  };
  struct Split {
    std::string name;
    std::vector<File> files;  // by key
  };

  std::vector<std::string> classes;  // sorted, as torchvision's ImageFolder numbers them
  std::vector<Split> splits;         // by name
  // What was passed over, by cause: `link` (symbolic links and special files are not followed),
  // `outside_class` (a file that lies in no class).
  std::map<std::string, int64_t> passed_over;
  // The same, one by one; `key` is the path.
  std::vector<SkippedSource> passed_over_files;
};

struct ImageFolderOptions {
  // For a folder without splits: this share of each class, rounded, is `train`, the rest `test`. In
  // (0, 1]; each class has one file at least in `train`, and with less than 1, one of two files or
  // more has one in `test`, too.
  double train_fraction = 0.9;
  // Of the choice: which files are held out depends on it and on their keys alone.
  uint64_t seed = 0;
};

// Lists `root`, which is one of
//
//   root/SPLIT/CLASS/.../FILE     if it has a folder `train` that has folders in it
//   root/CLASS/.../FILE           otherwise
//
// Names that begin with a dot are ignored. Splits are labels (1 to 63 of a-z, 0-9, '.', '_', '-'),
// class names are UTF-8 without control characters. Folders below a class belong to it, 16 deep.
//
// Returns INVALID_ARGUMENT (FIELD_INVALID) if there is no class, if a class has no file in any
// split, or if a name or an option breaks a rule; RESOURCE_EXHAUSTED (LIMIT_EXCEEDED) if there are
// too many classes or folders too deep; the errors of `files`.
absl::StatusOr<ImageFolder> ListImageFolder(FileSystem& files, const std::string& root,
                                            const ImageFolderOptions& options = {});

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_IMAGE_FOLDER_H_
