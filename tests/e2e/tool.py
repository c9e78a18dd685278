"""Runs the binary under test and looks at what it did."""
import atexit
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Exit codes are API; the numbers stand in README.md.
OK, USAGE, DIFFERENT, NOT_FOUND, REFUSED = 0, 2, 3, 10, 11
MISMATCH, MALFORMED, UNSUPPORTED, SOURCE = 13, 14, 15, 16
NETWORK, TLS, READ_ONLY, NOT_OURS, TAG_EXISTS, DAMAGED = 20, 22, 31, 34, 35, 40


def binary() -> str:
    return os.environ.get("MODELCAR", str(ROOT / "build/tools/modelcar"))


def release_binary() -> str:
    """For heavy data: the one without sanitizers, when there are two."""
    return os.environ.get("MODELCAR_RELEASE", binary())


@dataclass
class Result:
    args: list[str]
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line a command prints as its result."""
        lines = self.out.strip().splitlines()
        assert len(lines) == 1, f"one line was expected on stdout, not {self.out!r}"
        return lines[0]

    @property
    def digest(self) -> str:
        return self.line.rsplit("@", 1)[1]

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"{' '.join(self.args)}\nexit {self.code}\nstdout: {self.out[-2000:]}\nstderr: {self.err[-4000:]}"


def run(*args, env: dict | None = None, binary_path: str | None = None, timeout: float = 600, **popen) -> Result:
    """Runs `modelcar ARGS…` to its end, whatever that is; a sanitizer's report fails the test."""
    command = [binary_path or binary(), *map(str, args)]
    process = subprocess.run(command, env=clean_env(env), capture_output=True, text=True, errors="replace",
                             timeout=timeout, **popen)
    result = Result(command, process.returncode, process.stdout, process.stderr)
    assert "Sanitizer" not in result.err and "runtime error:" not in result.err, str(result)
    return result


def ok(*args, **options) -> Result:
    result = run(*args, **options)
    assert result.code == OK, str(result)
    return result


def fails(code: int, *args, **options) -> Result:
    """Expects this exit code, nothing on stdout and one line that says why on stderr."""
    result = run(*args, **options)
    assert result.code == code, f"exit {code} was expected\n{result}"
    assert result.out == "", str(result)
    assert len(error_lines(result)) == 1, f"one line of error was expected\n{result}"
    return result


def error_lines(result: Result) -> list[str]:
    """The closing lines of stderr that carry the program's name; progress before them does not count."""
    return [line for line in result.err.splitlines() if line.startswith("modelcar: ")]


@functools.cache
def home() -> str:
    """An empty one for as long as these tests run: what the tool remembers there is of no other run's."""
    path = tempfile.mkdtemp(prefix="modelcar-home-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def clean_env(extra: dict | None) -> dict:
    """The caller's environment without credentials and settings of the user at the keyboard."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MODELCAR_", "DOCKER_", "REGISTRY_"))}
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        env.pop(name, None)
    env["HOME"] = home()
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=1:abort_on_error=0:exitcode=99"
    env["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1:exitcode=99"
    return {**env, **(extra or {})}


@dataclass
class Usage:
    code: int
    rss_bytes: int
    seconds: float
    out: str


def measure(*args, log: Path) -> Usage:
    """Runs the release binary and reports the peak of its resident memory.

    That is VmHWM, looked at until the end: ru_maxrss would count the memory of
    this interpreter, which the child shares until it execs.
    """
    start, peak = time.monotonic(), 0
    with open(log, "wb") as out:
        process = subprocess.Popen([release_binary(), *map(str, args)], stdout=out, stderr=subprocess.STDOUT,
                                   env=clean_env(None))
        while process.poll() is None:
            peak = max(peak, high_water(process.pid))
            time.sleep(0.01)
    return Usage(process.returncode, peak, time.monotonic() - start, log.read_text())


def high_water(pid: int) -> int:
    """VmHWM of a process that has exec'ed, in bytes; 0 once it has ended."""
    try:
        if os.readlink(f"/proc/{pid}/exe") != os.path.realpath(release_binary()):
            return 0
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return 0
