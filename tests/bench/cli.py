"""What the commands that measure share: options, a directory to work in, the end."""
import argparse
import contextlib
import fnmatch
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import consumers
import networks
import table
import tool

UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def say(*words) -> None:
    print(*words, file=sys.stderr, flush=True)


def size(text: str) -> int:
    number = text.rstrip("kMGi")
    return int(float(number) * UNITS[text[len(number):]])


def words(text: str) -> list[str]:
    return [w for w in text.split(",") if w]


def chosen(names: list[str], patterns: list[str] | None) -> list[str]:
    """Those of `names` that a pattern matches; a pattern that matches none is an error."""
    for pattern in patterns or []:
        if not fnmatch.filter(names, pattern):
            sys.exit(f"bench: no '{pattern}'; there are: {', '.join(names)}")
    return [n for n in names if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]


def add_common(p: argparse.ArgumentParser, rounds: int, directory: str) -> None:
    """Options of whatever measures in rounds; what it makes lies below `directory`."""
    p.add_argument("--rounds", type=int, metavar="N", help=f"times that each has its turn ({rounds}; 1 with --quick)")
    p.add_argument("--rate", type=size, default=10**8, metavar="SIZE",
                   help="bytes a second of each connection where there is delay (100M)")
    p.add_argument("--registry", choices=networks.KINDS, default="docker-registry", help="(docker-registry)")
    p.add_argument("--timeout", type=float, default=900, metavar="SECONDS", help="for one command (900)")
    p.add_argument("--work", type=Path, metavar="DIR", help=f"work in DIR/{directory}")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the results, after each part of the run")
    p.add_argument("--markdown", metavar="FILE", help="write tables there and not to stdout")


def need_binary() -> None:
    if not os.access(tool.release_binary(), os.X_OK):
        sys.exit(f"bench: no {tool.release_binary()}: build it, or say in MODELCAR where it is")


@contextlib.contextmanager
def workplace(parent: Path | None, name: str, kept: str = ""):
    """A directory of which all is ours and goes at the end: `name` in `parent`, where `kept` stays, or a new one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    work = parent / name if parent else Path(tempfile.mkdtemp(prefix=f"{name}-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield work.resolve()
    finally:
        consumers.leave_mounts(work)
        for path in [p for p in work.iterdir() if p.name != kept] if parent and kept else [work]:
            shutil.rmtree(path, ignore_errors=True)


def tell(result: dict, text: str, where: str | None) -> int:
    """Writes the tables, and on stderr what failed; returns the exit status."""
    if where and where != "-":
        Path(where).write_text(text)
    else:
        print(text, end="")
    failed = [f"{table.title(cell)}: {p['name']}: {text}" for cell in result["cells"] for p in cell["parties"]
              for text in p["failures"]]
    for line in failed:
        say("FAILED:", line)
    return 1 if failed else 0
