#ifndef CVTRAIN_CLIENT_DATASET_CONTACT_SHEET_H_
#define CVTRAIN_CLIENT_DATASET_CONTACT_SHEET_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "formats/image/image.h"

namespace cvtrain::client {

// Sides of a sheet, pixels: what EncodeRawPng() takes.
inline constexpr int kSheetSideMax = 16'384;

// What a row takes beside its tiles.
inline constexpr int kSheetRowHeight = 19;
// INVALID_ARGUMENT (FIELD_INVALID).
absl::Status SheetTooLarge();

// Pictures that belong together, and what is said of them above.
struct SheetRow {
  std::string caption;
  std::vector<formats::Image> tiles;
};

// One picture of all rows, from the top, each tile in its own size. INVALID_ARGUMENT
// (FIELD_INVALID) if it would be larger than kSheetSideMax.
absl::StatusOr<formats::Image> MakeContactSheet(const std::vector<SheetRow>& rows);

// Writes `text` into `image`, its upper left corner at (x, y), in light grey; what does not fit is
// cut off. Letters are as capitals, five by seven pixels in a cell of six; characters other than
// letters, digits and `-.,:=/` are blanks.
void DrawText(absl::string_view text, int x, int y, formats::Image& image);
inline constexpr int kTextCellWidth = 6;
inline constexpr int kTextHeight = 7;

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_DATASET_CONTACT_SHEET_H_
