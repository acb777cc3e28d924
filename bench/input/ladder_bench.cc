#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/input/bench.h"
#include "bench/input/local_shards.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/mapped_file.h"
#include "common/status_macros.h"
#include "formats/ladder/picture_reader.h"
#include "formats/shard/shard_reader.h"

namespace cvtrain::bench {
namespace {

// Of the picture, each in 0..1.
struct RelativeCrop {
  double x, y, width, height;
};

// The pictures of a data set by the name of the file that each was made from.
class NamedPictures {
 public:
  explicit NamedPictures(LocalShards shards) : shards_(std::move(shards)) {}

  absl::Status Load() {
    for (int32_t index = 0; index < shards_.version().shards_size(); ++index) {
      CVT_ASSIGN_OR_RETURN(UniqueFd fd, shards_.GetShard({.index = index}));
      CVT_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Map(std::move(fd)));
      files_.push_back(std::make_unique<MappedFile>(std::move(file)));
      CVT_ASSIGN_OR_RETURN(auto reader, formats::ShardReader::Open(files_.back()->bytes(), "ours"));
      for (int64_t record = 0; record < reader->info().records; ++record) {
        by_name_[BaseName(reader->key(record))] = {reader.get(), record};
      }
      readers_.push_back(std::move(reader));
    }
    return absl::OkStatus();
  }

  absl::Status Read(const std::string& name, const RelativeCrop& crop, int size,
                    absl::Span<uint8_t> pixels) {
    const auto it = by_name_.find(name);
    if (it == by_name_.end()) return NotFound(Reason::kFileNotFound, name);
    const auto& [reader, record] = it->second;
    const formats::PictureSize source = reader->record(record).source;
    return decoder_.Read(*reader, record,
                         {.crop = {.x = crop.x * source.width,
                                   .y = crop.y * source.height,
                                   .width = crop.width * source.width,
                                   .height = crop.height * source.height},
                          .width = size,
                          .height = size},
                         pixels);
  }

 private:
  LocalShards shards_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<std::unique_ptr<formats::ShardReader>> readers_;
  std::map<std::string, std::pair<formats::ShardReader*, int64_t>> by_name_;
  formats::PictureReader decoder_;
};

}  // namespace

absl::StatusOr<Runner> NewLadderBench(const LadderOptions& options) {
  FileSystem& files = PosixFileSystem();
  CVT_ASSIGN_OR_RETURN(LocalShards shards, LocalShards::Load(files, options.data));
  auto pictures = std::make_shared<NamedPictures>(std::move(shards));
  CVT_RETURN_IF_ERROR(pictures->Load());
  return [options, pictures](absl::string_view) -> absl::StatusOr<Pass> {
    FileSystem& disk = PosixFileSystem();
    CVT_ASSIGN_OR_RETURN(const std::string list, ReadFile(disk, options.list, kListBytesMax));
    CVT_ASSIGN_OR_RETURN(const std::string crops, ReadFile(disk, options.crops, kListBytesMax));
    const std::vector<std::string> names = absl::StrSplit(list, '\n', absl::SkipEmpty());
    if (crops.size() != names.size() * sizeof(RelativeCrop)) {
      return InvalidArgument(Reason::kUsage, "--crops: must have four doubles for each picture");
    }
    const auto side = static_cast<size_t>(options.size);
    std::vector<uint8_t> pixels(names.size() * side * side * 3);
    for (size_t i = 0; i < names.size(); ++i) {
      RelativeCrop crop;
      std::memcpy(&crop, crops.data() + i * sizeof(RelativeCrop), sizeof(RelativeCrop));
      CVT_RETURN_IF_ERROR(
          pictures->Read(names[i], crop, options.size,
                         absl::MakeSpan(pixels).subspan(i * side * side * 3, side * side * 3)));
    }
    CVT_RETURN_IF_ERROR(WriteFileAtomic(
        disk, options.dump,
        absl::string_view(reinterpret_cast<const char*>(pixels.data()), pixels.size())));
    return Pass{.images = static_cast<int64_t>(names.size())};
  };
}

}  // namespace cvtrain::bench
