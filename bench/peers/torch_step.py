"""PyTorch's side of `step` and `ddp-step`: the same network, weights and batch, in its best documented form.

SGD is torch's fused one; on a GPU with autocast and, if asked for, torch.compile. With several ranks, DistributedDataParallel over Gloo with gradients as views of buckets and a
static graph.
"""

import argparse
import datetime
import sys

import numpy as np
import torch
import torchvision
from side import serve


class Perceptron(torch.nn.Sequential):
    def __init__(self, inputs, width, depth, classes):
        layers = [torch.nn.Flatten()]
        for i in range(depth + 1):
            layers.append(torch.nn.Linear(inputs if i == 0 else width, classes if i == depth else width))
            if i < depth:
                layers.append(torch.nn.ReLU(inplace=True))
        super().__init__(*layers)


def build(options):
    if options.model.startswith("mlp:"):
        _, width, depth = options.model.split(":")
        return Perceptron(3 * options.size**2, int(width), int(depth), options.classes)
    return getattr(torchvision.models, options.model)(num_classes=options.classes)


def load_weights(model, path):
    """One tensor after another, in the order of state_dict()."""
    data, at = open(path, "rb").read(), 0
    state = model.state_dict()
    for name, tensor in state.items():
        dtype = np.int64 if tensor.dtype == torch.int64 else np.float32
        values = np.frombuffer(data, dtype, tensor.numel(), at)
        state[name] = torch.from_numpy(values.copy()).view(tensor.shape)
        at += values.nbytes
    assert at == len(data), (at, len(data))
    model.load_state_dict(state)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["step"])
    for flag, kind in [("model", str), ("classes", int), ("data", str), ("weights", str), ("size", int), ("batch", int),
                       ("threads", int), ("rank", int), ("world", int), ("store", str), ("channels-last", int),
                       ("device", str), ("precision", str), ("compile", str)]:  # fmt: skip
        parser.add_argument(f"--{flag}", type=kind)
    options = parser.parse_args()
    device = torch.device("cuda" if options.device == "gpu" else "cpu")
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = device.type == "cuda"
    torch.set_flush_denormal(True)
    model = build(options)
    load_weights(model, options.weights)
    model = model.to(device)
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
    trained = torch.compile(model, mode=options.compile) if options.compile else model
    if options.world > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{options.store}", rank=options.rank, world_size=options.world,
            timeout=datetime.timedelta(minutes=5),
        )  # fmt: skip
        trained = torch.nn.parallel.DistributedDataParallel(
            model, gradient_as_bucket_view=True, static_graph=True, broadcast_buffers=False
        )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    loss_of = torch.nn.CrossEntropyLoss()

    pixels = options.batch * options.size**2 * 3
    data = open(options.data, "rb").read()
    images = torch.from_numpy(np.frombuffer(data, np.uint8, pixels).copy())
    images = images.view(options.batch, options.size, options.size, 3).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.frombuffer(data, np.int64, options.batch, pixels).copy())
    memory_format = torch.channels_last if options.channels_last else torch.contiguous_format

    def step():
        # Bytes go to the device, a quarter of what floats would be.
        pixels = images.to(device).to(torch.float32, memory_format=memory_format).div_(255)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16"):
            logits = trained(pixels)
        return loss_of(logits.float(), labels.to(device))

    def run(argument):
        import time

        if options.world > 1:
            torch.distributed.barrier()
        begin = time.perf_counter()
        for _ in range(int(argument)):
            optimizer.zero_grad()
            loss = step()
            loss.backward()
            optimizer.step()
            value = loss.item()
        return {
            "images": int(argument) * options.batch, "loss": value, "seconds": time.perf_counter() - begin,
        }  # fmt: skip

    serve(run)


if __name__ == "__main__":
    sys.exit(main())
