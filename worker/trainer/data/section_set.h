#ifndef CVTRAIN_WORKER_TRAINER_DATA_SECTION_SET_H_
#define CVTRAIN_WORKER_TRAINER_DATA_SECTION_SET_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "formats/shard/shard_format.h"

namespace cvtrain::trainer {

// Sections of a shard: rungs by number from 0, then the sources. A value, as small as a word.
class SectionSet {
 public:
  constexpr SectionSet() = default;
  static constexpr SectionSet All() { return SectionSet(~uint32_t{0}); }
  static constexpr SectionSet Of(int section) { return SectionSet(uint32_t{1} << section); }
  static constexpr SectionSet Of(std::initializer_list<int> sections) {
    SectionSet set;
    for (const int section : sections) set.bits_ |= uint32_t{1} << section;
    return set;
  }

  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool Contains(int section) const { return (bits_ >> section & 1) != 0; }
  constexpr bool Contains(SectionSet other) const { return (other.bits_ & ~bits_) == 0; }

  friend constexpr SectionSet operator|(SectionSet a, SectionSet b) {
    return SectionSet(a.bits_ | b.bits_);
  }
  SectionSet& operator|=(SectionSet other) { return *this = *this | other; }
  friend constexpr bool operator==(SectionSet, SectionSet) = default;

  // By number, as far as a shard can have them; none for all of them.
  std::vector<int32_t> Numbers() const {
    std::vector<int32_t> numbers;
    if (*this == All()) return numbers;
    for (int section = 0; section <= formats::kShardRungsMax; ++section) {
      if (Contains(section)) numbers.push_back(section);
    }
    return numbers;
  }

 private:
  explicit constexpr SectionSet(uint32_t bits) : bits_(bits) {}
  uint32_t bits_ = 0;
};

}  // namespace cvtrain::trainer

#endif  // CVTRAIN_WORKER_TRAINER_DATA_SECTION_SET_H_
