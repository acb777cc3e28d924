"""memory-format: a training step with channels where trials of the network have them, against the other place.

A learner of ours on both sides, on one thread: what the rule in worker/trainer/train/learner.cc was made of. A ratio below one says
that the rule is wrong for that network, at that size, on this machine.
"""

import os
import pathlib
import sys
import tempfile

import harness
import step

PASSES = 6
# Network: the model, whether channels are innermost in trials of it; (size, batch, steps of a pass).
NETWORKS = {
    "small_resnet, pooled": ("small_resnet { widths: [16, 32, 64, 128] blocks: [2] stem: STEM_POOLED }", 1,
                             [(64, 16, 6), (128, 16, 3)]),
    "small_resnet, 3x3 stem": ("small_resnet { widths: [16, 32, 64] blocks: [2] stem: STEM_CIFAR }", 1,
                               [(24, 32, 6), (32, 32, 4)]),
    "preresnet20": ("preresnet { depth: 20 }", 1, [(32, 32, 4)]),
    "resnet18": ("resnet { depth: 18 }", 0, [(64, 16, 3), (224, 4, 2)]),
    "resnet34": ("resnet { depth: 34 }", 0, [(64, 16, 2), (224, 4, 1)]),
    "resnet50": ("resnet { depth: 50 }", 1, [(64, 16, 2), (224, 4, 1)]),
    "mobilenet_v1": ("mobilenet_v1 {}", 1, [(64, 16, 3), (224, 4, 2)]),
    "mobilenet_v2": ("mobilenet_v2 {}", 1, [(64, 16, 3), (224, 4, 2)]),
    "mobilenet_v3": ("mobilenet_v3 {}", 0, [(64, 16, 3), (224, 4, 2)]),
    "efficientnet_b0": ("efficientnet {}", 1, [(64, 16, 2), (224, 4, 1)]),
    "convmixer 256/8": ("convmixer { width: 256 depth: 8 }", 1, [(64, 8, 1), (224, 2, 1)]),
    "vgg11": ("vgg { depth: 11 }", 0, [(64, 8, 1), (224, 2, 1)]),
    "alexnet": ("alexnet {}", 0, [(224, 8, 1)]),
}  # fmt: skip


def main():
    figures = []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, (model, innermost, cases) in NETWORKS.items():
            for size, batch, steps in cases:
                step.make_batch(folder / "data", size, batch)
                flags = {"model": model, "classes": step.CLASSES, "data": folder / "data", "weights": folder / "weights",
                         "size": size, "batch": batch, "threads": 1, "rank": 0, "world": 1, "store": folder}  # fmt: skip
                chosen, other = ("rows", "planes") if innermost else ("planes", "rows")
                sides = [
                    harness.Side(harness.BINARY / "cvtrain-bench-train", "step",
                                 *harness.flag_list(flags | {"format": one}), env=environment)
                    for one in (chosen, other)
                ]  # fmt: skip
                with sides[0] as ours, sides[1] as theirs:
                    for side in sides:
                        side.run(2)
                    mine, its = harness.alternate(ours, theirs, [steps] * PASSES)
                figures.append(
                    harness.higher_is_better(
                        "memory-format", f"{name}, {size} px, {chosen}", "img/s", harness.rates(mine, "seconds"),
                        other, harness.rates(its, "seconds"), 0.9, 1.0,
                    )
                )  # fmt: skip
    return harness.finish(figures, harness.python_versions("torch"), "scripts/bench memory-format")


if __name__ == "__main__":
    sys.exit(main())
