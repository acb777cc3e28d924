// Formats `image_folder` and `audio_folder`: a folder for each class.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/dataset/dataset_formats.h"
#include "client/dataset/image_folder.h"
#include "client/dataset/source_files.h"
#include "common/limits.h"
#include "common/status_macros.h"

namespace cvtrain::client {
namespace {

class ClassFolderReader : public DatasetReader {
 public:
  ClassFolderReader(FileSystem& files, std::string root, const ReaderOptions& options,
                    v1::DatasetVersion::Media media)
      : files_(files), root_(std::move(root)), options_(options), media_(media) {}

  absl::StatusOr<DatasetListing> List() override {
    CVT_ASSIGN_OR_RETURN(
        ImageFolder folder,
        ListImageFolder(files_, root_,
                        {.train_fraction = options_.train_fraction, .seed = options_.seed}));
    DatasetListing listing;
    listing.media = media_;
    listing.classes = std::move(folder.classes);
    listing.passed_over = std::move(folder.passed_over_files);
    for (ImageFolder::Split& split : folder.splits) {
      SourceSplit& to = listing.splits.emplace_back();
      to.name = split.name;
      for (ImageFolder::File& file : split.files) {
        if (!IsSampleKey(file.key)) {
          listing.skipped.push_back({split.name, file.key, "bad_name", "its path is too long"});
          continue;
        }
        SourceSample& sample = to.samples.emplace_back();
        sample.key = std::move(file.key);
        sample.label = file.label;
        sample.place = paths_.size();
        sample.stamp = file.stamp;
        paths_.push_back(std::move(file.path));
      }
    }
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    CVT_ASSIGN_OR_RETURN(std::string bytes,
                         ReadFile(files_, paths_[static_cast<size_t>(sample.place)],
                                  limits::kImageFileSizeBytesMax));
    return WithDigest(std::move(bytes));
  }

 private:
  FileSystem& files_;
  const std::string root_;
  const ReaderOptions options_;
  const v1::DatasetVersion::Media media_;
  std::vector<std::string> paths_;  // of each sample
};

template <v1::DatasetVersion::Media kMedia>
std::unique_ptr<DatasetReader> Make(FileSystem& files, const std::string& root,
                                    const ReaderOptions& options) {
  return std::make_unique<ClassFolderReader>(files, root, options, kMedia);
}

}  // namespace

extern const DatasetFormat kImageFolderFormat = {
    .name = "image_folder",
    .layout = "pictures as SPLIT/CLASS/FILE, or CLASS/FILE",
    .is_fallback = true,
    .fits = [](FileSystem& files,
               const std::string& root) { return LookAround(files, root).pictures > 0; },
    .make = Make<v1::DatasetVersion::MEDIA_IMAGES>};

extern const DatasetFormat kAudioFolderFormat = {
    .name = "audio_folder",
    .layout = "WAV, FLAC or MP3 files as SPLIT/CLASS/FILE, or CLASS/FILE",
    .is_fallback = true,
    .fits = [](FileSystem& files,
               const std::string& root) { return LookAround(files, root).sounds > 0; },
    .make = Make<v1::DatasetVersion::MEDIA_AUDIO>};

}  // namespace cvtrain::client
