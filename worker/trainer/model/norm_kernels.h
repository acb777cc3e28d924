#ifndef CVTRAIN_WORKER_TRAINER_MODEL_NORM_KERNELS_H_
#define CVTRAIN_WORKER_TRAINER_MODEL_NORM_KERNELS_H_

#include <cstdint>

// The loops of batch normalization over dense floats, for the widest vectors that the machine has.
// A plane is a run of numbers of one channel; rows have all channels side by side. Thread-safe.
namespace cvtrain::trainer::kernels {

// Adds the sums of (x - shift) and (x - shift)^2 over a plane.
void SumPlane(const float* x, int64_t count, float shift, double* sum, double* square);
// The same over rows, for each channel.
void SumRows(const float* x, int64_t rows, int64_t channels, const float* shift, double* sums,
             double* squares);

// y = x * scale + shift, plus `added` unless it is null, then not below zero if `relu`.
void NormalizePlane(const float* x, const float* added, float scale, float shift, bool relu,
                    int64_t count, float* y);
void NormalizeRows(const float* x, const float* added, const float* scale, const float* shift,
                   bool relu, int64_t rows, int64_t channels, float* y);

// Adds the sums of dz and dz * (x - mean); dz is dy where y is more than zero, or all of dy if y is
// null.
void SumPlaneGradients(const float* dy, const float* y, const float* x, int64_t count, float mean,
                       double* sum, double* product);
void SumRowGradients(const float* dy, const float* y, const float* x, int64_t rows,
                     int64_t channels, const float* mean, double* sums, double* products);

// dx = a * dz + b * x + c; and dz itself into `dz` unless that is null.
void BackwardPlane(const float* dy, const float* y, const float* x, float a, float b, float c,
                   int64_t count, float* dx, float* dz);
void BackwardRows(const float* dy, const float* y, const float* x, const float* a, const float* b,
                  const float* c, int64_t rows, int64_t channels, float* dx, float* dz);

}  // namespace cvtrain::trainer::kernels

#endif  // CVTRAIN_WORKER_TRAINER_MODEL_NORM_KERNELS_H_
