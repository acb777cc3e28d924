"""Weights that come from a file: imported, begun with, listed, deleted."""

import json
import struct
import sys

import numpy
import pytest
from cluster import SMALL_RECIPE, Cluster, tensors_of

FAILED, INVALID, NOT_FOUND, CONFLICT = 1, 3, 4, 7

RESNET_RECIPE = """
api: cvtrain/v1
kind: Experiment
name: resnet
recipe:
  task: classification
  dataset: {name: photos}
  model: {resnet: {depth: 18}}
  epochs: 1
  sampler: {single_scale: {height: 32, width: 32, batch_size: 16}}
  learning_rate: {constant: {value: 0.01}}
  init_from: {checkpoint: CHECKPOINT, except: [fc]}
  frozen: [backbone]
  seed: 3
"""


@pytest.fixture(scope="module", name="cluster")
def start_cluster():
    with Cluster() as cluster:
        cluster.create_photos()
        yield cluster


def safetensors(tensors):
    """A safetensors file of {name: array}."""
    types = {"float32": "F32", "int64": "I64", "float16": "F16"}
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in tensors.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": types[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def torchvision_resnet18(classes=1000):
    """Arrays under the names and with the shapes of torchvision's resnet18."""
    rng = numpy.random.default_rng(11)
    tensors = {}

    def conv(name, outputs, inputs, side):
        scale = (2 / (inputs * side * side)) ** 0.5
        tensors[f"{name}.weight"] = (scale * rng.standard_normal((outputs, inputs, side, side))).astype(numpy.float32)

    def norm(name, channels):
        tensors[f"{name}.weight"] = numpy.ones(channels, numpy.float32)
        tensors[f"{name}.bias"] = numpy.zeros(channels, numpy.float32)
        tensors[f"{name}.running_mean"] = rng.standard_normal(channels).astype(numpy.float32)
        tensors[f"{name}.running_var"] = numpy.full(channels, 2, numpy.float32)
        tensors[f"{name}.num_batches_tracked"] = numpy.array(1234, numpy.int64)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    inputs = 64
    for layer, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{layer}.{block}"
            conv(f"{name}.conv1", width, inputs, 3)
            norm(f"{name}.bn1", width)
            conv(f"{name}.conv2", width, width, 3)
            norm(f"{name}.bn2", width)
            if inputs != width:
                conv(f"{name}.downsample.0", width, inputs, 1)
                norm(f"{name}.downsample.1", width)
            inputs = width
    tensors["fc.weight"] = rng.standard_normal((classes, 512)).astype(numpy.float32)
    tensors["fc.bias"] = numpy.zeros(classes, numpy.float32)
    return tensors


def put(cluster, name, content):
    path = cluster.directory / name
    path.write_bytes(content)
    return str(path)


def begin_with(cluster, checkpoint, name):
    """Trains one epoch of the last layer on top of the weights; returns the trial."""
    experiment = cluster.submit(
        SMALL_RECIPE, "--name", name, "--set", f"recipe.init_from={{checkpoint: {checkpoint}}}",
        "--set", "recipe.frozen=[backbone]", "--set", "recipe.epochs=1",
        "--set", "recipe.sampler.multi_scale.curriculum.linear.grow_until_epoch=1")  # fmt: skip
    cluster.cvctl("wait", experiment, timeout=300)
    return experiment.replace("exp/", "trial/") + ".1"


def test_exported_weights_that_are_imported_are_those_of_the_trial(cluster):
    cluster.cvctl("wait", cluster.submit(SMALL_RECIPE), timeout=300)
    original = cluster.json("ckpt", "ls", "trial/1.1")["checkpoints"][-1]["name"]
    path = str(cluster.directory / "best.safetensors")
    cluster.cvctl("ckpt", "export", original, "--to", path)
    imported = cluster.cvctl("ckpt", "import", path, "-q")[0].strip()
    assert imported.startswith("checkpoints/") and imported != original

    theirs, ours = begin_with(cluster, original, "of-the-trial"), begin_with(cluster, imported, "of-the-file")
    evaluations = [[one["metrics"] for one in cluster.trial(trial)["evaluations"]] for trial in (theirs, ours)]
    assert evaluations[0] and evaluations[0] == evaluations[1]
    assert cluster.last_weights(theirs) == cluster.last_weights(ours)

    again = str(cluster.directory / "again.safetensors")
    cluster.cvctl("ckpt", "export", imported, "--to", again)
    with open(path, "rb") as one, open(again, "rb") as other:
        assert tensors_of(one.read()) == tensors_of(other.read())


def test_a_network_begins_with_a_file_under_torchvisions_names(cluster):
    tensors = torchvision_resnet18()
    path = put(cluster, "resnet18.safetensors", safetensors(tensors))
    out, _ = cluster.cvctl("ckpt", "import", path, "--label", "ResNet-18 of 1000 classes")
    name = out.split()[0]
    assert f"{len(tensors)} tensors" in out

    experiment = cluster.submit(RESNET_RECIPE.replace("CHECKPOINT", name))
    cluster.cvctl("wait", experiment, timeout=300)
    weights = cluster.last_weights(experiment.replace("exp/", "trial/") + ".1")
    assert set(weights) == set(tensors)
    changed = [key for key in tensors if weights[key][2] != tensors[key].tobytes()]
    assert sorted(changed) == ["fc.bias", "fc.weight"], "the frozen ones are bit for bit those of the file"

    whole = RESNET_RECIPE.replace("CHECKPOINT", name).replace(", except: [fc]", "")
    other = cluster.submit(whole, "--name", "whole")
    cluster.cvctl("wait", other, timeout=300, code=FAILED)
    assert "fc.weight" in cluster.trial(other.replace("exp/", "trial/") + ".1")["reason"]


def test_an_imported_checkpoint_is_listed_until_it_is_deleted_and_not_while_it_is_needed(cluster):
    path = put(cluster, "small.safetensors", safetensors({"fc.weight": numpy.ones((2, 3), numpy.float32)}))
    name = cluster.cvctl("ckpt", "import", path, "-q")[0].strip()
    listed = {one["name"]: one for one in cluster.json("ckpt", "ls", "imported")["checkpoints"]}
    assert listed[name]["label"] == "small.safetensors" and listed[name]["kept_as"] == ["imported"]
    assert name in [one["name"] for one in cluster.json("get", "ckpt")["checkpoints"]]
    assert "small.safetensors" in cluster.cvctl("ckpt", "describe", name)[0]
    cluster.cvctl("ckpt", "verify", name)

    waits = cluster.submit(
        SMALL_RECIPE, "--name", "waits", "--set", f"recipe.init_from={{checkpoint: {name}}}", "--set", "resources.slots=64")
    _, error = cluster.cvctl("ckpt", "delete", name, code=CONFLICT)
    assert f"{waits.replace('exp/', 'experiments/')} begins with it" in error
    cluster.kill("coordinator")
    cluster.up()
    cluster.cvctl("ckpt", "delete", name, code=CONFLICT)
    cluster.cvctl("cancel", waits)
    assert "deleted" in cluster.cvctl("ckpt", "delete", name)[0]
    cluster.cvctl("ckpt", "describe", name, code=NOT_FOUND)
    made = cluster.json("ckpt", "ls", "trial/1.1")["checkpoints"][-1]["name"]
    assert "made by" in cluster.cvctl("ckpt", "delete", made, code=CONFLICT)[1]


def test_a_repeated_import_is_one(cluster):
    path = put(cluster, "once.safetensors", safetensors({"w": numpy.ones(5, numpy.float32)}))
    request = ["--request-id", "11111111-2222-4333-8444-555555555555"]
    first = cluster.cvctl("ckpt", "import", path, *request)[0]
    assert first == cluster.cvctl("ckpt", "import", path, *request)[0]
    _, error = cluster.cvctl("ckpt", "import", path, "--label", "other", *request, code=INVALID)
    assert "request_id" in error


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "truncated"),
        (safetensors({"w": numpy.ones(5, numpy.float32)})[:-1], "tensor w"),
        (struct.pack("<Q", 1 << 60) + b"{}", "header of"),
        (safetensors({"w": numpy.ones(5, numpy.float16)}), "tensor w: is F16"),
        (safetensors({"w": numpy.ones(4, numpy.float32)}).replace(b'"F32"', b'"F31"'), "unknown dtype F31"),
        (safetensors({"two words": numpy.ones(5, numpy.float32)}), "two words"),
        (safetensors({"module.w": numpy.ones(5, numpy.float32)}), "--strip-prefix module."),
        (safetensors({}), "no tensors"),
        (b"PK\x03\x04" + bytes(100), "is pickle"),
    ],
)
def test_a_bad_file_is_refused_by_its_name(cluster, content, found):
    path = put(cluster, "bad.safetensors", content)
    _, error = cluster.cvctl("ckpt", "import", path, code=INVALID)
    assert "bad.safetensors" in error and found in error


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-q", "-x", *sys.argv[1:]]))
