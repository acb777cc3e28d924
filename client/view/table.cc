#include "client/view/table.h"

#include <algorithm>
#include <utility>

#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

void PrintRow(std::ostream& out, const std::vector<std::string>& cells,
              const std::vector<size_t>& widths) {
  for (size_t i = 0; i < cells.size(); ++i) {
    out << cells[i];
    if (i + 1 == cells.size()) break;
    out << std::string(widths[i] - DisplayWidth(cells[i]) + 2, ' ');
  }
  out << '\n';
}

}  // namespace

void Table::AddRow(std::vector<std::string> cells) {
  CVT_CHECK(cells.size() == headers_.size())
      << cells.size() << " cells, " << headers_.size() << " headers";
  for (std::string& cell : cells) cell = cell.empty() ? "-" : EscapeText(cell);
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out, bool with_headers) const {
  std::vector<size_t> widths(headers_.size(), 0);
  for (size_t i = 0; i < headers_.size(); ++i) {
    if (with_headers) widths[i] = DisplayWidth(headers_[i]);
    for (const auto& row : rows_) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  if (with_headers) PrintRow(out, headers_, widths);
  for (const auto& row : rows_) PrintRow(out, row, widths);
}

}  // namespace cvtrain::client
