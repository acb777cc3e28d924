#include "common/random.h"

#include <sys/random.h>

#include <cmath>
#include <numbers>

#include "common/status_macros.h"

namespace cvtrain {
namespace {

// The constants of the paper: two odd multipliers, and the Weyl increments of the
// key (golden ratio, sqrt(3) - 1).
constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

constexpr size_t kKeyWordsMax = 5;

uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t High(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

uint64_t Fnv1a64(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  return hash;
}

class KernelRandom : public Random {
 public:
  uint64_t NextU64() override {
    uint64_t value = 0;
    // At most 256 bytes never come in parts and are never interrupted.
    CVT_CHECK(::getrandom(&value, sizeof(value), 0) == sizeof(value));
    return value;
  }
};

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {High(product1) ^ counter[1] ^ key[0], Low(product1),
               High(product0) ^ counter[3] ^ key[1], Low(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

KeyedStream::KeyedStream(absl::string_view tag, absl::Span<const uint64_t> words) : stream_{0, 0} {
  CVT_CHECK(words.size() <= kKeyWordsMax) << tag << " has " << words.size() << " words";
  const uint64_t hash = Fnv1a64(tag);
  key_ = {Low(hash), High(hash)};
  for (size_t i = 0; i < words.size(); ++i) {
    const std::array<uint32_t, 4> mixed =
        Philox4x32({Low(words[i]) ^ stream_[0], High(words[i]) ^ stream_[1],
                    static_cast<uint32_t>(i + 1), static_cast<uint32_t>(words.size())},
                   key_);
    key_ = {mixed[0], mixed[1]};
    stream_ = {mixed[2], mixed[3]};
  }
}

uint32_t KeyedStream::NextU32() {
  if (next_ == 4) {
    words_ = Philox4x32({Low(block_), High(block_), stream_[0], stream_[1]}, key_);
    ++block_;
    next_ = 0;
  }
  return words_[static_cast<size_t>(next_++)];
}

uint64_t KeyedStream::NextU64() {
  const uint64_t low = NextU32();
  return low | (uint64_t{NextU32()} << 32);
}

double KeyedStream::Uniform01() { return static_cast<double>(NextU64() >> 11) * 0x1p-53; }

float KeyedStream::Uniform01Float() { return static_cast<float>(NextU32() >> 8) * 0x1p-24f; }

uint64_t KeyedStream::UniformInt(uint64_t n) {
  CVT_CHECK(n > 0);
  // The high half of value * n is below n; each result has the same number of
  // values once those with a low half below 2^64 mod n are drawn again.
  unsigned __int128 product = static_cast<unsigned __int128>(NextU64()) * n;
  if (static_cast<uint64_t>(product) < n) {
    const uint64_t threshold = (0 - n) % n;
    while (static_cast<uint64_t>(product) < threshold) {
      product = static_cast<unsigned __int128>(NextU64()) * n;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

double KeyedStream::Normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const double u = 1.0 - Uniform01();  // in (0, 1]: the logarithm exists
  const double angle = 2 * std::numbers::pi * Uniform01();
  const double radius = std::sqrt(-2.0 * std::log(u));
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

Random& SystemRandom() {
  static auto* const random = new KernelRandom;
  return *random;
}

}  // namespace cvtrain
