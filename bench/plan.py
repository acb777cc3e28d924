"""plan (B14, solve time): one scheduling decision, and max-min shares against Gavel's linear program.

Ours divides slots by filling water; the peer solves the program that Gavel solves in each round, with cvxpy and its
default solver. Both must find the same smallest share. Whole decisions (order, places, reasons, predicted starts) have
no peer that does as much: they are printed beside their promise of 10 ms for 10,000 jobs on 1,000 slots. All times are of
a core, so that a neighbour on the machine changes them less.
"""

import os
import statistics
import sys

import harness

SLOTS = 1000
JOBS = [256, 1024, 2048, 4096]
PASSES = 5
DECISIONS = {"steady": "one job has ended", "queue": "with all reasons and starts", "cold": "nothing runs yet"}
DECISION_PASSES = 30
DECISION_SECONDS_MAX = 0.010
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def ours(jobs):
    return harness.Side(harness.BINARY / "cvtrain-bench-plan", f"--jobs={jobs}", f"--slots={SLOTS}")


def milliseconds(results, key):
    return [1e3 * one[key] for one in results]


def shares(jobs):
    peer = harness.Side(sys.executable, harness.ROOT / "bench/peers/gavel_plan.py", SLOTS, env=ENVIRONMENT)
    with ours(jobs) as mine, peer as theirs:
        mine.run("shares"), theirs.run(jobs)
        results = [[], []]
        for i in range(PASSES):
            for side in (0, 1) if i % 2 == 0 else (1, 0):
                results[side].append(mine.run("shares") if side == 0 else theirs.run(jobs))
    smallest = results[0][0]["smallest"]
    for one in results[1]:
        assert abs(one["smallest"] - smallest) < 1e-3 * smallest, (one["smallest"], smallest)
    return harness.lower_is_better(
        "plan", f"max-min shares, {jobs} jobs", "ms", milliseconds(results[0], "cpu_seconds"), "LP in cvxpy",
        milliseconds(results[1], "cpu_seconds"), floor=100.0, aim=1000.0,
    )  # fmt: skip


def decisions():
    lines, worst = [], 0.0
    with ours(10_000) as side:
        for name, what in DECISIONS.items():
            side.run(name)
            times = [side.run(name)["cpu_seconds"] for _ in range(DECISION_PASSES)]
            median = statistics.median(times)
            worst = max(worst, median)
            lines.append(
                f"decision over 10,000 jobs on {SLOTS} slots, {what}: median {1e3 * median:.2f} ms,"
                f" {1e3 * min(times):.2f} to {1e3 * max(times):.2f} ms"
            )
    holds = "holds" if worst <= DECISION_SECONDS_MAX else "MISSED"
    lines.append(f"The promise of 10 ms {holds}.")
    return lines, worst


def main():
    import cvxpy

    lines, worst = decisions()
    figures = [shares(jobs) for jobs in JOBS]
    versions = {"cvxpy": cvxpy.__version__, "python": sys.version.split()[0]}
    code = harness.finish(figures, versions, "scripts/bench plan", "\n".join(lines))
    return code or (0 if worst <= DECISION_SECONDS_MAX else 1)


if __name__ == "__main__":
    sys.exit(main())
