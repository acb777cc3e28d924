#ifndef CVTRAIN_CLIENT_SIMULATE_BATCH_SCHEDULE_H_
#define CVTRAIN_CLIENT_SIMULATE_BATCH_SCHEDULE_H_

#include <cstdint>
#include <vector>

#include "client/simulate/shockwave_trace.h"

// Which batch size a job of a Shockwave trace has in which epoch (scheduler/utils.py and
// scheduler.py of uw-mad-dash/shockwave). Pure; thread-safe.
namespace cvtrain::client {

// Samples of the data set that a model is trained on.
int64_t DatasetSize(TraceModel model);
// The largest batch size that a model takes, and the smallest.
int LargestBatch(TraceModel model);
int SmallestBatch(TraceModel model);

// Steps of an epoch.
int64_t StepsPerEpoch(TraceModel model, int batch_size);
// Epochs of a whole job.
int64_t EpochsOf(const ShockwaveJob& job);

// What the authors declare: the batch size of each of `epochs` epochs.
std::vector<int> DeclaredBatches(const ShockwaveJob& job, int64_t epochs);

// With gns, the batch size that epoch `epoch` asks for as the job is simulated: the schedule of a
// job that has not ended.
int NoiseScaleBatch(const ShockwaveJob& job, int64_t epoch);

// Accordion keeps the first batch size in these epochs. What is simulated lacks some of
// Recommendation's that are declared.
bool IsCriticalAsSimulated(const ShockwaveJob& job, int64_t epoch);

}  // namespace cvtrain::client

#endif  // CVTRAIN_CLIENT_SIMULATE_BATCH_SCHEDULE_H_
