"""trial-start: from the grant of a slot to the first step of a small model, data cached.

Ours is a warm trainer: the time between the coordinator's grant and the begin of the first step, whose
pictures are decoded by then, as the trainer's clock says it of each attempt
(cvtrain_worker_trial_start_seconds). The peer is what a launcher does without one: a Python process that
imports torch, makes the network of SMALL_RECIPE layer by layer, and begins its first step with data that is
in memory already (which is in its favour: ours opens its shards and decodes).
"""

import os
import pathlib
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "tests/integration/cluster")]
os.environ.setdefault("CVTRAIN_BIN_DIR", str(pathlib.Path(__file__).resolve().parents[1] / "build/release/bin"))

import harness  # noqa: E402
from cluster import SMALL_RECIPE, Cluster  # noqa: E402

REPETITIONS = 15

# Prints when the first step begins; the clock is the system's, as in the parent.
PEER = """
import time
import torch
torch.set_num_threads(1)
class Block(torch.nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.conv2 = torch.nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(width)
        self.downsample = torch.nn.Identity() if stride == 1 else torch.nn.Sequential(
            torch.nn.Conv2d(inputs, width, 1, stride, bias=False), torch.nn.BatchNorm2d(width))
        torch.nn.init.zeros_(self.bn2.weight)
    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))
net = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3, 2, 1, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1),
    Block(8, 8, 1), Block(8, 16, 2),
    torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 6))
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
images = torch.rand(16, 3, 32, 32)
labels = torch.randint(0, 6, (16,))
print(time.time(), flush=True)
torch.nn.functional.cross_entropy(net(images), labels).backward()
optimizer.step()
"""


class Ours:
    """Trials one after another on one warm slot."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.count = 0

    def total(self):
        return self.cluster.metric("worker", "cvtrain_worker_trial_start_seconds_sum")

    def run(self):
        before = self.total()
        self.count += 1
        name = self.cluster.submit(SMALL_RECIPE, "--name", f"start-{self.count}", "--set", "recipe.epochs=1",
                                   "--set", "recipe.sampler.multi_scale.curriculum.linear.grow_until_epoch=1")
        self.cluster.cvctl("wait", name)
        return self.total() - before


def peer():
    start = time.time()
    done = subprocess.run(
        [sys.executable, "-c", PEER], capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return float(done.stdout) - start


def main():
    import torch

    with Cluster(slots=1) as cluster:
        cluster.create_photos()
        ours = Ours(cluster)
        for _ in range(2):  # fills caches on both sides
            ours.run()
            peer()
        mine, theirs = [], []
        pressure, start = harness.cpu_pressure(), time.monotonic()
        for repetition in range(REPETITIONS):
            # ABBA: neither side always comes first.
            sides = [(mine, ours.run), (theirs, peer)]
            for samples, run in sides if repetition % 2 == 0 else reversed(sides):
                samples.append(run())
        disturbed = (harness.cpu_pressure() - pressure) / (time.monotonic() - start)
    milliseconds = lambda values: [1000 * value for value in values]  # noqa: E731
    figure = harness.lower_is_better(
        "trial-start", "warm trainer, grant to first step", "ms", milliseconds(mine), "python, import torch",
        milliseconds(theirs), floor=10.0, aim=20.0,
    )
    within = "holds" if figure.ours <= 100 else "MISSED"
    notes = (
        f"p50 of ours {figure.ours:.1f} ms, range {min(milliseconds(mine)):.1f} to {max(milliseconds(mine)):.1f} ms;"
        f" the promise of p50 <= 100 ms {within}. Something waited for a core in {disturbed:.0%} of the time."
    )
    code = harness.finish([figure], {"torch": torch.__version__, "python": sys.version.split()[0]},
                          "scripts/bench trial-start", notes)
    return code or (0 if figure.ours <= 100 else 1)


if __name__ == "__main__":
    sys.exit(main())
