// A tar archive, listed as a set of samples of which each is read. Sums of headers are put right in
// a second try, so that what is behind them is reached.

#include <cstdint>
#include <string>

#include "tests/unit/client/dataset/source_fixtures.h"

namespace {

void Use(const std::string& tar) {
  cvtrain::client::testing::SourceFiles source;
  source.Put("/a.tar", tar);
  const auto listing = source.List("webdataset", "/a.tar");
  if (!listing.ok()) return;
  for (const auto& split : listing->splits) {
    for (const auto& sample : split.samples) source.Read(sample).status().IgnoreError();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string tar(reinterpret_cast<const char*>(data), size);
  Use(tar);
  for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
    if (tar[at] != '\0') cvtrain::client::testing::SealTarHeader(&tar, at);
  }
  Use(tar);
  return 0;
}
