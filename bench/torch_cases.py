"""PyTorch's side of the cases that compute. Each function prepares a case and returns iterate(clock) -> value."""
import torch
import torch.nn.functional as F

from network import LAYOUTS, fast_scnn


def as_laid_out(x, case):
    return x.contiguous(memory_format=LAYOUTS[case["layout"]])


def size_of(case):
    return case["height"], case["width"]


def random_labels(case):
    return torch.randint(0, case["classes"], (case["batch"], *size_of(case)))


def upsampled(scores, size):
    return F.interpolate(scores, size, mode="bilinear", align_corners=True)


def cross_entropy(scores, label):
    return F.cross_entropy(upsampled(scores, label.shape[1:]), label, ignore_index=255)


def network(case):
    net = fast_scnn(case["classes"], case["layout"])
    return torch.compile(net) if case.get("compiled") else net


def network_and_optimiser(case):
    net = network(case).train()
    return net, torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=4e-5)


def update(optimiser, loss_of):
    """One training step; returns the loss."""
    optimiser.zero_grad(set_to_none=True)
    loss = loss_of()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def train(case):
    net, optimiser = network_and_optimiser(case)
    x, label = as_laid_out(torch.rand(case["batch"], 3, *size_of(case)), case), random_labels(case)
    return lambda clock: update(optimiser, lambda: cross_entropy(net(x), label))


def infer(case):
    net, size = network(case).eval(), size_of(case)
    x = as_laid_out(torch.rand(case["batch"], 3, *size), case)

    def iterate(clock):
        with torch.no_grad():
            return upsampled(net(x), size).argmax(1).numel()
    return iterate


def layer(case):
    """Convolution, batch norm and ReLU as three modules, training; the loss is the mean of the result."""
    modules = [torch.nn.Conv2d(case["inputs"], case["outputs"], case["kernel"], case["stride"], case["padding"],
                               groups=case["groups"], bias=not case["norm"])]
    modules += [torch.nn.BatchNorm2d(case["outputs"])] if case["norm"] else []
    modules += [torch.nn.ReLU()] if case["relu"] else []
    block = torch.nn.Sequential(*modules).to(memory_format=LAYOUTS[case["layout"]])
    x = as_laid_out(torch.randn(case["batch"], case["inputs"], *size_of(case)), case)
    x.requires_grad_(case["inputs"] > 3)  # nobody asks for the gradient of a picture

    def iterate(clock):
        block.zero_grad(set_to_none=True)
        x.grad = None
        loss = block(x).mean()
        clock.lap()
        loss.backward()
        return float(loss.detach())
    return iterate


def coarse_scores(case):
    return as_laid_out(torch.randn(case["batch"], case["classes"], case["height"] // 8, case["width"] // 8), case)


def loss(case):
    scores, label = coarse_scores(case).requires_grad_(), random_labels(case)

    def iterate(clock):
        scores.grad = None
        value = cross_entropy(scores, label)
        value.backward()
        return float(value.detach())
    return iterate


def evaluate(case):
    scores, label, classes = coarse_scores(case), random_labels(case), case["classes"]

    def iterate(clock):
        found, valid = upsampled(scores, size_of(case)).argmax(1), label != 255
        return int(torch.bincount(label[valid] * classes + found[valid], minlength=classes ** 2).sum())
    return iterate
