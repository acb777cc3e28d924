#include "client/dataset/image_folder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr int kDepthMax = 16;

absl::Status BadFolder(absl::string_view path, absl::string_view problem) {
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat("folder ", SafeText(path), ": ", problem));
}

class Lister {
 public:
  Lister(FileSystem& files, const ImageFolderOptions& options) : files_(files), options_(options) {}

  absl::StatusOr<ImageFolder> List(const std::string& root) {
    CVT_RETURN_IF_ERROR(CheckTrainFraction(options_.train_fraction));
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> folders, ListFolders(root));
    if (folders.empty()) {
      return BadFolder(root, "has no folders; expected CLASS/FILE or train/CLASS/FILE below it");
    }
    CVT_ASSIGN_OR_RETURN(const bool has_splits, HasSplits(root, folders));
    if (has_splits) {
      for (const std::string& name : folders) CVT_RETURN_IF_ERROR(ListSplit(root, name));
    } else {
      CVT_RETURN_IF_ERROR(ListClasses(root, folders));
    }
    CVT_RETURN_IF_ERROR(NumberClasses(root));
    if (!has_splits) HoldOutTest();
    return std::move(folder_);
  }

 private:
  struct Entry {
    std::string name;
    FileInfo info;
  };

  absl::StatusOr<std::vector<Entry>> ListVisible(const std::string& path) {
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.ListDir(path));
    std::vector<Entry> entries;
    for (const std::string& name : names) {
      if (name.empty() || name[0] == '.') continue;
      CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(JoinPath(path, name)));
      entries.push_back({name, info});
    }
    return entries;
  }

  void PassOver(const Entry& entry, const std::string& path) {
    const bool is_file = entry.info.type == FileInfo::Type::kFile;
    const char* cause = is_file ? "outside_class" : "link";
    ++folder_.passed_over[cause];
    folder_.passed_over_files.push_back(
        {"", path, cause, is_file ? "lies in no class" : "a link or a special file"});
  }

  // Names of the folders in `path`; whatever else is there is counted.
  absl::StatusOr<std::vector<std::string>> ListFolders(const std::string& path) {
    CVT_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListVisible(path));
    std::vector<std::string> folders;
    for (const Entry& entry : entries) {
      if (entry.info.type == FileInfo::Type::kDirectory) {
        folders.push_back(entry.name);
      } else {
        PassOver(entry, JoinPath(path, entry.name));
      }
    }
    return folders;
  }

  absl::StatusOr<bool> HasSplits(const std::string& root, const std::vector<std::string>& folders) {
    if (std::find(folders.begin(), folders.end(), "train") == folders.end()) return false;
    CVT_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListVisible(JoinPath(root, "train")));
    return std::any_of(entries.begin(), entries.end(), [](const Entry& entry) {
      return entry.info.type == FileInfo::Type::kDirectory;
    });
  }

  absl::Status ListSplit(const std::string& root, const std::string& name) {
    const std::string path = JoinPath(root, name);
    if (!IsSplitName(name)) {
      return BadFolder(path, "a split's name must be 1 to 63 of a-z, 0-9, '.', '_', '-'");
    }
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> classes, ListFolders(path));
    folder_.splits.push_back({name, {}});
    for (const std::string& label : classes) {
      CVT_RETURN_IF_ERROR(ListClass(JoinPath(path, label), label, 0));
    }
    return absl::OkStatus();
  }

  absl::Status ListClasses(const std::string& root, const std::vector<std::string>& classes) {
    folder_.splits.push_back({"train", {}});
    for (const std::string& label : classes) {
      CVT_RETURN_IF_ERROR(ListClass(JoinPath(root, label), label, 0));
    }
    return absl::OkStatus();
  }

  // Adds the files of `path` to the newest split. `key` is what the path is called below it: the
  // class first.
  absl::Status ListClass(const std::string& path, const std::string& key, int depth) {
    if (depth == kDepthMax) {
      return LimitExceeded("image_folder_depth",
                           absl::StrCat("folder ", SafeText(path), ": more than ", kDepthMax,
                                        " folders below a class"));
    }
    if (depth == 0) {
      if (!IsClassName(key)) return BadFolder(path, "a class's name must be plain UTF-8 text");
      folder_.classes.push_back(key);
    }
    CVT_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListVisible(path));
    for (const Entry& entry : entries) {
      const std::string below = JoinPath(path, entry.name);
      const std::string below_key = absl::StrCat(key, "/", entry.name);
      if (entry.info.type == FileInfo::Type::kDirectory) {
        CVT_RETURN_IF_ERROR(ListClass(below, below_key, depth + 1));
      } else if (entry.info.type == FileInfo::Type::kFile) {
        folder_.splits.back().files.push_back({below_key, 0, below, StampOf(entry.info)});
      } else {
        PassOver(entry, below);
      }
    }
    return absl::OkStatus();
  }

  // Moves a share of each class of the one split there is to a split `test`.
  void HoldOutTest() {
    if (options_.train_fraction == 1) return;
    auto parts =
        HoldOut(std::move(folder_.splits[0].files), options_.train_fraction, options_.seed);
    folder_.splits = {{"train", std::move(parts.train)}};
    if (parts.test.empty()) return;  // each class has one file
    folder_.splits.insert(folder_.splits.begin(), {"test", std::move(parts.test)});
  }

  static std::string ClassOf(const ImageFolder::File& file) {
    return file.key.substr(0, file.key.find('/'));
  }

  absl::Status NumberClasses(const std::string& root) {
    std::sort(folder_.classes.begin(), folder_.classes.end());
    folder_.classes.erase(std::unique(folder_.classes.begin(), folder_.classes.end()),
                          folder_.classes.end());
    if (folder_.classes.empty()) return BadFolder(root, "has no class folders in its splits");
    if (folder_.classes.size() > limits::kClassesPerDatasetMax) {
      return LimitExceeded("kClassesPerDatasetMax",
                           absl::StrCat("folder ", SafeText(root), ": ", folder_.classes.size(),
                                        " classes, at most ", limits::kClassesPerDatasetMax));
    }
    std::vector<bool> used(folder_.classes.size(), false);
    for (ImageFolder::Split& split : folder_.splits) {
      for (ImageFolder::File& file : split.files) {
        const auto found =
            std::lower_bound(folder_.classes.begin(), folder_.classes.end(), ClassOf(file));
        file.label = static_cast<uint32_t>(found - folder_.classes.begin());
        used[file.label] = true;
      }
      std::sort(split.files.begin(), split.files.end(),
                [](const auto& a, const auto& b) { return a.key < b.key; });
    }
    for (size_t label = 0; label < used.size(); ++label) {
      if (!used[label]) {
        return BadFolder(root, absl::StrCat("class ", folder_.classes[label],
                                            " has no files; remove its folder or fill it"));
      }
    }
    return absl::OkStatus();
  }

  FileSystem& files_;
  const ImageFolderOptions options_;
  ImageFolder folder_;
};

}  // namespace

absl::StatusOr<ImageFolder> ListImageFolder(FileSystem& files, const std::string& root,
                                            const ImageFolderOptions& options) {
  return Lister(files, options).List(root);
}

}  // namespace cvtrain::client
