"""rung-accuracy: does training on the rungs of a ladder cost accuracy against decoding every picture in full?

One network, one recipe, three seeds, two data sets of real photos. Ours reads the smallest rung that holds the
crop, DCT-scaled where that is enough; the other side has no rungs and no JPEG: its shards hold each photo as a PNG of
the decoded original, so that every crop comes from all pixels, averaged by area. Everything else is the same, and so
are crops, order and weights at the start of a seed.

The figure is the ratio of the mean top-1 accuracies; its floor is 1 less the spread of the seeds.
"""

import concurrent.futures
import json
import os
import pathlib
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/integration/cluster")]
os.environ.setdefault("CVTRAIN_BIN_DIR", str(ROOT / "build/release/bin"))

import harness  # noqa: E402
import photos  # noqa: E402
from cluster import Cluster  # noqa: E402
from PIL import Image  # noqa: E402

SEEDS = [1, 2, 3]
COLLECTIONS = ["flowers12", "trashnet"]
EPOCHS = int(os.environ.get("CVTRAIN_BENCH_EPOCHS", "30"))

RECIPE = """
api: cvtrain/v1
kind: Experiment
name: NAME
recipe:
  task: classification
  dataset: {name: NAME}
  model: {small_resnet: {widths: [16, 32, 64, 128]}}
  epochs: EPOCHS
  sampler:
    multi_scale:
      base: {height: 96, width: 96, batch_size: 24}
      scales: {min: 64, max: 128, count: 3, divisible_by: 16}
      curriculum: {linear: {start_max: 80, grow_until_epoch: HALF}}
  augmentation: {random_resized_crop: {scale_min: 0.25, scale_max: 1}}
  loss: {label_smoothing: 0.1}
  optimizer: {sgd: {momentum: 0.9, weight_decay: 5.0e-4, nesterov: true}}
  learning_rate: {cosine: {max: 0.1, min: 0, warmup_epochs: 2}}
  evaluation: {every_epochs: EPOCHS, sizes: [{crop: 112}, {crop: 64}]}
  checkpoint: {every: {epochs: EPOCHS}, keep_best: 0, keep_last: 1}
search:
  grid: {parameters: [{parameter: recipe.seed, values: SEEDS}]}
  objective: {metric: val/top1, mode: max}
  max_parallel_trials: 2
"""


def as_png(job):
    """One photo, decoded in full and kept without loss."""
    path, to = job
    to.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(path) as image:
        image.convert("RGB").save(to, compress_level=1)


def full_copies(source, folder):
    jobs = [(path, folder / path.relative_to(source).with_suffix(".png")) for path in photos.jpegs(source)]
    with concurrent.futures.ProcessPoolExecutor() as pool:
        list(pool.map(as_png, jobs, chunksize=32))
    return folder


def top1(cluster, name):
    """The accuracies of the seeds, in percent: {metric: [of each seed]}."""
    recipe = RECIPE.replace("NAME", name).replace("EPOCHS", str(EPOCHS)).replace("HALF", str(EPOCHS // 2))
    experiment = cluster.submit(recipe.replace("SEEDS", json.dumps(SEEDS)))
    cluster.cvctl("wait", experiment, timeout=7200)
    number = experiment.split("/")[1]
    seeds = [cluster.trial(f"trial/{number}.{i + 1}") for i in range(len(SEEDS))]
    last = [trial["evaluations"][-1]["metrics"] for trial in seeds]
    return {metric: [one[metric] for one in last] for metric in ("val/top1", "val@64px/top1")}


def figures_of(collection, ours, full):
    for metric, size in (("val/top1", 112), ("val@64px/top1", 64)):
        a, b = ours[metric], full[metric]
        mean = statistics.mean(b)
        spread = max(max(side) - min(side) for side in (a, b))
        yield harness.Figure(
            "rung-accuracy", f"{collection}, tested at {size}", "top-1 %", statistics.mean(a), "full decodes",
            mean, statistics.mean(a) / mean, [min(a) / max(b), max(a) / min(b)], 1 - spread / mean, 1.0)


def main():
    figures = []
    notes = [f"{EPOCHS} epochs; top-1 of seeds {SEEDS}:"]
    with Cluster(slots=2) as cluster:
        for collection in COLLECTIONS:
            work = cluster.directory / collection
            (work / "source").mkdir(parents=True)
            source = photos.unpack(f"{collection}.tar.gz", work / "source")
            root = next(path.parent for path in source.rglob("train") if path.is_dir())
            full = full_copies(root, work / "png")
            cluster.cvctl("dataset", "create", f"{collection}-rungs", "--from", str(root), "-q", timeout=1800)
            cluster.cvctl("dataset", "create", f"{collection}-full", "--from", str(full), "-q", "--rungs", "none",
                          "--keep-originals", timeout=1800)
            sides = {side: top1(cluster, f"{collection}-{side}") for side in ("rungs", "full")}
            for side, metrics in sides.items():
                for metric, values in metrics.items():
                    notes.append(f"  {collection} {side:5} {metric:14} {' '.join(f'{value:.2f}' for value in values)}")
            figures += figures_of(collection, sides["rungs"], sides["full"])
            print(notes[-1], flush=True)
    versions = harness.debian_versions() | {"LibTorch": "2.11.0"}
    return harness.finish(figures, versions, "scripts/bench rung-accuracy", "\n".join(notes))


if __name__ == "__main__":
    sys.exit(main())
