"""Who waits, why, and who makes way: with real programs and real training."""

import sys

import pytest
from cluster import SMALL_RECIPE, Cluster, Failed, wait_until

# Long enough to be stopped in the middle.
RECIPE = SMALL_RECIPE.replace("epochs: 4", "epochs: 100")
SYNTHETIC = """
api: cvtrain/v1
kind: Experiment
name: {name}
recipe:
  task: synthetic
  synthetic: {{steps: {steps}, step_time_ms: 100}}
resources: {{slots: {slots}}}
"""


def running_step(cluster, name="trial/1.1"):
    trial = cluster.trial(name)
    return int(trial.get("progress", {}).get("step", 0)) if trial["state"] == "STATE_RUNNING" else 0


def test_a_trial_that_makes_way_ends_with_the_same_weights():
    with Cluster() as cluster:
        cluster.create_photos()
        cluster.submit(RECIPE, "--name", "undisturbed")
        cluster.cvctl("wait", "exp/1", timeout=300)
        expected = cluster.last_weights("trial/1.1")

        cluster.submit(RECIPE)
        wait_until(lambda: running_step(cluster, "trial/2.1") > 5, "a few steps")
        worker = cluster.cvctl("get", "worker", "-o", "name")[0].strip()
        assert cluster.cvctl("worker", "drain", worker, "--reason", "new disks")[0] == f"{worker} draining\n"
        wait_until(lambda: cluster.trial("trial/2.1")["state"] == "STATE_QUEUED", "the trial to make way")
        why = cluster.cvctl("explain", "trial/2.1")[0]
        assert "no worker is ready" in why
        described = cluster.json("describe", worker)
        assert described["cordoned"] and described["cordon_reason"] == "new disks"
        cluster.cvctl("worker", "uncordon", worker)
        cluster.cvctl("wait", "exp/2", timeout=300)
        attempts = cluster.trial("trial/2.1")["attempts"]
        assert [attempt["cause"] for attempt in attempts] == ["CAUSE_PREEMPTED", "CAUSE_FINISHED"]
        assert int(attempts[1]["start_step"]) == int(attempts[0]["end_step"]) > 0
        assert cluster.last_weights("trial/2.1") == expected


def test_the_queue_says_who_is_next_why_and_until_when():
    with Cluster(slots=1) as cluster:
        cluster.submit(SYNTHETIC.format(name="runs", steps=100_000, slots=1), "--priority", "90")
        wait_until(lambda: running_step(cluster) > 0, "the first step")
        cluster.submit(SYNTHETIC.format(name="long", steps=6_000, slots=1))
        cluster.submit(SYNTHETIC.format(name="short", steps=600, slots=1))
        cluster.submit(SYNTHETIC.format(name="wide", steps=10, slots=4))
        cluster.submit(SYNTHETIC.format(name="held", steps=10, slots=1), "--hold")
        cluster.submit(SYNTHETIC.format(name="after", steps=10, slots=1), "--after", "exp/1:ok")
        queue = cluster.json("queue")["entries"]
        assert [entry["label"] for entry in queue] == ["wide", "short", "long", "held", "after"]
        assert [entry["reason"].removeprefix("WAIT_REASON_") for entry in queue] == [
            "TOO_LARGE", "SLOTS", "ORDER", "HELD", "DEPENDENCY",
        ]  # fmt: skip
        page = cluster.cvctl("explain", "trial/3.1")[0]
        for part in ("SLOTS", "0 of 1 free", "trial/1.1", "with one more worker of 1 slot", "now"):
            assert part in page, page
        predicted = cluster.cvctl("simulate", "--live", "--workers", "+4", "--slots-each", "1")[0]
        assert "trial/2.1" in predicted and "All done" in predicted, predicted
        cluster.cvctl("release", "exp/5")
        assert cluster.json("queue")["entries"][0]["label"] == "held"
        with pytest.raises(Failed, match="exp/99"):
            cluster.cvctl("submit", cluster.write("bad.yaml", SYNTHETIC.format(name="x", steps=1, slots=1)),
                          "--after", "exp/99")  # fmt: skip


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-v"]))
