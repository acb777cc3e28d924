"""How far the pictures of two loaders are from the photos themselves.

Crops are drawn on the grid of what FFCV keeps, so that neither side has to round them. The truth is the whole photo,
decoded by Pillow with nothing left out, of which each output pixel is the mean of the area that it covers.
"""

import random
import struct

import harness
import numpy as np
import photos
from decode import draw_crop
from PIL import Image


def area_weights(begin, length, size, pixels):
    """size x pixels: what each of `size` equal parts of [begin, begin + length) takes of each pixel."""
    edges = begin + length * np.arange(size + 1) / size
    low, high = edges[:-1, None], edges[1:, None]
    at = np.arange(pixels)[None, :]
    return np.clip(np.minimum(high, at + 1) - np.maximum(low, at), 0, None) / (length / size)


def truth(path, crop, size):
    """The crop, in parts of the picture, as size x size x 3 bytes."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.float64)
    height, width, _ = pixels.shape
    x, y, w, h = crop
    rows = area_weights(y * height, h * height, size, height)
    columns = area_weights(x * width, w * width, size, width)
    return np.clip(np.rint(np.einsum("ih,hwc,jw->ijc", rows, pixels, columns, optimize=True)), 0, 255).astype(np.uint8)


class Fidelity:
    """Of our data set in `ours`, made of the copies `0-NAME` of `files`, and of what FFCV keeps of them."""

    def __init__(self, folder, files, ours, max_resolution):
        self.folder, self.files, self.ours = folder, files, ours
        listed = folder / "originals"
        listed.write_text("\n".join(f"{path} 0" for path in files))
        kept = folder / "ffcv-kept"
        kept.mkdir()
        flags = {"list": listed, "to": kept, "max_resolution": max_resolution}
        with harness.peer("ffcv_input.py", "store", **flags) as store:
            store.run("0")
        self.kept = sorted(kept.iterdir())
        (folder / "kept").write_text("\n".join(map(str, self.kept)))
        (folder / "names").write_text("\n".join(f"0-{path.name}" for path in files))

    def psnr(self, size):
        """(ours, FFCV's) against the truth at that size, dB."""
        rng = random.Random(size)
        sizes = [photos.jpeg_size(path) for path in self.kept]
        grid = [draw_crop(rng, *one) for one in sizes]
        parts = [(x / w, y / h, cw / w, ch / h) for (x, y, cw, ch), (w, h) in zip(grid, sizes)]
        (self.folder / "grid").write_bytes(b"".join(struct.pack("<4i", *crop) for crop in grid))
        (self.folder / "parts").write_bytes(b"".join(struct.pack("<4d", *crop) for crop in parts))
        wanted = np.stack([truth(path, crop, size) for path, crop in zip(self.files, parts)])
        wanted.tofile(self.folder / "truth")
        mine = {"data": self.ours, "list": self.folder / "names", "crops": self.folder / "parts"}
        with harness.ours("ladder", size=size, dump=self.folder / "mine", **mine) as side:
            side.run("0")
        theirs = {"list": self.folder / "kept", "crops": self.folder / "grid"}
        with harness.peer("ffcv_input.py", "decode", size=size, dump=self.folder / "theirs", **theirs) as side:
            side.run("0")
        return tuple(harness.psnr(self.folder / one, self.folder / "truth") for one in ("mine", "theirs"))


if __name__ == "__main__":
    raise SystemExit("this is a library; run scripts/bench curriculum-input")
