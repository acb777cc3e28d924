#ifndef CVTRAIN_COORDINATOR_STORAGE_CODING_H_
#define CVTRAIN_COORDINATOR_STORAGE_CODING_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/ids.h"

// How keys and values of the database are put into bytes; docs/formats/storage.md has the rows.
namespace cvtrain::coordinator {

// Big-endian, so that the order of the bytes is the order of the numbers: for keys.
void AppendBigEndian32(uint32_t value, std::string* out);
void AppendBigEndian64(uint64_t value, std::string* out);

// Little-endian, at most 10 bytes: seven bits a byte, low ones first.
void AppendVarint(uint64_t value, std::string* out);

// Small numbers of either sign to small numbers: 0, -1, 1, -2 -> 0, 1, 2, 3.
uint64_t ZigZag(int64_t value);
int64_t UnZigZag(uint64_t value);

// A varint of the length, then the bytes.
void AppendLengthPrefixed(absl::string_view bytes, std::string* out);

// The 16 bytes with which every row of a trial begins.
std::string TrialPrefix(const TrialName& trial);

// The first key behind all keys that begin with `prefix`; empty if there is none.
std::string PrefixEnd(absl::string_view prefix);

// Reads what the functions above wrote. Every Read...() returns false at the end of the bytes or on
// a malformed number, and the reader fails from then on. Thread-compatible.
class ByteReader {
 public:
  // `bytes` must outlive this.
  explicit ByteReader(absl::string_view bytes) : rest_(bytes) {}

  bool ReadBigEndian32(uint32_t* value);
  bool ReadBigEndian64(uint64_t* value);
  bool ReadVarint(uint64_t* value);
  bool ReadLengthPrefixed(absl::string_view* bytes);
  bool ReadBytes(size_t size, absl::string_view* bytes);

  bool at_end() const { return rest_.empty(); }
  absl::string_view rest() const { return rest_; }

 private:
  bool Fail();

  absl::string_view rest_;
  bool failed_ = false;
};

}  // namespace cvtrain::coordinator

#endif  // CVTRAIN_COORDINATOR_STORAGE_CODING_H_
