"""The Python client, generated from the protos, submits, follows and reads metrics."""

import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STUBS = tempfile.TemporaryDirectory(prefix="cvt-stubs-")
subprocess.run([sys.executable, str(ROOT / "client/python/generate.py"), STUBS.name], check=True)
sys.path[:0] = [STUBS.name, str(ROOT / "client/python"), str(HERE.parent / "cluster")]

import grpc  # noqa: E402
import pytest  # noqa: E402
from cluster import Cluster  # noqa: E402
from cvtrain.v1 import cluster_pb2, experiment_pb2, trial_pb2  # noqa: E402
from cvtrain_client import Client, CvtrainError, spec_from_dict  # noqa: E402
from google.protobuf.json_format import ParseError  # noqa: E402

SPEC = {
    "api": "cvtrain/v1",
    "kind": "Experiment",
    "name": "from-python",
    "recipe": {"task": "synthetic", "synthetic": {"steps": 40, "step_time_ms": 2, "steps_per_epoch": 20}},
    "search": {
        "grid": {"parameters": [{"parameter": "recipe.synthetic.final_metric", "values": ["40", "60"]}]},
        "objective": {"metric": "val/top1", "mode": "max"},
    },
}


@pytest.fixture(scope="module", name="cluster")
def start_cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(name="client")
def connect(cluster):
    with Client(cluster.address) as client:
        yield client


def test_submits_follows_and_reads_metrics(client):
    experiment = client.submit(spec_from_dict(SPEC))

    looks = list(client.follow(experiment.name, interval=0.05))

    assert len(looks) > 1
    trials = looks[-1]
    assert [trial.state for trial in trials] == [trial_pb2.Trial.STATE_SUCCEEDED] * 2
    points = client.metrics(trials[1].name, ["loss"])["loss"]
    assert [step for step, _ in points] == list(range(40))
    ended = client.get(experiment.name)
    assert ended.state == experiment_pb2.Experiment.STATE_SUCCEEDED
    assert ended.best_trial == trials[1].name


def test_the_same_request_id_submits_once(client):
    spec = spec_from_dict(SPEC | {"name": "once"})
    request_id = str(uuid.uuid4())

    first = client.submit(spec, request_id)
    second = client.submit(spec, request_id)

    assert first.name == second.name
    with pytest.raises(CvtrainError) as raised:
        client.submit(spec_from_dict(SPEC | {"name": "another"}), request_id)
    assert raised.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.reason == "REQUEST_ID_REUSED"


def test_an_error_has_reason_and_violations(client):
    bad = {**SPEC, "name": "bad", "recipe": {"task": "synthetic", "synthetic": {"steps": -1}}}

    with pytest.raises(CvtrainError) as raised:
        client.submit(spec_from_dict(bad))

    assert raised.value.reason == "RECIPE_INVALID"
    assert any(violation.field == "recipe.synthetic.steps" for violation in raised.value.violations)


def test_an_unknown_field_is_refused_before_anything_is_sent():
    with pytest.raises(ParseError, match="lr"):
        spec_from_dict({"recipe": {"lr": 1}})


def test_health_and_reflection_are_served(client, cluster):
    assert client.call(client.cluster.GetCluster, cluster_pb2.GetClusterRequest()).cluster.id
    with grpc.insecure_channel(cluster.address, [("grpc.default_authority", "localhost")]) as channel:
        health = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert health(b"", timeout=10) == b"\x08\x01"  # SERVING
        reflection = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        answer = next(reflection(iter([b"\x3a\x01*"]), timeout=10))  # list_services
        assert b"cvtrain.v1.ExperimentService" in answer


def test_the_example_runs(cluster):
    environment = os.environ | {"PYTHONPATH": f"{STUBS.name}:{ROOT / 'client/python'}"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "client/python/example.py"), cluster.address],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "best: experiments/" in done.stdout


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", *sys.argv[1:]]))
