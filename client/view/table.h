#ifndef CVTRAIN_CLIENT_VIEW_TABLE_H_
#define CVTRAIN_CLIENT_VIEW_TABLE_H_

#include <ostream>
#include <string>
#include <vector>

namespace cvtrain::client {

// A table as kubectl prints it: headers in capitals, columns as wide as their
// content, two spaces apart, the last one not padded. Cells are escaped, so
// that no text from outside moves the cursor. Thread-compatible.
class Table {
 public:
  explicit Table(std::vector<std::string> headers) : headers_(std::move(headers)) {}

  // `cells` has as many entries as there are headers; an empty cell prints `-`.
  void AddRow(std::vector<std::string> cells);

  bool empty() const { return rows_.empty(); }

  void Print(std::ostream& out, bool with_headers = true) const;

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_VIEW_TABLE_H_
