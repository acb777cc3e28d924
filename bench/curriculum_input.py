"""curriculum-input (B2): the loader under stages of growing size, with equal bytes on disk.

FFCV's file holds each photo once, as a JPEG of at most 500 pixels. Ours holds a ladder of rungs and a
source that is capped so that both take the same room. Both are read through their own loader, from the
page cache, on two threads: random resized crops of a quarter to all of the area, flips, batches of 64,
all epochs in random order. Rates are images for a second of CPU time. How far either side's pictures are from the
photos themselves is said beside them (fidelity.py).
"""

import pathlib
import sys
import tempfile

import fidelity
import harness
import photos

SIZES = ((64, 3.0, 10.0), (96, 3.0, 7.0), (128, 3.0, 5.0), (160, 2.0, 3.2), (192, 1.5, 2.5), (224, 1.5, 2.2))
PASSES = 6
COPIES = 4  # of the photos, so that an epoch is long enough to time
RUNGS = "72,112,144,184"
FFCV_SIDE = 500


def create(pictures, to, side):
    to.mkdir()
    with harness.ours("create", **{"from": pictures, "to": to, "rungs": RUNGS, "source-side": side}) as ours:
        made = ours.run("0")
    return made["bytes"] / made["images"]


def source_side(pictures, folder, bytes_per_image):
    """The greatest cap of our sources, of multiples of 16, with which we take no more room than FFCV."""
    low, high = 184 // 16, 512 // 16
    while high - low > 1:
        middle = (low + high) // 2
        if create(pictures, folder / f"try-{middle}", middle * 16) <= bytes_per_image:
            low = middle
        else:
            high = middle
    return low * 16


def main():
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files, pictures, _ = photos.photo_set(folder, COPIES)
        beton, made = photos.write_beton(folder, mode="jpg", max_resolution=FFCV_SIDE)
        theirs_bytes = made["bytes"] / made["images"]
        side = source_side(photos.class_folder(files, folder / "once"), folder, theirs_bytes)
        ours_folder = folder / "ours"
        ours_bytes = create(pictures, ours_folder, side)
        faithful = fidelity.Fidelity(folder, files, ours_folder, FFCV_SIDE)
        notes = []
        for size, floor, aim in SIZES:
            ours = harness.ours("load", data=ours_folder, size=size, threads=2)
            ffcv = harness.peer("ffcv_input.py", "load", data=beton, size=size, threads=2)
            with ours, ffcv:
                ours.run("epoch")
                mine, theirs = harness.alternate(ours, ffcv, ["epoch"] * PASSES)
            figures.append(
                harness.higher_is_better(
                    "curriculum-input", f"{size} px, a core", "img/s", harness.rates(mine), "FFCV j500",
                    harness.rates(theirs), floor, aim,
                )  # fmt: skip
            )
            notes.append("{} px: PSNR against the photos {:.1f} dB, FFCV's {:.1f} dB".format(size, *faithful.psnr(size)))
    notes.append(
        f"bytes an image: ours {ours_bytes:.0f} (rungs {RUNGS}, source of {side} px), FFCV {theirs_bytes:.0f}"
    )
    return harness.finish(figures, harness.debian_versions(), "scripts/bench curriculum-input", "\n".join(notes))


if __name__ == "__main__":
    sys.exit(main())
