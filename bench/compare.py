#!/usr/bin/python3
"""Training step and inference of Fast-SCNN: ASL beside PyTorch, same threads, interleaved.

/usr/bin/python3 bench/compare.py [--asl build/asl] [--threads 2] [--rounds 9] [--only train]

Every competitor is a process of its own (PyTorch as installed and with a malloc that keeps its memory, each in
both layouts). In each round every one does one iteration, in turn, so that a disturbance meets all; figures are
medians after two rounds of warm-up; the ratio is the median of the rounds' ratios. Peak memory is that of a fresh
process that does the case three times.
"""
import argparse
import os
import statistics
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
TUNED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "68719476736", "MALLOC_TOP_PAD_": "268435456"}
CASES = [("train", 8, 320, 640, 40), ("train", 2, 320, 640, 40), ("infer", 1, 320, 640, 40), ("infer", 1, 480, 640, 40)]


class Worker:
    def __init__(self, name, command, prefix, extra, threads):
        environment = dict(os.environ, ASL_THREADS=str(threads), OMP_NUM_THREADS=str(threads), **extra)
        self.name, self.prefix, self.command, self.environment = name, prefix, command, environment
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def run(self, case):
        return self.ask(self.prefix + " ".join(map(str, case)))

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

    def peak(self, case):
        self.start()
        for _ in range(3):
            self.run(case)
        bytes_ = self.ask("memory")
        self.stop()
        return bytes_


def workers(given):
    asl = Worker("asl", [given.asl, os.path.join(HERE, "worker.lua")], "", {}, given.threads)
    python = ["/usr/bin/python3", os.path.join(HERE, "worker.py")]
    peers = [Worker("torch %s%s" % (layout, " tuned" if extra else ""), python, layout + " ", extra, given.threads)
             for extra in ({}, TUNED) for layout in ("nchw", "nhwc")]
    return asl, peers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asl", default=os.path.join(HERE, "../build/asl"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    asl, peers = workers(given)
    print("| case | competitor | median ms | ASL is faster by | peak memory MiB |")
    print("| --- | --- | --- | --- | --- |")
    for case in CASES:
        if given.only not in case[0]:
            continue
        title = "%s, batch %d, %dx%d, %d classes" % case
        seconds = {w: [] for w in [asl] + peers}
        for round_ in range(given.rounds + 2):
            for worker in seconds:
                took = worker.run(case)
                if round_ >= 2:
                    seconds[worker].append(took)
        for worker in seconds:
            ratio = statistics.median(t / a for t, a in zip(seconds[worker], seconds[asl]))
            worker.stop()
            print("| %s | %s | %.0f | %s | %.0f |" % (title, worker.name, 1e3 * statistics.median(seconds[worker]),
                  "" if worker is asl else "%.2fx" % ratio, worker.peak(case) / 2**20), flush=True)
        for worker in seconds:
            worker.start()
    for worker in [asl] + peers:
        worker.stop()


main()
