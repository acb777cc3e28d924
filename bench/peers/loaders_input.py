"""MosaicML Streaming, WebDataset and torchdata's StatefulDataLoader as sides of the benchmarks.

  loaders_input.py write-mds|write-mds-copy|write-wds --list --to
  loaders_input.py mds|wds|stateful --data --size --batch --threads

The writers make a pass for each line; the loaders answer `run first STEP` with the time to the first batch
of that step of an epoch, everything made anew, all imports done. Each resumes in the way that it documents:
Streaming and StatefulDataLoader from a state, WebDataset, which has none, by reading up to the step.
"""

import argparse
import io
import itertools
import os
import pathlib
import time

import side
import torch
from PIL import Image
from torchvision import datasets, transforms

CAP = 500  # longer side, as FFCV's max_resolution


def folder_bytes(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def capped(name):
    """The file's picture at most CAP pixels long, as JPEG bytes."""
    picture = Image.open(name).convert("RGB")
    picture.thumbnail((CAP, CAP), Image.Resampling.BOX)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def write_mds(options, encode):
    from streaming import MDSWriter

    images = 0
    with MDSWriter(out=options.to, columns={"image": "bytes", "label": "int"}) as writer:
        for name, label in side.rows(options.list):
            writer.write({"image": encode(name), "label": label})
            images += 1
    return {"images": images, "bytes": folder_bytes(options.to)}


def write_wds(options):
    import webdataset

    pathlib.Path(options.to).mkdir(parents=True)
    images = 0
    with webdataset.ShardWriter(f"{options.to}/%05d.tar", maxsize=64 << 20, verbose=0) as writer:
        for name, label in side.rows(options.list):
            writer.write({"__key__": f"{images:08d}", "jpg": open(name, "rb").read(), "cls": label})
            images += 1
    return {"images": images, "bytes": folder_bytes(options.to)}


def transform(size):
    return transforms.Compose(
        [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.PILToTensor()]
    )


class Mds:
    def __init__(self, options):
        self.options = options

    def first(self, step):
        import streaming

        options, cut = self.options, transform(self.options.size)

        class Pictures(streaming.StreamingDataset):
            def __getitem__(self, i):
                row = super().__getitem__(i)
                return cut(Image.open(io.BytesIO(row["image"])).convert("RGB")), row["label"]

        streaming.base.util.clean_stale_shared_memory()
        data = Pictures(local=options.data, batch_size=options.batch, shuffle=True)
        loader = streaming.StreamingDataLoader(data, batch_size=options.batch, num_workers=options.threads)
        if step > 0:
            loader.load_state_dict(
                {
                    "epoch": 0,
                    "sample_in_epoch": step * options.batch,
                    "num_canonical_nodes": 1,
                    "shuffle_seed": data.shuffle_seed,
                    "initial_physical_nodes": 1,
                }
            )
        return next(iter(loader))


class Wds:
    def __init__(self, options):
        self.options = options

    def first(self, step):
        import webdataset

        options = self.options
        urls = sorted(str(path) for path in pathlib.Path(options.data).glob("*.tar"))
        data = (
            webdataset.WebDataset(urls, shardshuffle=len(urls), nodesplitter=None, empty_check=False)
            .shuffle(1000)
            .decode("pil")
            .to_tuple("jpg", "cls")
            .map_tuple(transform(options.size), None)
            .batched(options.batch)
        )
        loader = webdataset.WebLoader(data, batch_size=None, num_workers=options.threads)
        return next(itertools.islice(iter(loader), step, None))


class Stateful:
    def __init__(self, options):
        self.options = options
        self.folder = datasets.ImageFolder(options.data, transform(options.size))
        self.states = {}

    def loader(self):
        from torchdata.stateful_dataloader import StatefulDataLoader

        return StatefulDataLoader(
            self.folder, batch_size=self.options.batch, shuffle=True, num_workers=self.options.threads
        )

    def state_at(self, step):
        """Its state once it has read that far; not timed."""
        if step not in self.states:
            loader = self.loader()
            batches = iter(loader)
            for _ in range(step):
                next(batches)
            self.states[step] = loader.state_dict()
        return self.states[step]

    def first(self, step):
        loader = self.loader()
        if step > 0:
            loader.load_state_dict(self.states[step])
        return next(iter(loader))


def loader_side(options):
    loader = {"mds": Mds, "wds": Wds, "stateful": Stateful}[options.kind](options)

    def run(argument):
        step = int(argument.removeprefix("first "))
        if step > 0 and hasattr(loader, "state_at"):
            loader.state_at(step)
        start = time.perf_counter()
        batch = loader.first(step)
        seconds = time.perf_counter() - start
        return {"images": len(batch[0]), "seconds": seconds, "cpu_seconds": seconds}

    return run


def writer_side(options):
    write = {
        "write-mds": lambda: write_mds(options, capped),
        "write-mds-copy": lambda: write_mds(options, lambda name: open(name, "rb").read()),
        "write-wds": lambda: write_wds(options),
    }[options.kind]

    return lambda _: write()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind")
    parser.add_argument("--list")
    parser.add_argument("--to")
    parser.add_argument("--data")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    side.serve(writer_side(options) if options.kind.startswith("write-") else loader_side(options))


if __name__ == "__main__":
    main()
