#!/usr/bin/python3
"""The PyTorch side of bench/compare.py: like worker.lua, with a layout before each line."""
import os
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../spec/fixtures"))
import fast_scnn_parity as parity  # noqa: E402

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def make(layout, case, batch, height, width, classes):
    parity.CLASSES = classes
    net = parity.Net().to(memory_format=LAYOUTS[layout])
    net.classifier.conv[0].p = 0.1
    x = torch.rand(batch, 3, height, width).contiguous(memory_format=LAYOUTS[layout])
    label = torch.randint(0, classes, (batch, height, width))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=4e-5)

    def upsampled():
        return F.interpolate(net(x), (height, width), mode="bilinear", align_corners=True)

    def infer():
        with torch.no_grad():
            upsampled().argmax(1)

    def train():
        optimiser.zero_grad()
        F.cross_entropy(upsampled(), label, ignore_index=255).backward()
        optimiser.step()

    net.train(case == "train")
    return train if case == "train" else infer


def peak_resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main():
    torch.set_num_threads(int(os.environ["ASL_THREADS"]))
    cases = {}
    for line in sys.stdin:
        words = line.split()
        if words == ["memory"]:
            print(peak_resident(), flush=True)
            continue
        if line not in cases:
            cases[line] = make(words[0], words[1], *map(int, words[2:]))
        start = time.monotonic()
        cases[line]()
        print(time.monotonic() - start, flush=True)


main()
