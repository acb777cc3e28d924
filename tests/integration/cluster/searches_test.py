"""Searches end to end, on synthetic trials: what is stopped, discarded, killed in between, and found.

Real programs. The functions that are searched are the recipe's own numbers.
"""

import sys

import pytest
from cluster import Cluster, Failed, wait_until

RECIPE = """
api: cvtrain/v1
kind: Experiment
name: search
recipe:
  task: synthetic
  synthetic: {steps: 90, step_time_ms: 5, steps_per_epoch: 10, final_metric: 50}
  checkpoint: {every: {epochs: 3}}
  seed: 1
search:
"""
OBJECTIVE = """
  objective: {metric: val/top1, mode: max}
  max_parallel_trials: 2
"""
ASHA = RECIPE + """
  asha:
    trials: 8
    reduction_factor: 3
    parameters: [{parameter: recipe.synthetic.final_metric, uniform: {min: 20, max: 90}}]
""" + OBJECTIVE
BISECT = RECIPE + """
  bisect:
    over: {parameter: recipe.synthetic.final_metric, min: 0, max: 100, step: 1}
    target: 40
""" + OBJECTIVE


@pytest.fixture(scope="module", name="cluster")
def start_cluster():
    with Cluster() as cluster:
        yield cluster


def trials_of(cluster, experiment):
    return cluster.json("get", "trial", experiment)["trials"]


def final_metric(trial):
    return float(trial["parameters"]["recipe.synthetic.final_metric"])


def test_asha_stops_trials_at_rungs_and_ranks_those_that_ran_to_the_end(cluster):
    experiment = cluster.submit(ASHA, "--name", "asha")
    cluster.cvctl("wait", experiment, timeout=120)
    trials = trials_of(cluster, experiment)
    assert len(trials) == 8
    assert {trial["state"] for trial in trials} == {"STATE_SUCCEEDED"}
    pruned = [trial for trial in trials if trial.get("pruned_at_epoch")]
    assert pruned, "somebody is worse than the one before"
    for trial in pruned:
        assert trial["pruned_at_epoch"] in (1, 3)
        assert "stopped after epoch" in trial["reason"]
        assert int(trial["progress"]["step"]) < 90
        assert not trial.get("ranked")
    ranked = [trial for trial in trials if trial.get("ranked")]
    assert max(trials, key=final_metric) in ranked, "the best of a curve that keeps its order is not stopped"
    assert "pruned" in cluster.cvctl("wait", experiment)[0] + cluster.cvctl("get", "trial", experiment)[0]


def test_bisect_finds_the_crossing_and_a_kill_changes_nothing(cluster):
    whole = cluster.submit(BISECT, "--name", "whole")
    cluster.cvctl("wait", whole, timeout=120)
    cut = cluster.submit(BISECT, "--name", "cut")
    wait_until(lambda: any(trial["state"] == "STATE_SUCCEEDED" for trial in trials_of(cluster, cut)), "a first result")
    cluster.kill("coordinator")
    cluster.up()
    cluster.cvctl("wait", cut, timeout=120)
    statuses = [cluster.json("describe", name)["search"] for name in (whole, cut)]
    for status in statuses:
        bracket = status["bracket"]
        assert bracket["low_objective"] <= 40 <= bracket["high_objective"]
        assert bracket["high"] - bracket["low"] <= 1
        assert status["answer"] in (bracket["low"], bracket["high"])
    assert statuses[0]["bracket"] == statuses[1]["bracket"]
    counted = [
        sorted(final_metric(trial) for trial in trials_of(cluster, name) if trial.get("ranked")) for name in (whole, cut)
    ]
    assert counted[0] == counted[1], "another path through the points"
    assert "bracket" in cluster.cvctl("describe", whole)[0]


def test_a_search_that_cannot_work_is_refused_with_the_way_out(cluster):
    before = len(cluster.json("get", "exp").get("experiments", []))
    for change, message in (
        ("search.bisect.over.max=0", "must be above min"),
        ("search.bisect.over.parameter=recipe.synthetic.final", "did you mean final_metric"),
        ("search.bisect.over.parameter=recipe.precision", "must be a number"),
        ("search.replicates=0", "search.replicates: must be in [1, 100]"),
        ("search.objective.metric=val/top2", "did you mean val/top1"),
    ):
        path = cluster.write("bad.yaml", BISECT)
        with pytest.raises(Failed) as failed:
            cluster.cvctl("submit", path, "--name", "bad", "--set", change)
        assert message in str(failed.value)
    assert len(cluster.json("get", "exp").get("experiments", [])) == before


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
