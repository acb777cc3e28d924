"""torchvision's side of `bench decode`: Pillow decodes, crops and resizes, in a DataLoader with workers."""

import argparse
import io

import numpy as np
import side
import torch
from PIL import Image
from torchvision.transforms import functional


class Crops(torch.utils.data.Dataset):
    """Item i is file i % files with crop i."""

    def __init__(self, options):
        self.files = [open(path, "rb").read() for path in open(options.list).read().split()]
        self.crops = np.fromfile(options.crops, dtype=np.int32).reshape(-1, 4)
        self.size = options.size

    def __getitem__(self, i):
        picture = Image.open(io.BytesIO(self.files[i % len(self.files)])).convert("RGB")
        x, y, w, h = map(int, self.crops[i])
        return functional.pil_to_tensor(functional.resized_crop(picture, y, x, h, w, [self.size, self.size]))


class Pass(torch.utils.data.Sampler):
    def __init__(self):
        self.first = 0
        self.count = 0

    def __iter__(self):
        return iter(range(self.first, self.first + self.count))

    def __len__(self):
        return self.count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["decode"])
    parser.add_argument("--list", required=True)
    parser.add_argument("--crops", required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = Crops(options)
    sampler = Pass()
    loader = torch.utils.data.DataLoader(
        pictures, batch_size=64, sampler=sampler, num_workers=options.threads, persistent_workers=True
    )
    sampler.count = len(pictures.files)
    for _ in loader:  # starts the workers
        pass

    def run(argument):
        sampler.first = int(argument) * sampler.count
        return {"images": sum(len(batch) for batch in loader)}

    side.serve(run)


if __name__ == "__main__":
    main()
