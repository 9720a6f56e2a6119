#!/usr/bin/python3
"""Makes the pictures that the loader cases read: JPEG files with PNG label maps of 40 classes.

bench/pictures.py FOLDER: 480x640 with train.txt and test.txt, 768x1024 with photos.txt; the lists are as
asl.data.folder reads them.
"""
import os
import sys

import numpy as np
from PIL import Image

CLASSES = 40
SPLITS = ("train", 32, 480, 640), ("test", 1, 480, 640), ("photos", 48, 768, 1024)  # name, pictures, height, width


def texture(random, height, width):
    """Noise at several scales, about as hard to compress as a photograph."""
    total = np.zeros((height, width, 3), np.float32)
    for size, strength in ((8, 50), (32, 25), (128, 12), (320, 6)):
        coarse = random.integers(0, 256, (size * height // width, size, 3), dtype=np.uint8)
        total += strength / 128 * (np.asarray(Image.fromarray(coarse).resize((width, height), Image.BICUBIC)) - 128.0)
    return total


def make(folder, name, random, colours, height, width):
    label = random.integers(0, CLASSES, (6, 8), dtype=np.uint8).repeat(height // 6, 0).repeat(width // 8, 1)
    image = np.clip(colours[label] + texture(random, height, width), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(os.path.join(folder, name + ".jpg"), quality=90)
    Image.fromarray(label).save(os.path.join(folder, name + ".png"))


def main():
    folder, random = sys.argv[1], np.random.default_rng(1)
    colours = random.integers(40, 216, (CLASSES, 3))
    for split, count, height, width in SPLITS:
        names = ["%s%02d" % (split, i) for i in range(count)]
        for name in names:
            make(folder, name, random, colours, height, width)
        with open(os.path.join(folder, split + ".txt"), "w") as listed:
            listed.writelines("%s.jpg\t%s.png\n" % (name, name) for name in names)


if __name__ == "__main__":
    main()
