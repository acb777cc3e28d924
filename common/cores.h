#ifndef CVTRAIN_COMMON_CORES_H_
#define CVTRAIN_COMMON_CORES_H_

namespace cvtrain {

// Cores that this process may run on, at least 1.
int CoreCount();

}  // namespace cvtrain

#endif  // CVTRAIN_COMMON_CORES_H_
