#!/usr/bin/env python3
"""Writes torchvision_resnet.txt: what torchvision's ResNets answer to known weights and images.

Run once, with torch 2.11.0 and torchvision 0.26.0 installed, from the root of the repository:

    python tests/golden/make_torchvision_golden.py > tests/golden/torchvision_resnet.txt

Every number of weights and images is a function of its tensor's name and its index, so the test in
C++ makes the same ones without reading any: see hashed() and fill(). All is computed in float64,
so that the file holds the answer and not the rounding of one machine.

Lines of the file, separated by spaces:

    tensor MODEL NAME DIMENSION...      state_dict() in order; no dimension: a scalar
    eval MODEL SIDE NUMBER...           logits in evaluation mode, picture after picture
    train MODEL SIDE NUMBER...          logits in training mode
    loss MODEL SIDE NUMBER              mean cross-entropy of those, label smoothing 0.1
    gradient MODEL SIDE NAME NORM       Euclidean norm of the loss's gradient
    buffer MODEL SIDE NAME NORM         Euclidean norm of a buffer after the training pass
"""

import math
import zlib

import numpy
import torch
import torchvision

CLASSES = 10
BATCH = 2
SIDES = (64, 96)
MODELS = {18: torchvision.models.resnet18, 34: torchvision.models.resnet34,
          50: torchvision.models.resnet50}


def hashed(name, count):
    """`count` numbers in [0, 1), multiples of 2^-32: CRC-32 of the name plus index, mixed."""
    x = (zlib.crc32(name.encode()) + numpy.arange(count, dtype=numpy.uint64) * 2654435761)
    x &= 0xFFFFFFFF
    for _ in range(2):
        x ^= x >> numpy.uint64(16)
        x = (x * numpy.uint64(0x45D9F3B)) & numpy.uint64(0xFFFFFFFF)
    x ^= x >> numpy.uint64(16)
    return x.astype(numpy.float64) / 2.0**32


def bounds(name, shape):
    """The interval that a tensor's numbers fill, evenly."""
    if name.endswith("running_var"):
        return 0.5, 1.5
    if name.endswith("running_mean"):
        return -0.2, 0.2
    if len(shape) == 4:
        bound = math.sqrt(6.0 / (shape[0] * shape[2] * shape[3]))
        return -bound, bound
    if name.startswith("fc."):
        return -0.1, 0.1
    return (0.5, 1.5) if name.endswith("weight") else (-0.2, 0.2)


def fill(name, shape):
    low, high = bounds(name, shape)
    values = low + (high - low) * hashed(name, math.prod(shape))
    # Our networks hold float32: both sides compute with the same rounded numbers.
    return torch.from_numpy(values.astype(numpy.float32).astype(numpy.float64).reshape(shape))


def show(values):
    return " ".join("%.12g" % v for v in values)


def write(name, depth):
    model = MODELS[depth](num_classes=CLASSES).double()
    for side in SIDES:
        state = model.state_dict()
        for key, value in state.items():
            state[key] = (torch.zeros_like(value) if key.endswith("num_batches_tracked")
                          else fill(key, tuple(value.shape)))
            if side == SIDES[0]:
                print("tensor", name, key, *value.shape)
        model.load_state_dict(state)
        model.zero_grad()

        shape = (BATCH, 3, side, side)
        pixels = hashed("images", math.prod(shape)).astype(numpy.float32).astype(numpy.float64)
        images = torch.from_numpy(pixels.reshape(shape))
        labels = torch.tensor([3, 7])
        model.eval()
        with torch.no_grad():
            print("eval", name, side, show(model(images).flatten().tolist()))
        model.train()
        logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
        print("train", name, side, show(logits.flatten().tolist()))
        print("loss", name, side, show([loss.item()]))
        parameters = dict(model.named_parameters())
        for key in ("conv1.weight", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight",
                    "layer4.1.bn2.weight", "fc.weight", "fc.bias"):
            print("gradient", name, side, key, show([parameters[key].grad.norm().item()]))
        for key in ("bn1.running_mean", "layer4.1.bn2.running_var"):
            print("buffer", name, side, key, show([model.state_dict()[key].norm().item()]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("# torch", torch.__version__.split("+")[0], "torchvision",
          torchvision.__version__.split("+")[0], "classes", CLASSES, "batch", BATCH)
    for d in MODELS:
        write("resnet%d" % d, d)
