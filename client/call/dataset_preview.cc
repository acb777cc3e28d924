// cvctl dataset preview RECIPE
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/call/dataset_verbs.h"
#include "client/call/recipe_file.h"
#include "client/dataset/contact_sheet.h"
#include "client/dataset/raw_png.h"
#include "client/dataset/stage_preview.h"
#include "common/errors.h"
#include "common/ids.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "plan/recipe/resolve.h"

namespace cvtrain::client {
namespace {

struct PreviewOptions {
  GlobalOptions global;
  std::vector<std::string> set;
  std::string to;
  int pictures = 8;
  int stage = 0;  // counting from 1; 0: all
};

// A shard at the coordinator, as a file: each read is a call.
class RemoteShard : public RandomAccessFile {
 public:
  RemoteShard(Connection& connection, std::string version, const v1::Shard& shard)
      : connection_(connection),
        version_(std::move(version)),
        index_(shard.index()),
        size_bytes_(static_cast<uint64_t>(shard.size_bytes())) {}

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> buffer) const override {
    if (offset >= size_bytes_ || buffer.empty()) return size_t{0};
    const uint64_t length = std::min<uint64_t>(buffer.size(), size_bytes_ - offset);
    size_t filled = 0;
    CVT_RETURN_IF_ERROR(connection_.ReadShard(
        version_, index_, offset, length, [&](absl::string_view chunk) -> absl::Status {
          if (chunk.size() > length - filled) {
            return DataLoss(Reason::kShardBad, "more bytes came than were asked for");
          }
          std::copy(chunk.begin(), chunk.end(), buffer.begin() + static_cast<ptrdiff_t>(filled));
          filled += chunk.size();
          return absl::OkStatus();
        }));
    return filled;
  }
  absl::StatusOr<uint64_t> Size() const override { return size_bytes_; }

 private:
  Connection& connection_;
  const std::string version_;
  const int32_t index_;
  const uint64_t size_bytes_;
};

// What the first trial of an experiment is made of.
struct FirstTrial {
  v1::Recipe recipe;
  int32_t logical_ranks = 1;
};
absl::StatusOr<FirstTrial> ResolveFirstTrial(Connection& connection,
                                             const v1::ExperimentSpec& spec) {
  v1::PreviewExperimentRequest request;
  *request.mutable_spec() = spec;
  CVT_ASSIGN_OR_RETURN(const auto preview, connection.PreviewExperiment(request));
  std::map<std::string, std::string> parameters;
  if (preview.trials_size() > 0) {
    parameters = {preview.trials(0).parameters().begin(), preview.trials(0).parameters().end()};
  }
  FirstTrial trial;
  CVT_ASSIGN_OR_RETURN(trial.recipe, plan::ConcreteRecipe(preview.spec(), parameters));
  trial.logical_ranks = preview.spec().resources().logical_ranks();
  return trial;
}

absl::StatusOr<v1::DatasetVersion> FindVersion(Connection& connection,
                                               const v1::DatasetSource& source) {
  v1::GetDatasetVersionRequest request;
  request.set_name(DatasetVersionName(DatasetName(source.name()), source.version()).ToString());
  CVT_ASSIGN_OR_RETURN(auto response, connection.GetDatasetVersion(request));
  return std::move(*response.mutable_version());
}

// What the sheet leaves out, for people; empty if nothing.
std::string LeftOut(const v1::Augmentation& augmentation) {
  std::vector<absl::string_view> names;
  if (augmentation.has_range_augment()) names.push_back("range_augment");
  if (augmentation.has_normalize()) names.push_back("normalize");
  if (augmentation.has_random_erasing()) names.push_back("random_erasing");
  if (augmentation.has_mixup()) names.push_back("mixup");
  if (augmentation.has_cutmix()) names.push_back("cutmix");
  return absl::StrJoin(names, ", ");
}

}  // namespace

absl::StatusOr<ExitCode> PreviewDataset(const Cli& cli, const Arguments& arguments) {
  PreviewOptions options;
  FlagSet flags(
      "cvctl dataset preview RECIPE|- [--to SHEET.png] [flags]",
      "Writes a contact sheet of the first pictures that each stage of a recipe feeds, at "
      "its sizes: those that its first trial decodes, pixel by pixel.");
  flags.String("to", 0, &options.to, "FILE", "the sheet, a PNG (default: the recipe's name .png)");
  flags.Int("stage", 0, &options.stage, 0, 100'000, "only this one, counting from 1; 0: all");
  flags.Int("pictures", 0, &options.pictures, 1, 64, "of each size");
  flags.StringList("set", 0, &options.set, "PATH=VALUE", "replaces a field, such as recipe.seed=5");
  options.global.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  CVT_RETURN_IF_ERROR(CheckCount(positional, 1, 1, "one RECIPE, or - for standard input"));

  CVT_ASSIGN_OR_RETURN(const std::vector<plan::Override> overrides, ParseOverrides(options.set));
  CVT_ASSIGN_OR_RETURN(const v1::ExperimentSpec spec,
                       ReadRecipeFile(cli, positional[0], overrides));
  if (spec.recipe().task() == v1::Recipe::TASK_SYNTHETIC) {
    return InvalidArgument(Reason::kRecipeInvalid, "a synthetic task has no pictures to show");
  }
  CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options.global));
  CVT_ASSIGN_OR_RETURN(const FirstTrial trial, ResolveFirstTrial(*connection, spec));
  CVT_ASSIGN_OR_RETURN(const v1::DatasetVersion version,
                       FindVersion(*connection, trial.recipe.dataset()));
  CVT_ASSIGN_OR_RETURN(
      const std::vector<SheetRow> rows,
      PreviewStages(
          trial.recipe, version, trial.logical_ranks,
          {.pictures = options.pictures, .stage = options.stage - 1},
          [&](const v1::Shard& shard) -> absl::StatusOr<std::unique_ptr<RandomAccessFile>> {
            return std::make_unique<RemoteShard>(*connection, version.name(), shard);
          }));
  CVT_ASSIGN_OR_RETURN(const formats::Image sheet, MakeContactSheet(rows));

  const std::string path = options.to.empty() ? absl::StrCat(spec.name(), ".png") : options.to;
  CVT_RETURN_IF_ERROR(WriteFileAtomic(
      cli.files, path,
      EncodeRawPng(
          {.width = sheet.width,
           .height = sheet.height,
           .channels = 3,
           .pixels = {reinterpret_cast<const char*>(sheet.pixels.data()), sheet.pixels.size()}})));
  for (const SheetRow& row : rows) cli.out << row.caption << '\n';
  cli.out << EscapeText(path) << "  " << sheet.width << "x" << sheet.height << "  of "
          << ShortName(version.name()) << '\n';
  if (const std::string left_out = LeftOut(trial.recipe.augmentation()); !left_out.empty()) {
    cli.out << "Done to tensors later, and not shown: " << left_out << '\n';
  }
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
