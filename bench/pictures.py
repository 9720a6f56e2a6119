#!/usr/bin/python3
"""Makes the pictures that the loader cases read: 480x640 JPEG files with PNG label maps of 40 classes.

bench/pictures.py FOLDER: also train.txt and test.txt, lists as asl.data.folder reads them.
"""
import os
import sys

import numpy as np
from PIL import Image

HEIGHT, WIDTH, CLASSES, TRAIN, TEST = 480, 640, 40, 32, 1


def texture(random):
    """Noise at several scales, about as hard to compress as a photograph."""
    total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for size, strength in ((8, 50), (32, 25), (128, 12), (320, 6)):
        coarse = random.integers(0, 256, (size * HEIGHT // WIDTH, size, 3), dtype=np.uint8)
        total += strength / 128 * (np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.BICUBIC)) - 128.0)
    return total


def make(folder, name, random, colours):
    label = random.integers(0, CLASSES, (6, 8), dtype=np.uint8).repeat(HEIGHT // 6, 0).repeat(WIDTH // 8, 1)
    image = np.clip(colours[label] + texture(random), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(os.path.join(folder, name + ".jpg"), quality=90)
    Image.fromarray(label).save(os.path.join(folder, name + ".png"))


def main():
    folder, random = sys.argv[1], np.random.default_rng(1)
    colours = random.integers(40, 216, (CLASSES, 3))
    for split, count in (("train", TRAIN), ("test", TEST)):
        names = ["%s%02d" % (split, i) for i in range(count)]
        for name in names:
            make(folder, name, random, colours)
        with open(os.path.join(folder, split + ".txt"), "w") as listed:
            listed.writelines("%s.jpg\t%s.png\n" % (name, name) for name in names)


if __name__ == "__main__":
    main()
