"""Processes are killed while they work, and nothing that counts changes.

Real programs, real photos, SIGKILL. Each test compares with an uninterrupted run of the same recipe.
"""

import os
import signal
import sys

import pytest
from cluster import SMALL_RECIPE, Cluster, wait_until

# Long enough to be hit in the middle.
RECIPE = SMALL_RECIPE.replace("epochs: 4", "epochs: 40")

SWEEP = RECIPE + """
search:
  linear: {parameter: recipe.augmentation.range_augment.target_psnr.end, values: [40, 20, 5]}
  objective: {metric: val/loss, mode: min}
  max_parallel_trials: 2
"""


def ranking(cluster, experiment):
    trials = cluster.json("get", "trial", experiment)["trials"]
    return sorted((float(trial["objective"]), trial["name"]) for trial in trials)


@pytest.fixture(scope="module", name="reference")
def run_uninterrupted():
    """Weights and ranking of runs that nobody disturbs."""
    with Cluster() as cluster:
        cluster.create_photos()
        cluster.submit(RECIPE)
        cluster.cvctl("wait", "exp/1", timeout=300)
        sweep = cluster.submit(SWEEP, "--name", "sweep")
        cluster.cvctl("wait", sweep, timeout=300)
        trial = cluster.trial()
        return {
            "weights": cluster.last_weights(),
            "evaluations": [evaluation["metrics"] for evaluation in trial["evaluations"]],
            "ranking": ranking(cluster, sweep),
        }


def running_step(cluster, name="trial/1.1"):
    """The step of a running trial, 0 if it has not begun."""
    trial = cluster.trial(name)
    if trial["state"] != "STATE_RUNNING":
        return 0
    return int(trial.get("progress", {}).get("step", 0))


def checkpointed(cluster):
    return cluster.json("ckpt", "ls", "trial/1.1").get("checkpoints")


def assert_same_run(cluster, reference):
    trial = cluster.trial()
    assert trial["state"] == "STATE_SUCCEEDED"
    assert [evaluation["metrics"] for evaluation in trial["evaluations"]] == reference["evaluations"]
    weights = cluster.last_weights()
    assert weights.keys() == reference["weights"].keys()
    different = [name for name in weights if weights[name] != reference["weights"][name]]
    assert not different, f"not bit-equal: {different}"


def test_a_killed_trainer_resumes_and_ends_with_the_same_weights(reference):
    with Cluster() as cluster:
        cluster.create_photos()
        warm = set(cluster.trainers())
        cluster.submit(RECIPE)
        wait_until(lambda: checkpointed(cluster) and running_step(cluster) > 12, "a step after a checkpoint")

        for pid in warm:
            os.kill(pid, signal.SIGKILL)
        cluster.cvctl("wait", "exp/1", timeout=300)

        attempts = cluster.trial()["attempts"]
        assert len(attempts) == 2
        assert attempts[0]["cause"] == "CAUSE_INTERNAL"
        assert int(attempts[1]["start_step"]) > 0
        assert_same_run(cluster, reference)


def test_a_killed_worker_resumes_and_ends_with_the_same_weights(reference):
    with Cluster() as cluster:
        cluster.create_photos()
        cluster.submit(RECIPE)
        wait_until(lambda: checkpointed(cluster) and running_step(cluster) > 12, "a step after a checkpoint")
        trainers = cluster.trainers()

        cluster.kill("worker")
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in trainers), "the end of its trainers", 10)
        cluster.up()
        cluster.cvctl("wait", "exp/1", timeout=300)

        attempts = cluster.trial()["attempts"]
        assert [attempt["cause"] for attempt in attempts] == ["CAUSE_WORKER_LOST", "CAUSE_FINISHED"]
        assert int(attempts[1]["start_step"]) > 0
        assert_same_run(cluster, reference)


def test_trainers_step_on_without_a_coordinator_and_the_ranking_is_the_same(reference):
    with Cluster() as cluster:
        cluster.create_photos()
        cluster.submit(SWEEP, "--name", "sweep")
        wait_until(lambda: running_step(cluster) > 5, "a running trial")

        cluster.kill("coordinator")
        before = cluster.metric("worker", "cvtrain_worker_steps_total")
        wait_until(
            lambda: cluster.metric("worker", "cvtrain_worker_steps_total") >= before + 10,
            "ten steps without a coordinator",
            60,
        )
        cluster.up()
        cluster.cvctl("wait", "exp/1", timeout=300)

        trials = cluster.json("get", "trial", "exp/1")["trials"]
        assert [trial["attempt_count"] for trial in trials] == [1, 1, 1]
        assert [name.replace("experiments/1/", "experiments/2/") for _, name in ranking(cluster, "exp/1")] == [
            name for _, name in reference["ranking"]
        ]
        assert [value for value, _ in ranking(cluster, "exp/1")] == [value for value, _ in reference["ranking"]]


def test_metrics_have_each_step_once_after_a_crash():
    with Cluster() as cluster:
        cluster.create_photos()
        cluster.submit(RECIPE)
        wait_until(lambda: checkpointed(cluster) and running_step(cluster) > 12, "a step after a checkpoint")
        cluster.kill("coordinator")
        cluster.up()
        for pid in cluster.trainers():
            os.kill(pid, signal.SIGKILL)
        cluster.cvctl("wait", "exp/1", timeout=300)

        rows = cluster.cvctl("metrics", "trial/1.1", "--name", "loss", "-o", "csv")[0].splitlines()[1:]
        steps = [int(row.split(",")[2]) for row in rows]
        assert steps == list(range(len(steps)))
        assert len(steps) == int(cluster.trial()["attempts"][-1]["end_step"])


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
