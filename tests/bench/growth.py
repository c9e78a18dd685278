"""How time and memory of modelcar grow: with bytes, with files, with connections. At each point of a curve a model
is made, packed to a registry, pulled and verified, and nothing of it is left for the next point; each result is
checked."""
import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bench  # first: it knows where the tests have their modules
import inputs
import networks
import peers
import scenarios
import table
import trees
from cli import add_common, chosen, need_binary, say, size, tell, words, workplace

MIB, GIB = 2**20, 2**30
MODEL = "growth"
ROUNDS = 3
SHARDS = 4
COPIES = 2  # of a model, that are on disk at once: in the registry and as a tree
FULL = {"sizes": [256 * MIB, GIB, 4 * GIB, 16 * GIB], "counts": [1, 10, 100, 1000, 5000],
        "jobs": [1, 2, 4, 8, 16, 32, 64], "pulled": GIB}
QUICK = {"sizes": [MIB, 4 * MIB], "counts": [1, 10, 50], "jobs": [1, 4], "pulled": 4 * MIB}
FLAGS = {"pull-buffered": ["--buffered"], "pull-direct": ["--direct"]}


class Verify(scenarios.Verify):
    image = MODEL


PACK = scenarios.ToRegistry("pack", "pack to a registry", "pack", MODEL)
BUFFERED = scenarios.Pull("pull-buffered", "pull, buffered", MODEL)
DIRECT = scenarios.Pull("pull-direct", "pull, direct", MODEL)
ALL_WORKS = [(PACK, "http"), (BUFFERED, "http"), (DIRECT, "http"), (Verify(), bench.LOCAL)]


@dataclass
class Point:
    name: str
    make: Callable[[Path], Path]
    options: list = field(default_factory=list)


@dataclass
class Curve:
    """`works` are scenarios, each by a network; the first fills the registry from which the others read."""
    name: str
    title: str
    unit: str
    works: list
    points: list[Point]

    @property
    def middle(self) -> Point:
        return self.points[len(self.points) // 2]

    def units(self, image: inputs.Image) -> float:
        return len(image.files) if self.unit == "file" else image.bytes / GIB


class Ours(peers.Modelcar):
    """modelcar at one point of a curve."""
    notes: dict[str, str] = {}

    def __init__(self, root: Path, name: str, options: list):
        super().__init__(root)
        self.name, self.options = name, options

    def run(self, *args, sides=()):
        return super().run(*args, *self.options, sides=sides)

    def packed(self, image, registry):
        """Every blob is what its name says; that the image holds the model, the pulls show that come next."""
        held = trees.tree(registry.blobs)
        assert held, "the registry is empty"
        wrong = [name for name, (_, digest) in held.items() if Path(name).parent.name != digest]
        assert not wrong, f"{len(wrong)} blobs are not what their names say: {wrong[:3]}"


class Bench(scenarios.Bench):
    def blob_files(self, image):
        """All that is there: the registry holds one image at a time."""
        return list(self.source.blobs.rglob("data"))


class Walk:
    """A curve, walked from one end to the other and back, and what came of it."""

    def __init__(self, curve: Curve, runner: bench.Runner):
        self.curve, self.runner = curve, runner
        self.tree = runner.work / "models" / MODEL
        self.cells = [bench.Cell(scenario, network, "warm") for scenario, network in curve.works]
        # The files of a model are listed when it is made for the first time, and are the same in each round.
        self.images = {p.name: inputs.Image(MODEL, "v1", self.tree, self.tree) for p in curve.points}

    def peer(self, point: Point, cell: bench.Cell) -> Ours:
        return Ours(self.runner.work / "home", point.name, point.options + FLAGS.get(cell.scenario.name, []))

    def turn(self, cell: bench.Cell, point: Point, number: int) -> None:
        say(f"with {self.curve.name}, {cell}: round {number} of {self.runner.options.rounds}")
        self.runner.turn(cell, self.peer(point, cell), number)

    def visit(self, point: Point, number: int) -> None:
        image, (pack, *others) = self.images[point.name], self.cells
        self.runner.made.made[MODEL] = image
        try:
            point.make(self.tree)
            say(f"{point.name}: {image.bytes / MIB:.0f} MiB in {len(image.files)} files")
            self.turn(pack, point, number)
            shutil.rmtree(self.tree)
            for cell in others if number % 2 else reversed(others):
                self.turn(cell, point, number)
        finally:
            shutil.rmtree(self.tree, ignore_errors=True)
            self.runner.target.clear()

    def round(self, number: int) -> None:
        for point in self.curve.points if number % 2 else reversed(self.curve.points):
            self.visit(point, number)

    def report(self, memory_bytes: int) -> list[dict]:
        return [self.grown(cell, memory_bytes) for cell in self.cells]

    def grown(self, cell: bench.Cell, memory_bytes: int) -> dict:
        """What `run` would report, and for each point its time for a unit, alone and relative to the middle's."""
        report = cell.report([self.peer(point, cell) for point in self.curve.points])
        for party in report["parties"]:
            image = self.images[party["name"]]
            party |= {"bytes": image.bytes, "files": len(image.files)}
            party["unit_s"] = party["median"]["wall_s"] / self.curve.units(image) if party["median"] else None
            if (1 if cell.network == bench.LOCAL else COPIES) * image.bytes > memory_bytes:
                party["note"] = "more than the memory of this machine can hold, so its disk is measured, too"
        of = next((p["unit_s"] for p in report["parties"] if p["name"] == self.curve.middle.name), None)
        for party in report["parties"]:
            party["ratio"] = party["unit_s"] / of if party["unit_s"] and of else None
        return report | {"title": f"{self.curve.title}: {cell.scenario.title}", "curve": self.curve.name,
                         "unit": self.curve.unit, "middle": self.curve.middle.name}


def sized(size_bytes: int) -> Callable[[Path], Path]:
    return lambda root: inputs.shards(root, size_bytes // SHARDS, SHARDS)


def bytes_named(count: int) -> str:
    return f"{count / GIB:g} GiB" if count >= GIB else f"{count / MIB:g} MiB"


def curves(options: argparse.Namespace) -> list[Curve]:
    def counted(count: int) -> Callable[[Path], Path]:
        return lambda root: inputs.small_files(root, count)

    found = [Curve("bytes", f"Bytes, in {SHARDS} shards", "GiB", ALL_WORKS,
                   [Point(bytes_named(n), sized(n)) for n in options.sizes]),
             Curve("files", "Small files", "file", ALL_WORKS,
                   [Point(f"{n:,}", counted(n)) for n in options.counts]),
             Curve("connections", f"Jobs, {bytes_named(options.pulled)}", "GiB",
                   [(PACK, "http"), (BUFFERED, "http"), (BUFFERED, "20ms")],
                   [Point(str(n), sized(options.pulled), ["--jobs", n]) for n in options.jobs])]
    names = chosen([curve.name for curve in found], options.only)
    return [curve for curve in found if curve.name in names]


def row(party: dict, scale: int) -> str:
    m = party["median"]
    if not m:
        return f"| {party['name']} | failed | | | | | 0 |"
    failed = f", {len(party['failures'])} failed" if party["failures"] else ""
    ratio = f"{party['ratio']:.2f}" if party["ratio"] else ""
    return (f"| {party['name']} | {table.wall(party)} | {table.number(scale * party['unit_s'])} | {ratio} "
            f"| {table.number(m['cpu_s'])} | {m['rss_bytes'] / MIB:.1f} | {len(party['runs'])}{failed} |")


def section(cell: dict) -> str:
    per, scale = ("ms per file", 1000) if cell["unit"] == "file" else (f"s per {cell['unit']}", 1)
    lines = [f"#### {table.title(cell)}", "",
             f"| | wall s (least to most) | {per} | × that of {cell['middle']} | CPU s | peak RSS MiB | rounds |",
             "|---|---|---|---|---|---|---|", *(row(p, scale) for p in cell["parties"]), ""]
    ratios = [p["ratio"] for p in cell["parties"] if p["ratio"]]
    held = [p["median"]["rss_bytes"] / MIB for p in cell["parties"] if p["median"]]
    if ratios:
        lines += [f"Time per {cell['unit']} is {min(ratios):.2f} to {max(ratios):.2f} × that of {cell['middle']}; "
                  f"memory is {min(held):.1f} to {max(held):.1f} MiB.", ""]
    lines += [*(f"- {text}" for text in table.remarks(cell)), ""] if table.remarks(cell) else []
    return "\n".join(lines)


def markdown(result: dict) -> str:
    m, o = result["machine"], result["options"]
    reading = (f"Median of {o['rounds']} rounds, from the first point to the last and back; modelcar {m['commit']}, "
               f"{m['build']}, with --no-cache. RSS is that of the process. With delay each connection has "
               f"{o['rate'] / 1e6:.0f} MB/s.")
    return "\n".join([table.conditions(result, reading), *map(section, result["cells"])])


def several(convert: Callable[[str], int]) -> Callable[[str], list[int]]:
    """The type of an option that takes numbers, in their order and each once."""
    def numbers(text: str) -> list[int]:
        try:
            found = sorted({convert(word) for word in words(text)})
        except (ValueError, KeyError):
            found = []
        if not found or found[0] < 1:
            raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers that are large enough")
        return found
    return numbers


def whole_mib(text: str) -> int:
    """A size of which tensors can be made."""
    return size(text) // MIB * MIB


def parse(argv: list[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="tests/bench/growth", description=__doc__,
                                epilog="NUMBERS are separated by commas.")
    p.add_argument("--only", type=words, metavar="CURVES", help="of bytes, files, connections (all of them)")
    p.add_argument("--sizes", type=several(whole_mib), metavar="NUMBERS", help="(256Mi,1Gi,4Gi,16Gi)")
    p.add_argument("--files", dest="counts", type=several(int), metavar="NUMBERS", help="(1,10,100,1000,5000)")
    p.add_argument("--jobs", type=several(int), metavar="NUMBERS", help="(1,2,4,8,16,32,64)")
    p.add_argument("--quick", action="store_true", help="a few MiB, to see that all of it works")
    add_common(p, ROUNDS, "modelcar-growth")
    p.set_defaults(size=None, files=None, patience=0)  # of `run` alone
    options = p.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    for name, value in (QUICK if options.quick else FULL).items():
        setattr(options, name, getattr(options, name, None) or value)
    return options


def need_space(options: argparse.Namespace, walked: list[Curve], work: Path) -> None:
    largest = {"bytes": options.sizes[-1], "connections": options.pulled}
    need = COPIES * max((largest.get(curve.name, 0) for curve in walked), default=0)
    have = shutil.disk_usage(work).free
    if need > have:
        sys.exit(f"bench: {need / GIB:.0f} GiB are needed in {work}, and there are {have / GIB:.0f}: choose smaller "
                 f"--sizes, or --work elsewhere")


def measure(options: argparse.Namespace, walked: list[Curve], work: Path) -> dict:
    result, runner = bench.begin(work), bench.Runner(options, work, ("registry",))
    try:
        runner.bench = Bench(runner.made, runner.source, runner.target, work / "out")
        result["versions"] = {"modelcar": peers.Modelcar(work / "home").version(),
                              "registry": runner.registry_version()}
        result["options"] = {"rounds": options.rounds, "rate": options.rate, "registry": options.registry,
                             "quick": options.quick}
        for curve in walked:
            walk, before = Walk(curve, runner), result["cells"]
            for number in range(1, options.rounds + 1):
                walk.round(number)
                result["cells"] = before + walk.report(result["machine"]["memory_bytes"])
                if options.json:
                    options.json.write_text(json.dumps(result, indent=1) + "\n")
    finally:
        runner.close()
    return result


def main() -> int:
    options = parse(sys.argv[1:])
    walked = curves(options)
    need_binary()
    with workplace(options.work, "modelcar-growth") as work:
        need_space(options, walked, work)
        result = measure(options, walked, work)
    return tell(result, markdown(result), options.markdown)


if __name__ == "__main__":
    sys.exit(main())
