"""PyTorch's side of the cases that read pictures: a Dataset on Pillow, a DataLoader, a replay memory."""
import os
import random

import numpy as np
import torch
from PIL import Image, ImageEnhance

from torch_cases import as_laid_out, cross_entropy, network_and_optimiser, size_of, update

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Pictures(torch.utils.data.Dataset):
    """Augmented pictures and labels, 8 bit: a window of the picture, mirrored half of the time, jittered."""

    def __init__(self, folder, size):
        self.size = size
        with open(os.path.join(folder, "train.txt")) as lines:
            self.files = [[os.path.join(folder, name) for name in line.split()] for line in lines]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        image, label = (Image.open(name) for name in self.files[i])
        scale = random.uniform(1, 1.5)
        width, height = image.width / scale, image.height / scale
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        box = (left, top, left + width, top + height)
        image = image.resize(self.size[::-1], Image.BILINEAR, box)  # decodes and computes the window only
        label = label.resize(self.size[::-1], Image.NEAREST, box)
        if random.random() < 0.5:
            image, label = image.transpose(Image.FLIP_LEFT_RIGHT), label.transpose(Image.FLIP_LEFT_RIGHT)
        for jitter in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = jitter(image).enhance(random.uniform(0.8, 1.2))
        return torch.from_numpy(np.array(image)), torch.from_numpy(np.array(label))


def loader_of(case, rows):
    pictures = Pictures(case["folder"], size_of(case))
    sampler = torch.utils.data.RandomSampler(pictures, replacement=True, num_samples=rows * case["steps"])
    return torch.utils.data.DataLoader(pictures, rows, sampler=sampler, num_workers=case["workers"],
                                       persistent_workers=case["workers"] > 0)


def normalised(image, case):
    """u8 (N,H,W,3), as they come from the workers, to the network's input."""
    return as_laid_out(((image.float() - 255 * MEAN) / (255 * STD)).permute(0, 3, 1, 2), case)


def loader(case):
    batches = loader_of(case, case["batch"])

    def iterate(clock):
        means = [float(normalised(image, case).mean()) for image, _ in batches]
        return sum(means) / len(means)
    return iterate


class Photos(torch.utils.data.Dataset):
    """Pictures alone: a window, mirrored half of the time, jittered; by Pillow or by torchvision, which decodes by
    libjpeg-turbo and resizes 8-bit tensors by SIMD."""

    def __init__(self, case):
        self.size, self.take = size_of(case), getattr(self, case["decoder"])
        if case["decoder"] == "torchvision":
            import torchvision.io
            import torchvision.transforms.v2.functional
            self.io, self.change = torchvision.io, torchvision.transforms.v2.functional
        with open(os.path.join(case["folder"], "photos.txt")) as lines:
            self.files = [os.path.join(case["folder"], line.split()[0]) for line in lines]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        return self.take(self.files[i], random.uniform(1, 1.5), random.random(), random.random(), random.random() < 0.5,
                         [random.uniform(0.8, 1.2) for _ in range(3)])

    def pillow(self, name, scale, x, y, mirror, factors):
        image = Image.open(name)
        width, height = image.width / scale, image.height / scale
        left, top = x * (image.width - width), y * (image.height - height)
        image = image.resize(self.size[::-1], Image.BILINEAR, (left, top, left + width, top + height))
        if mirror:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        for jitter, factor in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors):
            image = jitter(image).enhance(factor)
        return torch.from_numpy(np.array(image))

    def torchvision(self, name, scale, x, y, mirror, factors):
        image = self.io.decode_jpeg(self.io.read_file(name), mode=self.io.ImageReadMode.RGB)
        height, width = int(image.shape[1] / scale), int(image.shape[2] / scale)
        left, top = int(x * (image.shape[2] - width)), int(y * (image.shape[1] - height))
        image = self.change.resized_crop(image, top, left, height, width, self.size, antialias=True)
        if mirror:
            image = self.change.horizontal_flip(image)
        for change, factor in zip(("brightness", "contrast", "saturation"), factors):
            image = getattr(self.change, "adjust_" + change)(image, factor)
        return image.permute(1, 2, 0)


def photos(case):
    """Batches that nothing is done with; the check of the last one is not timed."""
    data = Photos(case)

    def loader(steps):
        sampler = torch.utils.data.RandomSampler(data, replacement=True, num_samples=case["batch"] * steps)
        return torch.utils.data.DataLoader(data, case["batch"], sampler=sampler, num_workers=case["workers"],
                                           persistent_workers=True)
    batches = loader(case["steps"])
    last = [batch for batch in batches][-1]

    def iterate(clock):
        nonlocal last
        value = float(last.float().mean()) / 255
        clock.start()
        for batch in batches:
            last = batch
        return value
    return iterate


class Memory:
    """Rows by reservoir sampling (Vitter, 1985)."""

    def __init__(self, rows, size):
        self.image = torch.zeros(rows, *size, 3, dtype=torch.uint8)
        self.label = torch.zeros(rows, *size, dtype=torch.uint8)
        self.offered = 0

    def offer(self, image, label):
        for row in range(len(image)):
            self.offered += 1
            slot = self.offered - 1 if self.offered <= len(self.image) else random.randrange(self.offered)
            if slot < len(self.image):
                self.image[slot], self.label[slot] = image[row], label[row]

    def draw(self, n):
        slots = torch.tensor(random.sample(range(min(self.offered, len(self.image))), n))
        return self.image[slots], self.label[slots]


def replay(case):
    replayed = int(case["share"] * case["batch"])
    batches, size = loader_of(case, case["batch"] - replayed), size_of(case)
    net, optimiser = network_and_optimiser(case)
    memory = Memory((64 << 20) // (4 * size[0] * size[1]), size)
    for image, label in batches:
        memory.offer(image, label)

    def iterate(clock):
        for fresh in batches:
            image, label = (torch.cat(both) for both in zip(fresh, memory.draw(replayed)))
            x, label = normalised(image, case), label.long()
            value = update(optimiser, lambda: cross_entropy(net(x), label))
            memory.offer(*fresh)
        return value
    return iterate
