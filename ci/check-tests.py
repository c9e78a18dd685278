#!/usr/bin/env python3
"""No test is forgotten: every file is built or collected, every test function runs."""
import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"


def check_c_file(file: Path) -> list[str]:
    """The file stands in its meson.build, and each of its tests in its list."""
    path, text = file.relative_to(ROOT), file.read_text()
    build = (file.parent / "meson.build").read_text()
    noun = file.stem.removeprefix("test_")
    found = []
    if f"'{noun}'" not in build and file.name not in build:
        found.append(f"{path}: not in {path.parent}/meson.build")
    defined = re.findall(r"^(?:static )?void (\w+)\(void \*\*\w+\)\s*\{", text, re.M)
    listed = set(re.findall(r"\b(?:cmocka_\w+|TEST\w*)\s*\(\s*(\w+)", text))
    for name in defined:
        if name not in listed and len(re.findall(rf"\b{name}\b", text)) < 2:
            found.append(f"{path}: {name} is never run")
    return found


def check_nouns(build: Path) -> list[str]:
    """The other way round: nothing is listed that is not there."""
    listed = re.search(r"nouns\s*=\s*\[(.*?)\]", build.read_text(), re.S)
    nouns = re.findall(r"'(\w+)'", listed[1]) if listed else []
    return [f"{build.relative_to(ROOT)}: no test_{n}.c" for n in nouns if not (build.parent / f"test_{n}.c").exists()]


def test_names(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    return [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]


def check_py_file(file: Path) -> list[str]:
    """A second test of the same name would hide the first."""
    path, names = file.relative_to(ROOT), test_names(file)
    found = [] if names else [f"{path}: holds no test"]
    return found + [f"{path}: {n} is defined twice" for n in sorted(set(names)) if names.count(n) > 1]


def check_collected(files: list[Path]) -> list[str]:
    """pytest itself finds every file and every test in it."""
    if not importlib.util.find_spec("pytest"):
        print("tests: pytest is not here, what it collects was not compared")
        return []
    run = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider",
                          str(TESTS / "e2e")], capture_output=True, text=True, cwd=ROOT,
                         env={**os.environ, "MODELCAR_FULL": "1"})
    if run.returncode not in (0, 5):
        return ["tests/e2e: pytest cannot collect:\n" + run.stdout[-2000:]]
    return [f"{f.relative_to(ROOT)}: {n} is not collected" for f in files for n in test_names(f)
            if not re.search(rf"{f.name}::{n}(\[|$)", run.stdout, re.M)]


def main() -> int:
    c_files = sorted(f for top in ("unit", "store") for f in (TESTS / top).rglob("test_*.c"))
    py_files = sorted((TESTS / "e2e").rglob("test_*.py"))
    problems = [p for f in c_files for p in check_c_file(f)]
    problems += [p for b in sorted(TESTS.glob("unit/*/meson.build")) for p in check_nouns(b)]
    problems += [p for f in py_files for p in check_py_file(f)]
    problems += check_collected(py_files)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"tests: {len(c_files)} C files, {len(py_files)} Python files, none forgotten")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
