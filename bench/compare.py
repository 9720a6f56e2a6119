#!/usr/bin/python3
"""ASL beside PyTorch on a CPU: training step, inference, layers, loss, loader; same threads, interleaved.

/usr/bin/python3 bench/compare.py [--only REGEX] [--rounds 7] [--threads 2] [--python PATH ... [--compiled]]
                                  [--json FILE]

Every competitor is a process of its own. In each round every one does one iteration of the case, in turn, so that
a disturbance meets all; figures are medians after two rounds of warm-up, a ratio is the median of the rounds'
ratios. Each PyTorch (--python) is compared in rounds of its own, so that the processes fit into memory together.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import tables
from cases import GROUPS, MEMORY

HERE = os.path.dirname(os.path.abspath(__file__))
WARM_UP = 2
TUNED = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "68719476736",
         "MALLOC_TOP_PAD_": "268435456"}


class Worker:
    """A competitor: a process that is told cases and answers with seconds."""

    def __init__(self, name, command, threads, variant):
        self.name, self.variant = name, variant
        environment = dict(os.environ, ASL_THREADS=str(threads), OMP_NUM_THREADS=str(threads),
                           **(TUNED if variant.get("tuned") else {}))
        self.process = subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def round(self, case):
        self.process.stdin.write(json.dumps({**case, **self.variant}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the process ended"}

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Peer:
    """A PyTorch: the interpreter that has it, and what it is called."""

    def __init__(self, python, compiled):
        self.python, self.compiled = python, compiled
        version = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        self.name = "torch " + ".".join(version.split(".")[:2])

    def workers(self, variants, threads):
        command = [self.python, os.path.join(HERE, "worker.py")]
        return [Worker(self.title(v), command, threads, v) for v in variants if self.compiled or not v.get("compiled")]

    def title(self, variant):
        kind = [variant[key] for key in ("layout", "decoder") if key in variant]
        title = " ".join([self.name] + kind + [word for word in ("tuned", "compiled") if variant.get(word)])
        return title + (", workers %d" % variant["workers"] if "workers" in variant else "")


def agree(a, b):
    """Do two results of random data look like the same computation?"""
    return abs(a - b) <= 0.1 + 0.1 * abs(b)


def compete(case, competitors, rounds):
    """What each competitor took: {name: {seconds: one list of parts per round, value, peak}}; ASL is the first."""
    told = {key: value for key, value in case.items() if key not in ("title", "variants")}
    results = {worker.name: {"seconds": []} for worker in competitors}
    for round_ in range(-WARM_UP, rounds):
        for worker in list(competitors):
            answer = worker.round(told)
            if "error" in answer:
                if worker is competitors[0]:
                    raise SystemExit("%s: %s" % (case["title"], answer["error"]))
                print("left out, %s of %s: %s" % (case["title"], worker.name, answer["error"]), file=sys.stderr)
                competitors.remove(worker)
                del results[worker.name]
                continue
            if round_ >= 0:
                results[worker.name]["seconds"].append(answer["seconds"])
            results[worker.name].update(value=answer["value"], peak=answer["peak"])
    ours = results[competitors[0].name]["value"]
    for name, result in results.items():
        if not agree(result["value"], ours):
            raise SystemExit("%s: %s computes %g, ASL %g" % (case["title"], name, result["value"], ours))
    return results


def compete_in(group, cases, peer, given):
    """Results of every case, against one PyTorch."""
    results, competitors = [], []
    for case in cases:
        if group in MEMORY or not competitors:
            competitors = [Worker("asl", [given.asl, os.path.join(HERE, "worker.lua")], given.threads, {})]
            competitors += peer.workers(case["variants"], given.threads)
        started = list(competitors)
        results.append(compete(case, competitors, given.rounds))
        if group in MEMORY or case is cases[-1]:
            for worker in started:
                worker.stop()
    return results


def chosen(only):
    groups = {group: [case for case in cases if re.search(only, "%s: %s" % (group, case["title"]))]
              for group, cases in GROUPS.items()}
    return {group: cases for group, cases in groups.items() if cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asl", default=os.path.join(HERE, "../build/asl"))
    parser.add_argument("--python", nargs="+", default=["/usr/bin/python3"], help="interpreters that have PyTorch")
    parser.add_argument("--compiled", action="store_true", help="also torch.compile (minutes, once per case)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose 'group: title' matches")
    parser.add_argument("--json", metavar="FILE", help="every round's seconds")
    given = parser.parse_args()
    peers, raw = [Peer(python, given.compiled) for python in given.python], {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([given.python[0], os.path.join(HERE, "pictures.py"), folder], check=True)
        for group, cases in chosen(given.only).items():
            cases = [dict(case, folder=folder) for case in cases]
            passes = [compete_in(group, cases, peer, given) for peer in peers]
            raw[group] = [dict(case=case["title"], passes=of_case) for case, *of_case in zip(cases, *passes)]
            tables.show(group, cases, raw[group])
    if given.json:
        with open(given.json, "w") as file:
            json.dump(dict(threads=given.threads, rounds=given.rounds, warm_up=WARM_UP, groups=raw), file, indent=1)


if __name__ == "__main__":
    main()
