"""search-quality: TPE, ASHA and Hyperband beside Optuna's, on public test functions.

Both sides get the same budget and are run one trial after another with 50 seeds. Compared is the regret: how far the best
trial is from the optimum, as the mean over seeds of its logarithm, for regrets span decades. Ours is not worse within the
spread if the difference of the means is less than two standard errors of it.
"""

import dataclasses
import math
import random
import statistics
import sys

import harness
import optuna

SEEDS = 50
STANDARD_ERRORS_MAX = 2.0


@dataclasses.dataclass
class Problem:
    name: str
    # NAME:KIND:MIN:MAX[?OTHER=VALUE], as bench/search/search_bench.h has it.
    parameters: list
    function: object
    optimum: float


def branin(x):
    """Dixon and Szego 1978; minimum 0.397887."""
    a, b, c = 1.0, 5.1 / (4 * math.pi**2), 5 / math.pi
    t = 1 / (8 * math.pi)
    return a * (x["y"] - b * x["x"] ** 2 + c * x["x"] - 6) ** 2 + 10 * (1 - t) * math.cos(x["x"]) + 10


HARTMANN_A = [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
]
HARTMANN_P = [
    [1312, 1696, 5569, 124, 8283, 5886],
    [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650],
    [4047, 8828, 8732, 5743, 1091, 381],
]


def hartmann6(x):
    """Dixon and Szego 1978; minimum -3.32237."""
    total = 0.0
    for weight, a, p in zip([1.0, 1.2, 3.0, 3.2], HARTMANN_A, HARTMANN_P):
        total += weight * math.exp(-sum(a[j] * (x[f"x{j}"] - 1e-4 * p[j]) ** 2 for j in range(6)))
    return -total


def rastrigin4(x):
    """Rastrigin 1974, in four dimensions, moved off the middle of the range; minimum 0."""
    moved = [x[f"x{j}"] - 0.7 * (j + 1) for j in range(4)]
    return 40 + sum(v * v - 10 * math.cos(2 * math.pi * v) for v in moved)


def mixed(x):
    """A rate, a width, a choice of optimizer, and a momentum that one of the choices has; minimum 0."""
    value = (math.log10(x["rate"]) + 2.3) ** 2 + 0.3 * (math.log2(x["width"]) - 5) ** 2
    value += [0.0, 0.4, 0.8][int(x["kind"])]
    return value + (4 * (x["momentum"] - 0.9) ** 2 if x["kind"] == 0 else 0.0)


PROBLEMS = [
    Problem("Branin, 100 trials", ["x:uniform:-5:10", "y:uniform:0:15"], branin, 0.397887),
    Problem("Hartmann6, 100 trials", [f"x{j}:uniform:0:1" for j in range(6)], hartmann6, -3.32237),
    Problem("Rastrigin4, 100 trials", [f"x{j}:uniform:-5.12:5.12" for j in range(4)], rastrigin4, 0.0),
    Problem(
        "mixed, 100 trials",
        ["kind:choice:3", "rate:log_uniform:1e-5:1", "width:log_integer:1:256", "momentum:uniform:0:1?kind=0"],
        mixed,
        0.0,
    ),
]
TRIALS = 100

# Learning curves: the error falls as a power of the epoch towards what the parameters allow, faster with a
# higher rate, with noise; curves cross, as those of networks do.
CURVE_PARAMETERS = ["rate:log_uniform:1e-5:1", "decay:log_uniform:1e-6:1e-1"]
EPOCHS = 81
CURVE_BUDGETS = {"asha": 30 * EPOCHS, "hyperband": 30 * EPOCHS}


def final_error(x):
    return 0.05 + 0.04 * (math.log10(x["rate"]) + 2) ** 2 + 0.02 * (math.log10(x["decay"]) + 4) ** 2


def curve(x, epoch, noise):
    speed = 0.3 + 0.12 * (math.log10(x["rate"]) + 5)
    return final_error(x) + (0.9 - min(final_error(x), 0.85)) * epoch**-speed + noise.gauss(0, 0.005)


def suggest(trial, parameters):
    x = {}
    for text in parameters:
        text, _, condition = text.partition("?")
        if condition and int(x[condition.split("=")[0]]) != int(condition.split("=")[1]):
            continue
        name, kind, *bounds = text.split(":")
        if kind == "choice":
            x[name] = trial.suggest_categorical(name, list(range(int(bounds[0]))))
        elif kind in ("integer", "log_integer"):
            x[name] = trial.suggest_int(name, int(bounds[0]), int(bounds[1]), log=kind == "log_integer")
        else:
            x[name] = trial.suggest_float(name, float(bounds[0]), float(bounds[1]), log=kind == "log_uniform")
    return x


def regret(best, optimum):
    return math.log10(max(best - optimum, 1e-9))


def our_function(side, method, problem, seed):
    side.run(f"begin {method} {TRIALS} {seed} 1 {' '.join(problem.parameters)}")
    best = math.inf
    for _ in range(TRIALS):
        x = side.run("ask")
        value = problem.function(x)
        side.run(f"tell {int(x['trial'])} {value!r}")
        best = min(best, value)
    return regret(best, problem.optimum)


def their_function(sampler, problem, seed):
    study = optuna.create_study(sampler=sampler(seed=seed))
    study.optimize(lambda trial: problem.function(suggest(trial, problem.parameters)), n_trials=TRIALS)
    return regret(study.best_value, problem.optimum)


def our_curves(side, method, budget, seed):
    """The error that the trial with the best last value really has."""
    noise = random.Random(seed)
    side.run(f"begin {method} 10000 {seed} {EPOCHS} {' '.join(CURVE_PARAMETERS)}")
    finished, epochs = [], 0
    while epochs < budget:
        x = side.run("ask")
        trial = int(x["trial"])
        for epoch in range(1, EPOCHS + 1):
            epochs += 1
            value = curve(x, epoch, noise)
            if epoch < EPOCHS and side.run(f"report {trial} {epoch} {value!r}")["stopped"]:
                break
        else:
            side.run(f"tell {trial} {value!r}")
            finished.append((value, final_error(x)))
    return regret(min(finished)[1], 0.05) if finished else 0.0


def their_curves(pruner, budget, seed):
    noise = random.Random(seed)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed), pruner=pruner)
    finished, epochs = [], 0
    while epochs < budget:
        trial = study.ask()
        x = suggest(trial, CURVE_PARAMETERS)
        for epoch in range(1, EPOCHS + 1):
            epochs += 1
            value = curve(x, epoch, noise)
            trial.report(value, epoch)
            if epoch < EPOCHS and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
            finished.append((value, final_error(x)))
    return regret(min(finished)[1], 0.05) if finished else 0.0


def pruner_of(method):
    if method == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
    return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=3)


def figure(case, ours, theirs):
    """The ratio is that of the geometric means of the regrets; its spread two standard errors."""
    difference = statistics.mean(theirs) - statistics.mean(ours)
    error = math.sqrt((statistics.variance(ours) + statistics.variance(theirs)) / SEEDS)
    spread = [10 ** (difference - STANDARD_ERRORS_MAX * error), 10 ** (difference + STANDARD_ERRORS_MAX * error)]
    return harness.Figure(
        "search-quality", case, "regret", 10 ** statistics.mean(ours), "Optuna", 10 ** statistics.mean(theirs),
        10**difference, spread, floor=10 ** (-STANDARD_ERRORS_MAX * error), aim=1.0,
    )  # fmt: skip


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    figures = []
    with harness.Side(harness.BINARY / "cvtrain-bench-search") as side:
        for problem in PROBLEMS:
            for method, sampler in (("tpe", optuna.samplers.TPESampler), ("random", optuna.samplers.RandomSampler)):
                ours = [our_function(side, method, problem, seed) for seed in range(SEEDS)]
                theirs = [their_function(sampler, problem, seed) for seed in range(SEEDS)]
                figures.append(figure(f"{method}: {problem.name}", ours, theirs))
                print(figures[-1], flush=True)
        for method, budget in CURVE_BUDGETS.items():
            ours = [our_curves(side, method, budget, seed) for seed in range(SEEDS)]
            theirs = [their_curves(pruner_of(method), budget, seed) for seed in range(SEEDS)]
            figures.append(figure(f"{method}: curves, {budget} epochs", ours, theirs))
            print(figures[-1], flush=True)
    versions = {"optuna": optuna.__version__, "python": sys.version.split()[0]}
    return harness.finish(figures, versions, "scripts/bench search-quality")


if __name__ == "__main__":
    sys.exit(main())
