#!/usr/bin/env python3
"""Makes trashnet-mini, the small image set that ships with the product, from TrashNet.

    make_trashnet_mini.py SOURCE [--output DIR]   write the files
    make_trashnet_mini.py SOURCE --check          compare with the files that are there

SOURCE is TrashNet as an image folder or a .tar.gz of one, with splits: {train,test}/CLASS/*.jpg, as
README.md describes it. Which photos are taken depends on nothing but their names. Needs Pillow;
the JPEG bytes are those of Pillow 12.0.0 with its own libjpeg-turbo 3.1, other versions may differ
in a few bits, and then --check says so.
"""

import argparse
import hashlib
import io
import pathlib
import sys
import tarfile

from PIL import Image, ImageOps

SHORT_SIDE = 160
QUALITY = 85
# Photos of each class. `trash`, the smallest, has 103 and 34.
PER_CLASS = {"train": 100, "test": 34}
CLASSES = ("cardboard", "glass", "metal", "paper", "plastic", "trash")


def read_source(source):
    """Yields (path below the root, bytes) for each JPEG file and the licence."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file():
                yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    with tarfile.open(source) as tar:
        for member in tar:
            if member.isfile():
                # The archive has one folder in which all else lies.
                yield member.name.split("/", 1)[1], tar.extractfile(member).read()


def choose(names):
    """The wanted number of names of each split and class: those whose SHA-256 is smallest."""
    chosen = set()
    for split, count in PER_CLASS.items():
        for label in CLASSES:
            prefix = f"{split}/{label}/"
            mine = [name for name in names if name.startswith(prefix)]
            mine.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
            if len(mine) < count:
                sys.exit(f"{prefix} has {len(mine)} photos, {count} are wanted")
            chosen.update(mine[:count])
    return chosen


def reduce(data):
    """The photo upright, at most SHORT_SIDE high or wide, as a plain baseline JPEG."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    scale = SHORT_SIDE / min(image.size)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, optimize=True, subsampling="4:2:0")
    return out.getvalue()


def make(source):
    """The photos of the set by path, and the licence."""
    files = dict(read_source(source))
    chosen = choose([name for name in files if name.endswith(".jpg")])
    made = {name: reduce(files[name]) for name in sorted(chosen)}
    return made, files["LICENSE"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path,
                        default=pathlib.Path(__file__).parent / "trashnet-mini")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    made, licence = make(options.source)
    licence_path = options.output.with_name(options.output.name + ".LICENSE")
    if options.check:
        there = {path.relative_to(options.output).as_posix(): path.read_bytes()
                 for path in options.output.rglob("*") if path.is_file()}
        different = sorted(name for name in made.keys() | there.keys()
                           if made.get(name) != there.get(name))
        for name in different[:10]:
            print(f"differs: {name}")
        print(f"{len(made) - len(different)} of {len(made)} files are the same")
        sys.exit(1 if different else 0)
    options.output.mkdir(parents=True, exist_ok=True)
    licence_path.write_bytes(licence)
    for name, data in made.items():
        path = options.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    total = sum(len(data) for data in made.values())
    print(f"{len(made)} photos, {total / 1e6:.2f} MB in {options.output}")


if __name__ == "__main__":
    main()
