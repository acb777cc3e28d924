#include "client/dataset/csv.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/errors.h"

namespace cvtrain::client {

CsvRows::CsvRows(absl::string_view text) : left_(text) {
  absl::ConsumePrefix(&left_, "\xef\xbb\xbf");
}

bool CsvRows::Fail(absl::string_view problem) {
  status_ = InvalidArgument(Reason::kDataBad, absl::StrCat("csv: line ", line_, ": ", problem));
  left_ = {};
  return false;
}

bool CsvRows::Next(std::vector<std::string>* row) {
  row->clear();
  while (absl::ConsumePrefix(&left_, "\r\n") || absl::ConsumePrefix(&left_, "\n")) ++line_;
  if (left_.empty()) return false;
  row_line_ = line_;
  while (true) {
    if (row->size() == kCsvColumnsMax) {
      return Fail(absl::StrCat("more than ", kCsvColumnsMax, " columns"));
    }
    if (!ReadField(&row->emplace_back())) return false;
    if (absl::ConsumePrefix(&left_, ",")) continue;
    if (absl::ConsumePrefix(&left_, "\r\n") || absl::ConsumePrefix(&left_, "\n")) ++line_;
    return true;
  }
}

// Leaves what ends the field: a comma, the end of the line or of the text.
bool CsvRows::ReadField(std::string* field) {
  if (!absl::ConsumePrefix(&left_, "\"")) {
    *field = std::string(left_.substr(0, left_.find_first_of(",\n")));
    left_.remove_prefix(field->size());
    if (absl::EndsWith(*field, "\r")) field->pop_back();
    if (field->find('"') != std::string::npos) return Fail("a quote within a field without quotes");
    return field->size() <= kCsvFieldBytesMax || Fail("a field is too long");
  }
  while (true) {
    const size_t quote = left_.find('"');
    if (quote == absl::string_view::npos) return Fail("quotes that do not end");
    const absl::string_view part = left_.substr(0, quote);
    for (const char c : part) line_ += c == '\n' ? 1 : 0;
    field->append(part.data(), part.size());
    if (field->size() > kCsvFieldBytesMax) return Fail("a field is too long");
    left_.remove_prefix(quote + 1);
    if (!absl::ConsumePrefix(&left_, "\"")) break;
    field->push_back('"');
  }
  if (left_.empty() || left_[0] == ',' || left_[0] == '\n' || absl::StartsWith(left_, "\r\n")) {
    return true;
  }
  return Fail("text behind the quotes");
}

std::string CsvField(absl::string_view text) {
  if (text.find_first_of(",\"\r\n") == absl::string_view::npos) return std::string(text);
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace cvtrain::client
