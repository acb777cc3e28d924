"""step (B5): a training step on a batch that is in memory, against PyTorch eager of the same version.

The same network with the same weights, the same batch, the same threads; from bytes to floats, forward, loss, backward,
SGD with momentum. The losses of the first steps must agree to 1e-5. Both sides take the memory format that is faster for
the network: ours by its rule, PyTorch's as measured here.
"""

import os
import pathlib
import sys
import tempfile

import harness
import numpy as np

CLASSES = 100
PASSES = 6
THREADS = 2
# Network: ours, whether it keeps channels innermost; (size, batch, steps of a pass).
NETWORKS = {
    "resnet18": ("resnet { depth: 18 }", 0, [(32, 64, 4), (64, 32, 4), (128, 16, 2), (224, 8, 1)]),
    "resnet50": ("resnet { depth: 50 }", 1, [(32, 32, 3), (64, 16, 3), (128, 8, 2), (224, 4, 1)]),
}
# Later ones amplify what rounding differs where a network sees 1 x 1 pixels in another order (ResNet-50 at 32 px).
CHECKED_STEPS = 2
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": str(THREADS)}


def make_batch(path, size, count):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    labels = rng.integers(0, CLASSES, count, np.int64)
    path.write_bytes(pixels.tobytes() + labels.tobytes())


def check_losses(ours, theirs):
    """Of the first steps, which both sides take from the same weights; the largest relative difference."""
    worst = 0.0
    for _ in range(CHECKED_STEPS):
        mine, other = ours.run(1)["loss"], theirs.run(1)["loss"]
        worst = max(worst, abs(mine - other) / abs(other))
    assert worst < 1e-5, f"the losses differ by {worst:.1e}"
    return worst


def main():
    figures, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, (model, ours_channels_last, cases) in NETWORKS.items():
            for size, batch, steps in cases:
                data, weights = folder / "data", folder / "weights"
                make_batch(data, size, batch)
                shared = {"classes": CLASSES, "data": data, "weights": weights, "size": size, "batch": batch,
                          "threads": THREADS, "rank": 0, "world": 1, "store": folder}  # fmt: skip
                ours = harness.Side(
                    harness.BINARY / "cvtrain-bench-train", "step", *harness.flag_list({"model": model} | shared),
                    env=ENVIRONMENT,
                )  # fmt: skip
                with ours:
                    samples = {}
                    # First in the format that ours has: another one rounds otherwise.
                    for channels_last in (ours_channels_last, 1 - ours_channels_last):
                        theirs = harness.Side(
                            harness.BENCH_PYTHON, harness.ROOT / "bench/peers/torch_step.py", "step",
                            *harness.flag_list({"model": name, "channels_last": channels_last} | shared), env=ENVIRONMENT,
                        )  # fmt: skip
                        with theirs:
                            if channels_last == ours_channels_last:
                                notes.append(f"{name} {size} px: losses agree to {check_losses(ours, theirs):.0e}")
                            theirs.run(1)
                            samples[channels_last] = harness.alternate(ours, theirs, [steps] * PASSES)
                    # PyTorch in its faster format, with our passes that took turns with it.
                    best = max(samples, key=lambda one: np.median(harness.rates(samples[one][1], "seconds")))
                    mine, other = samples[best]
                    figures.append(
                        harness.higher_is_better(
                            "step", f"{name}, {size} px, batch {batch}", "img/s", harness.rates(mine, "seconds"),
                            "PyTorch eager" + (", channels last" if best else ""), harness.rates(other, "seconds"),
                            1.0, 1.1 if size <= 64 else 1.0,
                        )  # fmt: skip
                    )
    versions = harness.python_versions("torch", "torchvision")
    return harness.finish(figures, versions, "scripts/bench step", "; ".join(notes))


if __name__ == "__main__":
    sys.exit(main())
