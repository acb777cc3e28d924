#ifndef CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_GOLDEN_PICTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_GOLDEN_PICTURES_H_

#include <string>
#include <vector>

// The small files of tests/golden/pictures, which tests/golden/make_picture_golden.py made.
namespace cvtrain::formats::testing {

struct GoldenPicture {
  std::string name;  // of the file
  std::string bytes;
  // What it decodes to: upright, 8-bit RGB.
  int width = 0;
  int height = 0;
  std::string sha256;
};

// In the order of their names; all are 23x17, or 17x23 where they are turned.
std::vector<GoldenPicture> ReadGoldenPictures();

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_GOLDEN_PICTURES_H_
