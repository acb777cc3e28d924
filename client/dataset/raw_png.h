#ifndef CVTRAIN_CLIENT_DATASET_RAW_PNG_H_
#define CVTRAIN_CLIENT_DATASET_RAW_PNG_H_

#include <string>

#include "absl/strings/string_view.h"

namespace cvtrain::client {

// A picture whose pixels are at hand, 8 bits a channel.
struct RawPicture {
  int width = 0;   // 1 to 16,384
  int height = 0;  // 1 to 16,384
  // 1 (grey) or 3 (RGB).
  int channels = 1;
  // height * width * channels, rows from the top.
  absl::string_view pixels;
};

// A PNG file with just these pixels: nothing is lost. The same bytes for the same pixels with one
// version of zlib.
std::string EncodeRawPng(const RawPicture& picture);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_RAW_PNG_H_
