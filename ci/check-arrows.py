#!/usr/bin/env python3
"""Includes follow the arrows between rooms, and a dependency has one door.

tools -> engine -> {store, source, sign, model} -> http -> stream -> core -> base
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [{"base"}, {"core"}, {"stream"}, {"http"}, {"model", "source", "store", "sign"}, {"engine"}, {"tools"}]
# A header of a dependency: the files that may include it.
DOORS = {
    r"curl/.*": r"liboci/http/.*",
    r"archive(_entry)?\.h": r"liboci/stream/.*",
    r"zstd.*\.h": r"liboci/stream/zstd\.c",
    r"zlib\.h": r"liboci/stream/.*",
    r"openssl/.*": r"liboci/(core/digest[a-z0-9_]*\.c|http/tls\.c|sign/.*)",
    r"jansson\.h": r"liboci/core/json\.c",
    r"yaml\.h": r"liboci/core/yaml\.c",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def floor_of(room: str) -> int:
    return next((i for i, rooms in enumerate(FLOORS) if room in rooms), -1)


def room_of(path: str) -> str:
    parts = path.split("/")
    return parts[1] if parts[0] == "liboci" and len(parts) > 2 else parts[0]


def arrow_problem(path: str, target: str) -> str | None:
    """What is wrong with `path` including the project header `target`."""
    source = room_of(path)
    if "/" not in target:
        return None if source == "tools" else "a room's header is included as \"room/name.h\""
    room = target.split("/")[0]
    if floor_of(room) < 0:
        return f"no room is called '{room}'"
    if not (ROOT / "liboci" / target).is_file():
        return "there is no such header"
    if room != source and floor_of(room) >= floor_of(source):
        return f"{source} may not see {room}"
    return None


def door_problem(path: str, target: str) -> str | None:
    """What is wrong with `path` including the system header `target`."""
    for header, door in DOORS.items():
        if re.fullmatch(header, target) and not re.fullmatch(door, path):
            return f"its door is {door}"
    return None


def problems_in(file: Path) -> list[str]:
    path = file.relative_to(ROOT).as_posix()
    text = file.read_text()
    found = []
    if floor_of(room_of(path)) < 0:
        found.append(f"{path}: lies in no known room")
    for match in INCLUDE.finditer(text):
        check = arrow_problem if match[1] == '"' else door_problem
        if problem := check(path, match[2]):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: includes {match[2]}: {problem}")
    if path.endswith(".h") and re.search(r"\bjson_t\b", text):
        found.append(f"{path}: json_t in a header")
    return found


def main() -> int:
    files = [f for top in ("liboci", "tools") for f in sorted((ROOT / top).rglob("*.[ch]"))]
    problems = [p for f in files for p in problems_in(f)]
    print("\n".join(problems) or f"arrows: {len(files)} files", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
