"""Results as Markdown."""
import fnmatch

MIB = 2**20
BUSY = 0.1  # of the machine, used by others: more is said
HEAD = ("| | wall s (least to most) | × | CPU s | × | peak RSS MiB | and on disk s | ready s | rounds |\n"
        "|---|---|---|---|---|---|---|---|---|")


def merge(results: list[dict], options) -> dict:
    """Earlier results as one; what was measured again later counts, and what the options ask for is kept."""
    wanted = {"scenario": options.only, "network": options.network, "cache": options.cache}
    found = {}
    for result in results:
        for cell in result["cells"]:
            if all(not patterns or any(fnmatch.fnmatch(cell[key], p) for p in patterns)
                   for key, patterns in wanted.items()):
                found[cell["scenario"], cell["network"], cell["cache"]] = cell
    for cell in found.values():
        cell["parties"] = [p for p in cell["parties"] if not options.peer or
                           any(fnmatch.fnmatch(p["name"], pattern) for pattern in options.peer)]
    versions = {name: text for result in results for name, text in result["versions"].items()}
    absent = sorted({name for result in results for name in result["absent"]} - versions.keys())
    doubts = [d for result in results for d in result["doubts"]]
    return {**results[-1], "versions": versions, "absent": absent, "doubts": doubts, "cells": list(found.values())}


def title(cell: dict) -> str:
    cache = {"warm": "warm page cache", "cold": "cold page cache"}[cell["cache"]]
    return f"{cell['title']}, {cell['network']}, {cache}"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def ratio(value: float, of: float) -> str:
    return f"{value / of:.2f}" if of else ""


def ours(cell: dict) -> dict:
    """The medians of modelcar, to which the others are compared; nothing when it was not there."""
    return next((p["median"] for p in cell["parties"] if p["name"] == "modelcar"), {})


def wall(party: dict) -> str:
    """The median, and the least and the most where there are several."""
    walls = [r["wall_s"] for r in party["runs"]]
    spread = f" ({number(min(walls))}–{number(max(walls))})" if len(walls) > 1 else ""
    return number(party["median"]["wall_s"]) + spread


def row(party: dict, base: dict) -> str:
    m, name = party["median"], party["name"]
    name = f"**{name}**" if party["kind"] == "modelcar" else f"*{name}*" if party["kind"] == "limit" else name
    if not m:
        return f"| {name} | failed | | | | | | | 0 |"
    durable = number(m["wall_s"] + m["sync_s"]) if "sync_s" in m else ""
    ready = number(m["wall_s"] + m["read_s"]) if "read_s" in m else ""
    failed = f", {len(party['failures'])} failed" if party["failures"] else ""
    return (f"| {name} | {wall(party)} | {ratio(m['wall_s'], base.get('wall_s', 0))} "
            f"| {number(m['cpu_s'])} | {ratio(m['cpu_s'], base.get('cpu_s', 0))} | {m['rss_bytes'] / MIB:.0f} "
            f"| {durable} | {ready} | {len(party['runs'])}{failed} |")


def compared(cell: dict, parties: list[dict], what: str) -> list[str]:
    """The quickest of these against modelcar, in words."""
    base, best = ours(cell), min(parties, key=lambda p: p["median"]["wall_s"], default=None)
    return [f"{best['name']}, the quickest {what}, takes {ratio(best['median']['wall_s'], base['wall_s'])} × the time "
            f"of modelcar and {ratio(best['median']['cpu_s'], base['cpu_s'])} × its processor time"] if best else []


def summary(cell: dict) -> str:
    """modelcar against the quickest peers and each limit, by the medians."""
    base, done = ours(cell), [p for p in cell["parties"] if p["median"]]
    if not base:
        return ""
    peers = [p for p in done if p["kind"] == "peer"]
    out = compared(cell, [p for p in peers if not p["differs"]], "peer")
    out += compared(cell, [p for p in peers if p["differs"]], "of those that leave something else")
    out += [f"modelcar takes {ratio(base['wall_s'], p['median']['wall_s'])} × {p['name']}"
            for p in done if p["kind"] == "limit"]
    return "; ".join(out) + ".\n" if out else ""


def remarks(cell: dict) -> list[str]:
    out = [f"{p['name']}: {p['note']}" for p in cell["parties"] if p["note"]]
    out += [f"{p['name']} FAILED: {text}".replace("\n", " ") for p in cell["parties"] for text in p["failures"]]
    runs = [r for p in cell["parties"] for r in p["runs"]]
    noisy = sum(r["rest_share"] > BUSY for r in runs)
    if noisy:
        out.append(f"in {noisy} of {len(runs)} runs others used more than {BUSY:.0%} of the machine, "
                   f"the kernel's own threads included")
    lukewarm = sum((r["cold"] < 0.9) if cell["cache"] == "cold" else (r["cold"] > 0.1) for r in runs)
    if lukewarm:
        out.append(f"in {lukewarm} of {len(runs)} runs the input was not {cell['cache']}")
    return out


def section(cell: dict) -> str:
    parties = sorted(cell["parties"], key=lambda p: (p["kind"] == "limit", p["median"].get("wall_s", float("inf"))))
    lines = [f"#### {title(cell)} ({cell['bytes'] / MIB:.0f} MiB)", "", HEAD]
    lines += [*(row(p, ours(cell)) for p in parties), ""]
    lines += [summary(cell)] if summary(cell) else []
    lines += [*(f"- {text}" for text in remarks(cell)), ""] if remarks(cell) else []
    return "\n".join(lines) + "\n"


def in_turns(result: dict) -> str:
    """How to read the tables."""
    m, o = result["machine"], result["options"]
    return (f"Median of {o['rounds']} rounds in which all take turns; × is relative to modelcar ({m['commit']}, "
            f"{m['build']}). RSS is that of the largest process. *On disk*: and `sync` afterwards. *Ready*: and the "
            f"first reading of the tree by another process. With delay each connection has {o['rate'] / 1e6:.0f} MB/s.")


def conditions(result: dict, reading: str) -> str:
    """The machine, how to read what follows, who took part, and what makes it doubtful."""
    m = result["machine"]
    sha = "with" if m["sha"] else "without"
    lines = [f"{m['cores']} cores ({m['cpu']}, {sha} SHA instructions), {m['memory_bytes'] / 2**30:.0f} GiB, "
             f"{m['system']}, Linux {m['kernel']}, {m['file_system']}; {m['date']}, load {m['load']:.2f} at the start.",
             reading, ""]
    lines += ["Versions: " + "; ".join(v for v in dict.fromkeys(result["versions"].values()) if v) + ".", ""]
    lines += ["Not installed: " + ", ".join(result["absent"]) + ".", ""] if result["absent"] else []
    lines += [f"**Doubtful**: {d}." for d in result["doubts"]]
    return "\n".join(lines) + "\n"


def against(base: dict, party: dict) -> str:
    m = party["median"]
    return f"{party['name']}: {ratio(m['wall_s'], base['wall_s'])} ({ratio(m['cpu_s'], base['cpu_s'])})"


def overview(result: dict) -> list[str]:
    """A line for each part of the run: modelcar, the quickest peer that leaves the same, the limits."""
    lines = ["| | modelcar | quickest peer, × its time (× its processor time) | limits, likewise |", "|---|---|---|---|"]
    for cell in (c for c in result["cells"] if ours(c)):
        base, done = ours(cell), [p for p in cell["parties"] if p["median"]]
        best = min((p for p in done if p["kind"] == "peer" and not p["differs"]), key=lambda p: p["median"]["wall_s"],
                   default=None)
        limits = ", ".join(against(base, p) for p in done if p["kind"] == "limit")
        lines.append(f"| {title(cell)} | {number(base['wall_s'])} s, {number(base['cpu_s'])} CPU s, "
                     f"{base['rss_bytes'] / MIB:.0f} MiB | {against(base, best) if best else ''} | {limits} |")
    return lines


def markdown(result: dict) -> str:
    parts = [conditions(result, in_turns(result)), "\n".join(overview(result)) + "\n", *(section(cell) for cell in result["cells"])]
    return "\n".join(parts)
