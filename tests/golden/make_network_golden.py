#!/usr/bin/env python3
"""Writes networks/NAME.txt: what torchvision's and timm's networks answer to known weights and images.

Run once, from the root of the repository, in an environment with torch 2.11.0, torchvision 0.26.0
and timm (scripts/setup --bench makes one, .bench-venv):

    python tests/golden/make_network_golden.py [NAME...]

Every number of weights and images is a function of its tensor's name and its index, so the test in
C++ makes the same ones without reading any: see hashed() and fill(). All is computed in float64,
so that the files hold the answer and not the rounding of one machine. Nothing is dropped out.

Lines of a file, separated by spaces:

    tensor NAME DIMENSION...     state_dict() in order; no dimension: a scalar
    eval HxW NUMBER...           logits in evaluation mode, picture after picture
    train HxW NUMBER...          logits in training mode
    loss HxW NUMBER              mean cross-entropy of those, label smoothing 0.1
    gradient HxW NAME NORM       Euclidean norm of the loss's gradient, for each parameter
    buffer HxW NAME NORM         Euclidean norm of a buffer after the training pass
"""

import math
import pathlib
import sys
import zlib

import numpy
import timm
import torch
import torchvision
import torchvision.models as tv

CLASSES = 10
BATCH = 2
SIZES = ((64, 64), (64, 96))
# Of those whose classifiers have a hundred million weights.
ONE_SIZE = ((64, 96),)
FOLDER = pathlib.Path(__file__).parent / "networks"

VIT = dict(num_classes=CLASSES, img_size=64, dynamic_img_size=True)
MODELS = {
    "resnet18": (lambda: tv.resnet18(num_classes=CLASSES), SIZES),
    "resnet34": (lambda: tv.resnet34(num_classes=CLASSES), SIZES),
    "resnet50": (lambda: tv.resnet50(num_classes=CLASSES), SIZES),
    "resnet101": (lambda: tv.resnet101(num_classes=CLASSES), ONE_SIZE),
    "mobilenet_v1": (lambda: timm.create_model("mobilenetv1_100", num_classes=CLASSES), SIZES),
    "mobilenet_v2": (lambda: tv.mobilenet_v2(num_classes=CLASSES, dropout=0), SIZES),
    "mobilenet_v2_narrow": (
        lambda: tv.mobilenet_v2(num_classes=CLASSES, dropout=0, width_mult=0.35), ONE_SIZE),
    "mobilenet_v3_large": (lambda: tv.mobilenet_v3_large(num_classes=CLASSES, dropout=0), SIZES),
    "mobilenet_v3_small": (lambda: tv.mobilenet_v3_small(num_classes=CLASSES, dropout=0), ONE_SIZE),
    "efficientnet_b0": (
        lambda: tv.efficientnet_b0(num_classes=CLASSES, dropout=0, stochastic_depth_prob=0), SIZES),
    "efficientnet_b2": (
        lambda: tv.efficientnet_b2(num_classes=CLASSES, dropout=0, stochastic_depth_prob=0),
        ONE_SIZE),
    "vgg11": (lambda: tv.vgg11_bn(num_classes=CLASSES, dropout=0), ONE_SIZE),
    "vgg19": (lambda: tv.vgg19_bn(num_classes=CLASSES, dropout=0), ONE_SIZE),
    "convmixer": (
        lambda: timm.models.convmixer.ConvMixer(dim=96, depth=4, kernel_size=7, patch_size=4,
                                                num_classes=CLASSES), SIZES),
    "vit_tiny": (lambda: timm.create_model("vit_tiny_patch16_224", **VIT), SIZES),
    "vit_small": (lambda: timm.create_model("vit_small_patch16_224", **VIT), ONE_SIZE),
    "deit_tiny": (lambda: timm.create_model("deit_tiny_patch16_224", **VIT), ONE_SIZE),
    "swin_tiny": (
        lambda: tv.SwinTransformer(patch_size=[4, 4], embed_dim=96, depths=[2, 2, 6, 2],
                                   num_heads=[3, 6, 12, 24], window_size=[7, 7],
                                   stochastic_depth_prob=0, num_classes=CLASSES), SIZES),
}


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
    """The interval that a tensor's numbers fill, evenly: about as large out of a layer as in."""
    if name.endswith("running_var"):
        return 0.5, 1.5
    if name.endswith("weight") and len(shape) == 4:
        bound = math.sqrt(6.0 / (shape[1] * shape[2] * shape[3]))
        return -bound, bound
    if name.endswith("weight") and len(shape) == 2:
        bound = math.sqrt(3.0 / shape[1])
        return -bound, bound
    return (0.5, 1.5) if name.endswith("weight") else (-0.2, 0.2)


def fill(name, shape):
    low, high = bounds(name, shape)
    values = low + (high - low) * hashed(name, math.prod(shape))
    # Our networks hold float32: both sides compute with the same rounded numbers.
    return torch.from_numpy(values.astype(numpy.float32).astype(numpy.float64).reshape(shape))


def show(values):
    return " ".join("%.12g" % v for v in values)


def load(model):
    state = model.state_dict()
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros_like(value)
        elif value.is_floating_point():
            state[key] = fill(key, tuple(value.shape))
    model.load_state_dict(state)
    model.zero_grad()


def write(make, sizes, out):
    model = make().double()
    for key, value in model.state_dict().items():
        print("tensor", key, *value.shape, file=out)
    for height, width in sizes:
        size = "%dx%d" % (height, width)
        load(model)
        shape = (BATCH, 3, height, width)
        pixels = hashed("images", math.prod(shape)).astype(numpy.float32).astype(numpy.float64)
        images = torch.from_numpy(pixels.reshape(shape))
        labels = torch.tensor([3, 7])
        model.eval()
        with torch.no_grad():
            print("eval", size, show(model(images).flatten().tolist()), file=out)
        model.train()
        logits = model(images)
        loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
        print("train", size, show(logits.flatten().tolist()), file=out)
        print("loss", size, show([loss.item()]), file=out)
        for key, parameter in model.named_parameters():
            print("gradient", size, key, show([parameter.grad.norm().item()]), file=out)
        for key, buffer in model.named_buffers():
            if buffer.is_floating_point():
                print("buffer", size, key, show([buffer.norm().item()]), file=out)


def main():
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or MODELS:
        make, sizes = MODELS[name]
        with open(FOLDER / (name + ".txt"), "w") as out:
            print("# torch", torch.__version__.split("+")[0], "torchvision",
                  torchvision.__version__.split("+")[0], "timm", timm.__version__, "classes",
                  CLASSES, "batch", BATCH, file=out)
            write(make, sizes, out)
        print(name, file=sys.stderr)


if __name__ == "__main__":
    main()
