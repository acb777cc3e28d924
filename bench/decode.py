"""decode (B1): the same bytes at the same crops, on two threads.

Crops have a quarter to all of the area (aspect 3/4 to 4/3), drawn once; both sides decode the same JPEG
files from memory to the same crops. Ours decodes around the crop with a smaller transform and resizes by
area; FFCV's kernel, without the loader around it, decodes all and resizes by area; torchvision crops and
resizes what Pillow has decoded, in a DataLoader of two workers. Rates against FFCV are images for a second
of CPU time, against torchvision for a second of the clock, as its workers are processes.
"""

import math
import pathlib
import random
import struct
import sys
import tempfile

import harness
import photos

SIZES = (96, 128, 160, 224)
PASSES = 6
FLOORS = {96: (1.6, 2.2), 128: (1.6, 2.2), 160: (1.0, 1.6), 224: (1.0, 1.6)}
# The fast transform and plain upsampling are not the exact ones; below this something is wrong.
PSNR_MIN = 35.0


def draw_crop(rng, width, height):
    while True:
        area = width * height * rng.uniform(0.25, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            return rng.randint(0, width - w), rng.randint(0, height - h), w, h


def main():
    figures, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = photos.jpegs(photos.unpack("imagenet-samples.tar", folder))
        (folder / "list").write_text("\n".join(map(str, files)))
        rng = random.Random(1)
        with open(folder / "crops", "wb") as crops:
            for _ in range(PASSES):
                for path in files:
                    crops.write(struct.pack("<4i", *draw_crop(rng, *photos.jpeg_size(path))))
        shared = {"list": folder / "list", "crops": folder / "crops", "threads": 2}
        for size in SIZES:
            ours = harness.ours("decode", size=size, dump=folder / "ours", **shared)
            ffcv = harness.peer("ffcv_input.py", "decode", size=size, dump=folder / "ffcv", **shared)
            vision = harness.peer("torchvision_input.py", "decode", size=size, **shared)
            with ours, ffcv, vision:
                mine, theirs = harness.alternate(ours, ffcv, range(PASSES))
                alike = harness.psnr(folder / "ours", folder / "ffcv")
                assert alike > PSNR_MIN, f"the outputs differ: {alike:.1f} dB at {size} px"
                notes.append(f"{size} px: {alike:.1f} dB between ours and FFCV's")
                floor, aim = FLOORS[size]
                figures.append(
                    harness.higher_is_better(
                        "decode", f"{size} px, a core", "img/s", harness.rates(mine), "FFCV kernel",
                        harness.rates(theirs), floor, aim,
                    )  # fmt: skip
                )
                mine, theirs = harness.alternate(ours, vision, range(PASSES))
                figures.append(
                    harness.higher_is_better(
                        "decode", f"{size} px, 2 threads", "img/s", harness.rates(mine, "seconds"),
                        "torchvision + Pillow", harness.rates(theirs, "seconds"), 2.0, 4.0,
                    )  # fmt: skip
                )
    return harness.finish(figures, harness.debian_versions(), "scripts/bench decode", "; ".join(notes))


if __name__ == "__main__":
    sys.exit(main())
