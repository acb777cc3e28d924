"""dataset-create: images a second in, bytes an image out, from files of JPEG photos, on two threads.

Ours decodes each photo once and writes the whole ladder, rungs of 72 to 256 pixels and a source of at most
500; FFCV decodes, shrinks to 500 and encodes again. MDS is given pictures that Pillow has shrunk to 500 and
encoded, on its one thread, and, in a row of its own, the files as they are: a copy, which decodes nothing.
Rates are images for a second of the clock, as the peers start processes.
"""

import pathlib
import shutil
import sys
import tempfile

import harness
import photos

PASSES = 5
COPIES = 2


class Fresh:
    """A side whose output folder is empty before each pass."""

    def __init__(self, side, folder):
        self.side, self.folder = side, folder

    def run(self, argument):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        return self.side.run(argument)


def main():
    figures, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        _, pictures, listed = photos.photo_set(folder, COPIES)
        ours = harness.ours("create", **{"from": pictures, "to": folder / "ours", "threads": 2})
        ffcv_flags = {"list": listed, "to": folder / "ffcv/photos", "mode": "jpg", "max-resolution": 500}
        ffcv = harness.peer("ffcv_input.py", "write", threads=2, **ffcv_flags)
        mds_flags = {"list": listed, "to": folder / "mds/photos"}
        mds = harness.peer("loaders_input.py", "write-mds", harness.BENCH_PYTHON, **mds_flags)
        copy = harness.peer("loaders_input.py", "write-mds-copy", harness.BENCH_PYTHON, **mds_flags)
        with ours, ffcv, mds, copy:
            mine_side = Fresh(ours, folder / "ours")
            for name, side, at, floor, aim in (
                ("FFCV writer", ffcv, folder / "ffcv", 1.0, 2.0),
                ("MDS writer", mds, folder / "mds", 1.0, 2.0),
                ("MDS writer, files as they are", copy, folder / "mds", 1.0, 2.0),
            ):
                mine, theirs = harness.alternate(mine_side, Fresh(side, at), ["0"] * PASSES)
                figures.append(
                    harness.higher_is_better(
                        "dataset-create", "photos to shards", "img/s", harness.rates(mine, "seconds"), name,
                        harness.rates(theirs, "seconds"), floor, aim,
                    )  # fmt: skip
                )
                notes.append(f"{name} {theirs[0]['bytes'] / theirs[0]['images']:.0f}")
            notes.append(f"ours {mine[0]['bytes'] / mine[0]['images']:.0f}")
    return harness.finish(
        figures, harness.debian_versions(), "scripts/bench dataset-create", "bytes an image: " + ", ".join(notes)
    )


if __name__ == "__main__":
    sys.exit(main())
