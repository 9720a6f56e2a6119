#!/usr/bin/env python3
"""PyTorch's side of tools/gpu-check: the same network, loss and optimiser on the same GPU, channels last, in f32
(TF32 off) and under autocast to bf16, eager and, for one case, torch.compile(mode="max-autotune").
  gpu_torch.py FILE.json [seconds for everything]"""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import network  # noqa: E402

CLASSES, WARM, ROUNDS, PER_ROUND = 40, 8, 7, 8
STARTED = time.monotonic()


def median(values):
    return sorted(values)[len(values) // 2]


def seconds_of(work):
    for _ in range(WARM):
        work()
    torch.cuda.synchronize()
    rounds = []
    for _ in range(ROUNDS):
        start = time.monotonic()
        for _ in range(PER_ROUND):
            work()
        torch.cuda.synchronize()
        rounds.append((time.monotonic() - start) / PER_ROUND)
    return median(rounds)


def images(batch, size):
    x = torch.randint(0, 256, (batch, 3, *size), device="cuda").float() / 255
    return x.to(memory_format=torch.channels_last)


def training(batch, size, bf16, compiled):
    net = network.fast_scnn(CLASSES).cuda().train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    x, y = images(batch, size), torch.randint(0, CLASSES, (batch, *size), device="cuda")

    def loss_of(x, y):
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            logits = net(x)
            logits = logits[0] if isinstance(logits, tuple) else logits
            logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=True)
        return F.cross_entropy(logits.float(), y)

    if compiled:
        loss_of = torch.compile(loss_of, mode="max-autotune")

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss_of(x, y).backward()
        optimiser.step()

    torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(step)
    return {"seconds": seconds, "images_per_second": batch / seconds, "peak_bytes": torch.cuda.max_memory_allocated()}


def inference(size, bf16):
    net, x = network.fast_scnn(CLASSES).cuda().eval(), images(1, size)

    def predict():
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            logits = net(x)
            logits = logits[0] if isinstance(logits, tuple) else logits
            F.interpolate(logits, size=size, mode="bilinear", align_corners=True).argmax(1).byte()
        torch.cuda.synchronize()

    seconds = seconds_of(predict)
    return {"seconds": seconds, "images_per_second": 1 / seconds}


def main():
    out, limit = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 240
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    results = {"torch": torch.__version__, "device": torch.cuda.get_device_name(), "rows": []}

    def note(kind, result, **case):
        results["rows"].append({"kind": kind, **case, "result": result})
        with open(out, "w") as file:
            json.dump(results, file, indent=1)
        print("torch %-10s %s: %.0f img/s, %.2f ms" % (
            kind, " ".join("%s=%s" % item for item in case.items()), result["images_per_second"], 1e3 * result["seconds"]),
            flush=True)

    for size in ((320, 640), (384, 384)):
        for batch in (8, 32):
            for precision in ("fp32", "bf16"):
                note("training", training(batch, size, precision == "bf16", False), size=size, batch=batch,
                     precision=precision, compiled=False)
    for size in ((1024, 2048), (320, 640)):
        for precision in ("fp32", "bf16"):
            note("inference", inference(size, precision == "bf16"), size=size, batch=1, precision=precision, compiled=False)
    if time.monotonic() - STARTED < limit / 2:
        note("training", training(32, (320, 640), True, True), size=(320, 640), batch=32, precision="bf16", compiled=True)


if __name__ == "__main__":
    main()
