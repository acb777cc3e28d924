#!/usr/bin/env python3
"""Writes what stands beside it: what the published code makes of pictures.

The published code is the package imagecorruptions (github.com/bethgelab/imagecorruptions), which is
that of ImageNet-C for any size. For the levels of CIFAR-10-C its functions run with the tables of
make_cifar_c.py (github.com/hendrycks/robustness). Only its elastic_transform is another one than in
those programs; elastic_transform() below is theirs, with OpenCV and scipy.

Run from the root of the repository. The files that are here were written with Python 3.11 and

    pip install imagecorruptions==1.1.2 numpy==1.26.4 scikit-image==0.22.0 scipy==1.14.1 \\
        opencv-python==4.11.0.86 pillow==13.0.0 "setuptools<70"
    python tests/unit/formats/corruption/golden/make_goldens.py

LEVELS.png, for corruptions without chance: a sheet of pictures, the clean one in the first row, then
a row for each of FIXED with the five severities.

photo.png, and statistics.txt for the others, of that photo (imagenet_c) or of the clean picture in
the sheet (cifar10_c):

    LEVELS CORRUPTION SEVERITY PSNR SD MEAN SD DEVIATION SD

the signal to noise ratio to the clean picture in dB, the mean of the values and their standard
deviation: means over DRAWS pictures, each followed by its standard deviation over them.
"""

import functools
import os
import types
import warnings

import cv2
import numpy as np
from imagecorruptions import corruptions as published
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.filters import gaussian

HERE = os.path.dirname(os.path.abspath(__file__))
PHOTO = "recipes/data/trashnet-mini/train/%s.jpg"
DRAWS = 100
FIXED = ("brightness", "contrast", "saturate", "pixelate", "jpeg_compression", "defocus_blur",
         "gaussian_blur", "zoom_blur")
RANDOM = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur",
          "motion_blur", "snow", "fog", "spatter", "elastic_transform")

# make_cifar_c.py.
CIFAR = {
    "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": (500, 250, 100, 75, 50),
    "impulse_noise": (0.01, 0.02, 0.03, 0.05, 0.07),
    "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": (0.4, 0.6, 0.7, 0.8, 1),
    "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "snow": ((0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
             (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
             (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
    "spatter": ((0.62, 0.1, 0.7, 0.7, 0.5, 0), (0.65, 0.1, 0.8, 0.7, 0.5, 0),
                (0.65, 0.3, 1, 0.69, 0.5, 0), (0.65, 0.1, 0.7, 0.69, 0.6, 1),
                (0.65, 0.1, 0.5, 0.68, 0.6, 1)),
    "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
    "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    "saturate": ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    "jpeg_compression": (80, 65, 58, 50, 40),
    "pixelate": (0.95, 0.9, 0.85, 0.75, 0.65),
}
CIFAR_ZOOM_ENDS = (1.06, 1.11, 1.16, 1.21, 1.26)
# Shift, smoothness, corners, in shares of the shorter side.
ELASTIC = {
    "imagenet_c": [tuple(244 / 224 * c for c in row) for row in (
        (2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02))],
    "cifar10_c": ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05),
                  (0.1, 0.03, 0.03)),
}


def with_table(function, table):
    """The function with other numbers: they are the one constant of five parts in its code."""
    old = [c for c in function.__code__.co_consts if isinstance(c, tuple) and len(c) == 5]
    assert len(old) == 1 and len(table) == 5, function.__name__
    consts = tuple(table if c is old[0] else c for c in function.__code__.co_consts)
    code = function.__code__.replace(co_consts=consts)
    return types.FunctionType(code, function.__globals__, function.__name__,
                              function.__defaults__)


def zoom_blur_of_cifar(image, severity):
    values = (np.array(image) / 255.0).astype(np.float32)
    factors = np.arange(1, CIFAR_ZOOM_ENDS[severity - 1], 0.01)
    zooms = [published.clipped_zoom(values, factor) for factor in factors]
    total = values + sum(zoom[:values.shape[0], :values.shape[1]] for zoom in zooms)
    return np.clip(total / (len(factors) + 1), 0, 1) * 255


def elastic_transform(image, table, severity):
    values = np.array(image, dtype=np.float32) / 255
    height, width = values.shape[:2]
    shift, smooth, corner = (min(height, width) * c for c in table[severity - 1])
    x, y, half = width // 2, height // 2, min(height, width) // 3
    corners = np.float32([(x + half, y + half), (x + half, y - half), (x - half, y - half)])
    moved = corners + np.random.uniform(-corner, corner, corners.shape).astype(np.float32)
    mapped = cv2.warpAffine(values, cv2.getAffineTransform(corners, moved), (width, height),
                            borderMode=cv2.BORDER_REFLECT_101)

    def shifts():
        noise = np.random.uniform(-1, 1, (height, width))
        return gaussian_filter(noise, smooth, mode="reflect", truncate=3) * shift

    right, down = shifts(), shifts()
    rows, columns = np.mgrid[:height, :width]
    channels = [map_coordinates(mapped[..., c], (rows + down, columns + right), order=1,
                                mode="reflect") for c in range(3)]
    return np.clip(np.stack(channels, -1), 0, 1) * 255


def corrupt(levels, name, image, severity):
    if name == "elastic_transform":
        result = elastic_transform(image, ELASTIC[levels], severity)
    elif levels == "imagenet_c":
        result = getattr(published, name)(image, severity)
    elif name == "zoom_blur":
        result = zoom_blur_of_cifar(image, severity)
    else:
        result = with_table(getattr(published, name), CIFAR[name])(image, severity)
    return np.uint8(result)


def photo(name, width, height):
    with Image.open(PHOTO % name) as image:
        return image.convert("RGB").resize((width, height), Image.BOX)


def write_sheet(levels, clean):
    rows = [[np.array(clean)] + [np.zeros_like(np.array(clean))] * 4]
    for name in FIXED:
        rows.append([corrupt(levels, name, clean, severity) for severity in range(1, 6)])
    sheet = np.concatenate([np.concatenate(row, 1) for row in rows], 0)
    Image.fromarray(sheet).save(os.path.join(HERE, levels + ".png"), optimize=True)


def psnr(a, b):
    return 10 * np.log10(255 ** 2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def write_statistics(levels, clean, file):
    original = np.array(clean)
    for name in RANDOM:
        for severity in range(1, 6):
            facts = []
            for _ in range(DRAWS):
                result = corrupt(levels, name, clean, severity)
                facts.append((psnr(result, original), result.mean(), result.std()))
            numbers = np.stack([np.mean(facts, 0), np.std(facts, 0)], 1).flatten()
            print(levels, name, severity, *("%.4f" % n for n in numbers), file=file)


def main():
    warnings.simplefilter("ignore")
    # scikit-image has renamed the argument that says that channels stand last.
    published.gaussian = lambda image, sigma, multichannel=False, **rest: gaussian(
        image, sigma, channel_axis=-1 if multichannel else None, **rest)
    published.sk.util.random_noise = functools.partial(
        published.sk.util.random_noise, rng=np.random.default_rng(7))
    np.random.seed(7)
    large, small = photo(LARGE, 96, 72), photo(SMALL, 32, 32)
    large.save(os.path.join(HERE, "photo.png"), optimize=True)
    # Of a size that pixelate maps without a tie: Pillow's nearest pixel is then its box filter's.
    write_sheet("imagenet_c", photo(LARGE, 52, 44))
    write_sheet("cifar10_c", small)
    with open(os.path.join(HERE, "statistics.txt"), "w", encoding="ascii") as file:
        write_statistics("imagenet_c", large, file)
        write_statistics("cifar10_c", small, file)


LARGE, SMALL = "cardboard/cardboard65", "metal/metal10"

if __name__ == "__main__":
    main()
