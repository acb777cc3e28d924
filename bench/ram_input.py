"""ram-input (B3): everything in memory, at 128 pixels.

FFCV's file holds raw pictures of at most 256 pixels, in the page cache; ours has decoded what the epochs
before have asked for, and keeps it (formats/ladder/picture_cache.h). Both crop a quarter to all of
the area, resize by area, flip, on two threads. Rates are images for a second of CPU time. The memory that
each side needs is in the notes.
"""

import pathlib
import sys
import tempfile

import harness
import photos

SIZE = 128
PASSES = 6
COPIES = 4
WARM_EPOCHS = 12  # until nearly every rung that a crop may want has been wanted
CACHE_BYTES = 2 << 30


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _, pictures, _ = photos.photo_set(folder, COPIES)
        beton, made = photos.write_beton(folder, mode="raw", max_resolution=256)
        to = folder / "ours"
        to.mkdir()
        with harness.ours("create", **{"from": pictures, "to": to}) as create:
            create.run("0")
        ours = harness.ours("load", data=to, size=SIZE, threads=2, cache_bytes=CACHE_BYTES)
        ffcv = harness.peer("ffcv_input.py", "load", data=beton, size=SIZE, threads=2)
        with ours, ffcv:
            for _ in range(WARM_EPOCHS):
                ours.run("epoch")
            mine, theirs = harness.alternate(ours, ffcv, ["epoch"] * PASSES)
            memory = ours.memory_bytes() / made["images"]
    figure = harness.higher_is_better(
        "ram-input", f"{SIZE} px, a core", "img/s", harness.rates(mine), "FFCV raw256", harness.rates(theirs), 3.0, 8.0
    )
    notes = f"bytes an image in memory: ours {memory:.0f}, FFCV {made['bytes'] / made['images']:.0f}"
    return harness.finish([figure], harness.debian_versions(), "scripts/bench ram-input", notes)


if __name__ == "__main__":
    sys.exit(main())
