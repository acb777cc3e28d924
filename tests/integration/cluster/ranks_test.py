"""Trials of two processes on one machine, which share memory: one dies, and weights that another trial begins with."""

import os
import signal
import sys
import time

import pytest
from cluster import SMALL_RECIPE, Cluster, Failed, wait_until

# Long enough to be hit in the middle.
RECIPE = SMALL_RECIPE.replace("epochs: 4", "epochs: 60") + "resources: {slots: 2}\n"


@pytest.fixture(scope="module", name="reference")
def run_uninterrupted():
    with Cluster() as cluster:
        cluster.create_photos()
        cluster.submit(RECIPE)
        cluster.cvctl("wait", "exp/1", timeout=300)
        yield cluster


def step(cluster):
    trial = cluster.trial()
    return int(trial.get("progress", {}).get("step", 0)) if trial["state"] == "STATE_RUNNING" else 0


def test_a_killed_rank_ends_its_attempt_and_the_trial_goes_on_to_the_same_weights(reference):
    with Cluster() as cluster:
        cluster.create_photos()
        ranks = cluster.trainers()
        assert len(ranks) == 2
        cluster.submit(RECIPE)
        wait_until(lambda: cluster.json("ckpt", "ls", "trial/1.1").get("checkpoints") and step(cluster) > 12, "a checkpoint")

        os.kill(ranks[1], signal.SIGKILL)
        begin = time.monotonic()
        wait_until(lambda: cluster.trial()["attempts"][0].get("end_time"), "the end of the attempt", 30)
        assert time.monotonic() - begin < 10
        cluster.cvctl("wait", "exp/1", timeout=300)

        attempts = cluster.trial()["attempts"]
        assert [attempt["cause"] for attempt in attempts] == ["CAUSE_INTERNAL", "CAUSE_FINISHED"]
        assert "signal 9" in attempts[0]["message"], attempts[0]["message"]
        assert int(attempts[1]["start_step"]) > 0
        ours, theirs = cluster.trial()["evaluations"], reference.trial()["evaluations"]
        assert [one["sample_digest"] for one in ours] == [one["sample_digest"] for one in theirs]
        weights, expected = cluster.last_weights(), reference.last_weights()
        assert [name for name in weights if weights[name] != expected[name]] == []


def test_a_trial_begins_with_the_weights_of_another(reference):
    cluster = reference
    name = cluster.json("ckpt", "ls", "trial/1.1")["checkpoints"][-1]["name"]
    tuned = cluster.submit(
        RECIPE, "--name", "tuned", "--set", f"recipe.init_from={{checkpoint: {name}}}", "--set", "recipe.frozen=[backbone]",
        "--set", "recipe.epochs=1", "--set", "recipe.sampler.multi_scale.curriculum.linear.grow_until_epoch=1",
    )  # fmt: skip
    cluster.cvctl("wait", tuned, timeout=300)
    trial = tuned.replace("exp/", "trial/") + ".1"
    before, after = cluster.last_weights(), cluster.last_weights(trial)
    changed = [tensor for tensor in before if before[tensor] != after[tensor]]
    assert sorted(changed) == ["fc.bias", "fc.weight"]

    with pytest.raises(Failed) as refused:
        cluster.submit(RECIPE, "--name", "none", "--set", "recipe.init_from={checkpoint: " + name[:-4] + "0000}")
    assert "init_from" in str(refused.value)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-x", *sys.argv[1:]]))
