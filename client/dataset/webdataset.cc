// Format `webdataset` (https://github.com/webdataset/webdataset): tar archives in which the members
// of a sample have one name up to the first dot: `17.jpg` with `17.cls` (a number), `17.json` (an
// object with `label`, `cls` or `class`, a number or a text) or `17.txt` (a text).
//
// A split is a word of the archive's name (`imagenet-train-000017.tar`) or of its folder's; without
// one, samples are held out.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/dataset/dataset_formats.h"
#include "client/dataset/json.h"
#include "client/dataset/source_files.h"
#include "client/dataset/splits.h"
#include "client/dataset/tar.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain::client {
namespace {

constexpr uint64_t kLabelMemberBytesMax = uint64_t{1} << 20;
constexpr size_t kLabelTextBytesMax = 256;

// Archives in a folder and in the folders right below it; the file itself if it is none.
std::vector<std::string> ArchivesIn(FileSystem& files, const std::string& root) {
  if (!IsFolder(files, root)) return {root};
  std::vector<std::string> archives;
  for (const std::string& name : NamesIn(files, root)) {
    const std::string path = JoinPath(root, name);
    if (absl::EndsWith(name, ".tar") && IsFile(files, path)) archives.push_back(path);
    if (!IsFolder(files, path)) continue;
    for (const std::string& below : NamesIn(files, path)) {
      const std::string archive = JoinPath(path, below);
      if (absl::EndsWith(below, ".tar") && IsFile(files, archive)) archives.push_back(archive);
    }
  }
  return archives;
}

bool BeginsAsTar(FileSystem& files, const std::string& path) {
  const auto file = files.NewRandomAccessFile(path);
  if (!file.ok()) return false;
  const auto bytes = ReadRange(**file, 0, 512);
  return bytes.ok() && IsTar(*bytes);
}

// Empty if the name has no word for one.
std::string SplitOf(const std::string& root, const std::string& archive) {
  const std::map<absl::string_view, const char*> words = {
      {"train", "train"},    {"training", "train"}, {"val", "val"},     {"valid", "val"},
      {"validation", "val"}, {"test", "test"},      {"testing", "test"}};
  const absl::string_view below =
      absl::StartsWith(archive, root) ? absl::string_view(archive).substr(root.size()) : archive;
  for (const absl::string_view word : absl::StrSplit(below, absl::ByAnyChar("/-_."))) {
    const auto found = words.find(word);
    if (found != words.end()) return found->second;
  }
  return "";
}

// Where a member's bytes are.
struct Place {
  size_t archive = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
};

// The members that have one name.
struct Members {
  std::optional<Place> source;
  std::string source_name;
  SourceKind kind = SourceKind::kOther;
  std::map<std::string, Place> labels;  // by ending: cls, json, txt
};

// A label as it was found.
struct FoundLabel {
  std::string text;
  bool is_number = false;
};

FoundLabel NumberLabel(int64_t number) { return {absl::StrCat(number), true}; }

class WebDatasetReader : public DatasetReader {
 public:
  WebDatasetReader(FileSystem& files, std::string root, const ReaderOptions& options)
      : files_(files), root_(std::move(root)), options_(options) {}

  absl::StatusOr<DatasetListing> List() override {
    CVT_RETURN_IF_ERROR(CheckTrainFraction(options_.train_fraction));
    archives_ = ArchivesIn(files_, root_);
    CVT_RETURN_IF_ERROR(FindSplits());
    DatasetListing listing;
    for (size_t i = 0; i < archives_.size(); ++i) {
      CVT_RETURN_IF_ERROR(ListArchive(i, &listing));
    }
    listing.media =
        pictures_ >= sounds_ ? v1::DatasetVersion::MEDIA_IMAGES : v1::DatasetVersion::MEDIA_AUDIO;
    CVT_RETURN_IF_ERROR(NumberLabels(&listing));
    CVT_RETURN_IF_ERROR(FinishListing("webdataset", root_, &listing));
    return listing;
  }

  absl::StatusOr<SourceBytes> Read(const SourceSample& sample) const override {
    const Place& place = places_[static_cast<size_t>(sample.place)];
    if (place.size > limits::kImageFileSizeBytesMax) {
      return LimitExceeded("kImageFileSizeBytesMax", absl::StrCat(place.size, " bytes, at most ",
                                                                  limits::kImageFileSizeBytesMax));
    }
    CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                         files_.NewRandomAccessFile(archives_[place.archive]));
    CVT_ASSIGN_OR_RETURN(std::string bytes, ReadRange(*file, place.offset, place.size));
    return WithDigest(std::move(bytes));
  }

 private:
  struct Pending {
    std::string split;
    FoundLabel label;
    SourceKind kind;
    SourceSample sample;
  };

  absl::Status FindSplits() {
    std::set<bool> named;
    for (const std::string& archive : archives_) {
      splits_.push_back(SplitOf(IsFolder(files_, root_) ? root_ : DirName(root_), archive));
      // One archive alone is the whole set, whatever it is called.
      if (archives_.size() == 1) splits_.back() = "";
      named.insert(!splits_.back().empty());
    }
    if (archives_.empty()) return BadSource("webdataset", root_, "has no .tar files");
    if (named.size() == 1) return absl::OkStatus();
    return BadSource(
        "webdataset", root_,
        "some archives are named after a split (train, val, test), and others are not");
  }

  absl::Status ListArchive(size_t archive, DatasetListing* listing) {
    const std::string& path = archives_[archive];
    CVT_ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                         files_.NewRandomAccessFile(path));
    const std::string name = BaseName(path);
    const auto pass_over = [&](const std::string& member, absl::string_view cause,
                               absl::string_view detail) {
      listing->passed_over.push_back({splits_[archive], absl::StrCat(name, "/", member),
                                      std::string(cause), std::string(detail)});
    };
    std::map<std::string, Members> samples;  // by name up to the dot
    std::set<std::string> seen;
    TarWalker walker(*file, path);
    while (true) {
      CVT_ASSIGN_OR_RETURN(std::optional<TarMember> member, walker.Next());
      if (!member.has_value()) break;
      if (member->type == TarMember::Type::kFolder) continue;
      const std::string problem = ProblemOfMemberName(&member->name);
      if (!problem.empty()) {
        pass_over(member->name, "bad_name", absl::StrCat("the name ", problem));
      } else if (member->type != TarMember::Type::kFile) {
        pass_over(member->name, "link", "a link or a special file");
      } else if (seen.size() == kSourceSamplesMax) {
        return BadSource("webdataset", path, "has too many members");
      } else if (!seen.insert(member->name).second) {
        pass_over(member->name, "duplicate", "a member of this name came before");
      } else if (!AddMember(archive, *member, &samples)) {
        pass_over(member->name, "other_file",
                  "no label, and not the first picture or sound of its name");
      }
    }
    return TakeSamples(archive, *file, samples, listing);
  }

  // False if it is of no use.
  static bool AddMember(size_t archive, const TarMember& member,
                        std::map<std::string, Members>* samples) {
    const size_t dot = member.name.find('.', member.name.rfind('/') + 1);
    if (dot == std::string::npos) return false;
    const std::string ending = absl::AsciiStrToLower(member.name.substr(dot + 1));
    const Place place{archive, member.offset, member.size};
    if (ending == "cls" || ending == "json" || ending == "txt") {
      (*samples)[member.name.substr(0, dot)].labels[ending] = place;
      return true;
    }
    const SourceKind kind = KindOfName(member.name);
    if (kind == SourceKind::kOther) return false;
    Members& members = (*samples)[member.name.substr(0, dot)];
    if (members.source.has_value()) return false;
    members.source = place;
    members.source_name = member.name;
    members.kind = kind;
    return true;
  }

  absl::Status TakeSamples(size_t archive, const RandomAccessFile& file,
                           const std::map<std::string, Members>& samples, DatasetListing* listing) {
    CVT_ASSIGN_OR_RETURN(const FileInfo info, files_.Stat(archives_[archive]));
    std::string stem = BaseName(archives_[archive]);
    if (absl::EndsWith(stem, ".tar")) stem.resize(stem.size() - 4);
    for (const auto& sample : samples) {
      const std::string& name = sample.first;
      const Members& members = sample.second;
      const auto skip = [&](absl::string_view cause, absl::string_view detail) {
        listing->skipped.push_back({splits_[archive], absl::StrCat(stem, "/", name),
                                    std::string(cause), std::string(detail)});
      };
      if (!members.source.has_value()) {
        skip("no_source", "a label without a picture or a sound");
        continue;
      }
      if (members.labels.empty()) {
        skip("no_label", "has no .cls, .json or .txt beside it");
        continue;
      }
      const absl::StatusOr<FoundLabel> label = ReadLabel(file, members);
      if (!label.ok()) {
        if (!absl::IsInvalidArgument(label.status())) return label.status();
        skip("bad_label", label.status().message());
        continue;
      }
      Pending& pending = pending_.emplace_back();
      pending.split = splits_[archive];
      pending.label = *label;
      pending.kind = members.kind;
      pending.sample.key = absl::StrCat(stem, "/", members.source_name);
      pending.sample.place = places_.size();
      pending.sample.stamp = StampOf(info);
      places_.push_back(*members.source);
      (members.kind == SourceKind::kPicture ? pictures_ : sounds_) += 1;
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<FoundLabel> ReadLabel(const RandomAccessFile& file,
                                              const Members& members) {
    // The surest first: a .txt may be anything.
    for (const char* ending : {"cls", "json", "txt"}) {
      const auto found = members.labels.find(ending);
      if (found == members.labels.end()) continue;
      if (found->second.size > kLabelMemberBytesMax) {
        return InvalidArgument(Reason::kDataBad, absl::StrCat("the .", ending, " is too long"));
      }
      CVT_ASSIGN_OR_RETURN(const std::string text,
                           ReadRange(file, found->second.offset, found->second.size));
      return found->first == "json" ? LabelOfJson(text) : LabelOfText(text);
    }
    return InvalidArgument(Reason::kDataBad, "there is none");
  }

  static absl::StatusOr<FoundLabel> LabelOfText(absl::string_view text) {
    text = absl::StripAsciiWhitespace(text);
    int64_t number = 0;
    if (absl::SimpleAtoi(text, &number)) return NumberLabel(number);
    if (text.size() > kLabelTextBytesMax || !IsClassName(text)) {
      return InvalidArgument(Reason::kDataBad,
                             "must be a number or one line of text of at most 256 bytes");
    }
    return FoundLabel{std::string(text), false};
  }

  static absl::StatusOr<FoundLabel> LabelOfJson(absl::string_view text) {
    const auto json = ParseJson(text);
    if (!json.ok()) return InvalidArgument(Reason::kDataBad, json.status().message());
    for (const char* name : {"label", "cls", "class"}) {
      const Json* value = json->Find(name);
      if (value == nullptr) continue;
      if (const auto number = value->AsInteger()) return NumberLabel(*number);
      if (value->kind == Json::Kind::kText) return LabelOfText(value->text);
    }
    return InvalidArgument(Reason::kDataBad,
                           "the .json has no `label`, `cls` or `class`, a number or a text");
  }

  // Numbers stay what they are if all labels are numbers; else each text is a class.
  absl::Status NumberLabels(DatasetListing* listing) {
    const bool numbers = std::all_of(pending_.begin(), pending_.end(),
                                     [](const Pending& one) { return one.label.is_number; });
    LabelNames names;
    int64_t count = 0;
    for (const Pending& one : pending_) {
      int64_t number = 0;
      if (!numbers) names.Add(one.label.text);
      if (numbers && absl::SimpleAtoi(one.label.text, &number) &&
          number < static_cast<int64_t>(limits::kClassesPerDatasetMax)) {
        count = std::max(count, number + 1);
      }
    }
    if (numbers) {
      CVT_ASSIGN_OR_RETURN(listing->classes, NumberedClasses(count, options_.classes));
    } else {
      CVT_RETURN_IF_ERROR(names.Number(options_.classes));
      listing->classes = names.classes();
    }
    std::map<std::string, std::vector<SourceSample>> splits;
    for (Pending& one : pending_) {
      int64_t label = -1;
      if (!numbers) label = names.LabelOf(one.label.text);
      if (numbers && !absl::SimpleAtoi(one.label.text, &label)) label = -1;
      if (label < 0 || label >= static_cast<int64_t>(listing->classes.size())) {
        listing->skipped.push_back({one.split, one.sample.key, "label_out_of_range",
                                    absl::StrCat("label ", SafeText(one.label.text), " of ",
                                                 listing->classes.size(), " classes")});
      } else if (MediaOf(one.kind) != listing->media) {
        listing->skipped.push_back(
            {one.split, one.sample.key, "other_media", "pictures and sounds do not mix"});
      } else {
        one.sample.label = static_cast<uint32_t>(label);
        splits[one.split].push_back(std::move(one.sample));
      }
    }
    pending_.clear();
    for (auto& [name, samples] : splits) {
      if (name.empty()) {
        HoldOutInto(std::move(samples), options_, listing);
      } else {
        listing->splits.push_back({name, std::move(samples)});
      }
    }
    return absl::OkStatus();
  }

  FileSystem& files_;
  const std::string root_;
  const ReaderOptions options_;
  std::vector<std::string> archives_;
  std::vector<std::string> splits_;  // of each archive
  std::vector<Place> places_;        // of each sample
  // While listing.
  std::vector<Pending> pending_;
  int64_t pictures_ = 0;
  int64_t sounds_ = 0;
};

}  // namespace

extern const DatasetFormat kWebDatasetFormat = {
    .name = "webdataset",
    .layout = "a tar archive, or a folder of some, with NAME.jpg and NAME.cls (or .json, .txt)",
    .is_fallback = false,
    .fits =
        [](FileSystem& files, const std::string& root) {
          const std::vector<std::string> archives = ArchivesIn(files, root);
          return !archives.empty() && BeginsAsTar(files, archives[0]);
        },
    .make = [](FileSystem& files, const std::string& root,
               const ReaderOptions& options) -> std::unique_ptr<DatasetReader> {
      return std::make_unique<WebDatasetReader>(files, root, options);
    }};

}  // namespace cvtrain::client
