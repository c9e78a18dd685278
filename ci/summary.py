#!/usr/bin/env python3
"""Sums the JUnit files of a run: what failed, what was skipped, by name, and one closing line.

usage: summary.py RESULTS [STEP…]    STEP: a step of ci/test.sh that failed and has no report that says so
"""
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def outcome(case: ElementTree.Element) -> tuple[str, str]:
    """passed, failed or skipped, and why."""
    for kind, tags in (("failed", ("failure", "error")), ("skipped", ("skipped",))):
        for tag in tags:
            if (found := case.find(tag)) is not None:
                return kind, (found.get("message") or "no reason given").splitlines()[0][:200]
    return "passed", ""


def parse(file: Path) -> ElementTree.Element:
    """A failed test may have printed anything: what no XML may hold is left out."""
    text = file.read_text(errors="replace")
    return ElementTree.fromstring(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|&#(x[0-9a-f]+|\d+);",
                                         "", text, flags=re.I))


def read(results: Path):
    for file in sorted(results.glob("*.xml")):
        for case in parse(file).iter("testcase"):
            name = f"{file.stem}: {case.get('classname', '')}::{case.get('name')}"
            yield name, *outcome(case)


def main() -> int:
    results, broken = Path(sys.argv[1]), sys.argv[2:]
    counts, skipped, failed = Counter(), [], []
    for name, kind, why in read(results):
        counts[kind] += 1
        if kind == "skipped":
            skipped.append(f"  {name}: {why}")
        elif kind == "failed":
            failed.append(f"  {name}: {why}")
    counts["failed"] += len(broken)
    for title, lines in (("failed", failed + [f"  {s}" for s in broken]), ("skipped", skipped)):
        if lines:
            print(f"{title}:", *lines, sep="\n")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or broken or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
