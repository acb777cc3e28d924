#include "coordinator/storage/coding.h"

namespace cvtrain::coordinator {
namespace {

template <typename T>
void AppendBigEndian(T value, std::string* out) {
  for (int shift = 8 * static_cast<int>(sizeof(T)) - 8; shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>((value >> shift) & 0xff));
  }
}

template <typename T>
T DecodeBigEndian(absl::string_view bytes) {
  T value = 0;
  for (char c : bytes) {
    value = static_cast<T>((value << 8) | static_cast<uint8_t>(c));
  }
  return value;
}

}  // namespace

void AppendBigEndian32(uint32_t value, std::string* out) { AppendBigEndian(value, out); }
void AppendBigEndian64(uint64_t value, std::string* out) { AppendBigEndian(value, out); }

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

int64_t UnZigZag(uint64_t value) { return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1)); }

void AppendLengthPrefixed(absl::string_view bytes, std::string* out) {
  AppendVarint(bytes.size(), out);
  out->append(bytes.data(), bytes.size());
}

std::string TrialPrefix(const TrialName& trial) {
  std::string key;
  key.reserve(64);
  AppendBigEndian64(static_cast<uint64_t>(trial.experiment().number()), &key);
  AppendBigEndian64(static_cast<uint64_t>(trial.number()), &key);
  return key;
}

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) {
    end.pop_back();
  }
  if (!end.empty()) {
    end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  }
  return end;
}

bool ByteReader::Fail() {
  failed_ = true;
  return false;
}

bool ByteReader::ReadBytes(size_t size, absl::string_view* bytes) {
  if (failed_ || rest_.size() < size) {
    return Fail();
  }
  *bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool ByteReader::ReadBigEndian32(uint32_t* value) {
  absl::string_view bytes;
  if (!ReadBytes(4, &bytes)) {
    return false;
  }
  *value = DecodeBigEndian<uint32_t>(bytes);
  return true;
}

bool ByteReader::ReadBigEndian64(uint64_t* value) {
  absl::string_view bytes;
  if (!ReadBytes(8, &bytes)) {
    return false;
  }
  *value = DecodeBigEndian<uint64_t>(bytes);
  return true;
}

bool ByteReader::ReadVarint(uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    absl::string_view byte;
    if (!ReadBytes(1, &byte)) {
      return false;
    }
    const uint64_t bits = static_cast<uint8_t>(byte[0]);
    if (shift == 63 && bits > 1) {
      return Fail();
    }
    result |= (bits & 0x7f) << shift;
    if ((bits & 0x80) == 0) {
      *value = result;
      return true;
    }
  }
  return Fail();
}

bool ByteReader::ReadLengthPrefixed(absl::string_view* bytes) {
  uint64_t size = 0;
  return ReadVarint(&size) && (size <= rest_.size() ? ReadBytes(size, bytes) : Fail());
}

}  // namespace cvtrain::coordinator
