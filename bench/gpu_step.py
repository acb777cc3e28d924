"""gpu-step (B16): a training step of a ResNet-50 on one GPU, against PyTorch eager and torch.compile of the same version.

bfloat16 autocast, channels innermost, SGD with momentum, a batch of bytes in host memory that each step copies, converts and
normalizes on the GPU; the same weights at the start, and losses that agree to what bfloat16 can. Skips where there is no GPU.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import harness
import numpy as np
from step import CLASSES, make_batch

PASSES = 6
BATCH = 256
SIZES = (128, 160, 224)
STEPS = 10  # of a pass
WARM_UP = 12  # steps: algorithms are tried, graphs recorded, code compiled
# Peer: its arguments, floor, aim of small sizes.
PEERS = {
    "PyTorch eager": ({"compile": ""}, 1.0, 1.5),
    "torch.compile": ({"compile": "max-autotune"}, 1.0, 1.0),
}


def has_gpu():
    code = "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 1)"
    return subprocess.run([harness.BENCH_PYTHON, "-c", code], check=False).returncode == 0


def main():
    if not has_gpu():
        print("skipped: gpu-step needs a GPU, and PyTorch sees none on this machine")
        return 0
    figures, notes = [], []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        data, weights = folder / "data", folder / "weights"
        for size in SIZES:
            make_batch(data, size, BATCH)
            shared = {"classes": CLASSES, "data": data, "weights": weights, "size": size, "batch": BATCH, "threads": 1,
                      "rank": 0, "world": 1, "store": folder, "device": "gpu", "precision": "bf16"}  # fmt: skip
            ours = harness.Side(
                harness.BINARY / "cvtrain-bench-train", "step",
                *harness.flag_list({"model": "resnet { depth: 50 }"} | shared), env=environment,
            )  # fmt: skip
            with ours:
                for peer, (arguments, floor, aim) in PEERS.items():
                    theirs = harness.Side(
                        harness.BENCH_PYTHON, harness.ROOT / "bench/peers/torch_step.py", "step",
                        *harness.flag_list({"model": "resnet50", "channels_last": 1} | arguments | shared), env=environment,
                    )  # fmt: skip
                    with theirs:
                        first = (ours.run(1)["loss"], theirs.run(1)["loss"]) if peer == "PyTorch eager" else None
                        if first is not None:
                            difference = abs(first[0] - first[1]) / abs(first[1])
                            assert difference < 1e-2, f"{size} px: losses {first}"
                            notes.append(f"{size} px: first losses agree to {difference:.0e}")
                        for side in (ours, theirs):
                            side.run(WARM_UP)
                        mine, other = harness.alternate(ours, theirs, [STEPS] * PASSES)
                        figures.append(
                            harness.higher_is_better(
                                "gpu-step", f"ResNet-50, {size} px, batch {BATCH}", "img/s", harness.rates(mine, "seconds"),
                                peer, harness.rates(other, "seconds"), floor, aim if size <= 128 else 1.0,
                            )  # fmt: skip
                        )
                        notes.append(f"{size} px, {peer}: {np.median(harness.rates(other, 'seconds')):.0f} img/s")
    return harness.finish(figures, harness.python_versions("torch", "torchvision"), "scripts/bench gpu-step", "; ".join(notes))


if __name__ == "__main__":
    sys.exit(main())
