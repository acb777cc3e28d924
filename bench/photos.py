"""The pictures that the benchmarks of the input path read: full-size photos, where the data is at hand."""

import pathlib
import struct
import subprocess
import sys

import harness

DATA = harness.ROOT.parent / "shared/data"


def unpack(archive, folder):
    """The files of an archive of the shared data, in a folder that is gone with the benchmark."""
    path = DATA / archive
    if not path.exists():
        sys.exit(f"skipped: {archive} is not here; it is data that the project does not ship")
    subprocess.run(["tar", "xf", path, "-C", folder], check=True)
    return folder


def jpegs(folder):
    return sorted(
        path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg") and path.is_file()
    )


def jpeg_size(path):
    """(width, height) from the frame header."""
    data = pathlib.Path(path).read_bytes()
    at = 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length


def class_folder(files, folder, copies=1):
    """The files as train/CLASS/FILE, linked: what `dataset create` reads, one class for the photos."""
    to = pathlib.Path(folder) / "train" / "photo"
    to.mkdir(parents=True)
    for path in files:
        for copy in range(copies):
            (to / f"{copy}-{path.name}").hardlink_to(path)
    return folder


def photo_set(folder, copies=1):
    """The full-size photos: as files, as an image folder, and as the list of paths and labels that writers take."""
    files = jpegs(unpack("imagenet-samples.tar", folder))
    pictures = class_folder(files, folder / "folder", copies)
    (folder / "list").write_text("\n".join(f"{path} 0" for path in jpegs(pictures)))
    return files, pictures, folder / "list"


def write_beton(folder, **flags):
    """FFCV's file of the photos that photo_set() has listed, and what its writer said of it."""
    beton = folder / "photos.beton"
    with harness.peer("ffcv_input.py", "write", list=folder / "list", to=beton, threads=2, **flags) as writer:
        return beton, writer.run("0")


if __name__ == "__main__":
    sys.exit("this is a library; run scripts/bench NAME")
