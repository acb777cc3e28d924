#include "client/dataset/coco_file.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/dataset/dataset_reader.h"
#include "client/dataset/json.h"
#include "client/dataset/run_lengths.h"
#include "client/dataset/source_files.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

absl::Status Bad(absl::string_view problem) {
  return InvalidArgument(Reason::kDataBad, absl::StrCat("coco: ", problem));
}

std::optional<int64_t> IntegerIn(const Json& object, absl::string_view name) {
  const Json* value = object.Find(name);
  return value == nullptr ? std::nullopt : value->AsInteger();
}

bool AreNumbers(const Json& list) {
  return list.kind == Json::Kind::kList &&
         std::all_of(list.items.begin(), list.items.end(),
                     [](const Json& item) { return item.kind == Json::Kind::kNumber; });
}

// Size and lengths; the latter as a list, or as a text that stands for one.
absl::Status ReadRuns(const Json& segmentation, storage::v1::Mask* mask) {
  const Json* size = segmentation.Find("size");
  const Json* counts = segmentation.Find("counts");
  if (size == nullptr || counts == nullptr || size->items.size() != 2 || !AreNumbers(*size)) {
    return Bad("a mask must have `size` and `counts`");
  }
  const auto side = [&](size_t i) { return size->items[i].AsInteger().value_or(0); };
  if (side(0) < 1 || side(1) < 1 || side(0) > limits::kImageSideMax ||
      side(1) > limits::kImageSideMax) {
    return Bad("impossible size of a mask");
  }
  storage::v1::RunLengths& runs = *mask->mutable_run_lengths();
  runs.set_height(static_cast<uint32_t>(side(0)));
  runs.set_width(static_cast<uint32_t>(side(1)));
  const auto pixels = static_cast<uint64_t>(side(0) * side(1));
  if (counts->kind == Json::Kind::kText) {
    CVT_ASSIGN_OR_RETURN(const std::vector<uint32_t> lengths, ParseCocoRuns(counts->text, pixels));
    runs.mutable_lengths()->Add(lengths.begin(), lengths.end());
    return absl::OkStatus();
  }
  if (counts->kind != Json::Kind::kList) return Bad("`counts` must be a list or a text");
  for (const Json& item : counts->items) {
    const int64_t length = item.AsInteger().value_or(-1);
    if (length < 0 || static_cast<uint64_t>(length) > pixels) return Bad("impossible `counts`");
    runs.add_lengths(static_cast<uint32_t>(length));
  }
  return absl::OkStatus();
}

absl::Status ReadMask(const Json& segmentation, storage::v1::Box* box) {
  if (segmentation.kind == Json::Kind::kObject) return ReadRuns(segmentation, box->mutable_mask());
  if (segmentation.kind != Json::Kind::kList) return Bad("`segmentation` must be a list or runs");
  for (const Json& polygon : segmentation.items) {
    if (!AreNumbers(polygon)) return Bad("a polygon must be a list of numbers");
    storage::v1::Polygon& to = *box->mutable_mask()->add_polygons();
    for (const Json& number : polygon.items) to.add_points(static_cast<float>(number.number));
  }
  return absl::OkStatus();
}

// The box without its label.
absl::StatusOr<storage::v1::Box> ReadBox(const Json& item) {
  const Json* bbox = item.Find("bbox");
  if (bbox == nullptr || bbox->items.size() != 4 || !AreNumbers(*bbox)) {
    return Bad("`bbox` must be four numbers: x, y, width, height");
  }
  storage::v1::Box box;
  const auto number = [&](size_t i) { return bbox->items[i].number; };
  box.set_left(static_cast<float>(number(0)));
  box.set_top(static_cast<float>(number(1)));
  box.set_right(static_cast<float>(number(0) + number(2)));
  box.set_bottom(static_cast<float>(number(1) + number(3)));
  const Json* crowd = item.Find("iscrowd");
  box.set_crowd(crowd != nullptr && crowd->number != 0);
  const Json* segmentation = item.Find("segmentation");
  if (segmentation != nullptr && segmentation->kind != Json::Kind::kNull) {
    CVT_RETURN_IF_ERROR(ReadMask(*segmentation, &box));
  }
  return box;
}

// Takes items in whatever order the file has its lists, and puts them together at the end.
class Collector {
 public:
  absl::Status Take(absl::string_view list, const Json& item) {
    if (list == "categories") return TakeCategory(item);
    if (list == "images") return TakePicture(item);
    return list == "annotations" ? TakeAnnotation(item) : absl::OkStatus();
  }

  absl::StatusOr<CocoFile> Finish() {
    if (categories_.empty()) return Bad("has no `categories`");
    if (pictures_.empty()) return Bad("has no `images`");
    std::map<int64_t, uint32_t> labels;
    for (const auto& [id, name] : categories_) {
      labels.emplace(id, static_cast<uint32_t>(file_.categories.size()));
      file_.categories.push_back({id, name});
    }
    for (Pending& one : pending_) Place(one, labels);
    for (auto& [id, picture] : pictures_) file_.pictures.push_back(std::move(picture));
    return std::move(file_);
  }

 private:
  struct Pending {
    int64_t picture = 0;
    std::optional<int64_t> category;
    std::string problem;
    storage::v1::Box box;
  };

  absl::Status TakeCategory(const Json& item) {
    const std::optional<int64_t> id = IntegerIn(item, "id");
    const Json* name = item.Find("name");
    if (!id.has_value() || name == nullptr || !IsClassName(name->text)) {
      return Bad("a category must have an `id`, a number, and a `name`, plain text");
    }
    if (categories_.size() == limits::kClassesPerDatasetMax) {
      return LimitExceeded("kClassesPerDatasetMax", "coco: too many categories");
    }
    if (!names_.insert(name->text).second || !categories_.emplace(*id, name->text).second) {
      return Bad(absl::StrCat("category ", *id, ", ", SafeText(name->text), ", is there twice"));
    }
    return absl::OkStatus();
  }

  absl::Status TakePicture(const Json& item) {
    const std::optional<int64_t> id = IntegerIn(item, "id");
    const Json* name = item.Find("file_name");
    if (!id.has_value() || name == nullptr || name->kind != Json::Kind::kText) {
      return Bad("an image must have an `id`, a number, and a `file_name`");
    }
    if (pictures_.size() == kSourceSamplesMax) return Bad("has too many images");
    CocoFile::Picture picture;
    picture.id = *id;
    picture.file_name = name->text;
    const int64_t width = IntegerIn(item, "width").value_or(0);
    const int64_t height = IntegerIn(item, "height").value_or(0);
    if (width >= 1 && height >= 1 && width <= limits::kImageSideMax &&
        height <= limits::kImageSideMax) {
      picture.size = {static_cast<int>(width), static_cast<int>(height)};
    }
    if (!pictures_.emplace(*id, std::move(picture)).second) {
      return Bad(absl::StrCat("image ", *id, " is there twice"));
    }
    return absl::OkStatus();
  }

  absl::Status TakeAnnotation(const Json& item) {
    const std::optional<int64_t> picture = IntegerIn(item, "image_id");
    if (!picture.has_value()) return Bad("an annotation must have an `image_id`, a number");
    Pending& one = pending_.emplace_back();
    one.picture = *picture;
    one.category = IntegerIn(item, "category_id");
    absl::StatusOr<storage::v1::Box> box = ReadBox(item);
    if (box.ok()) {
      one.box = *std::move(box);
    } else {
      one.problem = std::string(box.status().message());
    }
    return absl::OkStatus();
  }

  void Place(Pending& one, const std::map<int64_t, uint32_t>& labels) {
    const auto found = pictures_.find(one.picture);
    if (found == pictures_.end()) {
      file_.strays.push_back(absl::StrCat("an annotation of image ", one.picture));
      return;
    }
    CocoFile::Picture& picture = found->second;
    const auto label = one.category.has_value() ? labels.find(*one.category) : labels.end();
    if (label == labels.end()) {
      picture.problem = "label_out_of_range";
      picture.problem_detail =
          one.category.has_value()
              ? absl::StrCat("a box is of category ", *one.category, ", which is none")
              : "a box has no category";
    } else if (!one.problem.empty()) {
      picture.problem = "bad_annotation";
      picture.problem_detail = one.problem;
    }
    one.box.set_label(label == labels.end() ? 0 : label->second);
    *picture.annotation.add_boxes() = std::move(one.box);
  }

  std::map<int64_t, std::string> categories_;
  std::set<std::string> names_;
  std::map<int64_t, CocoFile::Picture> pictures_;
  std::vector<Pending> pending_;
  CocoFile file_;
};

}  // namespace

absl::StatusOr<CocoFile> ParseCocoFile(absl::string_view text) {
  Collector collector;
  CVT_RETURN_IF_ERROR(ParseJsonLists(
      text, [&](absl::string_view list, const Json& item) { return collector.Take(list, item); }));
  return collector.Finish();
}

}  // namespace cvtrain::client
