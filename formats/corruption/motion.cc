#include "formats/corruption/motion.h"

#include <cmath>
#include <numbers>

#include "formats/corruption/filters.h"

namespace cvtrain::formats {

void BlurByMotion(const MotionNumbers& numbers, double degrees, Size size, int channels,
                  Workspace& workspace, std::vector<float>& plane) {
  struct Step {
    int x;
    int y;
    float weight;
  };
  const int count = 2 * numbers.radius + 1;
  const double angle = degrees * std::numbers::pi / 180;
  std::vector<Step> steps;
  double sum = 0;
  for (int i = 0; i < count; ++i) {
    const double at = i / numbers.sigma;
    sum += std::exp(-at * at / 2);
  }
  for (int i = 0; i < count; ++i) {
    const double at = i / numbers.sigma;
    steps.push_back({.x = static_cast<int>(std::ceil(i * std::cos(angle) - 0.5)),
                     .y = static_cast<int>(std::ceil(i * std::sin(angle) - 0.5)),
                     .weight = static_cast<float>(std::exp(-at * at / 2) / sum)});
  }
  const PaddedRows padded(plane.data(), size, channels, count, Edge::kClamp, workspace.padded);
  const size_t row = static_cast<size_t>(size.width * channels);
  for (int y = 0; y < size.height; ++y) {
    workspace.rows.clear();
    for (const Step& step : steps) {
      workspace.rows.push_back({padded.At(step.x, y + step.y), step.weight});
    }
    SumRows(workspace.rows, row, plane.data() + row * static_cast<size_t>(y));
  }
}

}  // namespace cvtrain::formats
