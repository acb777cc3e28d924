#include "formats/shard/annotation_rules.h"

#include "absl/strings/str_cat.h"

namespace cvtrain::formats {
namespace {

std::string ProblemOfPolygon(const storage::v1::Polygon& polygon, PictureSize size) {
  if (polygon.points_size() < 6 || polygon.points_size() % 2 != 0) {
    return "a polygon must have three corners or more, of two numbers each";
  }
  for (int i = 0; i < polygon.points_size(); ++i) {
    const float end = static_cast<float>(i % 2 == 0 ? size.width : size.height);
    if (!(polygon.points(i) >= 0 && polygon.points(i) <= end)) {
      return "a corner must lie within the picture";
    }
  }
  return "";
}

std::string ProblemOfRuns(const storage::v1::RunLengths& runs, PictureSize size) {
  if (runs.width() != static_cast<uint32_t>(size.width) ||
      runs.height() != static_cast<uint32_t>(size.height)) {
    return "a mask must have the size of its picture";
  }
  uint64_t pixels = 0;
  for (const uint32_t length : runs.lengths()) pixels += length;
  const uint64_t all = uint64_t{runs.width()} * runs.height();
  return pixels == all ? "" : "the runs must add up to the pixels of the picture";
}

// NaN fails each comparison.
std::string ProblemOfBox(const storage::v1::Box& box, PictureSize size, uint32_t classes) {
  if (!(box.left() >= 0 && box.left() < box.right() &&
        box.right() <= static_cast<float>(size.width) && box.top() >= 0 &&
        box.top() < box.bottom() && box.bottom() <= static_cast<float>(size.height))) {
    return absl::StrCat("must have an area and lie within ", size.width, "x", size.height);
  }
  if (box.label() >= classes) return absl::StrCat("the label must be below ", classes);
  const storage::v1::Mask& mask = box.mask();
  if (mask.has_run_lengths() && mask.polygons_size() > 0) {
    return "a mask has polygons or runs, not both";
  }
  for (const storage::v1::Polygon& polygon : mask.polygons()) {
    std::string problem = ProblemOfPolygon(polygon, size);
    if (!problem.empty()) return problem;
  }
  return mask.has_run_lengths() ? ProblemOfRuns(mask.run_lengths(), size) : "";
}

}  // namespace

std::string ProblemOf(const storage::v1::Annotation& annotation, PictureSize size,
                      uint32_t classes) {
  if (annotation.boxes_size() > kShardBoxesMax) {
    return absl::StrCat("a picture must have at most ", kShardBoxesMax, " boxes");
  }
  int numbers = 0;
  for (int i = 0; i < annotation.boxes_size(); ++i) {
    const std::string problem = ProblemOfBox(annotation.boxes(i), size, classes);
    if (!problem.empty()) return absl::StrCat("box ", i, ": ", problem);
    const storage::v1::Mask& mask = annotation.boxes(i).mask();
    numbers += mask.run_lengths().lengths_size();
    for (const storage::v1::Polygon& polygon : mask.polygons()) numbers += polygon.points_size();
  }
  if (numbers > kShardMaskNumbersMax) {
    return absl::StrCat("masks must have at most ", kShardMaskNumbersMax, " numbers");
  }
  return "";
}

}  // namespace cvtrain::formats
