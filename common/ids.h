#ifndef CVTRAIN_COMMON_IDS_H_
#define CVTRAIN_COMMON_IDS_H_

#include <compare>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/uuid.h"

// Resource names as types, so that they cannot be swapped, and the only parsers
// of names that come from outside.
//
// All are value types, ordered by their parts and hashable. Parse() returns
// INVALID_ARGUMENT (BAD_RESOURCE_NAME), with the expected form, for anything but
// the one canonical spelling: numbers are decimal, from 1, without leading zeros;
// "..", "%2e", NUL, backslashes, spaces and over-long text never pass. A default
// value (number 0, empty label) means "not set" and is never parsed.
namespace cvtrain {

// Checks a label that a user chose: 1 to 63 of a-z 0-9 . _ -, beginning and ending
// with a letter or digit, without "..". Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME)
// that begins with `field`.
absl::Status ValidateLabelName(absl::string_view field, absl::string_view name);

// experiments/{number}
class ExperimentName {
 public:
  ExperimentName() = default;
  explicit ExperimentName(int64_t number) : number_(number) {}
  static absl::StatusOr<ExperimentName> Parse(absl::string_view text);

  std::string ToString() const;
  int64_t number() const { return number_; }

  friend auto operator<=>(const ExperimentName&, const ExperimentName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ExperimentName& name) {
    return H::combine(std::move(h), name.number_);
  }

 private:
  int64_t number_ = 0;
};

// experiments/{number}/trials/{number}
class TrialName {
 public:
  TrialName() = default;
  TrialName(ExperimentName experiment, int64_t number) : experiment_(experiment), number_(number) {}
  static absl::StatusOr<TrialName> Parse(absl::string_view text);

  std::string ToString() const;
  ExperimentName experiment() const { return experiment_; }
  int64_t number() const { return number_; }

  friend auto operator<=>(const TrialName&, const TrialName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const TrialName& name) {
    return H::combine(std::move(h), name.experiment_, name.number_);
  }

 private:
  ExperimentName experiment_;
  int64_t number_ = 0;
};

// experiments/{number}/trials/{number}/attempts/{number}
class AttemptName {
 public:
  AttemptName() = default;
  AttemptName(TrialName trial, int64_t number) : trial_(trial), number_(number) {}
  static absl::StatusOr<AttemptName> Parse(absl::string_view text);

  std::string ToString() const;
  TrialName trial() const { return trial_; }
  int64_t number() const { return number_; }

  friend auto operator<=>(const AttemptName&, const AttemptName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const AttemptName& name) {
    return H::combine(std::move(h), name.trial_, name.number_);
  }

 private:
  TrialName trial_;
  int64_t number_ = 0;
};

// workers/{label}
class WorkerName {
 public:
  WorkerName() = default;
  // `id` must pass ValidateLabelName().
  explicit WorkerName(std::string id) : id_(std::move(id)) {}
  static absl::StatusOr<WorkerName> Parse(absl::string_view text);

  std::string ToString() const;
  const std::string& id() const { return id_; }

  friend auto operator<=>(const WorkerName&, const WorkerName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const WorkerName& name) {
    return H::combine(std::move(h), name.id_);
  }

 private:
  std::string id_;
};

// checkpoints/{uuid}, in lower case
class CheckpointName {
 public:
  CheckpointName() = default;
  explicit CheckpointName(const Uuid& uuid) : uuid_(uuid) {}
  static absl::StatusOr<CheckpointName> Parse(absl::string_view text);

  std::string ToString() const;
  const Uuid& uuid() const { return uuid_; }

  friend auto operator<=>(const CheckpointName&, const CheckpointName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const CheckpointName& name) {
    return H::combine(std::move(h), name.uuid_);
  }

 private:
  Uuid uuid_;
};

// datasets/{label}
class DatasetName {
 public:
  DatasetName() = default;
  // `label` must pass ValidateLabelName().
  explicit DatasetName(std::string label) : label_(std::move(label)) {}
  static absl::StatusOr<DatasetName> Parse(absl::string_view text);

  std::string ToString() const;
  const std::string& label() const { return label_; }

  friend auto operator<=>(const DatasetName&, const DatasetName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const DatasetName& name) {
    return H::combine(std::move(h), name.label_);
  }

 private:
  std::string label_;
};

// datasets/{label}/versions/{number}
class DatasetVersionName {
 public:
  DatasetVersionName() = default;
  DatasetVersionName(DatasetName dataset, int64_t number)
      : dataset_(std::move(dataset)), number_(number) {}
  static absl::StatusOr<DatasetVersionName> Parse(absl::string_view text);

  std::string ToString() const;
  const DatasetName& dataset() const { return dataset_; }
  int64_t number() const { return number_; }

  friend auto operator<=>(const DatasetVersionName&, const DatasetVersionName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const DatasetVersionName& name) {
    return H::combine(std::move(h), name.dataset_, name.number_);
  }

 private:
  DatasetName dataset_;
  int64_t number_ = 0;
};

// The first digits of a checkpoint's UUID, at least four of them; a server
// resolves it, or says that it is ambiguous.
struct CheckpointPrefix {
  std::string hex;  // lower case; with hyphens where a UUID has them

  friend auto operator<=>(const CheckpointPrefix&, const CheckpointPrefix&) = default;
};

// --- Short forms, as people type and read them ---------------------------

// exp/12, trial/12.3, trial/12.3#2, worker/gpu-a, ckpt/9f3c5d1e (eight digits),
// dataset/trashnet, dataset/trashnet@2.
std::string FormatShort(const ExperimentName& name);
std::string FormatShort(const TrialName& name);
std::string FormatShort(const AttemptName& name);
std::string FormatShort(const WorkerName& name);
std::string FormatShort(const CheckpointName& name);
std::string FormatShort(const DatasetName& name);
std::string FormatShort(const DatasetVersionName& name);

enum class NameKind { kExperiment, kTrial, kWorker, kCheckpoint, kDataset };

using AnyName = std::variant<ExperimentName, TrialName, AttemptName, WorkerName, CheckpointName,
                             CheckpointPrefix, DatasetName, DatasetVersionName>;

// Reads a short form, a full resource name, or a bare "12", "12.3", "gpu-a" of the
// kind that a verb expects. "sweep/12" is another spelling of "exp/12"; kinds may be
// spelled in singular or plural ("trials/12.3"). "12.3" and "12.3#2" are a trial and
// an attempt whatever `default_kind` is, unless it takes labels.
// Returns INVALID_ARGUMENT (BAD_RESOURCE_NAME) with the forms that would do.
absl::StatusOr<AnyName> ParseShort(absl::string_view text, NameKind default_kind);

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_IDS_H_
