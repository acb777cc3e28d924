// Open MPI's side of `all-reduce`: started by mpirun, rank 0 reads `run BYTES COUNT` and answers,
// in the way of bench/side/side.h. Compiled by bench/all_reduce.py.

#include <mpi.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (rank == 0) std::cout << "ready" << std::endl;
  while (true) {
    long long command[2] = {0, 0};
    if (rank == 0) {
      std::string line;
      if (std::getline(std::cin, line))
        std::sscanf(line.c_str(), "run %lld %lld", &command[0], &command[1]);
    }
    // Between passes the ranks sleep: they share their cores with the other side.
    MPI_Request request;
    MPI_Ibcast(command, 2, MPI_LONG_LONG, 0, MPI_COMM_WORLD, &request);
    for (int done = 0; !done; MPI_Test(&request, &done, MPI_STATUS_IGNORE)) usleep(2'000);
    if (command[1] == 0) break;
    std::vector<float> values(static_cast<size_t>(command[0] / 4), 1.0f);
    const auto sum = [&] {
      MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_FLOAT,
                    MPI_SUM, MPI_COMM_WORLD);
    };
    for (int i = 0; i < 3; ++i) sum();
    MPI_Barrier(MPI_COMM_WORLD);
    const double begin = MPI_Wtime();
    for (long long i = 0; i < command[1]; ++i) sum();
    double seconds = (MPI_Wtime() - begin) / static_cast<double>(command[1]);
    double slowest = 0;
    MPI_Reduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    for (float& value : values) value = static_cast<float>(rank + 1);
    sum();
    if (rank == 0) {
      std::printf(
          "{\"seconds\": %.9f, \"cpu_seconds\": 0, \"images\": 0, \"first\": %g, \"last\": %g}\n",
          slowest, values.front(), values.back());
      std::fflush(stdout);
    }
  }
  MPI_Finalize();
  return 0;
}
