#!/usr/bin/env python3
"""Writes torchvision_operations.txt and torchvision_policies.txt beside itself.

Run from the root of the repository with torchvision 0.15 or later. Those that are here were written
by torchvision 0.26.0 with torch 2.11.0, which `scripts/setup --bench` installs:

    .bench-venv/bin/python tests/unit/formats/picture/golden/make_goldens.py

Debian's torchvision 0.14.1 with torch 1.13.1 writes the same, but for hue, where it loses a level,
and for the last digit of two magnitudes.

torchvision_operations.txt, what its functions make of pictures; lines separated by spaces:

    picture NAME WIDTH HEIGHT HEX           pixels, R G B, row after row
    result NAME OPERATION PARAMETER HEX     what becomes of them
    digest WIDTH HEIGHT OPERATION PARAMETER SHA256     the same of hashed_picture(), as a digest

torchvision_policies.txt, what its policies draw from:

    space POLICY BINS WIDTH HEIGHT OPERATION SIGNED NUMBER...    magnitudes by bin; none: no magnitude
    policy NAME NUMBER OPERATION PROBABILITY BIN OPERATION PROBABILITY BIN     bin -1: no magnitude
"""

import hashlib
import math
import os

import torch
import torchvision
from PIL import Image
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, RandAugment, TrivialAugmentWide
from torchvision.transforms import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
PHOTO = "recipes/data/trashnet-mini/train/glass/glass1.jpg"
NAMES = {"Identity": "identity", "ShearX": "shear_x", "ShearY": "shear_y",
         "TranslateX": "translate_x", "TranslateY": "translate_y", "Rotate": "rotate",
         "Brightness": "brightness", "Color": "color", "Contrast": "contrast",
         "Sharpness": "sharpness", "Posterize": "posterize", "Solarize": "solarize",
         "AutoContrast": "auto_contrast", "Equalize": "equalize", "Invert": "invert"}


def hashed_picture(width, height):
    """Bytes that both sides make: the upper ones of a linear congruential generator."""
    x, pixels = width * 65536 + height, bytearray()
    for _ in range(width * height * 3):
        x = (x * 1664525 + 1013904223) % 2**32
        pixels.append(x >> 24)
    return bytes(pixels)


def to_tensor(width, height, pixels):
    flat = torch.tensor(list(pixels), dtype=torch.uint8)
    return flat.reshape(height, width, 3).permute(2, 0, 1).contiguous()


def to_bytes(image):
    return bytes(image.permute(1, 2, 0).flatten().tolist())


def shear(image, x, y):
    """As torchvision's _apply_op() calls it."""
    return F.affine(image, angle=0.0, translate=[0, 0], scale=1.0,
                    shear=[math.degrees(math.atan(x)), math.degrees(math.atan(y))], center=[0, 0])


def translate(image, x, y):
    return F.affine(image, angle=0.0, translate=[int(x), int(y)], scale=1.0, shear=[0.0, 0.0])


OPERATIONS = {
    "shear_x": lambda image, m: shear(image, m, 0),
    "shear_y": lambda image, m: shear(image, 0, m),
    "translate_x": lambda image, m: translate(image, m, 0),
    "translate_y": lambda image, m: translate(image, 0, m),
    "rotate": F.rotate,
    "brightness": F.adjust_brightness,
    "color": F.adjust_saturation,
    "contrast": F.adjust_contrast,
    "sharpness": F.adjust_sharpness,
    "posterize": lambda image, m: F.posterize(image, int(m)),
    "solarize": F.solarize,
    "auto_contrast": lambda image, m: F.autocontrast(image),
    "equalize": lambda image, m: F.equalize(image),
    "invert": lambda image, m: F.invert(image),
    "hue": F.adjust_hue,
}
FACTORS = (0, 0.01, 0.1, 0.37, 0.73, 1, 1.27, 1.9, 1.99, 3.7)
PARAMETERS = {
    "shear_x": (0.09, -0.09, 0.3, -0.99, 0.561),
    "shear_y": (0.09, -0.09, 0.3, -0.99, 0.561),
    "translate_x": (0, 1, -3, 7, -200),
    "translate_y": (0, 1, -3, 7, 200),
    "rotate": (0, 9, -9, 29.7, -45.5, 134.1, -121.5),
    "brightness": FACTORS, "color": FACTORS, "contrast": FACTORS, "sharpness": FACTORS,
    "posterize": (8, 7, 6, 5, 4, 3, 2, 1),
    "solarize": (255, 178.5, 128, 93.5, 1, 0),
    "auto_contrast": (0,), "equalize": (0,), "invert": (0,),
    "hue": (0, 0.02, -0.1, 0.25, 0.5, -0.5),
}
# Points that lie exactly between two pixels: the answer hangs on the last bit of a float.
TIES = {"shear_x": (0.2,), "shear_y": (0.2,), "rotate": (30, 45, 90, 135)}


def photo(width, height):
    with Image.open(PHOTO) as image:
        return image.convert("RGB").resize((width, height), Image.BOX).tobytes()


def pictures():
    yield "photo", 16, 12, photo(16, 12)
    # Dull, with few values and a channel of one value.
    yield "dull", 9, 11, bytes(v for i in range(99) for v in (90 + i % 7, 100 + i // 11, 77))
    yield "flat", 5, 4, bytes([12, 200, 255] * 20)
    yield "thin", 2, 7, bytes((i * 37) % 256 for i in range(42))
    yield "dot", 1, 1, bytes([3, 250, 128])


def write_operations(file):
    for name, width, height, pixels in pictures():
        print("picture", name, width, height, pixels.hex(), file=file)
        for operation, function in OPERATIONS.items():
            values = PARAMETERS[operation] + TIES.get(operation, ())
            for value in values if name == "photo" else values[1:4] or values:
                result = to_bytes(function(to_tensor(width, height, pixels), value))
                print("result", name, operation, "%.17g" % value, result.hex(), file=file)
    for width, height in ((97, 64), (224, 160)):
        image = to_tensor(width, height, hashed_picture(width, height))
        for operation, function in OPERATIONS.items():
            # Of so many points of a rotation, one or two lie too near the middle for float32.
            for value in () if operation == "rotate" and width > 100 else PARAMETERS[operation]:
                digest = hashlib.sha256(to_bytes(function(image, value))).hexdigest()
                print("digest", width, height, operation, "%.17g" % value, digest, file=file)


def write_space(file, policy, space, bins, width, height):
    for operation, (magnitudes, signed) in space.items():
        values = magnitudes.tolist() if magnitudes.ndim > 0 else []
        print("space", policy, bins, width, height, NAMES[operation], int(signed),
              *("%.9g" % value for value in values), file=file)


def write_policies(file):
    for bins, width, height in ((31, 224, 160), (10, 32, 32), (2, 96, 64)):
        write_space(file, "rand", RandAugment()._augmentation_space(bins, (height, width)),
                    bins, width, height)
        write_space(file, "trivial", TrivialAugmentWide()._augmentation_space(bins),
                    bins, width, height)
    for width, height in ((224, 160), (32, 32)):
        write_space(file, "auto", AutoAugment()._augmentation_space(10, (height, width)),
                    10, width, height)
    for name in ("imagenet", "cifar10"):
        policies = AutoAugment(AutoAugmentPolicy(name)).policies
        for number, policy in enumerate(policies):
            words = [word for operation, probability, magnitude in policy for word in (
                NAMES[operation], "%.17g" % probability, -1 if magnitude is None else magnitude)]
            print("policy", name, number, *words, file=file)


if __name__ == "__main__":
    torch.set_num_threads(1)
    version = "# torchvision %s, torch %s" % (torchvision.__version__, torch.__version__)
    for base, write in (("operations", write_operations), ("policies", write_policies)):
        with open(os.path.join(HERE, "torchvision_%s.txt" % base), "w", encoding="ascii") as out:
            print(version, file=out)
            write(out)
