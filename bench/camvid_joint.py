#!/usr/bin/python3
"""PyTorch's side of experiments/camvid_joint.lua: the same network, data, recipe and metric.

/usr/bin/python3 bench/camvid_joint.py CAMVID [--seeds 1 2 3] [--updates 400]
"""
import argparse
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from network import fast_scnn

CLASSES, IGNORE, SIZE = 11, 255, (180, 240)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_frames(root, split):
    images, labels = [], []
    with open(os.path.join(root, split + ".txt")) as lines:
        for line in lines:
            image, label = line.rstrip("\n").split("\t")
            picture = Image.open(os.path.join(root, image)).convert("RGB").resize(SIZE[::-1], Image.BOX)
            classes = np.array(Image.open(os.path.join(root, label)).resize(SIZE[::-1], Image.NEAREST))
            images.append(np.asarray(picture))
            labels.append(np.where(classes == 11, IGNORE, classes))
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    return x, torch.from_numpy(np.stack(labels)).long()


def logits_at(net, x, size):
    return F.interpolate(net(x), size, mode="bilinear", align_corners=True)


def evaluate(net, x, label):
    net.eval()
    confusion = torch.zeros(CLASSES, CLASSES, dtype=torch.int64)
    with torch.no_grad():
        for i in range(0, len(x), 8):
            truth, found = label[i:i + 8], logits_at(net, x[i:i + 8], SIZE).argmax(1)
            valid = truth != IGNORE
            confusion += torch.bincount(truth[valid] * CLASSES + found[valid],
                                        minlength=CLASSES ** 2).view(CLASSES, CLASSES)
    net.train()
    right, present = confusion.diag().double(), confusion.sum(1) > 0
    iou = right / (confusion.sum(0) + confusion.sum(1) - confusion.diag()).clamp(min=1)
    return float(iou[present].mean()), float(right.sum() / confusion.sum())


def train(seed, data, updates, batch, lr):
    torch.manual_seed(seed)
    (x, label), test = data
    net = fast_scnn(CLASSES).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda done: (1 - done / updates) ** 0.9)
    order, start = torch.tensor([], dtype=torch.long), time.time()
    for _ in range(updates):
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(len(x))])
        rows, order = order[:batch], order[batch:]
        image, truth = x[rows], label[rows]
        mirrored = torch.rand(batch) < 0.5
        image[mirrored], truth[mirrored] = image[mirrored].flip(3), truth[mirrored].flip(2)
        optimiser.zero_grad()
        loss = F.cross_entropy(logits_at(net, image.contiguous(memory_format=torch.channels_last), SIZE), truth,
                               ignore_index=IGNORE)
        loss.backward()
        optimiser.step()
        schedule.step()
    seconds = time.time() - start
    miou, accuracy = evaluate(net, *test)
    print("seed %d: mIoU %.1f %%, pixel accuracy %.1f %%, %.0f s" % (seed, 100 * miou, 100 * accuracy, seconds),
          flush=True)
    return miou


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("camvid")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--updates", type=int, default=400)
    given = parser.parse_args()
    torch.set_num_threads(2)
    data = load_frames(given.camvid, "train"), load_frames(given.camvid, "val")
    found = [100 * train(seed, data, given.updates, 6, 0.003) for seed in given.seeds]
    print("mean %.1f, range %.1f to %.1f" % (np.mean(found), min(found), max(found)))


if __name__ == "__main__":
    main()
