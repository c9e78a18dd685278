"""Runs a command and tells what it cost, and what else the machine did meanwhile."""
import ctypes
import json
import mmap
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import tool

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PIECE = 1 << 20


@dataclass
class Command:
    argv: list
    env: dict = field(default_factory=dict)
    cwd: Path | None = None
    servants: list[int] = field(default_factory=list)  # processes that work for it and were there before

    def words(self) -> list[str]:
        return [str(word) for word in self.argv]


@dataclass
class Run:
    wall_s: float
    user_s: float
    sys_s: float
    rss_bytes: int
    rest_share: float  # of the machine, used by what is neither the command nor its servers
    out: str = ""
    sync_s: float | None = None
    read_s: float | None = None
    cold: float | None = None  # the part of the input that was not in the page cache

    def figures(self) -> dict:
        kept = asdict(self)
        del kept["out"]
        return {**kept, "cpu_s": self.user_s + self.sys_s}


class Failed(Exception):
    pass


def helper() -> Path:
    path = Path(tool.release_binary()).resolve().parents[1] / "tests/bench/cost"
    if not path.exists():
        raise Failed(f"{path} is not built")
    return path


def busy_s() -> float:
    """Processor time of the whole machine, and what its host took from it; without interrupts, which are those of
    our own traffic on loopback."""
    user, nice, system, _, _, _, _, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + steal) / TICK


def process_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def measure(command: Command, servers: list[int], scratch: Path, timeout_s: float) -> Run:
    """Failed, with what it said, when the command does not end well. `servers` are not on its account."""
    report, said, told = (scratch / name for name in ("cost", "stdout", "stderr"))
    report.unlink(missing_ok=True)
    for pid in command.servants:
        forget_peak(pid)
    served, helped, before = sum(map(process_s, servers)), sum(map(process_s, command.servants)), busy_s()
    start = time.monotonic()
    with open(said, "wb") as out, open(told, "wb") as err:
        process = subprocess.Popen([str(helper()), str(report), *command.words()], stdout=out, stderr=err,
                                   stdin=subprocess.DEVNULL, env=tool.clean_env(command.env), cwd=command.cwd,
                                   start_new_session=True)
        code = wait(process, timeout_s)
    elapsed = time.monotonic() - start
    if code:
        raise Failed(f"{'timeout' if code < 0 else f'exit {code}'}: {' '.join(command.words())[:300]}: "
                     f"{told.read_text(errors='replace')[-600:].strip()}")
    used = json.loads(report.read_text())
    helped = sum(map(process_s, command.servants)) - helped
    rest = busy_s() - before - (sum(map(process_s, servers)) - served) - helped - used["user_s"] - used["sys_s"]
    rss = max(used["rss_bytes"], *map(peak_bytes, command.servants)) if command.servants else used["rss_bytes"]
    return Run(used["wall_s"], used["user_s"] + helped, used["sys_s"], rss,
               max(0.0, rest) / (elapsed * os.cpu_count()), said.read_text(errors="replace"))


def wait(process: subprocess.Popen, timeout_s: float) -> int:
    """Ends the whole group when the time is over."""
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return -1
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def warm(paths: list[Path]) -> None:
    """Reads files, so that they are in the page cache."""
    buffer = bytearray(PIECE)
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def chill(paths: list[Path]) -> None:
    """Has the kernel forget files. What is dirty would stay, so sync first."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def cold_part(paths: list[Path]) -> float:
    """The part of the pages of these files that is not in the page cache."""
    libc, pages, resident = ctypes.CDLL(None, use_errno=True), 0, 0
    for path in paths:
        size = path.stat().st_size
        if not size:
            continue
        count = -(-size // PAGE)
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE,
                                                 prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
            vector, anchor = (ctypes.c_ubyte * count)(), ctypes.c_char.from_buffer(view)
            failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(anchor)), ctypes.c_size_t(size), vector)
            del anchor
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
        pages, resident = pages + count, resident + sum(b & 1 for b in bytes(vector))
    return 1 - resident / pages if pages else 0.0
