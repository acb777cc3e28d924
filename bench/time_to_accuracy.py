"""time-to-accuracy (B6): seconds of training until the test accuracy is reached, multi-scale with a curriculum against one size.

The same network, epochs, batch, optimizer, rates and augmentation; accuracy is of the whole test split at the full size, after
every epoch, and measuring it is on neither clock. Ours trains at sizes that grow and stay below the one that is tested: random crops
enlarge what they show, so that objects look as large as in the test at three quarters of its size (Touvron et al. 2019). It runs as
two ranks of a thread each; PyTorch trains at the full size with two threads, on pictures that are decoded and in memory before its
clock runs.

Each run of this benchmark adds one seed (CVTRAIN_BENCH_SEEDS: how many) of both sides for each task, in turn, until there are
five: what earlier runs measured is kept in bench/results/time-to-accuracy-runs.json, with the revision of each.
"""

import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/integration/cluster")]
os.environ.setdefault("CVTRAIN_BIN_DIR", str(ROOT / "build/release/bin"))

import harness  # noqa: E402
import photos  # noqa: E402
from cluster import Cluster  # noqa: E402

SEEDS = 5
RUNS = harness.RESULTS / "time-to-accuracy-runs.json"
# What both sides have, what only ours has, the accuracy that is waited for, percent, and the settings of PyTorch's side that
# were fastest on the machine of docs/performance.md, of no, one or two loading processes and both memory formats.
TASKS = {
    "trashnet": {
        "size": 128, "batch": 32, "epochs": 20, "classes": 6, "widths": [16, 32, 64, 128], "blocks": 2, "pooled": 1,
        "scale_min": 0.25, "rate": 0.1, "weight_decay": 5e-4, "warmup_epochs": 2,
        "scales": "{min: 72, max: 96, count: 2, divisible_by: 8}",
        "stages": "[{from_epoch: 0, scales: {min: 72, max: 80}}, {from_epoch: 8, scales: {min: 88, max: 96}}]",
        "target": 70.0, "peer": {"threads": 2, "workers": 0, "channels_last": 1},
    },
    "cifar10-10k": {
        "size": 32, "batch": 64, "epochs": 9, "classes": 10, "widths": [16, 32, 64], "blocks": 2, "pooled": 0,
        "scale_min": 0.4, "rate": 0.1, "weight_decay": 5e-4, "warmup_epochs": 2,
        "scales": "{min: 20, max: 28, count: 1, divisible_by: 4}",
        "stages": "[{from_epoch: 0, scales: {min: 20, max: 20}}, {from_epoch: 3, scales: {min: 24, max: 24}},"
                  " {from_epoch: 7, scales: {min: 28, max: 28}}]",
        "target": 55.0, "peer": {"threads": 2, "workers": 1, "channels_last": 1},
    },
}  # fmt: skip

RECIPE = """
api: cvtrain/v1
kind: Experiment
name: {name}
recipe:
  task: classification
  dataset: {{name: {task}}}
  model: {{small_resnet: {{widths: {widths}, blocks: [{blocks}], stem: {stem}}}}}
  epochs: {epochs}
  sampler:
    multi_scale:
      base: {{height: {size}, width: {size}, batch_size: {rank_batch}}}
      scales: {scales}
      variable_batch: false
      include_base: false
      curriculum: {{stages: {{list: {stages}}}}}
  augmentation: {{random_resized_crop: {{scale_min: {scale_min}, scale_max: 1}}, horizontal_flip: {{}}}}
  loss: {{label_smoothing: 0.1}}
  optimizer: {{sgd: {{momentum: 0.9, weight_decay: {weight_decay}, nesterov: true}}}}
  learning_rate: {{cosine: {{max: {rate}, min: 0, warmup_epochs: {warmup_epochs}}}}}
  evaluation: {{sizes: [{{crop: {size}}}]}}
  checkpoint: {{every: {{epochs: {epochs}}}, keep_best: 0, keep_last: 1}}
  seed: {seed}
resources: {{slots: 2}}
"""


def cifar_part(folder):
    """10,000 pictures of CIFAR-10's training split, a thousand of each class, and all of its test split."""
    unpacked = folder / "all"
    unpacked.mkdir()
    root = next(path.parent for path in photos.unpack("cifar10.tar.gz", unpacked).rglob("train") if path.is_dir())
    part = folder / "part"
    shutil.copytree(root / "test", part / "test")
    for klass in sorted((root / "train").iterdir()):
        (part / "train" / klass.name).mkdir(parents=True)
        for path in random.Random(1).sample(sorted(klass.iterdir()), 1000):
            shutil.copy(path, part / "train" / klass.name)
    return part


def source_of(task, folder):
    folder.mkdir()
    if task == "cifar10-10k":
        return cifar_part(folder)
    return next(path.parent for path in photos.unpack(f"{task}.tar.gz", folder).rglob("train") if path.is_dir())


def train_ours(cluster, task, setting, seed):
    """[(seconds, top-1)], one for each epoch."""
    text = RECIPE.format(
        **setting, task=task, name=f"{task}-{seed}", seed=seed, rank_batch=setting["batch"] // 2,
        stem="pooled" if setting["pooled"] else "cifar",
    )  # fmt: skip
    experiment = cluster.submit(text)
    cluster.cvctl("wait", experiment, timeout=3600)
    trial = f"trial/{experiment.split('/')[1]}.1"
    # The axis counts training only: neither evaluations nor checkpoints.
    lines = cluster.cvctl("metrics", trial, "--name", "wall_time", "-o", "csv")[0].splitlines()[1:]
    seconds = {int(line.split(",")[2]): float(line.split(",")[3]) for line in lines}
    return [
        (seconds[int(one["step"]) - 1], one["metrics"]["val/top1"]) for one in cluster.trial(trial)["evaluations"]
    ]


def train_theirs(source, setting, seed):
    flags = {key: setting[key] for key in ("size", "batch", "epochs", "classes", "blocks", "pooled", "scale_min", "rate",
                                           "weight_decay", "warmup_epochs")}  # fmt: skip
    flags |= setting["peer"] | {"folder": source, "seed": seed, "widths": ",".join(map(str, setting["widths"]))}
    done = subprocess.run(
        [harness.BENCH_PYTHON, harness.ROOT / "bench/peers/torch_train.py", *harness.flag_list(flags)],
        check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(setting["peer"]["threads"])},
    )  # fmt: skip
    epochs = [json.loads(line) for line in done.stdout.splitlines()]
    return [(one["seconds"], one["top1"]) for one in epochs]


def seconds_to(curve, target):
    """Until the accuracy is reached for the first time; nothing if it never is."""
    return next((seconds for seconds, top1 in curve if top1 >= target), None)


def measure(cluster, runs, task, seed):
    source = source_of(task, cluster.directory / f"{task}-{seed}")
    if f"datasets/{task}" not in {one["name"] for one in cluster.json("dataset", "ls").get("datasets", [])}:
        cluster.cvctl("dataset", "create", task, "--from", str(source), "-q", timeout=1800)
    sides = {"ours": lambda: train_ours(cluster, task, TASKS[task], seed),
             "theirs": lambda: train_theirs(source, TASKS[task], seed)}  # fmt: skip
    order = list(sides) if seed % 2 else list(reversed(sides))
    curves = {side: sides[side]() for side in order}
    revision = harness._run("git", "describe", "--always", "--dirty")
    runs.append({"task": task, "seed": seed, "revision": revision, "setting": TASKS[task]} | curves)
    RUNS.write_text(json.dumps(runs, indent=1) + "\n")
    for side in sides:
        print(f"{task}, seed {seed}, {side}: {curves[side][-1][0]:.0f} s, top-1 {curves[side][-1][1]:.2f} %, target after"
              f" {seconds_to(curves[side], TASKS[task]['target'])} s", flush=True)  # fmt: skip


def figure_of(task, runs):
    target = TASKS[task]["target"]
    times = {side: [seconds_to(run[side], target) for run in runs] for side in ("ours", "theirs")}
    reached = [(a, b) for a, b in zip(times["ours"], times["theirs"]) if a is not None and b is not None]
    final = {side: statistics.mean(run[side][-1][1] for run in runs) for side in ("ours", "theirs")}
    note = (f"{task}: {len(runs)} seeds, both sides reached {target} % in {len(reached)}; top-1 at the end, mean:"
            f" ours {final['ours']:.2f}, theirs {final['theirs']:.2f} %")  # fmt: skip
    if not reached:
        return None, note
    ours, theirs = zip(*reached)
    return harness.lower_is_better(
        "time-to-accuracy", f"{task}, {target:.0f} %", "s", list(ours), "PyTorch, one size", list(theirs), 1.5, 2.0,
    ), note  # fmt: skip


def main():
    runs = json.loads(RUNS.read_text()) if RUNS.exists() else []
    # Of the settings of today only.
    runs = [run for run in runs if run["setting"] == TASKS.get(run["task"])]
    with Cluster(slots=2) as cluster:
        for task in TASKS:
            done = {run["seed"] for run in runs if run["task"] == task}
            left = [seed for seed in range(1, SEEDS + 1) if seed not in done]
            for seed in left[: int(os.environ.get("CVTRAIN_BENCH_SEEDS", "1"))]:
                measure(cluster, runs, task, seed)
    figures, notes = [], []
    for task in TASKS:
        figure, note = figure_of(task, [run for run in runs if run["task"] == task])
        figures += [figure] if figure else []
        notes.append(note)
    return harness.finish(figures, harness.python_versions("torch", "torchvision"), "scripts/bench time-to-accuracy",
                          "\n".join(notes))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
