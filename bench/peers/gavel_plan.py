"""The max-min linear program as Gavel states it (scheduler/policies/max_min_fairness.py), in cvxpy.

A variable for each job and kind of worker, here one kind: the part of the time that it runs. The smallest part
times slots is made as large as can be; no job has more than all of the time, no kind more slots than there are.
`run JOBS` builds and solves it, as a round of Gavel does.
"""

import sys

import cvxpy
import numpy as np
import side

WIDTHS = [1, 1, 1, 1, 1, 1, 1, 2, 4, 8]  # bench/plan/plan_bench.cc


def solve(jobs, slots):
    widths = np.array([WIDTHS[i % len(WIDTHS)] for i in range(jobs)], dtype=float).reshape(jobs, 1)
    part = cvxpy.Variable((jobs, 1))
    constraints = [
        part >= 0,
        cvxpy.sum(cvxpy.multiply(widths, part), axis=0) <= [slots],
        cvxpy.sum(part, axis=1) <= 1,
    ]
    objective = cvxpy.Maximize(cvxpy.min(cvxpy.sum(cvxpy.multiply(widths, part), axis=1)))
    problem = cvxpy.Problem(objective, constraints)
    problem.solve()
    assert problem.status == "optimal", problem.status
    return {"smallest": float(np.min(widths * part.value))}


def main():
    slots = int(sys.argv[1])
    side.serve(lambda argument: solve(int(argument), slots))


if __name__ == "__main__":
    main()
