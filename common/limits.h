#ifndef CVTRAIN_COMMON_LIMITS_H_
#define CVTRAIN_COMMON_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

// Every bound that cvtrain sets on what others may ask of it. Hitting one gives
// RESOURCE_EXHAUSTED or INVALID_ARGUMENT with the limit's name and counts in a
// metric; nothing is cut silently. Units are in the names.
namespace cvtrain::limits {

inline constexpr uint64_t kKib = uint64_t{1} << 10;
inline constexpr uint64_t kMib = uint64_t{1} << 20;
inline constexpr uint64_t kGib = uint64_t{1} << 30;

// --- Requests -------------------------------------------------------------

// One gRPC message or one frame of a Unix socket: large enough for a chunk of
// data with its headers, small enough that hundreds can be in flight.
inline constexpr size_t kMessageSizeBytesMax = 4 * kMib;
// Metadata of a call, and the streams that one connection may have open.
inline constexpr size_t kMetadataSizeBytesMax = 8 * kKib;
inline constexpr int kStreamsPerConnectionMax = 100;
// The text of a recipe.
inline constexpr size_t kRecipeSizeBytesMax = 256 * kKib;
// Nesting of a recipe's text and of its messages.
inline constexpr int kRecipeDepthMax = 32;
// Any string field that has no tighter bound.
inline constexpr size_t kStringSizeBytesMax = kKib;
// Broken rules that one answer lists; more are counted only.
inline constexpr size_t kFieldViolationsMax = 20;
// A page of a List call if the caller does not say, and at most.
inline constexpr int kPageSizeDefault = 100;
inline constexpr int kPageSizeMax = 1000;
inline constexpr size_t kPageTokenSizeBytesMax = kKib;
// request_ids that are remembered, and for how long.
inline constexpr size_t kRequestIdsMax = 1'000'000;
inline constexpr absl::Duration kRequestIdKept = absl::Hours(24);
// The deadline of an RPC whose caller set none.
inline constexpr absl::Duration kRpcDeadlineDefault = absl::Seconds(30);

// --- Names ----------------------------------------------------------------

// A label that a user gives: experiment, project, data set, worker.
inline constexpr size_t kLabelSizeBytesMax = 63;
// A resource name with all of its parts.
inline constexpr size_t kResourceNameSizeBytesMax = 256;
// The name of a metric: "val/top1".
inline constexpr size_t kMetricNameSizeBytesMax = 128;

// --- Experiments ----------------------------------------------------------

inline constexpr int kTrialsPerSweepMax = 10'000;
inline constexpr int kStagesPerCurriculumMax = 1'000;
inline constexpr int kSlotsPerTrialMax = 1'024;
inline constexpr int kExperimentsActiveMax = 10'000;
// Attempts of one trial, whatever their causes: ends a livelock.
inline constexpr int kAttemptsPerTrialMax = 1'000;
// Metric series of one trial.
inline constexpr int kMetricsPerTrialMax = 1'000;

// --- Coordinator ----------------------------------------------------------

// Commands that wait for the one writer.
inline constexpr size_t kEngineQueueLengthMax = 10'000;
// Events in one synced group commit, and their bytes.
inline constexpr size_t kGroupCommitEventsMax = 1'024;
inline constexpr size_t kGroupCommitSizeBytesMax = 4 * kMib;
// One event of the journal.
inline constexpr size_t kEventSizeBytesMax = kMib;
// Watchers and followers of one process.
inline constexpr size_t kWatchersMax = 1'000;
// Changes that wait for one slow watcher before it is cut off and must start again.
inline constexpr size_t kWatchQueueLengthMax = 1'000;
inline constexpr size_t kWorkersMax = 10'000;
inline constexpr int kSlotsPerWorkerMax = 1'024;
// One batch of metric points on the wire.
inline constexpr size_t kMetricsBatchSizeBytesMax = kMib;
// One line of a log; what is over is cut.
inline constexpr size_t kLogLineSizeBytesMax = 4 * kKib;
// Series of one process on /metrics.
inline constexpr size_t kTelemetrySeriesMax = 2'000;

// --- Checkpoints ----------------------------------------------------------

inline constexpr uint64_t kCheckpointSizeBytesMax = 16 * kGib;
// Imported ones, which stay until somebody deletes them.
inline constexpr size_t kImportedCheckpointsMax = 1'000;
// What an imported one is called, characters.
inline constexpr size_t kImportLabelCharactersMax = 128;
inline constexpr size_t kTensorsPerCheckpointMax = 100'000;
inline constexpr size_t kCheckpointManifestSizeBytesMax = 16 * kMib;
// What one message of an upload or a download carries, and what one CRC covers.
inline constexpr size_t kChunkSizeBytes = kMib;
// Dimensions of one tensor.
inline constexpr int kTensorRankMax = 16;
// Checkpoints per trial that an agent keeps while the coordinator is away.
inline constexpr int kSpooledCheckpointsPerTrialMax = 2;

// --- Data sets ------------------------------------------------------------

inline constexpr uint64_t kShardSizeBytesMax = 4 * kGib;
inline constexpr size_t kShardIndexSizeBytesMax = 64 * kMib;
inline constexpr size_t kShardsPerDatasetVersionMax = 100'000;
inline constexpr size_t kClassesPerDatasetMax = 100'000;
// One picture: checked on its header, before anything is decoded.
inline constexpr uint64_t kImagePixelsMax = 50'000'000;
inline constexpr int kImageSideMax = 16'384;
inline constexpr size_t kImageFileSizeBytesMax = 64 * kMib;
// Share of bad samples above which a trial fails instead of skipping them.
inline constexpr double kBadSampleShareMax = 0.001;

// --- Worker ---------------------------------------------------------------

// File descriptors that one frame may carry.
inline constexpr size_t kDescriptorsPerFrameMax = 16;
// Attempts that one trainer process serves before it is replaced.
inline constexpr int kAttemptsPerTrainerMax = 100;
// Reports that wait on an agent's disk for the coordinator.
inline constexpr uint64_t kSpoolSizeBytesMax = kGib;
// How long training goes on without a word from the coordinator.
inline constexpr absl::Duration kOrphanLimit = absl::Minutes(10);
// Keys and bytes of one attempt in the rendezvous store.
inline constexpr size_t kStoreKeysMax = 100'000;
inline constexpr size_t kStoreValueSizeBytesMax = kMib;

// --- This process ---------------------------------------------------------

// One line of our own log, and one field of it.
inline constexpr size_t kOwnLogLineSizeBytesMax = 4 * kKib;
inline constexpr size_t kOwnLogFieldSizeBytesMax = 512;
// A Unix socket's path; the kernel's bound.
inline constexpr size_t kSocketPathSizeBytesMax = 107;

}  // namespace cvtrain::limits

#endif  // CVTRAIN_COMMON_LIMITS_H_
