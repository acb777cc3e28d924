"""PyTorch's side of `checkpoint`: torch.save with fsync, or DCP's async_save; the same bytes in as many tensors."""

import argparse
import os
import shutil
import sys
import time

import torch
import torch.distributed.checkpoint as dcp
from side import serve

TENSORS = 320
SIDE = 1024  # of the matrices whose products stand for training


def sync(path):
    """What is durable on our side is durable here: files and their folder."""
    paths = [path, os.path.dirname(path)]
    if os.path.isdir(path):
        paths += [os.path.join(path, name) for name in os.listdir(path)]
    for one in paths:
        descriptor = os.open(one, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["torch-save", "dcp-async"])
    for flag, kind in [("file", str), ("bytes", int), ("threads", int), ("products", int)]:
        parser.add_argument(f"--{flag}", type=kind)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    state = {f"t{i}": torch.full((options.bytes // TENSORS // 4,), float(i)) for i in range(TENSORS)}
    is_dcp = options.kind == "dcp-async"

    factor, product = torch.ones(SIDE, SIDE), torch.empty(SIDE, SIDE)

    def train():
        for _ in range(options.products):
            torch.mm(factor, factor, out=product)

    def save():
        """Seconds: that training stands still, of the step with it, until all is on the disk."""
        if is_dcp:
            shutil.rmtree(options.file, ignore_errors=True)
        begin = time.perf_counter()
        future = None
        if is_dcp:
            future = dcp.async_save(state, checkpoint_id=options.file)
        else:
            torch.save(state, options.file)
        stall = time.perf_counter() - begin
        train()
        seconds = time.perf_counter() - begin
        if future is not None:
            future.result()
        sync(options.file)
        return stall, seconds

    def commit():
        """Seconds until all is on the disk, with nothing beside it."""
        if is_dcp:
            shutil.rmtree(options.file, ignore_errors=True)
        begin = time.perf_counter()
        if is_dcp:
            dcp.async_save(state, checkpoint_id=options.file).result()
        else:
            torch.save(state, options.file)
        sync(options.file)
        return time.perf_counter() - begin

    def restore():
        begin = time.perf_counter()
        if is_dcp:
            dcp.load(state, checkpoint_id=options.file)
        else:
            for name, tensor in torch.load(options.file, mmap=True, weights_only=True).items():
                state[name].copy_(tensor)
        return time.perf_counter() - begin

    def run(argument):
        if argument == "restore":
            return {"seconds": restore(), "images": 0, "check": state[f"t{TENSORS - 1}"][0].item()}
        if argument == "commit":
            return {"seconds": commit(), "images": 0}
        if argument == "train":
            begin = time.perf_counter()
            train()
            return {"seconds": time.perf_counter() - begin, "images": 0}
        stall, seconds = save()
        return {"seconds": seconds, "stall": stall, "images": 0}

    save()
    serve(run)


if __name__ == "__main__":
    sys.exit(main())
