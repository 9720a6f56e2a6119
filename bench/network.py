"""Fast-SCNN in PyTorch: the network of the parity fixture, with PyTorch's own initial values and dropout."""
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../spec/fixtures"))
import fast_scnn_parity as parity  # noqa: E402

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def fast_scnn(classes, layout="nhwc"):
    parity.CLASSES = classes
    net = parity.Net().to(memory_format=LAYOUTS[layout])
    net.classifier.conv[0].p = 0.1
    return net
