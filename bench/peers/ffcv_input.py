"""FFCV's side of the benchmarks of the input path; run by bench/*.py with Debian's own Python.

  ffcv_input.py decode --list --crops --size --threads [--dump]   its kernel, on files in memory
  ffcv_input.py write --list --to --mode --max-resolution --quality --threads
  ffcv_input.py store --list --to --max-resolution --quality       the JPEG files that its writer keeps, as files
  ffcv_input.py load --data --size --batch --threads --scale-min   its Loader, as its guide says

Answers as side.py says.
"""

import argparse
import os

import cv2
import ffcv.libffcv
import numba
import numpy as np
import side
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import IntDecoder, RandomResizedCropRGBImageDecoder
from ffcv.fields.rgb_image import encode_jpeg, resizer
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.compiler import Compiler
from ffcv.transforms import RandomHorizontalFlip
from ffcv.writer import DatasetWriter

cv2.setNumThreads(0)  # threads are FFCV's business


class Decode:
    """What FFCV's ResizedCropRGBImageDecoder compiles, with the crops given instead of drawn.

    Leaves out the Loader around it, to FFCV's advantage.
    """

    BATCH = 64

    def __init__(self, options):
        self.files = [np.fromfile(path, dtype=np.uint8) for path in open(options.list).read().split()]
        self.crops = np.fromfile(options.crops, dtype=np.int32).reshape(-1, len(self.files), 4)
        self.offsets = np.cumsum([0] + [len(one) for one in self.files])
        self.bytes = np.concatenate(self.files)
        shapes = [cv2.imdecode(one, cv2.IMREAD_COLOR).shape for one in self.files]
        self.heights = np.array([shape[0] for shape in shapes], dtype=np.uint32)
        self.widths = np.array([shape[1] for shape in shapes], dtype=np.uint32)
        most = int(self.heights.max()) * int(self.widths.max()) * 3
        self.scratch = np.zeros((self.BATCH, most), dtype=np.uint8)
        self.out = np.zeros((len(self.files), options.size, options.size, 3), dtype=np.uint8)
        self.dump = options.dump
        numba.set_num_threads(options.threads)
        self.kernel = self.compile()
        self.run("0")

    def compile(self):
        imdecode = Compiler.compile(ffcv.libffcv.imdecode)
        resize_crop = Compiler.compile(ffcv.libffcv.resize_crop)

        @numba.njit(nogil=True, parallel=True)
        def kernel(data, offsets, heights, widths, crops, scratch, out, begin, end):
            for i in numba.prange(end - begin):
                source = begin + i
                height = np.uint32(heights[source])
                width = np.uint32(widths[source])
                temp = scratch[i]
                imdecode(
                    data[offsets[source] : offsets[source + 1]],
                    temp, height, width, height, width, 0, 0, 1, 1, False, False,
                )  # fmt: skip
                picture = temp[: 3 * height * width].reshape(height, width, 3)
                x, y, w, h = crops[source]
                resize_crop(picture, y, y + h, x, x + w, out[source])

        return kernel

    def run(self, argument):
        crops = self.crops[int(argument)]
        for begin in range(0, len(self.files), self.BATCH):
            end = min(len(self.files), begin + self.BATCH)
            self.kernel(
                self.bytes, self.offsets, self.heights, self.widths, crops, self.scratch, self.out, begin, end
            )
        if self.dump:
            self.out.tofile(self.dump)
        return {"images": len(self.files)}


class Pictures:
    """An indexed data set of the pictures that a list names: path, then label."""

    def __init__(self, path):
        self.rows = list(side.rows(path))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        name, label = self.rows[i]
        return cv2.cvtColor(cv2.imread(name), cv2.COLOR_BGR2RGB), label


class Write:
    def __init__(self, options):
        self.options = options

    def run(self, _):
        options = self.options
        image = RGBImageField(
            write_mode=options.mode, max_resolution=options.max_resolution or None, jpeg_quality=options.quality
        )
        writer = DatasetWriter(options.to, {"image": image, "label": IntField()}, num_workers=options.threads)
        pictures = Pictures(options.list)
        writer.from_indexed_dataset(pictures, shuffle_indices=True)
        return {"images": len(pictures), "bytes": os.path.getsize(options.to)}


class Store:
    """What RGBImageField keeps of each picture, in a file of its own: `run` answers when all are there."""

    def __init__(self, options):
        self.options = options

    def run(self, _):
        options = self.options
        pictures = Pictures(options.list)
        for i in range(len(pictures)):
            image = resizer(pictures[i][0], options.max_resolution)
            encode_jpeg(image, options.quality).tofile(os.path.join(options.to, f"{i:06}.jpg"))
        return {"images": len(pictures)}


class Load:
    def __init__(self, options):
        decoder = RandomResizedCropRGBImageDecoder((options.size, options.size), scale=(options.scale_min, 1.0))
        self.loader = Loader(
            options.data,
            batch_size=options.batch,
            num_workers=options.threads,
            order=OrderOption.RANDOM,
            os_cache=True,
            drop_last=False,
            pipelines={"image": [decoder, RandomHorizontalFlip()], "label": [IntDecoder()]},
        )
        self.run("epoch")

    def run(self, _):
        images = 0
        for batch, _ in self.loader:
            images += len(batch)
        return {"images": images}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["decode", "write", "store", "load"])
    parser.add_argument("--list")
    parser.add_argument("--crops")
    parser.add_argument("--dump")
    parser.add_argument("--to")
    parser.add_argument("--data")
    parser.add_argument("--mode", default="jpg")
    parser.add_argument("--max-resolution", type=int, default=0)
    parser.add_argument("--quality", type=int, default=90)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale-min", type=float, default=0.25)
    options = parser.parse_args()
    side.serve({"decode": Decode, "write": Write, "store": Store, "load": Load}[options.kind](options).run)


if __name__ == "__main__":
    main()
