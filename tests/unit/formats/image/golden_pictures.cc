#include "tests/unit/formats/image/golden_pictures.h"

#include <fstream>
#include <iterator>

#include "common/status_macros.h"

namespace cvtrain::formats::testing {

std::vector<GoldenPicture> ReadGoldenPictures() {
  std::vector<GoldenPicture> pictures;
  std::ifstream list("tests/golden/pictures.txt");
  GoldenPicture picture;
  while (list >> picture.name >> picture.width >> picture.height >> picture.sha256) {
    const std::string kind = picture.name.substr(picture.name.rfind('.') + 1);
    std::ifstream file("tests/golden/pictures/" + kind + "/" + picture.name, std::ios::binary);
    CVT_CHECK(file.good()) << picture.name;
    picture.bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    pictures.push_back(picture);
  }
  CVT_CHECK(!pictures.empty()) << "tests run in the root of the repository";
  return pictures;
}

}  // namespace cvtrain::formats::testing
