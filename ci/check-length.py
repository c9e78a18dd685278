#!/usr/bin/env python3
"""Length budget: functions up to 100 lines, files up to 500, headers up to 200.

The brace of a function stands in the first column of its own line, and so
does the one that closes it; nothing else in the code begins that way.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTION_MAX, FILE_MAX, HEADER_MAX, SCRIPT_MAX = 100, 500, 200, 300
HABIT = 50


def functions(lines: list[str]):
    """Yields (line number of the brace, name, lines in the body)."""
    start = 0
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start:
            head = " ".join(lines[max(0, start - 4):start - 1])
            names = re.findall(r"(\w+)\(", head)
            yield start, names[-1] if names else "?", number - start + 1
            start = 0


def budget_of(file: Path) -> int:
    return {".c": FILE_MAX, ".h": HEADER_MAX}.get(file.suffix, SCRIPT_MAX)


def main() -> int:
    problems, long_ones, count = [], 0, 0
    tops = {"liboci": "*.[ch]", "tools": "*.[ch]", "tests": "*.[ch]", "ci": "*.*", "tests/e2e": "*.py"}
    for file in sorted(f for top, glob in tops.items() for f in (ROOT / top).rglob(glob)):
        if "__pycache__" in file.parts:
            continue
        path, lines = file.relative_to(ROOT), file.read_text().splitlines()
        if len(lines) > budget_of(file):
            problems.append(f"{path}: {len(lines)} lines, the budget is {budget_of(file)}")
        if file.suffix != ".c":
            continue
        for start, name, length in functions(lines):
            count += 1
            long_ones += length > HABIT
            if length > FUNCTION_MAX:
                problems.append(f"{path}:{start}: {name} has {length} lines, the budget is {FUNCTION_MAX}")
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"length: {count} functions, {long_ones} of them above {HABIT} lines")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
