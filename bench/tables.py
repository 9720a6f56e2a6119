"""The tables of bench/README.md from the results of compare.py."""
from statistics import median

from cases import MEMORY

MIB = 2**20


class Row:
    """A competitor of a case: its median parts, and the rounds' ratios to ASL."""

    def __init__(self, name, result, ours):
        self.name, self.peak = name, result["peak"]
        self.parts = [median(part) for part in zip(*result["seconds"])]
        self.total = median(map(sum, result["seconds"]))
        self.ratio = median(sum(t) / sum(a) for t, a in zip(result["seconds"], ours["seconds"]))

    def milliseconds(self):
        digits = 0 if self.total > 0.1 else 1
        return " + ".join("%.*f" % (digits, 1e3 * part) for part in self.parts)


def rows_of(passes):
    """ASL with the rounds of all passes together; the others, each beside ASL's rounds of its pass."""
    together = {"seconds": sum((p["asl"]["seconds"] for p in passes), []),
                "peak": max(p["asl"]["peak"] for p in passes)}
    peers = [Row(name, result, p["asl"]) for p in passes for name, result in p.items() if name != "asl"]
    return Row("asl", together, together), peers


def line(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(*cells):
    print()
    line(*cells)
    line(*["---"] * len(cells))


def rate(case, row):
    return "%.1f" % (case["batch"] / row.total)


def detail(group, case, ours, peers):
    """One line per competitor."""
    for row in [ours] + peers:
        line(case["title"], row.name, row.milliseconds(), rate(case, row), "" if row is ours else "%.2fx" % row.ratio,
             *["%.0f" % (row.peak / MIB)] * (group in MEMORY))


def summary(group, case, ours, best):
    line(case["title"], ours.milliseconds(), best.name, best.milliseconds(), "**%.2fx**" % best.ratio,
         *["%.2fx" % (ours.peak / best.peak)] * (group in MEMORY))


def show(group, cases, results):
    """Against the best peer of each case; except for layers, then all competitors."""
    rows = [rows_of(result["passes"]) for result in results]
    best = [min(peers, key=lambda row: row.total) for _, peers in rows]
    unit = "ms, forward + backward" if group == "layer" else "ms"
    memory = ["ASL's peak memory, of the peer's"] * (group in MEMORY)
    head(group, "ASL " + unit, "best peer", unit, "ASL is faster by", *memory)
    for case, (ours, _), peer in zip(cases, rows, best):
        summary(group, case, ours, peer)
    if group == "layer":
        total, peer_total = sum(ours.total for ours, _ in rows), sum(row.total for row in best)
        line("all", "%.1f" % (1e3 * total), "the best of each", "%.1f" % (1e3 * peer_total),
             "**%.2fx**" % (peer_total / total))
        return
    head(group, "competitor", "median ms", "images/s", "ASL is faster by", *["peak memory MiB"] * (group in MEMORY))
    for case, (ours, peers) in zip(cases, rows):
        detail(group, case, ours, peers)
