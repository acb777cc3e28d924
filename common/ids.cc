#include "common/ids.h"

#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/errors.h"
#include "common/limits.h"
#include "common/status_macros.h"
#include "common/text.h"

namespace cvtrain {
namespace {

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsLabel(absl::string_view text) {
  if (text.empty() || text.size() > limits::kLabelSizeBytesMax) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool edge = i == 0 || i + 1 == text.size();
    if (IsLower(c) || IsDigit(c)) continue;
    if (edge || (c != '.' && c != '_' && c != '-')) return false;
    if (c == '.' && text[i - 1] == '.') return false;
  }
  return true;
}

// A decimal number from 1 in its only spelling.
std::optional<int64_t> ParseNumber(absl::string_view text) {
  if (text.empty() || text.size() > 19 || text[0] == '0') return std::nullopt;
  for (const char c : text) {
    if (!IsDigit(c)) return std::nullopt;
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

absl::Status Refuse(absl::string_view text, absl::string_view form) {
  return InvalidArgument(Reason::kBadResourceName,
                         absl::StrCat("must be ", form, ", got '", SafeText(text, 128), "'"));
}

// The parts between slashes; nothing if there are not exactly `count`.
std::vector<absl::string_view> Parts(absl::string_view text, size_t count) {
  if (text.size() > limits::kResourceNameSizeBytesMax) return {};
  std::vector<absl::string_view> parts = absl::StrSplit(text, '/');
  if (parts.size() != count) parts.clear();
  return parts;
}

}  // namespace

absl::Status ValidateLabelName(absl::string_view field, absl::string_view name) {
  if (IsLabel(name)) return absl::OkStatus();
  return InvalidArgument(
      Reason::kBadResourceName,
      absl::StrCat(field, ": must be 1 to ", limits::kLabelSizeBytesMax,
                   " of a-z 0-9 . _ -, with a letter or digit at both ends, got '",
                   SafeText(name, 128), "'"));
}

absl::StatusOr<ExperimentName> ExperimentName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 2);
  if (!parts.empty() && parts[0] == "experiments") {
    if (const auto number = ParseNumber(parts[1])) return ExperimentName(*number);
  }
  return Refuse(text, "experiments/{number}");
}

std::string ExperimentName::ToString() const { return absl::StrCat("experiments/", number_); }

absl::StatusOr<TrialName> TrialName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 4);
  if (!parts.empty() && parts[0] == "experiments" && parts[2] == "trials") {
    const auto experiment = ParseNumber(parts[1]);
    const auto trial = ParseNumber(parts[3]);
    if (experiment && trial) return TrialName(ExperimentName(*experiment), *trial);
  }
  return Refuse(text, "experiments/{number}/trials/{number}");
}

std::string TrialName::ToString() const {
  return absl::StrCat(experiment_.ToString(), "/trials/", number_);
}

absl::StatusOr<AttemptName> AttemptName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 6);
  if (!parts.empty() && parts[0] == "experiments" && parts[2] == "trials" &&
      parts[4] == "attempts") {
    const auto experiment = ParseNumber(parts[1]);
    const auto trial = ParseNumber(parts[3]);
    const auto attempt = ParseNumber(parts[5]);
    if (experiment && trial && attempt) {
      return AttemptName(TrialName(ExperimentName(*experiment), *trial), *attempt);
    }
  }
  return Refuse(text, "experiments/{number}/trials/{number}/attempts/{number}");
}

std::string AttemptName::ToString() const {
  return absl::StrCat(trial_.ToString(), "/attempts/", number_);
}

absl::StatusOr<WorkerName> WorkerName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 2);
  if (!parts.empty() && parts[0] == "workers" && IsLabel(parts[1])) {
    return WorkerName(std::string(parts[1]));
  }
  return Refuse(text, "workers/{name}");
}

std::string WorkerName::ToString() const { return absl::StrCat("workers/", id_); }

absl::StatusOr<CheckpointName> CheckpointName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 2);
  if (!parts.empty() && parts[0] == "checkpoints") {
    const absl::StatusOr<Uuid> uuid = Uuid::Parse(parts[1]);
    if (uuid.ok() && uuid->ToString() == parts[1]) return CheckpointName(*uuid);
  }
  return Refuse(text, "checkpoints/{uuid}");
}

std::string CheckpointName::ToString() const {
  return absl::StrCat("checkpoints/", uuid_.ToString());
}

absl::StatusOr<DatasetName> DatasetName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 2);
  if (!parts.empty() && parts[0] == "datasets" && IsLabel(parts[1])) {
    return DatasetName(std::string(parts[1]));
  }
  return Refuse(text, "datasets/{name}");
}

std::string DatasetName::ToString() const { return absl::StrCat("datasets/", label_); }

absl::StatusOr<DatasetVersionName> DatasetVersionName::Parse(absl::string_view text) {
  const auto parts = Parts(text, 4);
  if (!parts.empty() && parts[0] == "datasets" && IsLabel(parts[1]) && parts[2] == "versions") {
    if (const auto number = ParseNumber(parts[3])) {
      return DatasetVersionName(DatasetName(std::string(parts[1])), *number);
    }
  }
  return Refuse(text, "datasets/{name}/versions/{number}");
}

std::string DatasetVersionName::ToString() const {
  return absl::StrCat(dataset_.ToString(), "/versions/", number_);
}

// --- Short forms -----------------------------------------------------------

std::string FormatShort(const ExperimentName& name) { return absl::StrCat("exp/", name.number()); }
std::string FormatShort(const TrialName& name) {
  return absl::StrCat("trial/", name.experiment().number(), ".", name.number());
}
std::string FormatShort(const AttemptName& name) {
  return absl::StrCat(FormatShort(name.trial()), "#", name.number());
}
std::string FormatShort(const WorkerName& name) { return absl::StrCat("worker/", name.id()); }
std::string FormatShort(const CheckpointName& name) {
  return absl::StrCat("ckpt/", name.uuid().ToString().substr(0, 8));
}
std::string FormatShort(const DatasetName& name) { return absl::StrCat("dataset/", name.label()); }
std::string FormatShort(const DatasetVersionName& name) {
  return absl::StrCat(FormatShort(name.dataset()), "@", name.number());
}

namespace {

// "12", "12.3" or "12.3#2".
std::optional<AnyName> ParseNumbered(absl::string_view text) {
  const std::vector<absl::string_view> dotted = absl::StrSplit(text, absl::MaxSplits('.', 1));
  const auto experiment = ParseNumber(dotted[0]);
  if (!experiment) return std::nullopt;
  if (dotted.size() == 1) return ExperimentName(*experiment);
  const std::vector<absl::string_view> hashed = absl::StrSplit(dotted[1], absl::MaxSplits('#', 1));
  const auto trial = ParseNumber(hashed[0]);
  if (!trial) return std::nullopt;
  const TrialName name(ExperimentName(*experiment), *trial);
  if (hashed.size() == 1) return name;
  const auto attempt = ParseNumber(hashed[1]);
  if (!attempt) return std::nullopt;
  return AttemptName(name, *attempt);
}

std::optional<AnyName> ParseCheckpoint(absl::string_view text) {
  constexpr size_t kPrefixMin = 4;
  const std::string lower = absl::AsciiStrToLower(text);
  if (const auto uuid = Uuid::Parse(lower); uuid.ok()) return CheckpointName(*uuid);
  if (lower.size() < kPrefixMin || lower.size() >= 36) return std::nullopt;
  for (size_t i = 0; i < lower.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    const bool digit = IsDigit(lower[i]) || (lower[i] >= 'a' && lower[i] <= 'f');
    if (hyphen ? lower[i] != '-' : !digit) return std::nullopt;
  }
  return CheckpointPrefix{lower};
}

std::optional<AnyName> ParseDataset(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('@', 1));
  if (!IsLabel(parts[0])) return std::nullopt;
  const DatasetName name{std::string(parts[0])};
  if (parts.size() == 1) return name;
  const auto version = ParseNumber(parts[1]);
  if (!version) return std::nullopt;
  return DatasetVersionName(name, *version);
}

// `text` without its kind.
std::optional<AnyName> ParseOfKind(absl::string_view text, NameKind kind) {
  switch (kind) {
    case NameKind::kExperiment:
    case NameKind::kTrial:
      return ParseNumbered(text);
    case NameKind::kWorker:
      if (!IsLabel(text)) return std::nullopt;
      return WorkerName(std::string(text));
    case NameKind::kCheckpoint:
      return ParseCheckpoint(text);
    case NameKind::kDataset:
      return ParseDataset(text);
  }
  return std::nullopt;
}

struct Kind {
  absl::string_view word;
  NameKind kind;
};

constexpr Kind kKinds[] = {
    {"exp", NameKind::kExperiment},        {"exps", NameKind::kExperiment},
    {"experiment", NameKind::kExperiment}, {"experiments", NameKind::kExperiment},
    {"sweep", NameKind::kExperiment},      {"sweeps", NameKind::kExperiment},
    {"trial", NameKind::kTrial},           {"trials", NameKind::kTrial},
    {"worker", NameKind::kWorker},         {"workers", NameKind::kWorker},
    {"ckpt", NameKind::kCheckpoint},       {"ckpts", NameKind::kCheckpoint},
    {"checkpoint", NameKind::kCheckpoint}, {"checkpoints", NameKind::kCheckpoint},
    {"dataset", NameKind::kDataset},       {"datasets", NameKind::kDataset},
};

std::optional<AnyName> ParseFull(absl::string_view text) {
  if (const auto name = TrialName::Parse(text); name.ok()) return *name;
  if (const auto name = AttemptName::Parse(text); name.ok()) return *name;
  if (const auto name = DatasetVersionName::Parse(text); name.ok()) return *name;
  return std::nullopt;
}

absl::string_view FormsOf(NameKind kind) {
  switch (kind) {
    case NameKind::kExperiment:
      return "an experiment such as exp/12";
    case NameKind::kTrial:
      return "a trial such as trial/12.3";
    case NameKind::kWorker:
      return "a worker such as worker/gpu-a";
    case NameKind::kCheckpoint:
      return "a checkpoint such as ckpt/9f3c5d1e, with at least four digits";
    case NameKind::kDataset:
      return "a data set such as dataset/trashnet or dataset/trashnet@2";
  }
  return "";
}

}  // namespace

absl::StatusOr<AnyName> ParseShort(absl::string_view text, NameKind default_kind) {
  if (text.size() > limits::kResourceNameSizeBytesMax) return Refuse(text, FormsOf(default_kind));
  if (const auto full = ParseFull(text)) return *full;
  const size_t slash = text.find('/');
  NameKind kind = default_kind;
  absl::string_view rest = text;
  if (slash != absl::string_view::npos) {
    const absl::string_view word = text.substr(0, slash);
    bool known = false;
    for (const Kind& candidate : kKinds) {
      if (candidate.word != word) continue;
      kind = candidate.kind;
      known = true;
    }
    if (!known) {
      return Refuse(text, "exp/12, trial/12.3, trial/12.3#2, worker/NAME, ckpt/ID or dataset/NAME");
    }
    rest = text.substr(slash + 1);
  }
  const std::optional<AnyName> name = ParseOfKind(rest, kind);
  // "trial/12" names no trial, "exp/12.3" no experiment; bare numbers may be either.
  const bool spelled = slash != absl::string_view::npos;
  const bool wrong =
      !name ||
      (spelled && kind == NameKind::kTrial && std::holds_alternative<ExperimentName>(*name)) ||
      (spelled && kind == NameKind::kExperiment && !std::holds_alternative<ExperimentName>(*name));
  if (wrong) return Refuse(text, FormsOf(kind));
  return *name;
}

}  // namespace cvtrain
