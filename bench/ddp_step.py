"""ddp-step (B8): a training step of two ranks on one machine, one thread each, against DistributedDataParallel over Gloo.

A ResNet-18 at 64 px, whose step is mostly computing, and perceptrons of 25 million weights, whose step is mostly gradients;
the same weights and batches, and losses that agree. How much of the step is communication follows from the same step
of one rank that is alone on its core.
"""

import pathlib
import sys
import tempfile

import harness
import numpy as np
import ranks
from step import CLASSES, make_batch

PASSES = 6
WORLD = 2
# Name: ours, theirs, size, batch of a rank, steps of a pass, floor, aim.
CASES = {
    "ResNet-18, 64 px, batch 16": ("resnet { depth: 18 }", "resnet18", 64, 16, 4, 1.0, 1.2),
    "ResNet-18, 64 px, batch 2": ("resnet { depth: 18 }", "resnet18", 64, 2, 8, 1.2, 1.5),
    "perceptron of 25 M, batch 8": ("mlp:1600:3", "mlp:1600:3", 64, 8, 8, 1.2, 1.5),
}


def main():
    figures, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for number, (case, (ours_model, theirs_model, size, batch, steps, floor, aim)) in enumerate(CASES.items()):
            data, weights = folder / f"data-{number}", folder / f"weights-{number}"
            make_batch(data, size, batch)
            shared = {"classes": CLASSES, "data": data, "size": size, "batch": batch, "threads": 1}
            with ranks.ours(1, "step", folder / f"one-{number}", model=ours_model, weights=weights, **shared) as alone:
                alone.run(2)
                one = np.median([alone.run(steps)["seconds"] / steps for _ in range(3)])
            ours = ranks.ours(WORLD, "step", folder / f"ours-{number}", model=ours_model, **shared)
            theirs = ranks.Ranks(
                WORLD,
                lambda rank: [
                    harness.BENCH_PYTHON, harness.ROOT / "bench/peers/torch_step.py", "step",
                    *harness.flag_list(shared | {"model": theirs_model, "weights": weights, "rank": rank, "world": WORLD,
                                                 "store": folder / f"rendezvous-{number}", "channels_last": 0}),
                ],
            )  # fmt: skip
            with ours, theirs:
                for _ in range(3):
                    mine, other = ours.run(1)["loss"], theirs.run(1)["loss"]
                    assert abs(mine - other) < 1e-4 * abs(other), f"{case}: losses {mine} and {other}"
                mine, other = harness.alternate(ours, theirs, [steps] * PASSES)
                to_ms = lambda results: [1e3 * result["seconds"] / steps for result in results]  # noqa: E731
                figures.append(
                    harness.lower_is_better(
                        "ddp-step", case, "ms", to_ms(mine), "DDP, Gloo", to_ms(other), floor, aim,
                    )  # fmt: skip
                )
                notes.append(
                    f"{case}: one rank alone {1e3 * one:.1f} ms, so ranks cost us"
                    f" {np.median(to_ms(mine)) - 1e3 * one:.1f} ms and DDP {np.median(to_ms(other)) - 1e3 * one:.1f} ms"
                )
    return harness.finish(figures, harness.python_versions("torch", "torchvision"), "scripts/bench ddp-step", "\n".join(notes))


if __name__ == "__main__":
    sys.exit(main())
