#include "common/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace cvtrain {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, bits reversed

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: the CRC of byte b followed by k zero bytes.
constexpr Tables MakeTables() {
  Tables tables = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < 8; ++k) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

#if defined(__x86_64__)
// The instruction takes three cycles and a new one begins in each: three lanes of this many bytes
// are summed at a time, and joined.
constexpr size_t kLaneBytes = 2048;

using ShiftTables = std::array<std::array<uint32_t, 256>, 4>;

// What kLaneBytes of zeros make of a state is linear in its bits: tables[k][b] is that of byte `b`
// at place `k` of the state.
constexpr ShiftTables MakeShiftTables() {
  std::array<uint32_t, 32> of_bit = {};
  for (size_t bit = 0; bit < of_bit.size(); ++bit) {
    uint32_t state = uint32_t{1} << bit;
    for (size_t i = 0; i < kLaneBytes; ++i) state = (state >> 8) ^ kTables[0][state & 0xff];
    of_bit[bit] = state;
  }
  ShiftTables tables = {};
  for (size_t place = 0; place < 4; ++place) {
    for (size_t byte = 0; byte < 256; ++byte) {
      for (size_t bit = 0; bit < 8; ++bit) {
        if ((byte >> bit & 1) != 0) tables[place][byte] ^= of_bit[place * 8 + bit];
      }
    }
  }
  return tables;
}

constexpr ShiftTables kShiftTables = MakeShiftTables();

uint32_t ShiftByLane(uint32_t state) {
  return kShiftTables[0][state & 0xff] ^ kShiftTables[1][state >> 8 & 0xff] ^
         kShiftTables[2][state >> 16 & 0xff] ^ kShiftTables[3][state >> 24];
}

uint64_t WordAt(const char* data) {
  uint64_t word;
  std::memcpy(&word, data, sizeof(word));
  return word;
}

__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t crc, const char* data,
                                                               size_t size) {
  uint64_t state = static_cast<uint32_t>(~crc);
  for (; size >= 3 * kLaneBytes; data += 3 * kLaneBytes, size -= 3 * kLaneBytes) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kLaneBytes; i += 8) {
      state = _mm_crc32_u64(state, WordAt(data + i));
      second = _mm_crc32_u64(second, WordAt(data + kLaneBytes + i));
      third = _mm_crc32_u64(third, WordAt(data + 2 * kLaneBytes + i));
    }
    state = ShiftByLane(static_cast<uint32_t>(state)) ^ second;
    state = ShiftByLane(static_cast<uint32_t>(state)) ^ third;
  }
  for (; size >= 8; data += 8, size -= 8) state = _mm_crc32_u64(state, WordAt(data));
  auto narrow = static_cast<uint32_t>(state);
  for (; size > 0; ++data, --size) narrow = _mm_crc32_u8(narrow, static_cast<uint8_t>(*data));
  return ~narrow;
}
#endif

}  // namespace

namespace internal {

uint32_t ExtendCrc32cPortable(uint32_t crc, absl::string_view data) {
  uint32_t state = ~crc;
  const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
  size_t size = data.size();
  // Eight bytes at a time, each looked up as if zeros followed it.
  for (; size >= 8; bytes += 8, size -= 8) {
    const uint32_t first = state ^ (uint32_t{bytes[0]} | uint32_t{bytes[1]} << 8 |
                                    uint32_t{bytes[2]} << 16 | uint32_t{bytes[3]} << 24);
    state = kTables[7][first & 0xff] ^ kTables[6][(first >> 8) & 0xff] ^
            kTables[5][(first >> 16) & 0xff] ^ kTables[4][first >> 24] ^ kTables[3][bytes[4]] ^
            kTables[2][bytes[5]] ^ kTables[1][bytes[6]] ^ kTables[0][bytes[7]];
  }
  for (; size > 0; ++bytes, --size) state = (state >> 8) ^ kTables[0][(state ^ *bytes) & 0xff];
  return ~state;
}

}  // namespace internal

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return ExtendByInstruction(crc, data.data(), data.size());
#endif
  return internal::ExtendCrc32cPortable(crc, data);
}

uint32_t Crc32c(absl::string_view data) { return ExtendCrc32c(0, data); }

}  // namespace cvtrain
