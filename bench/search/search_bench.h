#ifndef CVTRAIN_BENCH_SEARCH_SEARCH_BENCH_H_
#define CVTRAIN_BENCH_SEARCH_SEARCH_BENCH_H_

#include "bench/side/side.h"

namespace cvtrain::bench {

// Searches, asked and told by a harness that has the functions. Its arguments:
//
//   begin METHOD TRIALS SEED EPOCHS PARAMETER...   a new search (tpe, random, sobol, asha,
//   hyperband),
//                                                  to minimize; a parameter is
//                                                  NAME:uniform:MIN:MAX, or log_uniform, integer,
//                                                  log_integer, or NAME:choice:N for 0 .. N - 1,
//                                                  with
//                                                  `?OTHER=VALUE` behind it if it applies only
//                                                  there
//   ask                                            a trial: `trial`, and the parameters that it has
//   tell TRIAL VALUE                               it has ended
//   report TRIAL EPOCH VALUE                       `stopped` says whether the search stops it there
//   overhead METHOD TRIALS                         overhead.h
//
// Errors: INVALID_ARGUMENT (USAGE).
Runner NewSearchBench();

}  // namespace cvtrain::bench

#endif  // CVTRAIN_BENCH_SEARCH_SEARCH_BENCH_H_
