#ifndef CVTRAIN_CLIENT_VIEW_PLOT_H_
#define CVTRAIN_CLIENT_VIEW_PLOT_H_

#include <string>
#include <vector>

namespace cvtrain::client {

// One line of a plot.
struct PlotSeries {
  std::string label;
  std::vector<double> x;
  std::vector<double> y;  // as long as `x`; values that are not finite are left out
};

struct PlotOptions {
  int columns = 80;  // of the whole picture, at least 30
  int rows = 16;     // of the drawing area, at least 4
  std::string x_label;
  bool unicode = true;  // braille dots; otherwise one letter per series
};

// Draws the series over one pair of axes, as text with a legend. Every point is
// drawn; several in one cell count once. Returns "no data" without a point.
std::string Plot(const std::vector<PlotSeries>& series, const PlotOptions& options);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_VIEW_PLOT_H_
