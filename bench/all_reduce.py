"""all-reduce (B7): sums of float32 over ranks on one machine.

Ours is the group that trials use, on buckets where gradients lie. Peers: Gloo as LibTorch 2.11 has it, called from C++
with the same program (no Python between), over loopback, and Open MPI's MPI_Allreduce in place over its shared memory.
Times are those of one sum, the slowest rank's; what the sums are is checked.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import harness
import ranks

PASSES = 5
# Bytes, and sums of a pass.
CASES = [(4 << 10, 500), (256 << 10, 100), (1 << 20, 40), (4 << 20, 20), (25 << 20, 4), (100 << 20, 2)]
WORLDS = (2, 4)
AIMS_MPI = 3.0


def mpi_program(folder):
    program = folder / "mpi_all_reduce"
    subprocess.run(
        ["mpicxx", "-O3", "-march=native", "-o", program, harness.ROOT / "bench/peers/mpi_all_reduce.cc"], check=True
    )
    return program


def mpi(program, world):
    # Shared memory only; ranks may be more than cores, and wait without burning them then.
    flags = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,vader"]
    if world > (os.cpu_count() or 1):
        flags += ["--mca", "mpi_yield_when_idle", "1"]
    return harness.Side("mpirun", *flags, "-n", world, program)


def check(result, world):
    for one in result.get("all", [result]):
        assert one["first"] == one["last"] == world * (world + 1) / 2, one


def size_text(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def seconds(results, world):
    for result in results:
        check(result, world)
    return [1e3 * result["seconds"] for result in results]


def main():
    if not shutil.which("mpirun"):
        sys.exit("Open MPI is not installed: scripts/setup --bench")
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        program = mpi_program(folder)
        for world in WORLDS:
            for size, count in CASES:
                name = f"{world}-{size}"
                with (
                    ranks.ours(world, "all-reduce", folder / f"shared-{name}") as ours,
                    ranks.ours(world, "all-reduce", folder / f"gloo-{name}", backend="gloo") as gloo,
                    mpi(program, world) as open_mpi,
                ):
                    arguments = [f"{size} {count}"] * PASSES
                    for peer, side, floor, aim in (
                        ("Gloo", gloo, 4.0, 15.0 if size == 4 << 20 else 4.0),
                        ("Open MPI", open_mpi, 0.0, AIMS_MPI),
                    ):
                        side.run(f"{size} 1"), ours.run(f"{size} 1")
                        mine, theirs = harness.alternate(ours, side, arguments)
                        figures.append(
                            harness.lower_is_better(
                                "all-reduce", f"{size_text(size)}, {world} ranks", "ms", seconds(mine, world), peer,
                                seconds(theirs, world), floor, aim,
                            )  # fmt: skip
                        )
    versions = harness.python_versions("torch") | {
        "openmpi": subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    }
    return harness.finish(figures, versions, "scripts/bench all-reduce")


if __name__ == "__main__":
    sys.exit(main())
