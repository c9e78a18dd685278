"""One command that measures modelcar and every peer that is installed, on the same data in the same run: rounds in
which all take turns, each time in another order; medians; each result checked when the clock has stopped."""
import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e")]
sys.dont_write_bytecode = True

import consumers
import cost
import engines
import inputs
import limits
import machine
import networks
import peers
import plot
import scenarios
import servers
import table
from cli import add_common, chosen, need_binary, say, size, tell, words, workplace

PARTIES = [peers.Modelcar, peers.Direct, peers.Buffered, peers.KServe, peers.Skopeo, peers.Crane, peers.Regctl,
           peers.Oras, engines.Podman, engines.Containerd, engines.Buildah, engines.Umoci, engines.Olot,
           limits.Curl, limits.CurlFiles, limits.CurlDirect, limits.Disk, limits.Curls,
           limits.OpenSSL, limits.Copy, limits.CranePacked]
CACHES = ("warm", "cold")
LOCAL = "local"
TARGET_WORKS = ("push", "pack", "copy", "load")  # those that fill a registry
ROUNDS = 5


def parse(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__,
                                epilog="NAMES are separated by commas and may be patterns: pull-*,delta")
    p.add_argument("--list", action="store_true", help="name scenarios, networks and who takes part, and stop")
    p.add_argument("--only", type=words, metavar="NAMES", help="these scenarios")
    p.add_argument("--network", type=words, metavar="NAMES", help=f"of {', '.join(networks.NETWORKS)} (all of them)")
    p.add_argument("--cache", type=words, metavar="NAMES",
                   help="warm, cold (both; cold without delays and TLS only when asked for by name)")
    p.add_argument("--peer", type=words, metavar="NAMES", help="those who take part, limits too")
    add_common(p, ROUNDS, "modelcar-bench and leave the models there for the next run")
    p.add_argument("--patience", type=float, default=0, metavar="N",
                   help="who took more than N times as long as modelcar in two rounds has had its turns (never)")
    p.add_argument("--quick", action="store_true", help="a few MiB, to see that all of it works; plain HTTP alone, "
                   "and a pull by each other network")
    p.add_argument("--size", type=size, metavar="SIZE", help="of a shard (1Gi)")
    p.add_argument("--files", type=int, metavar="N", help="of the model of many small files (5000)")
    p.add_argument("--svg", type=Path, metavar="FILE", help="draw a plot")
    p.add_argument("--from", dest="sources", action="append", type=Path, default=[], metavar="FILE",
                   help="measure nothing: tables and plot of earlier results (repeatable)")
    return p.parse_args(argv)


class Cell:
    """A scenario by one network with one state of the cache, and what came of it."""

    def __init__(self, scenario: scenarios.Scenario, network: str, cache: str):
        self.scenario, self.network, self.cache = scenario, network, cache
        self.runs: dict[str, list[cost.Run]] = {}
        self.failures: dict[str, list[str]] = {}
        self.bytes = 0

    def __str__(self):
        return f"{self.scenario.name}, {self.network}, {self.cache}"

    def entry(self, peer: peers.Peer) -> dict:
        runs = [run.figures() for run in self.runs.get(peer.name, [])]
        keys = [k for k in (runs[0] if runs else {}) if all(r[k] is not None for r in runs)]
        return {"name": peer.name, "kind": peer.kind, "note": peer.notes.get(self.scenario.work, ""),
                "differs": self.scenario.work in peer.differs, "runs": runs,
                "median": {k: statistics.median(r[k] for r in runs) for k in keys},
                "failures": self.failures.get(peer.name, [])}

    def report(self, parties: list[peers.Peer]) -> dict:
        took_part = [p for p in parties if p.name in self.runs or p.name in self.failures]
        return {"scenario": self.scenario.name, "title": self.scenario.title, "network": self.network,
                "cache": self.cache, "bytes": self.bytes, "parties": [self.entry(p) for p in took_part]}


def cells(options: argparse.Namespace) -> list[Cell]:
    found = []
    names = chosen([s.name for s in scenarios.ALL], options.only)
    ways = chosen(list(networks.NETWORKS), options.network)
    caches = chosen(list(CACHES), options.cache)
    for scenario in (s for s in scenarios.ALL if s.name in names):
        for network in [LOCAL] if scenario.local else ways:
            brief = options.quick and not options.network and network not in (LOCAL, "http")
            if brief and scenario.name != "pull-shards":
                continue
            far = network not in (LOCAL, "http") or options.quick
            found += [Cell(scenario, network, cache) for cache in caches if cache == "warm" or options.cache or not far]
    return found


class Runner:
    """Gives turns. `registries` are the names of the source and of the target, or of one that is both."""

    def __init__(self, options: argparse.Namespace, work: Path, registries: tuple[str, ...] = ("source", "target")):
        self.options, self.work = options, work
        self.parties, self.absent = [], []
        scale = inputs.QUICK if options.quick else inputs.FULL
        self.made = inputs.Inputs(work / "models", options.size or scale["shard"], options.files or scale["files"])
        for part in ("models", "out", "cost"):
            (work / part).mkdir(parents=True, exist_ok=True)
        authority = servers.Authority(work / "ca")
        self.registries = [networks.Registry(work / name, options.registry, authority, options.rate)
                           for name in registries]
        self.source, self.target = self.registries[0], self.registries[-1]
        self.bench = scenarios.Bench(self.made, self.source, self.target, work / "out")

    def invite(self, wanted: list[str]) -> None:
        """Those who are installed; the others are named."""
        for number, kind in enumerate(PARTIES):
            if kind.name in wanted:
                try:
                    self.parties.append(kind(self.work / f"p{number}"))
                except consumers.Absent as absent:
                    self.absent.append(kind.name)
                    say(f"absent: {kind.name} ({absent})")

    def servers(self) -> list[int]:
        return [pid for registry in self.registries for pid in registry.processes()]

    def registry_version(self) -> str:
        program = self.source.plain.program
        return machine.first_line(program, "--version").replace(program, self.options.registry)

    def measure(self, command: cost.Command) -> cost.Run:
        return cost.measure(command, self.servers(), self.work / "cost", self.options.timeout)

    def settle(self, trial: scenarios.Trial, cache: str) -> float:
        """Nothing left to write, the input warm or cold; returns the part of it that is cold."""
        os.sync()
        there = [p for p in trial.sync.rglob("*") if p.is_file()] if trial.prepare and trial.sync else []
        cost.warm(trial.inputs + there) if cache == "warm" else cost.chill(trial.inputs + there)
        return cost.cold_part(trial.inputs + there)

    def once(self, cell: Cell, peer: peers.Peer) -> cost.Run | None:
        place = cell.scenario.place(self.bench, peer)
        peer.clear(place)
        place.mkdir(parents=True, exist_ok=True)
        if cell.scenario.work in TARGET_WORKS:
            self.target.clear()
        trial = cell.scenario.trial(self.bench, peer, cell.network)
        if not trial or not trial.command:
            return None
        for command in trial.prepare:
            self.measure(command)
        cold = self.settle(trial, cell.cache)
        run = self.measure(trial.command)
        run.cold = cold
        if trial.sync:
            run.sync_s = self.measure(cost.Command(["sync", "-f", trial.sync])).wall_s
        if trial.read:
            run.read_s = self.measure(cost.Command(["bash", "-c", 'find "$0" -type f -exec cat {} + >/dev/null',
                                                    trial.read])).wall_s
        trial.check(run.out)
        return run

    def turn(self, cell: Cell, peer: peers.Peer, number: int) -> bool:
        """False where the peer should not have another one."""
        try:
            run = self.once(cell, peer)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"round {number}: {type(error).__name__}: {error or where.line}"
            cell.failures.setdefault(peer.name, []).append(text)
            say(f"  {peer.name}: FAILED, {text}")
            return number > 1
        finally:
            peer.clear(cell.scenario.place(self.bench, peer))
        if run:
            cell.runs.setdefault(peer.name, []).append(run)
            say(f"  {peer.name}: {run.wall_s:.2f} s, {run.user_s + run.sys_s:.2f} CPU s, {run.rss_bytes >> 20} MiB")
        return bool(run)

    def has_had_its_turns(self, cell: Cell, peer: peers.Peer) -> bool:
        ours, theirs = cell.runs.get("modelcar", []), cell.runs.get(peer.name, [])
        return bool(self.options.patience and ours and len(theirs) >= 2 and min(r.wall_s for r in theirs) >
                    self.options.patience * statistics.median(r.wall_s for r in ours))

    def run(self, cell: Cell) -> dict:
        cell.scenario.prepare(self.bench)
        cell.bytes = cell.scenario.moved(self.bench)
        parties = [p for p in self.parties if cell.scenario.takes(p)]
        for number in range(self.options.rounds):
            say(f"{cell}: round {number + 1} of {self.options.rounds}")
            turns = random.Random(number).sample(parties, len(parties))
            left = [peer for peer in turns if self.turn(cell, peer, number + 1)]
            parties = [peer for peer in parties if peer in left and not self.has_had_its_turns(cell, peer)]
        return cell.report(self.parties)

    def close(self) -> None:
        with contextlib.ExitStack() as closing:
            for party in (*self.registries, *self.parties):
                closing.callback(party.close)


def begin(work: Path) -> dict:
    """A result in which nothing has been measured."""
    facts = machine.facts(work)
    result = {"machine": facts, "doubts": machine.doubts(facts), "versions": {}, "absent": [], "cells": []}
    for doubt in result["doubts"]:
        say(f"WARNING: {doubt}")
    return result


def measure(options: argparse.Namespace, work: Path) -> dict:
    result, runner = begin(work), Runner(options, work)
    try:
        runner.invite(chosen([kind.name for kind in PARTIES], options.peer))
        result["absent"] = runner.absent
        result["versions"] = {p.name: p.version() for p in runner.parties if not p.is_variant}
        result["versions"]["registry"] = runner.registry_version()
        result["options"] = {"rounds": options.rounds, "rate": options.rate, "registry": options.registry,
                             "quick": options.quick, "shard_bytes": runner.made.shard_bytes, "files": runner.made.count}
        for cell in cells(options):
            result["cells"].append(runner.run(cell))
            if options.json:
                options.json.write_text(json.dumps(result, indent=1) + "\n")
    finally:
        runner.close()
    return result


def name_all() -> None:
    for scenario in scenarios.ALL:
        print(f"{scenario.name:14} {scenario.title}" + (" (no network)" if scenario.local else ""))
    print("\nnetworks:", *(f"  {name:12} {text}" for name, text in networks.NETWORKS.items()), sep="\n")
    print("\nparties:", *(f"  {kind.name}" for kind in PARTIES), sep="\n")


def main() -> int:
    options = parse(sys.argv[1:])
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    if options.list:
        return name_all() or 0
    if options.sources:
        result = table.merge([json.loads(path.read_text()) for path in options.sources], options)
    else:
        need_binary()
        with workplace(options.work, "modelcar-bench", "models") as work:
            result = measure(options, work)
    if options.svg:
        options.svg.write_text(plot.svg(result))
    return tell(result, table.markdown(result), options.markdown)


if __name__ == "__main__":
    sys.exit(main())
