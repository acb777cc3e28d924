#ifndef CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_BAD_PICTURES_H_
#define CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_BAD_PICTURES_H_

#include <string>
#include <vector>

namespace cvtrain::formats::testing {

struct BadPicture {
  std::string name;  // what was done to what: "rgb.png/cut/33"
  std::string bytes;
};

// Damaged, lying and hostile files, made from the golden pictures: cut, with bytes changed, zeroed
// or of another kind, with other sizes in their headers, with parts missing, repeated or out of
// order, bombs, and what is no picture at all. Some are harmless in the end.
//
// The same files in the same order on every machine: chance is keyed by their names, and what an
// encoder makes is made of what every version of it makes alike.
std::vector<BadPicture> MakeBadPictures();

}  // namespace cvtrain::formats::testing

#endif  // CVTRAIN_TESTS_UNIT_FORMATS_IMAGE_BAD_PICTURES_H_
