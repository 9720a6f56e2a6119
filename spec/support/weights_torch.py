"""PyTorch's side of the weight files: makes checkpoints of a Fast-SCNN, and computes with those made here.

    weights_torch.py make DIR      writes checkpoints and logits.f32, what the network gives for image.f32
    weights_torch.py use DIR FILE  loads FILE, with weights_only and without, and writes logits.f32
    weights_torch.py show FILE     prints name, dtype, shape and values of every tensor

image.f32 in DIR is one picture, f32 (H, W, 3); H, W and the classes come after the arguments.
"""
import collections
import os
import sys

import numpy as np
import torch

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures"))
import fast_scnn_parity as parity  # noqa: E402

PREDECESSOR = {"learning_to_downsample": "_md.learn_to_down", "global_feature_extractor": "_md.extractor",
               "feature_fusion": "_md.fusion", "classifier": "_md.classifier"}


class Net(parity.Net):
    """With the auxiliary head of the port, which has no part in these logits."""

    def __init__(self, aux):
        super().__init__()
        if aux:
            self.auxlayer = torch.nn.Sequential(*parity.unit(64, 32, 3, padding=1), torch.nn.Dropout(0.1),
                                                torch.nn.Conv2d(32, parity.CLASSES, 1))


class Callback:
    """What is neither tensor nor plain data."""


def random_net(aux=False):
    """Weights and running statistics that are all different."""
    torch.manual_seed(5)
    net = Net(aux)
    with torch.no_grad():
        for name, b in net.named_buffers():
            if b.dim() == 1:
                b.copy_(torch.rand_like(b) + 0.5 if name.endswith("var") else 0.1 * torch.randn_like(b))
        for name, p in net.named_parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    return net.eval()


def logits(net, folder, height, width):
    image = np.fromfile(os.path.join(folder, "image.f32"), np.float32).reshape(1, height, width, 3)
    with torch.no_grad():
        y = net(torch.from_numpy(image).permute(0, 3, 1, 2).contiguous())
    y.permute(0, 2, 3, 1).contiguous().numpy().tofile(os.path.join(folder, "logits.f32"))


def renamed(state, rename):
    return collections.OrderedDict((rename(k), v) for k, v in state.items())


def predecessors(name):
    head, rest = name.split(".", 1)
    return "model." + PREDECESSOR[head] + "." + rest


def lightning(net):
    optimiser = torch.optim.Adam(net.parameters())
    state = renamed(net.state_dict(), predecessors)
    state["_rssb.bins"] = torch.zeros(2, 5, dtype=torch.long)
    state["_rssb.valid"] = torch.zeros(2, 5, dtype=torch.bool)
    state["_teacher.model._md.classifier.conv.1.weight"] = torch.zeros(3)
    return {"epoch": 3, "global_step": 77, "pytorch-lightning_version": "1.1.2", "callbacks": {Callback: {"best": Callback()}},
            "optimizer_states": [optimiser.state_dict()], "lr_schedulers": [], "state_dict": state,
            "hyper_parameters": Callback()}


def make(folder, height, width):
    net = random_net()
    logits(net, folder, height, width)
    state = net.state_dict()

    def save(name, value, **how):
        torch.save(value, os.path.join(folder, name), **how)

    save("plain.pth", state)
    save("legacy.pth", state, _use_new_zipfile_serialization=False)
    for protocol in range(3, 5):
        save("protocol%d.pth" % protocol, state, pickle_protocol=protocol)
        save("legacy%d.pth" % protocol, state, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    save("parallel.pth", torch.nn.DataParallel(net).state_dict())
    save("wrapped.pth", {"epoch": 1, "model": torch.nn.DataParallel(net).state_dict(), "best": 0.5})
    save("net.ckpt", {"state_dict": renamed(state, lambda k: "net." + k)})
    save("predecessor.ckpt", lightning(net))
    save("twice.pth", {"state_dict": state, "ema": state})
    save("uncounted.pth", {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    save("double.pth", net.double().state_dict())
    net.float()
    save("channels_last.pth", net.to(memory_format=torch.channels_last).state_dict())
    save("half.pth", {k: v.half() if v.is_floating_point() else v for k, v in state.items()})
    save("bfloat16.pth", {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()})
    save("parameters.pth", collections.OrderedDict(net.named_parameters(), **dict(net.named_buffers())))
    flat = torch.cat([p.detach().reshape(-1) for p in state.values() if p.is_floating_point()])
    views, at = {}, 0
    for name, p in state.items():
        if p.is_floating_point():
            views[name] = flat[at:at + p.numel()].view(p.shape)
            at += p.numel()
    save("one_storage.pth", views)
    save("module.pth", net)
    save("aux.pth", random_net(aux=True).state_dict())
    save("values.pth", {"f16": torch.tensor([1e-8, 6e-8, 65504.0, float("inf"), float("nan"), -0.0]).half(),
                        "bf16": torch.tensor([1e-40, 3e38, -float("inf"), 1 / 3]).bfloat16(),
                        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3), "t": torch.arange(6).view(2, 3).t(),
                        "step": torch.arange(10, dtype=torch.int16)[1::3], "none": torch.zeros(0, 3),
                        "bool": torch.tensor([True, False]), "i8": torch.tensor([-128, 127], dtype=torch.int8),
                        "size": torch.zeros(2, 3).shape, "dtype": torch.float16, "device": torch.device("cuda:1")})


def use(folder, path, height, width):
    safe = torch.load(path, weights_only=True)
    state = torch.load(path)
    assert list(safe) == list(state) and all(torch.equal(safe[k], state[k]) for k in state)
    net = Net(any(k.startswith("auxlayer") for k in state))
    net.load_state_dict(state)  # strict: every name and shape
    logits(net.eval(), folder, height, width)
    print(len(state))


def show(path):
    for name, t in torch.load(path, weights_only=True).items():
        print(name, t.dtype, list(t.shape), t.reshape(-1).tolist())


def main():
    torch.set_num_threads(1)
    torch.backends.mkldnn.enabled = False
    height, width, parity.CLASSES = (int(x) for x in sys.argv[-3:])
    if sys.argv[1] == "show":
        show(sys.argv[2])
    elif sys.argv[1] == "make":
        make(sys.argv[2], height, width)
    else:
        use(sys.argv[2], sys.argv[3], height, width)


if __name__ == "__main__":
    main()
