#ifndef CVTRAIN_COMMON_LITTLE_ENDIAN_H_
#define CVTRAIN_COMMON_LITTLE_ENDIAN_H_

#include <bit>
#include <concepts>
#include <cstring>
#include <string>
#include <type_traits>

namespace cvtrain {

// Numbers as our files have them: little-endian, at any alignment. All machines that we build for
// store them so themselves.
static_assert(std::endian::native == std::endian::little);

// Reads sizeof(T) bytes at `from`.
template <std::integral T>
T LoadLittleEndian(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Writes sizeof(T) bytes at `to`. The type is named by the caller, so that a change of a
// variable's type does not change a file.
template <std::integral T>
void StoreLittleEndian(std::type_identity_t<T> value, char* to) {
  std::memcpy(to, &value, sizeof(T));
}

template <std::integral T>
void AppendLittleEndian(std::type_identity_t<T> value, std::string* to) {
  to->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_LITTLE_ENDIAN_H_
