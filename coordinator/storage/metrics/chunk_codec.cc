#include "coordinator/storage/metrics/chunk_codec.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "common/errors.h"
#include "coordinator/storage/coding.h"

// As in "Gorilla: A Fast, Scalable, In-Memory Time Series Database" (Pelkonen et al., VLDB 2015),
// with steps for times and a 32-bit form.

namespace cvtrain::coordinator {
namespace {

enum Layout : uint8_t { kFloat64 = 1, kFloat32 = 2 };

// A chunk holds 1,024 steps, a raw tail what one commit brought: far fewer than this.
constexpr uint64_t kPointsMax = 1 << 20;

class BitWriter {
 public:
  explicit BitWriter(std::string* out) : out_(out) {}

  // The low `count` bits of `bits`, high ones first.
  void Write(uint64_t bits, int count) {
    while (count > 0) {
      if (free_ == 0) {
        out_->push_back('\0');
        free_ = 8;
      }
      const int taken = std::min(count, free_);
      const uint64_t part = (bits >> (count - taken)) & ((uint64_t{1} << taken) - 1);
      out_->back() = static_cast<char>(static_cast<uint8_t>(out_->back()) |
                                       static_cast<uint8_t>(part << (free_ - taken)));
      free_ -= taken;
      count -= taken;
    }
  }

 private:
  std::string* const out_;
  int free_ = 0;  // bits of the last byte
};

class BitReader {
 public:
  explicit BitReader(absl::string_view bytes) : bytes_(bytes) {}

  // Zeros behind the end; see overrun().
  uint64_t Read(int count) {
    uint64_t result = 0;
    while (count > 0) {
      const size_t byte = position_ / 8;
      const int left = 8 - static_cast<int>(position_ % 8);
      const int taken = std::min(count, left);
      const uint64_t value = byte < bytes_.size() ? static_cast<uint8_t>(bytes_[byte]) : 0;
      result = (result << taken) | ((value >> (left - taken)) & ((uint64_t{1} << taken) - 1));
      position_ += static_cast<size_t>(taken);
      count -= taken;
    }
    return result;
  }
  bool overrun() const { return position_ > bytes_.size() * 8; }
  // All bytes were read, and the bits that fill the last one are zero.
  bool AtEnd() {
    return (position_ + 7) / 8 == bytes_.size() &&
           Read(static_cast<int>((8 - position_ % 8) % 8)) == 0;
  }

 private:
  const absl::string_view bytes_;
  size_t position_ = 0;  // in bits
};

// A change of the difference of steps: 0 | 10 7 bits | 110 12 bits | 1110 20 bits | 1111 64 bits.
struct StepWidth {
  uint64_t prefix;
  int prefix_bits;
  int bits;
};
constexpr StepWidth kStepWidths[] = {{0b10, 2, 7}, {0b110, 3, 12}, {0b1110, 4, 20}};

void WriteStepChange(int64_t change, BitWriter& out) {
  if (change == 0) {
    return out.Write(0, 1);
  }
  const uint64_t zigzag = ZigZag(change);
  for (const StepWidth& width : kStepWidths) {
    if (zigzag < (uint64_t{1} << width.bits)) {
      out.Write(width.prefix, width.prefix_bits);
      return out.Write(zigzag, width.bits);
    }
  }
  out.Write(0b1111, 4);
  out.Write(zigzag, 64);
}

int64_t ReadStepChange(BitReader& in) {
  if (in.Read(1) == 0) {
    return 0;
  }
  for (const StepWidth& width : kStepWidths) {
    if (in.Read(1) == 0) {
      return UnZigZag(in.Read(width.bits));
    }
  }
  return UnZigZag(in.Read(64));
}

// Values as words of `Word`. XOR with the last one: 0 same | 10 bits in the last window | 11 zeros
// in front (5 bits), length - 1 (6 bits), bits.
template <typename Word>
class ValueWriter {
 public:
  void Write(Word word, BitWriter& out) {
    const Word change = word ^ last_;
    last_ = word;
    if (change == 0) {
      return out.Write(0, 1);
    }
    const int leading = std::min(std::countl_zero(change), 31);
    const int trailing = std::countr_zero(change);
    if (length_ > 0 && leading >= leading_ && trailing >= kBits - leading_ - length_) {
      out.Write(0b10, 2);
    } else {
      leading_ = leading;
      length_ = kBits - leading - trailing;
      out.Write(0b11, 2);
      out.Write(static_cast<uint64_t>(leading_), 5);
      out.Write(static_cast<uint64_t>(length_ - 1), 6);
    }
    out.Write(change >> (kBits - leading_ - length_), length_);
  }

 private:
  static constexpr int kBits = static_cast<int>(sizeof(Word)) * 8;
  Word last_ = 0;
  int leading_ = 0;
  int length_ = 0;  // 0: no window yet
};

template <typename Word>
class ValueReader {
 public:
  // Returns false on a window that does not fit the word.
  bool Read(BitReader& in, Word* word) {
    if (in.Read(1) != 0) {
      if (in.Read(1) != 0) {
        leading_ = static_cast<int>(in.Read(5));
        length_ = static_cast<int>(in.Read(6)) + 1;
      }
      if (length_ == 0 || leading_ + length_ > kBits) {
        return false;
      }
      last_ ^= static_cast<Word>(in.Read(length_) << (kBits - leading_ - length_));
    }
    *word = last_;
    return true;
  }

 private:
  static constexpr int kBits = static_cast<int>(sizeof(Word)) * 8;
  Word last_ = 0;
  int leading_ = 0;
  int length_ = 0;
};

bool FitsFloat32(double value) {
  return std::bit_cast<uint64_t>(static_cast<double>(static_cast<float>(value))) ==
         std::bit_cast<uint64_t>(value);
}

uint32_t ToWord(double value, uint32_t) {
  return std::bit_cast<uint32_t>(static_cast<float>(value));
}
uint64_t ToWord(double value, uint64_t) { return std::bit_cast<uint64_t>(value); }
double FromWord(uint32_t word) { return std::bit_cast<float>(word); }
double FromWord(uint64_t word) { return std::bit_cast<double>(word); }

template <typename Word>
void WriteAll(absl::Span<const MetricPoint> points, std::string* out) {
  BitWriter bits(out);
  ValueWriter<Word> values;
  uint64_t step = 0;
  uint64_t stride = 0;
  for (const MetricPoint& point : points) {
    const uint64_t next = static_cast<uint64_t>(point.step) - step;  // wraps, as reading does
    WriteStepChange(static_cast<int64_t>(next - stride), bits);
    step = static_cast<uint64_t>(point.step);
    stride = &point == points.data() ? 0 : next;  // the first step is no difference
    values.Write(ToWord(point.value, Word{}), bits);
  }
}

template <typename Word>
bool ReadAll(absl::string_view bytes, uint64_t count, std::vector<MetricPoint>* points) {
  BitReader bits(bytes);
  ValueReader<Word> values;
  uint64_t step = 0;
  uint64_t stride = 0;
  for (uint64_t i = 0; i < count; ++i) {
    stride += static_cast<uint64_t>(ReadStepChange(bits));
    step += stride;
    stride = i == 0 ? 0 : stride;
    Word word = 0;
    if (!values.Read(bits, &word) || bits.overrun()) {
      return false;
    }
    points->push_back({static_cast<int64_t>(step), FromWord(word)});
  }
  return bits.AtEnd();
}

}  // namespace

std::string EncodePoints(absl::Span<const MetricPoint> points) {
  const bool narrow = std::all_of(points.begin(), points.end(), [](const MetricPoint& point) {
    return FitsFloat32(point.value);
  });
  std::string out(1, static_cast<char>(narrow ? kFloat32 : kFloat64));
  AppendVarint(points.size(), &out);
  if (narrow) {
    WriteAll<uint32_t>(points, &out);
  } else {
    WriteAll<uint64_t>(points, &out);
  }
  return out;
}

absl::StatusOr<std::vector<MetricPoint>> DecodePoints(absl::string_view bytes) {
  ByteReader reader(bytes);
  absl::string_view layout;
  uint64_t count = 0;
  std::vector<MetricPoint> points;
  // A point takes two bits at least.
  bool good = reader.ReadBytes(1, &layout) && reader.ReadVarint(&count) && count <= kPointsMax &&
              count <= reader.rest().size() * 4;
  if (good) {
    points.reserve(count);
    good = (layout[0] == kFloat32 && ReadAll<uint32_t>(reader.rest(), count, &points)) ||
           (layout[0] == kFloat64 && ReadAll<uint64_t>(reader.rest(), count, &points));
  }
  if (!good) {
    return DataLoss(Reason::kJournalDamaged, "metrics: a chunk of points cannot be read");
  }
  return points;
}

}  // namespace cvtrain::coordinator
