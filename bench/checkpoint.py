"""checkpoint (B9): 1 GiB of state: what it costs training, until when it is committed, how long a restore takes.

Ours stands still while a buffer is found and the small states that forward passes change are copied; all else is copied into
shared memory while the passes of the next step run, and the update waits for it. `stall` is both waits, `added` is what a step
with a checkpoint takes longer than one without: matrix products stand for its passes, the same on both sides. The agent computes
digests and streams the bytes to the coordinator, which syncs and journals them: that is `committed`, measured on a real
cluster with real processes. A restore reads the file, checks every block and copies. Peers: torch.save with fsync, and
DCP's async_save with fsync of all that it wrote; neither writes digests. Files are on the same disk and in the page cache when they are read.
"""

import pathlib
import sys
import tempfile

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "tests/integration/cluster")]

import os  # noqa: E402

os.environ.setdefault("CVTRAIN_BIN_DIR", str(pathlib.Path(__file__).resolve().parents[1] / "build/release/bin"))

import harness  # noqa: E402
import numpy as np  # noqa: E402
from cluster import Cluster  # noqa: E402

BYTES = 1 << 30
PASSES = 6
PRODUCTS = 100
RECIPE = f"""
api: cvtrain/v1
kind: Experiment
name: NAME
recipe:
  task: synthetic
  synthetic: {{steps: 1, step_time_ms: 1, checkpoint_bytes: {BYTES}}}
  checkpoint: {{every: {{steps: 1}}, keep_best: 0, keep_last: 1}}
"""


class Committer:
    """Trials that each write one checkpoint; a pass is the time from its hand-over to its commit."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.count = 0

    def run(self, _argument):
        series = "cvtrain_worker_checkpoint_commit_seconds_sum"
        before = self.cluster.metric("worker", series)
        self.count += 1
        name = self.cluster.submit(RECIPE.replace("NAME", f"commit-{self.count}"))
        self.cluster.cvctl("wait", name)
        seconds = self.cluster.metric("worker", series) - before
        # The disk is the same for all; what is no more needed goes.
        return {"seconds": seconds, "images": 0}


def ms(results, key="seconds"):
    return [1e3 * result[key] for result in results]


def main():
    figures = []
    with tempfile.TemporaryDirectory() as folder, Cluster(slots=1) as cluster:
        folder = pathlib.Path(folder)
        committer = Committer(cluster)
        committer.run(0)
        ours = harness.Side(
            harness.BINARY / "cvtrain-bench-train", "checkpoint",
            *harness.flag_list({"file": folder / "ours", "bytes": BYTES, "threads": 2, "products": PRODUCTS}),
        )  # fmt: skip
        with ours:
            for kind, peer in (("torch-save", "torch.save, fsync"), ("dcp-async", "DCP async_save, fsync")):
                theirs = harness.Side(
                    harness.BENCH_PYTHON, harness.ROOT / "bench/peers/torch_checkpoint.py", kind,
                    *harness.flag_list({"file": folder / kind, "bytes": BYTES, "threads": 2, "products": PRODUCTS}),
                )  # fmt: skip
                with theirs:
                    bare = [np.median(one) for one in map(ms, harness.alternate(ours, theirs, ["train"] * PASSES))]
                    mine, other = harness.alternate(ours, theirs, ["save"] * PASSES)
                    figures.append(harness.lower_is_better(
                        "checkpoint", "stall", "ms", ms(mine, "stall"), peer, ms(other, "stall"), 10.0, 20.0))
                    added = [[max(one - alone, 0.1) for one in ms(results)] for results, alone in zip((mine, other), bare)]
                    figures.append(harness.lower_is_better(
                        "checkpoint", f"added to a step of {bare[0]:.0f} ms", "ms", added[0], peer, added[1], 1.0, 1.0))
                    mine, other = harness.alternate(committer, theirs, ["commit"] * PASSES)
                    figures.append(harness.lower_is_better(
                        "checkpoint", "committed", "ms", ms(mine), peer, ms(other), 2.0, 4.0))
                    mine, other = harness.alternate(ours, theirs, ["restore"] * PASSES)
                    for result in mine + other:
                        assert result["check"] == 319.0, result
                    figures.append(harness.lower_is_better(
                        "checkpoint", "restore", "ms", ms(mine), peer, ms(other), 1.3, 2.0))
    return harness.finish(figures, harness.python_versions("torch"), "scripts/bench checkpoint")


if __name__ == "__main__":
    sys.exit(main())
