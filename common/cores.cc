#include "common/cores.h"

#include <sched.h>

#include <algorithm>

namespace cvtrain {

int CoreCount() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

}  // namespace cvtrain
