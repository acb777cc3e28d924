#include "client/dataset/image_folder.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/random.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr int kDepthMax = 16;

bool IsLabel(absl::string_view name) {
  if (name.empty() || name.size() > limits::kLabelSizeBytesMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

// Whether it can be stored and printed as it is.
bool IsPlainText(absl::string_view name) {
  return name.size() <= limits::kStringSizeBytesMax && IsValidUtf8(name) &&
         EscapeText(name) == name;
}

absl::Status BadFolder(absl::string_view path, absl::string_view problem) {
  return InvalidArgument(Reason::kFieldInvalid,
                         absl::StrCat("image folder ", SafeText(path), ": ", problem));
}

class Lister {
 public:
  Lister(FileSystem& files, const ImageFolderOptions& options) : files_(files), options_(options) {}

  absl::StatusOr<ImageFolder> List(const std::string& root) {
    if (!(options_.train_fraction > 0 && options_.train_fraction <= 1)) {
      return InvalidArgument(
          Reason::kFieldInvalid,
          absl::StrCat("train_fraction: must be in (0, 1], got ", options_.train_fraction));
    }
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> folders, ListFolders(root));
    if (folders.empty()) {
      return BadFolder(root, "has no folders; expected CLASS/FILE or train/CLASS/FILE below it");
    }
    CVT_ASSIGN_OR_RETURN(const bool has_splits, HasSplits(root, folders));
    if (has_splits) {
      for (const std::string& name : folders) CVT_RETURN_IF_ERROR(ListSplit(root, name));
    } else {
      CVT_RETURN_IF_ERROR(ListClasses(root, folders));
      HoldOut();
    }
    CVT_RETURN_IF_ERROR(NumberClasses(root));
    return std::move(folder_);
  }

 private:
  struct Entry {
    std::string name;
    FileInfo::Type type;
  };

  absl::StatusOr<std::vector<Entry>> ListVisible(const std::string& path) {
    CVT_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.ListDir(path));
    std::vector<Entry> entries;
    for (const std::string& name : names) {
      if (name.empty() || name[0] == '.') continue;
      CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(JoinPath(path, name)));
      entries.push_back({name, info.type});
    }
    return entries;
  }

  // Names of the folders in `path`; whatever else is there is counted.
  absl::StatusOr<std::vector<std::string>> ListFolders(const std::string& path) {
    CVT_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListVisible(path));
    std::vector<std::string> folders;
    for (const Entry& entry : entries) {
      if (entry.type == FileInfo::Type::kDirectory) {
        folders.push_back(entry.name);
      } else {
        ++folder_.passed_over[entry.type == FileInfo::Type::kFile ? "outside_class" : "link"];
      }
    }
    return folders;
  }

  absl::StatusOr<bool> HasSplits(const std::string& root, const std::vector<std::string>& folders) {
    if (std::find(folders.begin(), folders.end(), "train") == folders.end()) return false;
    CVT_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListVisible(JoinPath(root, "train")));
    return std::any_of(entries.begin(), entries.end(),
                       [](const Entry& entry) { return entry.type == FileInfo::Type::kDirectory; });
  }

  absl::Status ListSplit(const std::string& root, const std::string& name) {
    const std::string path = JoinPath(root, name);
    if (!IsLabel(name)) {
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
                           absl::StrCat("image folder ", SafeText(path), ": more than ", kDepthMax,
                                        " folders below a class"));
    }
    if (depth == 0) {
      if (!IsPlainText(key)) return BadFolder(path, "a class's name must be plain UTF-8 text");
      folder_.classes.push_back(key);
    }
    CVT_ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListVisible(path));
    for (const Entry& entry : entries) {
      const std::string below = JoinPath(path, entry.name);
      const std::string below_key = absl::StrCat(key, "/", entry.name);
      if (entry.type == FileInfo::Type::kDirectory) {
        CVT_RETURN_IF_ERROR(ListClass(below, below_key, depth + 1));
      } else if (entry.type == FileInfo::Type::kFile) {
        folder_.splits.back().files.push_back({below_key, 0, below});
      } else {
        ++folder_.passed_over["link"];
      }
    }
    return absl::OkStatus();
  }

  // Moves a share of each class of the one split there is to a split `test`. A file's place depends
  // on the seed and its key, so that adding files to a class moves few of the others.
  void HoldOut() {
    if (options_.train_fraction == 1) return;
    std::map<std::string, std::vector<std::pair<uint64_t, ImageFolder::File>>> by_class;
    for (ImageFolder::File& file : folder_.splits[0].files) {
      const Sha256Digest digest = Sha256Of(file.key);
      uint64_t word = 0;
      for (size_t i = 0; i < 8; ++i) word = word << 8 | digest[i];
      const uint64_t rank = KeyedStream("dataset-hold-out/v1", {options_.seed, word}).NextU64();
      by_class[ClassOf(file)].emplace_back(rank, std::move(file));
    }
    ImageFolder::Split train{"train", {}}, test{"test", {}};
    for (auto& [label, ranked] : by_class) {
      std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
        return std::tie(a.first, a.second.key) < std::tie(b.first, b.second.key);
      });
      const auto count = static_cast<int64_t>(ranked.size());
      auto keep = static_cast<int64_t>(options_.train_fraction * static_cast<double>(count) + 0.5);
      if (count >= 2) keep = std::clamp<int64_t>(keep, 1, count - 1);
      for (int64_t i = 0; i < count; ++i) {
        auto& split = i < keep ? train : test;
        split.files.push_back(std::move(ranked[static_cast<size_t>(i)].second));
      }
    }
    folder_.splits = {std::move(test), std::move(train)};
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
      return LimitExceeded(
          "kClassesPerDatasetMax",
          absl::StrCat("image folder ", SafeText(root), ": ", folder_.classes.size(),
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
