#include <atomic>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/input/bench.h"
#include "common/errors.h"
#include "common/file_system.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/thread.h"
#include "formats/image/jpeg.h"
#include "formats/image/resize.h"
#include "formats/image/scaled_crop.h"

namespace cvtrain::bench {
namespace {

struct PixelCrop {
  int32_t x, y, width, height;
};

// What formats/ladder/picture_reader does with a source.
absl::Status DecodeOne(formats::JpegDecoder& decoder, formats::Resizer& resizer,
                       absl::string_view bytes, const PixelCrop& crop, int size,
                       formats::Image* decoded, uint8_t* pixels) {
  const formats::ScaledCrop plan = formats::PlanScaledCrop(
      {.from = crop.x, .length = crop.width}, {.from = crop.y, .length = crop.height}, size, size);
  CVT_RETURN_IF_ERROR(decoder.Decode(
      bytes, {.scale_denominator = plan.scale_denominator, .crop = plan.rect, .fast = true},
      decoded));
  resizer.AreaOf(*decoded, plan.x, plan.y, {.width = size, .height = size}, pixels);
  return absl::OkStatus();
}

class DecodeBench {
 public:
  static absl::StatusOr<std::shared_ptr<DecodeBench>> Create(const DecodeOptions& options) {
    FileSystem& files = PosixFileSystem();
    auto bench = std::make_shared<DecodeBench>(options);
    CVT_ASSIGN_OR_RETURN(const std::string list, ReadFile(files, options.list, kListBytesMax));
    for (const absl::string_view path : absl::StrSplit(list, '\n', absl::SkipEmpty())) {
      CVT_ASSIGN_OR_RETURN(std::string bytes,
                           ReadFile(files, std::string(path), limits::kImageFileSizeBytesMax));
      bench->files_.push_back(std::move(bytes));
    }
    CVT_ASSIGN_OR_RETURN(const std::string crops, ReadFile(files, options.crops, kListBytesMax));
    bench->crops_.resize(crops.size() / sizeof(PixelCrop));
    std::memcpy(bench->crops_.data(), crops.data(), bench->crops_.size() * sizeof(PixelCrop));
    bench->pixels_.resize(bench->files_.size() * bench->picture_bytes());
    return bench;
  }

  explicit DecodeBench(const DecodeOptions& options) : options_(options) {}

  absl::StatusOr<Pass> Run(absl::string_view argument) {
    size_t pass = 0;
    if (!absl::SimpleAtoi(argument, &pass) || (pass + 1) * files_.size() > crops_.size()) {
      return InvalidArgument(Reason::kUsage,
                             absl::StrCat("there are no crops for pass ", argument));
    }
    const PixelCrop* crops = crops_.data() + pass * files_.size();
    next_ = 0;
    std::vector<absl::Status> results(static_cast<size_t>(options_.threads));
    {
      std::vector<std::unique_ptr<Thread>> threads;
      for (absl::Status& result : results) {
        threads.push_back(std::make_unique<Thread>(
            "decode", [this, crops, &result](const StopToken&) { result = Work(crops); }));
      }
    }  // joins
    for (const absl::Status& result : results) CVT_RETURN_IF_ERROR(result);
    if (!options_.dump.empty()) CVT_RETURN_IF_ERROR(Dump());
    return Pass{.images = static_cast<int64_t>(files_.size())};
  }

 private:
  size_t picture_bytes() const {
    return static_cast<size_t>(options_.size) * static_cast<size_t>(options_.size) * 3;
  }

  absl::Status Work(const PixelCrop* crops) {
    formats::JpegDecoder decoder;
    formats::Resizer resizer;
    formats::Image decoded;
    for (size_t i = next_++; i < files_.size(); i = next_++) {
      CVT_RETURN_IF_ERROR(DecodeOne(decoder, resizer, files_[i], crops[i], options_.size, &decoded,
                                    pixels_.data() + i * picture_bytes()));
    }
    return absl::OkStatus();
  }

  absl::Status Dump() const {
    CVT_ASSIGN_OR_RETURN(const auto file, PosixFileSystem().NewWritableFile(options_.dump, {}));
    CVT_RETURN_IF_ERROR(file->Append(
        absl::string_view(reinterpret_cast<const char*>(pixels_.data()), pixels_.size())));
    return file->Close();
  }

  const DecodeOptions options_;
  std::vector<std::string> files_;
  std::vector<PixelCrop> crops_;
  std::vector<uint8_t> pixels_;
  std::atomic<size_t> next_ = 0;
};

}  // namespace

absl::StatusOr<Runner> NewDecodeBench(const DecodeOptions& options) {
  CVT_ASSIGN_OR_RETURN(const std::shared_ptr<DecodeBench> bench, DecodeBench::Create(options));
  return [bench](absl::string_view argument) { return bench->Run(argument); };
}

}  // namespace cvtrain::bench
