#include "formats/shard/shard_format.h"

#include <algorithm>

namespace cvtrain::formats {

PictureSize ShrinkToShortSide(PictureSize size, int short_side) {
  const int shorter = std::min(size.width, size.height);
  if (shorter <= short_side) return size;
  const auto shrink = [&](int side) {
    const int64_t product = int64_t{side} * short_side;
    return std::max(1, static_cast<int>((2 * product + shorter) / (2 * int64_t{shorter})));
  };
  return {shrink(size.width), shrink(size.height)};
}

PictureSize RungSize(const ShardRecord& record, const std::vector<int>& rungs, int rung) {
  if (rung >= static_cast<int>(rungs.size())) return record.source;
  return ShrinkToShortSide(record.source, rungs[static_cast<size_t>(rung)]);
}

int PickRung(const ShardRecord& record, const std::vector<int>& rungs, const CropWant& want) {
  const int source = static_cast<int>(rungs.size());
  for (int rung = 0; rung < source; ++rung) {
    if (!record.HasRung(rung)) continue;
    const PictureSize size = RungSize(record, rungs, rung);
    // Products instead of quotients: a crop of the whole short side is exactly the rung's.
    const double width = want.crop_width * size.width;
    const double height = want.crop_height * size.height;
    if (width >= double{1} * want.target_width * record.source.width &&
        height >= double{1} * want.target_height * record.source.height) {
      return rung;
    }
  }
  return source;
}

}  // namespace cvtrain::formats
