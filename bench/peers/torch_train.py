"""PyTorch's side of `time-to-accuracy`: the same network trained at one size, with the loader that is best for it.

The pictures are decoded once, before the clock runs, and stay in memory, which no loader that reads files can beat;
torchvision's transforms cut, flip and resize them in worker processes. Prints a line of JSON for each epoch.
"""

import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models.resnet import BasicBlock, conv1x1
from torchvision.transforms import v2


class SmallResNet(nn.Module):
    """Our `small_resnet`: a 3x3 stem, basic blocks, widths of one's own."""

    def __init__(self, widths, blocks, pooled, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 2 if pooled else 1, 1, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if pooled else nn.Identity()
        stages, inside = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                downsample = None
                if stride != 1 or inside != width:
                    downsample = nn.Sequential(conv1x1(inside, width, stride), nn.BatchNorm2d(width))
                stages.append(BasicBlock(inside, width, stride, downsample))
                inside = width
        self.layers = nn.Sequential(*stages)
        self.fc = nn.Linear(inside, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)

    def forward(self, x):
        x = self.layers(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


class Pictures(Dataset):
    def __init__(self, folder, transform):
        classes = sorted(path.name for path in folder.iterdir())
        self.transform, self.pictures, self.labels = transform, [], []
        for label, name in enumerate(classes):
            for path in sorted((folder / name).iterdir()):
                with Image.open(path) as picture:
                    array = np.asarray(picture.convert("RGB"))
                self.pictures.append(torch.from_numpy(array.copy()).permute(2, 0, 1))
                self.labels.append(label)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.pictures[index]), self.labels[index]


def rate_at(step, total, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def main():
    parser = argparse.ArgumentParser()
    for flag, kind in [("folder", pathlib.Path), ("size", int), ("batch", int), ("epochs", int), ("seed", int),
                       ("classes", int), ("widths", str), ("blocks", int), ("pooled", int), ("threads", int),
                       ("workers", int), ("channels-last", int), ("scale-min", float), ("rate", float),
                       ("weight-decay", float), ("warmup-epochs", int)]:  # fmt: skip
        parser.add_argument(f"--{flag}", type=kind, required=True)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    size = options.size
    training = v2.Compose([v2.RandomResizedCrop(size, scale=(options.scale_min, 1.0)), v2.RandomHorizontalFlip()])
    testing = v2.Compose([v2.Resize(round(size * 8 / 7)), v2.CenterCrop(size)])
    train = DataLoader(
        Pictures(options.folder / "train", training), options.batch, shuffle=True, drop_last=True,
        num_workers=options.workers, persistent_workers=options.workers > 0, prefetch_factor=4 if options.workers else None,
    )  # fmt: skip
    test = DataLoader(Pictures(options.folder / "test", testing), 64)
    widths = [int(one) for one in options.widths.split(",")]
    model = SmallResNet(widths, options.blocks, options.pooled, options.classes)
    memory_format = torch.channels_last if options.channels_last else torch.contiguous_format
    model = model.to(memory_format=memory_format)
    # Neither biases nor the weights of normalizations decay, as in ours.
    spared = [one for one in model.parameters() if one.ndim < 2]
    decayed = [one for one in model.parameters() if one.ndim >= 2]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": options.weight_decay}, {"params": spared, "weight_decay": 0.0}],
        lr=options.rate, momentum=0.9, nesterov=True, fused=True,
    )  # fmt: skip
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    unit = lambda images: images.to(torch.float32, memory_format=memory_format).div_(255)  # noqa: E731
    total, warmup, step = options.epochs * len(train), options.warmup_epochs * len(train), 0
    seconds = 0.0
    for epoch in range(options.epochs):
        begin = time.perf_counter()
        model.train()
        for images, labels in train:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, total, warmup, options.rate)
            optimizer.zero_grad()
            loss_of(model(unit(images)), labels).backward()
            optimizer.step()
            step += 1
        seconds += time.perf_counter() - begin
        model.eval()
        with torch.inference_mode():
            right = sum((model(unit(images)).argmax(1) == labels).sum().item() for images, labels in test)
        print(json.dumps({"epoch": epoch + 1, "seconds": seconds, "top1": 100 * right / len(test.dataset)}), flush=True)


if __name__ == "__main__":
    main()
