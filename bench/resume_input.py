"""resume-input (B4): time to the first batch of an epoch, and to the batch at 60 % of it.

50,000 small pictures (CIFAR-10 as JPEG files), random crops and flips, batches of 64, two workers or
threads. Everything is made anew for each time, all imports done, all files in the page cache. Ours seeks:
the order of an epoch is a keyed permutation, evaluated where it is needed. Streaming and StatefulDataLoader
load a state that they saved, WebDataset reads up to there.
"""

import pathlib
import sys
import tempfile

import harness
import photos

BATCH = 64
PASSES = 5
FLOOR, AIM = 10.0, 100.0


def main():
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pictures = folder / "pictures"
        pictures.mkdir()
        photos.unpack("cifar10.tar.gz", pictures)
        train = pictures / "train"
        classes = sorted(path.name for path in train.iterdir())
        files = photos.jpegs(train)
        (folder / "list").write_text("\n".join(f"{path} {classes.index(path.parent.name)}" for path in files))
        for kind, to in (("write-mds-copy", "mds"), ("write-wds", "wds")):
            with harness.peer(
                "loaders_input.py", kind, harness.BENCH_PYTHON, list=folder / "list", to=folder / to
            ) as writer:
                writer.run("0")
        ours_folder = folder / "ours"
        ours_folder.mkdir()
        with harness.ours("create", **{"from": pictures, "to": ours_folder, "rungs": "16"}) as create:
            create.run("0")
        steps = {"first batch": 0, "at 60 %": len(files) * 6 // 10 // BATCH}
        with harness.ours("load", data=ours_folder, size=32, batch=BATCH, threads=2) as ours:
            for peer, kind, data in (
                ("MosaicML Streaming", "mds", folder / "mds"),
                ("WebDataset", "wds", folder / "wds"),
                ("StatefulDataLoader", "stateful", train),
            ):
                flags = {"data": data, "list": folder / "list", "size": 32, "batch": BATCH, "threads": 2}
                with harness.peer("loaders_input.py", kind, harness.BENCH_PYTHON, folder, **flags) as theirs:
                    for case, step in steps.items():
                        mine, other = harness.alternate(ours, theirs, [f"first {step}"] * PASSES)
                        figures.append(
                            harness.lower_is_better(
                                "resume-input", case, "ms", [1e3 * one["seconds"] for one in mine], peer,
                                [1e3 * one["seconds"] for one in other], FLOOR, AIM,
                            )  # fmt: skip
                        )
    versions = harness.python_versions("torch", "torchdata", "mosaicml-streaming", "webdataset")
    return harness.finish(figures, versions, "scripts/bench resume-input")


if __name__ == "__main__":
    sys.exit(main())
