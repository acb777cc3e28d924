// 1. Which picture the numbers mean: the file's, or the upright one.
// 2. Cut to that picture, in its pixels.
// 3. Turn upright, then shrink.

#include "client/dataset/fit_annotation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/dataset/run_lengths.h"
#include "common/errors.h"
#include "common/status_macros.h"
#include "formats/shard/annotation_rules.h"

namespace cvtrain::client {

using formats::PictureSize;

namespace {

struct Point {
  double x = 0;
  double y = 0;
};

PictureSize UprightSize(PictureSize size, int orientation) {
  return orientation >= 5 ? PictureSize{size.height, size.width} : size;
}

// Where a point of a picture of `size` lies once that is turned upright.
Point Turn(Point point, PictureSize size, int orientation) {
  const double right = size.width - point.x;
  const double below = size.height - point.y;
  switch (orientation) {
    case 2:
      return {right, point.y};
    case 3:
      return {right, below};
    case 4:
      return {point.x, below};
    case 5:
      return {point.y, point.x};
    case 6:
      return {below, point.x};
    case 7:
      return {below, right};
    case 8:
      return {point.y, right};
    default:
      return point;
  }
}

// The orientation that undoes it.
int Inverse(int orientation) {
  if (orientation == 6) return 8;
  return orientation == 8 ? 6 : orientation;
}

class Fitter {
 public:
  Fitter(PictureSize meant, int orientation, PictureSize stored)
      : meant_(meant),
        orientation_(orientation),
        upright_(UprightSize(meant, orientation)),
        stored_(stored) {}

  FittedAnnotation Fit(const storage::v1::Annotation& annotation) {
    for (const storage::v1::Box& box : annotation.boxes()) FitBox(box);
    return std::move(fitted_);
  }

 private:
  // NaN becomes 0.
  static double Cut(double value, int end) {
    return value > 0 ? std::min(value, static_cast<double>(end)) : 0;
  }
  Point CutToPicture(Point point) const {
    return {Cut(point.x, meant_.width), Cut(point.y, meant_.height)};
  }

  Point Move(Point point) const {
    const Point turned = Turn(point, meant_, orientation_);
    return {
        std::min(turned.x * stored_.width / upright_.width, static_cast<double>(stored_.width)),
        std::min(turned.y * stored_.height / upright_.height, static_cast<double>(stored_.height))};
  }

  void FitBox(const storage::v1::Box& box) {
    const Point from = {box.left(), box.top()};
    const Point to = {box.right(), box.bottom()};
    const Point cut_from = CutToPicture(from);
    const Point cut_to = CutToPicture(to);
    const Point a = Move(cut_from);
    const Point b = Move(cut_to);
    const bool was_cut =
        cut_from.x != from.x || cut_from.y != from.y || cut_to.x != to.x || cut_to.y != to.y;
    storage::v1::Box fitted = box;
    fitted.clear_mask();
    fitted.set_left(static_cast<float>(std::min(a.x, b.x)));
    fitted.set_top(static_cast<float>(std::min(a.y, b.y)));
    fitted.set_right(static_cast<float>(std::max(a.x, b.x)));
    fitted.set_bottom(static_cast<float>(std::max(a.y, b.y)));
    if (!(cut_from.x < cut_to.x && cut_from.y < cut_to.y && fitted.left() < fitted.right() &&
          fitted.top() < fitted.bottom())) {
      ++fitted_.boxes_dropped;
      return;
    }
    fitted_.boxes_cut += was_cut ? 1 : 0;
    if (box.has_mask() && !FitMask(box.mask(), fitted.mutable_mask())) {
      fitted.clear_mask();
      ++fitted_.masks_dropped;
    }
    *fitted_.annotation.add_boxes() = std::move(fitted);
  }

  // False if nothing is left of it.
  bool FitMask(const storage::v1::Mask& mask, storage::v1::Mask* fitted) const {
    if (mask.has_run_lengths()) {
      return FitRuns(mask.run_lengths(), fitted->mutable_run_lengths());
    }
    for (const storage::v1::Polygon& polygon : mask.polygons()) {
      if (polygon.points_size() < 6 || polygon.points_size() % 2 != 0) continue;
      storage::v1::Polygon& to = *fitted->add_polygons();
      for (int i = 0; i < polygon.points_size(); i += 2) {
        const Point point = Move(CutToPicture({polygon.points(i), polygon.points(i + 1)}));
        to.add_points(static_cast<float>(point.x));
        to.add_points(static_cast<float>(point.y));
      }
    }
    return fitted->polygons_size() > 0;
  }

  bool FitRuns(const storage::v1::RunLengths& runs, storage::v1::RunLengths* fitted) const {
    uint64_t pixels = 0;
    for (const uint32_t length : runs.lengths()) pixels += length;
    if (runs.width() != static_cast<uint32_t>(meant_.width) ||
        runs.height() != static_cast<uint32_t>(meant_.height) ||
        pixels != uint64_t{runs.width()} * runs.height()) {
      return false;
    }
    if (orientation_ == 1 && stored_ == meant_) {
      *fitted = runs;
      return true;
    }
    // The pixel of the mask that lies under the centre of each new one.
    const Bitmap from = Unpack(runs);
    Bitmap to{stored_.width, stored_.height, {}};
    to.pixels.reserve(static_cast<size_t>(to.width) * static_cast<size_t>(to.height));
    for (int x = 0; x < to.width; ++x) {
      for (int y = 0; y < to.height; ++y) {
        const Point centre = {(x + 0.5) * upright_.width / to.width,
                              (y + 0.5) * upright_.height / to.height};
        const Point under = Turn(centre, upright_, Inverse(orientation_));
        to.pixels.push_back(from.at(std::clamp(static_cast<int>(under.x), 0, from.width - 1),
                                    std::clamp(static_cast<int>(under.y), 0, from.height - 1)));
      }
    }
    *fitted = Pack(to);
    return true;
  }

  const PictureSize meant_;
  const int orientation_;
  const PictureSize upright_;
  const PictureSize stored_;
  FittedAnnotation fitted_;
};

absl::Status Bad(absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad, absl::StrCat("annotation: ", problem));
}

}  // namespace

absl::StatusOr<FittedAnnotation> FitAnnotation(const SourceAnnotation& source,
                                               const PictureChange& change, uint32_t classes) {
  const PictureSize upright = UprightSize(change.file, change.orientation);
  PictureSize meant = change.file;
  int orientation = change.orientation;
  if (source.size != PictureSize{} && source.size != change.file) {
    if (source.size != upright) {
      return Bad(absl::StrCat("is for a picture of ", source.size.width, "x", source.size.height,
                              ", this one has ", change.file.width, "x", change.file.height));
    }
    meant = upright;
    orientation = 1;
  }
  FittedAnnotation fitted = Fitter(meant, orientation, change.stored).Fit(source.annotation);
  const std::string problem = formats::ProblemOf(fitted.annotation, change.stored, classes);
  if (!problem.empty()) return Bad(problem);
  if (static_cast<int64_t>(fitted.annotation.ByteSizeLong()) > formats::kShardAnnotationBytesMax) {
    return Bad(absl::StrCat("has more than ", formats::kShardAnnotationBytesMax, " bytes"));
  }
  return fitted;
}

}  // namespace cvtrain::client
