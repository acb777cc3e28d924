#ifndef CVTRAIN_CLIENT_DATASET_CSV_H_
#define CVTRAIN_CLIENT_DATASET_CSV_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cvtrain::client {

inline constexpr size_t kCsvColumnsMax = 64;
inline constexpr size_t kCsvFieldBytesMax = size_t{64} << 10;

// Reads comma-separated values, as RFC 4180 has them, row by row. Lines end in LF or CRLF; a field
// in quotes may hold commas, line ends and doubled quotes. Empty lines are left out, and so is a
// byte order mark. Thread-compatible.
class CsvRows {
 public:
  // `text` must outlive this.
  explicit CsvRows(absl::string_view text);

  // Fills `*row` with the next row; false at the end, and after an error.
  bool Next(std::vector<std::string>* row);

  // Line of the row read last, from 1.
  size_t line() const { return row_line_; }
  // INVALID_ARGUMENT (DATA_BAD) if quotes do not end or stand where they must not; LIMIT_EXCEEDED.
  const absl::Status& status() const { return status_; }

 private:
  bool Fail(absl::string_view problem);
  bool ReadField(std::string* field);

  absl::string_view left_;
  size_t line_ = 1;
  size_t row_line_ = 0;
  absl::Status status_;
};

// A field as a row has it, in quotes if it needs them.
std::string CsvField(absl::string_view text);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_CSV_H_
