#!/usr/bin/python3
"""PyTorch's side of compare.py. Reads a case per line (JSON), does one round of it, and answers with a line:
seconds (a list of parts, per iteration and step), value (what the result can be checked by), peak (bytes of this
process until now); or error. A case is prepared when it is first asked for, and kept until another is."""
import json
import os
import sys
import time

import torch

import torch_cases
import torch_data


class Clock:
    def start(self):
        self.laps, self.since = [], time.monotonic()

    def lap(self):
        now = time.monotonic()
        self.laps.append(now - self.since)
        self.since = now


def prepare(case):
    return getattr(torch_cases, case["kind"], None) or getattr(torch_data, case["kind"])


def peak_resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def round_of(case, iterate):
    repeat, parts = case.get("repeat", 1), []
    for _ in range(repeat):
        clock = Clock()
        clock.start()
        value = iterate(clock)
        clock.lap()
        parts.append(clock.laps)
    seconds = [sum(part) / repeat / case.get("steps", 1) for part in zip(*parts)]
    return {"seconds": seconds, "value": value, "peak": peak_resident()}


def main():
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(1)
    prepared = iterate = None
    for line in sys.stdin:
        try:
            if line != prepared:
                iterate = None  # its memory, before that of the next
                case = json.loads(line)
                iterate = prepare(case)(case)
                prepared = line
            answer = round_of(case, iterate)
        except Exception as problem:
            answer = {"error": "%s: %s" % (type(problem).__name__, problem)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
