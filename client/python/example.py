"""Submits a small sweep, follows it, and prints how its trials ended.

    python client/python/generate.py build/python
    PYTHONPATH=build/python:client/python python client/python/example.py unix:/path/coordinator.sock
"""

import sys

from cvtrain.v1 import trial_pb2
from cvtrain_client import Client, spec_from_dict

SPEC = {
    "api": "cvtrain/v1",
    "kind": "Experiment",
    "name": "python-example",
    "recipe": {
        "task": "synthetic",
        "seed": 1,
        "synthetic": {"steps": 60, "step_time_ms": 5, "steps_per_epoch": 20},
    },
    "search": {
        "grid": {"parameters": [{"parameter": "recipe.synthetic.final_metric", "values": ["40", "60"]}]},
        "objective": {"metric": "val/top1", "mode": "max"},
    },
}


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with Client(sys.argv[1]) as client:
        experiment = client.submit(spec_from_dict(SPEC))
        print(f"{experiment.name} created")
        for trials in client.follow(experiment.name):
            running = sum(trial.state == trial_pb2.Trial.STATE_RUNNING for trial in trials)
            print(f"{len(trials)} trials, {running} running")
        for trial in client.list_trials(experiment.name):
            steps = [step for step, _ in client.metrics(trial.name, ["loss"]).get("loss", [])]
            state = trial_pb2.Trial.State.Name(trial.state)
            print(f"{trial.name} {state} objective={trial.objective:.4g} points={len(steps)} last_step={max(steps, default=0)}")
        best = client.get(experiment.name)
        print(f"best: {best.best_trial} {best.best_value:.4g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
