"""Crashes to order: the preload shim that interrupts the tool, and readers who look at the tree all the time."""
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import images
import models
import tool
import trees

MIB = 2**20
FULL = os.environ.get("MODELCAR_FULL") == "1"
NAMES = ("rename", "link", "symlink", "unlinkat")  # calls after which something is seen under another name
PAUSE_S = 0.02
Snapshot = dict[str, str]


def shim() -> Path:
    return Path(tool.release_binary()).resolve().parents[1] / "tests/shim/interrupt.so"


@dataclass
class Ran:
    result: tool.Result
    calls: list[str]  # the counted ones, in their order


def run(*args, root: Path, act: str = "", at: int = 0, kinds: str = "mutating", times: int = 1, lack: str = "",
        **options) -> Ran:
    """The release binary with the shim before it, which keeps its books in `root`."""
    count, log = start_books(root)
    env = shim_env(count, log, act, at, kinds, times, lack)
    result = tool.run(*args, env=env, binary_path=tool.release_binary(), **options)
    return Ran(result, log.read_text().splitlines())


def start(*args, root: Path, act: str, at: int, kinds: str = "mutating", lack: str = "") -> subprocess.Popen:
    """The same, and does not wait for its end."""
    count, log = start_books(root)
    env = tool.clean_env(shim_env(count, log, act, at, kinds, 1, lack))
    return subprocess.Popen([tool.release_binary(), *map(str, args)], env=env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def stands(process: subprocess.Popen) -> bool:
    """Once it is stopped; False when it came to its end."""
    return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_status == signal.SIGSTOP


def meanwhile(process: subprocess.Popen, act, timeout: float) -> str:
    """`act` while the process stands still; then it goes on to its end: what it said."""
    try:
        assert stands(process)
        act()
        process.send_signal(signal.SIGCONT)
        return process.communicate(timeout=timeout)[1]
    finally:
        process.kill()
        process.wait()


def start_books(root: Path) -> tuple[Path, Path]:
    assert shim().exists(), f"{shim()} is not built"
    count, log = root / "calls", root / "calls.log"
    count.write_bytes(bytes(8))
    log.write_text("")
    return count, log


def shim_env(count: Path, log: Path, act: str, at: int, kinds: str, times: int, lack: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(shim()), "INTERRUPT_COUNT": str(count), "INTERRUPT_LOG": str(log),
            "INTERRUPT_ACT": act, "INTERRUPT_AT": str(at), "INTERRUPT_KINDS": kinds, "INTERRUPT_TIMES": str(times),
            "INTERRUPT_LACK": lack}


def snapshot(fd: int) -> Snapshot:
    """The files below a directory that is held open, by their sha256; ours do not count."""
    found = {}
    for folder, _, names, at in os.fwalk(".", dir_fd=fd):
        for name in names:
            if not name.startswith(".modelcar."):
                with open(os.open(name, os.O_RDONLY, dir_fd=at), "rb") as file:
                    found[os.path.normpath(f"{folder}/{name}")] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def look(path: Path) -> Snapshot | None:
    """What a reader sees who opens the directory and goes by its descriptor; None: there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        return snapshot(fd)
    finally:
        os.close(fd)


def record_of(path: Path) -> tuple | None:
    try:
        with open(path / trees.RECORD, "rb") as file:
            return file.read(), os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return None


def look_by_record(path: Path) -> Snapshot | None:
    """What a reader trusts who wants the same record before and after; None: nothing."""
    before = record_of(path)
    if not before:
        return None
    try:
        seen = look(path)
    except FileNotFoundError:
        seen = {"a file": "went away"}
    return seen if record_of(path) == before else None


class Reader:
    """Looks all the time, on a thread of its own, while it is entered; `seen` has each thing that it saw once.

    Between two looks it leaves the processor to others: every state in which a call can leave the tree is seen
    by who looks when the tool was killed there.
    """

    def __init__(self, eye: Callable[[], Snapshot | None]):
        self.eye, self.seen, self.over = eye, [], threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while True:
            try:
                now = self.eye()
            except FileNotFoundError as error:
                now = {"a file": f"went away: {error}"}
            if now not in self.seen:
                self.seen.append(now)
            if self.over.wait(PAUSE_S):
                return

    def __enter__(self) -> "Reader":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()


class Holder:
    """Has a directory open while it is entered; `is_whole` says afterwards whether all is in it that was."""

    def __init__(self, path: Path | None):
        self.path, self.fd, self.is_whole = path, None, True

    def __enter__(self) -> "Holder":
        if self.path and self.path.exists():
            self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            self.had = snapshot(self.fd)
        return self

    def __exit__(self, *_) -> None:
        if self.fd is not None:
            try:
                self.is_whole = snapshot(self.fd) == self.had
            except FileNotFoundError:
                self.is_whole = False
            os.close(self.fd)


@dataclass(frozen=True)
class Mode:
    """A way to publish: how it is asked for, and what readers may see of the tree."""
    name: str
    options: tuple[str, ...] = ()
    had: bool = True              # version 1 is there before
    inside: str = ""              # where in the destination the tree is
    by_record: bool = False
    absent: bool = False          # for a moment there may be none
    swaps: bool = False           # who has the old tree open keeps it
    leaves_old: bool = False      # the tree that was replaced
    lack: str = ""

    def eye(self, dest: Path) -> Snapshot | None:
        return (look_by_record if self.by_record else look)(dest / self.inside)

    def allowed(self, one: Snapshot, two: Snapshot) -> list[Snapshot | None]:
        return [two] + [one] * self.had + [None] * (self.by_record or self.absent or not self.had)

    def strangers(self, dest: Path) -> set[str]:
        """What a pull leaves that came to its end, but should not; the old tree of a swap stays."""
        found = {p for p in dest.parent.iterdir() if p != dest}
        found |= {p for p in dest.rglob(".modelcar.*") if p.name != trees.RECORD and "old.part/" not in p.as_posix()}
        old = [p for p in found if p.name.endswith(".old.part") and self.leaves_old]
        return {p.relative_to(dest.parent).as_posix() for p in found.difference(old[:1])}


EINVAL = 22
MODES = [Mode("fresh", had=False), Mode("swap", swaps=True, leaves_old=True),
         Mode("aside", absent=True, swaps=True, leaves_old=True, lack=f"renameat2:{EINVAL}"),
         Mode("version", ("--publish", "version"), inside="current"),
         Mode("in-place", ("--publish", "in-place"), by_record=True)]


def make_versions(root: Path) -> tuple[Path, Path]:
    """Twelve files each: of two shards one differs in a block, of the small ones some differ, are new or gone."""
    draw = random.Random(models.SEED)
    shards = {"a.bin": draw.randbytes(5 * MIB), "b.bin": draw.randbytes(5 * MIB)}
    small = {f"sub{i % 2}/part{i}.json": f'{{"n": {i}}}' for i in range(8)} | {"config.json": "{}", "tokenizer.json": "{}"}
    one = models.write(root / "one", shards | small)
    changed = shards["b.bin"][:-MIB] + draw.randbytes(MIB)
    del small["sub0/part0.json"]
    two = models.write(root / "two", shards | small | {"b.bin": changed, "config.json": '{"v": 2}',
                                                        "sub1/part1.json": "[]", "new/part9.json": "{}"})
    return one, two


def pack_versions(versions: tuple[Path, Path], base: str) -> tuple[str, str]:
    for tag, tree in zip(("v1", "v2"), versions):
        tool.ok("pack", tree, f"{base}:{tag}")
    return f"{base}:v1", f"{base}:v2"


def write_versions(versions: tuple[Path, Path], layout: images.ImageLayout) -> tuple[str, str]:
    """As images of other tools: small files and what an upper layer hides of them gzipped, shards as they are."""
    for tag, tree in zip(("v1", "v2"), versions):
        members = images.files_of(tree)
        small = [m for m in members if m[0].size < MIB] + [images.member("models/hidden", b"x")]
        shards = [m for m in members if m[0].size >= MIB] + [images.member("models/.wh.hidden", b"")]
        layout.image(tag, layout.layer(images.tar(*small), "gzip"), layout.layer(images.tar(*shards)))
    return layout.ref("v1"), layout.ref("v2")


def points(calls: list[str], draw: random.Random, least: int) -> list[int]:
    """Which calls to interrupt, from 1: all of them, or half where names change and half anywhere."""
    everything = range(1, len(calls) + 1)
    if FULL or len(calls) <= least:
        return list(everything)
    named = [n for n in everything if any(name in calls[n - 1] for name in NAMES)]
    chosen = draw.sample(named, min(len(named), least // 2))
    return sorted(set(chosen) | set(draw.sample(everything, least - len(chosen))))


def age(place: Path) -> None:
    """Temporary files are another process's to remove when they are ten seconds old."""
    for path in place.rglob(".modelcar.*.part"):
        if re.fullmatch(r"\.modelcar\.[0-9a-f]{16}\.part", path.name):
            os.utime(path, (0, 0), follow_symlinks=False)


def put_back(template: Path, dest: Path) -> None:
    """The place as it was before: `dest` alone, as a copy of the template."""
    shutil.rmtree(dest.parent, ignore_errors=True)
    dest.parent.mkdir(parents=True)
    if template.exists():
        shutil.copytree(template, dest, symlinks=True)
