// cvctl dataset verify
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/call/dataset_verbs.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/text.h"
#include "formats/shard/shard_reader.h"

namespace cvtrain::client {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

// A shard file that was read to its end.
struct CheckedShard {
  std::string path;
  formats::ShardInfo info;
  std::string digest;
  int64_t boxes = 0;
};

absl::StatusOr<std::string> DigestOf(const RandomAccessFile& file) {
  Sha256 digest;
  std::string piece(kPieceBytes, '\0');
  for (uint64_t at = 0;;) {
    CVT_ASSIGN_OR_RETURN(const size_t got, file.Read(at, absl::MakeSpan(piece)));
    if (got == 0) return ToHex(digest.Finish());
    digest.Update(absl::string_view(piece).substr(0, got));
    at += got;
  }
}

// Keys of each split, which must differ over all of its shards.
using Keys = std::map<std::string, std::set<std::string>>;

absl::StatusOr<CheckedShard> CheckShard(FileSystem& files, const std::string& path, Keys* keys) {
  CheckedShard checked;
  checked.path = path;
  CVT_ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, files.NewRandomAccessFile(path));
  CVT_ASSIGN_OR_RETURN(checked.digest, DigestOf(*file));
  CVT_ASSIGN_OR_RETURN(const auto shard, formats::ShardReader::Open(std::move(file), path));
  CVT_RETURN_IF_ERROR(shard->VerifyAll());
  checked.info = shard->info();
  std::set<std::string>& seen = (*keys)[checked.info.split];
  for (int64_t i = 0; i < checked.info.records; ++i) {
    checked.boxes += shard->annotation(i).boxes_size();
    if (!seen.emplace(shard->key(i)).second) {
      return DataLoss(Reason::kShardBad,
                      absl::StrCat("shard ", SafeText(path), ": ", SafeText(shard->key(i)),
                                   " is in split ", checked.info.split, " twice"));
    }
  }
  return checked;
}

// What an entry says of itself must agree: a coordinator that took it has checked as much.
absl::Status CheckEntry(const v1::DatasetVersion& version) {
  const auto bad = [&](absl::string_view problem) {
    return DataLoss(Reason::kShardBad, absl::StrCat(ShortName(version.name()), ": ", problem));
  };
  std::map<std::string, int64_t> images;
  std::set<std::string> digests;
  int64_t size_bytes = 0;
  for (const v1::Shard& shard : version.shards()) {
    images[shard.split()] += shard.images();
    size_bytes += shard.size_bytes();
    if (!digests.insert(shard.digest()).second) return bad("a shard is listed twice");
  }
  for (const v1::Split& split : version.splits()) {
    if (images[split.name()] == split.images()) continue;
    return bad(absl::StrCat("split ", split.name(), " has ", split.images(),
                            " samples, its shards ", images[split.name()]));
  }
  if (size_bytes != version.size_bytes()) return bad("the shards do not add up to its size");
  return absl::OkStatus();
}

const v1::Shard* FindShard(const v1::DatasetVersion& version, const std::string& digest) {
  for (const v1::Shard& shard : version.shards()) {
    if (shard.digest() == digest) return &shard;
  }
  return nullptr;
}

// Checks each file; prints a line for each, and errors as they come.
ExitCode CheckFiles(const Cli& cli, const std::vector<std::string>& paths,
                    const v1::DatasetVersion* version) {
  ExitCode code = ExitCode::kDone;
  Keys keys;
  std::set<std::string> found;
  for (const std::string& path : paths) {
    absl::StatusOr<CheckedShard> checked = CheckShard(cli.files, path, &keys);
    if (!checked.ok()) {
      cli.out << EscapeText(path) << " BAD  " << EscapeText(checked.status().message()) << '\n';
      code = ExitCode::kFailed;
      continue;
    }
    const bool known = version == nullptr || FindShard(*version, checked->digest) != nullptr;
    if (!known) code = ExitCode::kFailed;
    found.insert(checked->digest);
    cli.out << EscapeText(path) << (known ? " ok  " : " NOT OF THIS VERSION  ")
            << FormatBytes(static_cast<uint64_t>(checked->info.file_bytes)) << "  "
            << checked->info.records << " samples of " << EscapeText(checked->info.split) << "  ";
    if (checked->boxes > 0) cli.out << checked->boxes << " boxes  ";
    cli.out << "format " << checked->info.version << "  sha256 " << checked->digest << '\n';
  }
  if (version != nullptr) {
    const auto missing = static_cast<size_t>(
        std::count_if(version->shards().begin(), version->shards().end(),
                      [&](const v1::Shard& shard) { return !found.contains(shard.digest()); }));
    if (missing > 0) {
      cli.out << missing << " of " << version->shards_size() << " shards of "
              << ShortName(version->name()) << " are not among these files\n";
    }
  }
  return code;
}

}  // namespace

absl::StatusOr<ExitCode> VerifyDataset(const Cli& cli, const Arguments& arguments) {
  GlobalOptions options;
  std::vector<std::string> paths;
  FlagSet flags("cvctl dataset verify [NAME[@N]] [--file SHARD | SHARD.shard]... [flags]",
                "Reads every byte of shard files at hand and compares all digests; with NAME, with "
                "what the coordinator lists, too. With NAME alone, checks that its entry agrees "
                "with itself: the coordinator compared each shard's SHA-256 when it came, and its "
                "copies are not read.");
  flags.StringList("file", 0, &paths, "SHARD", "a shard to read; what ends in .shard is one, too");
  options.Declare(flags, false);
  std::vector<std::string> positional;
  CVT_ASSIGN_OR_RETURN(const bool help, ParseFlags(cli, flags, arguments, positional));
  if (help) return ExitCode::kDone;
  const auto first_file = std::stable_partition(
      positional.begin(), positional.end(),
      [](const std::string& word) { return !absl::EndsWith(word, ".shard"); });
  paths.insert(paths.end(), first_file, positional.end());
  positional.erase(first_file, positional.end());
  CVT_RETURN_IF_ERROR(
      CheckCount(positional, paths.empty() ? 1 : 0, 1, "the NAME of a data set, or --file SHARD"));
  std::optional<v1::DatasetVersion> version;
  if (!positional.empty()) {
    v1::GetDatasetVersionRequest request;
    CVT_ASSIGN_OR_RETURN(*request.mutable_name(), DatasetVersionNameOf(positional[0]));
    CVT_ASSIGN_OR_RETURN(const auto connection, Connect(cli, options));
    CVT_ASSIGN_OR_RETURN(const auto response, connection->GetDatasetVersion(request));
    version = response.version();
    CVT_RETURN_IF_ERROR(CheckEntry(*version));
  }
  if (!paths.empty()) return CheckFiles(cli, paths, version.has_value() ? &*version : nullptr);
  cli.out << ShortName(version->name()) << " ok  " << version->shards_size() << " shards  "
          << FormatBytes(static_cast<uint64_t>(version->size_bytes())) << "  digest "
          << version->digest()
          << "\nThe entry agrees with itself. Shards were compared with it when they came; --file "
             "reads copies at hand.\n";
  return ExitCode::kDone;
}

}  // namespace cvtrain::client
