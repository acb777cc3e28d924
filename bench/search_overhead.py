"""search-overhead: what the end of a trial costs when an experiment has many ended ones, beside Optuna's ask and tell.

Ours is the whole decision of the coordinator's state, without the journal: the event that ends a trial, what the search
proposes next, its recipe, and the state after it. Optuna's is `ask` with its suggestions and `tell`, in memory.
"""

import statistics
import sys
import time

import harness
import optuna

TRIALS = 9_800
TIMED = 20
MICROSECONDS_MAX = 1000
METHODS = ["random", "sobol", "tpe", "asha"]


def theirs():
    """Microseconds of an ask and a tell with TPE after TRIALS trials."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1), direction="maximize")
    bounds = optuna.distributions.FloatDistribution(1, 100)
    distributions = {"a": bounds, "b": bounds}
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={"a": 1 + 99 * (i * 0.618 % 1), "b": 1 + 99 * (i * 0.414 % 1)},
                distributions=distributions,
                value=i * 0.732 % 1,
            )
            for i in range(TRIALS)
        ]
    )
    times = []
    for i in range(TIMED):
        begin = time.perf_counter()
        trial = study.ask()
        trial.suggest_float("a", 1, 100)
        trial.suggest_float("b", 1, 100)
        study.tell(trial, i / TIMED)
        times.append(1e6 * (time.perf_counter() - begin))
    return times


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ours, lines, worst = {}, [], 0.0
    with harness.Side(harness.BINARY / "cvtrain-bench-search") as side:
        for method in METHODS:
            ours[method] = side.run(f"overhead {method} {TRIALS}")
            end, evaluation = ours[method]["end_microseconds"], ours[method]["evaluation_microseconds"]
            worst = max(worst, end, evaluation)
            lines.append(f"{method}, {TRIALS} trials: an end {end:.0f} us, an evaluation {evaluation:.0f} us")
    holds = "holds" if worst <= MICROSECONDS_MAX else "MISSED"
    lines.append(f"The promise of {MICROSECONDS_MAX} us {holds}.")
    peer = theirs()
    end = ours["tpe"]["end_microseconds"]
    figures = [
        harness.lower_is_better(
            "search-overhead", f"tpe, {TRIALS} trials", "us", [end] * TIMED, "Optuna ask, tell", peer,
            floor=10.0, aim=100.0,
        )
    ]  # fmt: skip
    versions = {"optuna": optuna.__version__, "python": sys.version.split()[0]}
    print(f"Optuna: median {statistics.median(peer):.0f} us")
    code = harness.finish(figures, versions, "scripts/bench search-overhead", "\n".join(lines))
    return code or (0 if worst <= MICROSECONDS_MAX else 1)


if __name__ == "__main__":
    sys.exit(main())
