"""What machine this is, and what would make its figures doubtful."""
import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

import tool

QUIET_LOAD = 0.5


def field(path: str, name: str) -> str:
    """The first value of a `name : value` line."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def file_system(path: Path) -> str:
    """Its type, that of the deepest mount above `path`."""
    best, found = "", "?"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4]
        if f"{path.resolve()}/".startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, found = mount, right.split()[0]
    return found


def first_line(*command) -> str:
    try:
        run = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60)
    except OSError:
        return ""
    return next(iter((run.stdout or run.stderr).strip().splitlines()), "")


def build_type() -> str:
    """How the binary was built, from what meson left beside it."""
    options = Path(tool.release_binary()).resolve().parents[1] / "meson-info/intro-buildoptions.json"
    if not options.exists():
        return "unknown"
    values = {o["name"]: o["value"] for o in json.loads(options.read_text())}
    sanitizer = values.get("b_sanitize", "none")
    return values["buildtype"] + ("" if sanitizer in ("none", []) else f", sanitizer {sanitizer}")


def load() -> float:
    return os.getloadavg()[0]


def facts(work: Path) -> dict:
    release = platform.freedesktop_os_release()
    flags = field("/proc/cpuinfo", "flags").split() + field("/proc/cpuinfo", "Features").split()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(), "cpu": field("/proc/cpuinfo", "model name") or platform.machine(),
        "sha": bool({"sha_ni", "sha2"} & set(flags)),
        "memory_bytes": int(field("/proc/meminfo", "MemTotal").split()[0]) * 1024,
        "kernel": platform.release(), "system": release.get("PRETTY_NAME", "?"), "file_system": file_system(work),
        "load": load(), "build": build_type(),
        "commit": first_line("git", "-C", tool.ROOT, "describe", "--always", "--dirty", "--abbrev=12"),
    }


def doubts(found: dict) -> list[str]:
    out = []
    if found["load"] > QUIET_LOAD:
        out.append(f"load average was {found['load']:.2f} at the start: something else was running")
    if not found["build"].startswith("release") or "sanitizer" in found["build"]:
        out.append(f"modelcar was not built for speed: {found['build']}")
    return out
