#ifndef CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_TIFF_FIXTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_TIFF_FIXTURES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

// TIFF files by hand, for what no library would write.
namespace cvtrain::formats::testing {

using TiffTags = std::map<uint16_t, std::vector<uint32_t>>;

// The tags of an uncompressed picture in one strip; `samples` of `bits` bits, photometric
// interpretation 1 for one or two of them, 2 for more.
TiffTags MakeTiffTags(uint32_t width, uint32_t height, uint32_t samples = 1, uint32_t bits = 8);

// A little-endian file: the blocks, then a directory of `tags` and of where the blocks are: tiles
// if the tags have a size of them, else strips. Numbers that need it are LONG, the others SHORT.
std::string MakeTiff(TiffTags tags, const std::vector<std::string>& blocks);

// A valid file of 8-bit grey whose pixels are all zero, packed by Deflate.
std::string MakeFlatTiff(uint32_t width, uint32_t height);

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_TIFF_FIXTURES_H_
