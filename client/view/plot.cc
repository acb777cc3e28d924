#include "client/view/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr char kLetters[] = "*o+x#@%&";
constexpr size_t kLetterCount = sizeof(kLetters) - 1;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  // A flat line stands in the middle.
  void Widen() {
    if (low < high) return;
    const double margin = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= margin;
    high += margin;
  }
  double Share(double value) const { return (value - low) / (high - low); }
};

// A grid of character cells; in Unicode each has 2 x 4 dots.
class Canvas {
 public:
  Canvas(int columns, int rows, bool unicode)
      : columns_(columns),
        rows_(rows),
        unicode_(unicode),
        cells_(static_cast<size_t>(columns) * static_cast<size_t>(rows), 0) {}

  // Both from 0 to 1, y upward.
  void Dot(double x, double y, size_t series) {
    const int across = unicode_ ? 2 : 1;
    const int down = unicode_ ? 4 : 1;
    const int column = static_cast<int>(std::lround(x * (columns_ * across - 1)));
    const int row = static_cast<int>(std::lround((1 - y) * (rows_ * down - 1)));
    uint8_t& cell = cells_[static_cast<size_t>((row / down) * columns_ + column / across)];
    if (unicode_) {
      cell = static_cast<uint8_t>(cell | BrailleBit(column % 2, row % 4));
    } else {
      cell = static_cast<uint8_t>(kLetters[series % kLetterCount]);
    }
  }

  std::string Row(int row) const {
    std::string text;
    for (int column = 0; column < columns_; ++column) {
      const uint8_t cell = cells_[static_cast<size_t>(row * columns_ + column)];
      if (cell == 0) {
        text += ' ';
      } else if (unicode_) {
        // U+2800 + bits, in UTF-8.
        text += static_cast<char>(0xE2);
        text += static_cast<char>(0xA0 | (cell >> 6));
        text += static_cast<char>(0x80 | (cell & 0x3F));
      } else {
        text += static_cast<char>(cell);
      }
    }
    return text;
  }

 private:
  static uint8_t BrailleBit(int column, int row) {
    constexpr uint8_t kBits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    return kBits[row][column];
  }

  const int columns_;
  const int rows_;
  const bool unicode_;
  std::vector<uint8_t> cells_;
};

std::string AxisNumber(double value) { return absl::StrFormat("%.4g", value); }

bool Drawable(const PlotSeries& series, size_t i) {
  return std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
}

}  // namespace

std::string Plot(const std::vector<PlotSeries>& series, const PlotOptions& options) {
  Range x_range;
  Range y_range;
  for (const PlotSeries& one : series) {
    for (size_t i = 0; i < one.x.size(); ++i) {
      if (!Drawable(one, i)) continue;
      x_range.Add(one.x[i]);
      y_range.Add(one.y[i]);
    }
  }
  if (x_range.empty()) return "no data\n";
  x_range.Widen();
  y_range.Widen();

  constexpr int kMargin = 11;  // numbers of the y axis and the axis itself
  const int columns = std::max(30, options.columns) - kMargin;
  const int rows = std::max(4, options.rows);
  Canvas canvas(columns, rows, options.unicode);
  for (size_t s = 0; s < series.size(); ++s) {
    for (size_t i = 0; i < series[s].x.size(); ++i) {
      if (Drawable(series[s], i)) {
        canvas.Dot(x_range.Share(series[s].x[i]), y_range.Share(series[s].y[i]), s);
      }
    }
  }

  std::string text;
  for (int row = 0; row < rows; ++row) {
    std::string number;
    if (row == 0) number = AxisNumber(y_range.high);
    if (row == rows - 1) number = AxisNumber(y_range.low);
    if (row == rows / 2) number = AxisNumber((y_range.high + y_range.low) / 2);
    absl::StrAppend(&text, absl::StrFormat("%9s |", number), canvas.Row(row), "\n");
  }
  absl::StrAppend(&text, std::string(10, ' '), "+", std::string(static_cast<size_t>(columns), '-'),
                  "\n");
  const std::string left = AxisNumber(x_range.low);
  const std::string right = AxisNumber(x_range.high);
  const int gap = columns - static_cast<int>(left.size() + right.size() + options.x_label.size());
  absl::StrAppend(&text, std::string(11, ' '), left,
                  std::string(static_cast<size_t>(std::max(1, gap / 2)), ' '), options.x_label,
                  std::string(static_cast<size_t>(std::max(1, gap - gap / 2)), ' '), right, "\n");
  for (size_t s = 0; s < series.size(); ++s) {
    absl::StrAppend(&text, std::string(11, ' '));
    if (!options.unicode) absl::StrAppend(&text, std::string(1, kLetters[s % kLetterCount]), " ");
    absl::StrAppend(&text, EscapeText(series[s].label), "\n");
  }
  return text;
}

}  // namespace cvtrain::client
