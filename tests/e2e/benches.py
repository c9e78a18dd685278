"""Runs the commands of tests/bench."""
import os
import subprocess
import sys

import tool

BENCH = tool.ROOT / "tests/bench"


def bench(*args, program: str = "bench.py", **env) -> subprocess.CompletedProcess:
    release = {"MODELCAR": tool.release_binary(), "MODELCAR_RELEASE": tool.release_binary()}
    return subprocess.run([sys.executable, BENCH / program, *map(str, args)], capture_output=True, text=True,
                          env={**os.environ, **release, **env}, timeout=1200)
