"""System calls that fail: a pull gets over it or says why not, what was there stays whole, and the next run is through."""
import errno
import random

import pytest

import crashes
import models
import tool
from crash_case import Case

NO_SPACE, READ_ONLY, IO = 30, tool.READ_ONLY, 32
LEAST = 2  # occurrences of each failure that are tried every day
FOR_GOOD = 0
# What fails, how, and the exit code where it matters; 0: it never does.
ERRORS = {
    "create": {"ENOSPC": NO_SPACE, "EDQUOT": NO_SPACE, "EACCES": READ_ONLY, "EROFS": READ_ONLY, "EMFILE": IO,
               "ENFILE": IO, "EIO": IO},
    "write": {"ENOSPC": NO_SPACE, "EDQUOT": NO_SPACE, "EFBIG": NO_SPACE, "EIO": IO, "EINTR": 0, "short": 0},
    "truncate": {"ENOSPC": NO_SPACE, "EIO": IO},
    "allocate": {"EOPNOTSUPP": 0, "ENOSPC": NO_SPACE, "EINTR": 0},
    "copy": {"EXDEV": 0, "EOPNOTSUPP": 0, "EINVAL": 0, "short": 0},
    "clone": {"EOPNOTSUPP": 0, "EXDEV": 0},
    "sync": {"EIO": IO, "ENOSPC": NO_SPACE, "EDQUOT": NO_SPACE, "EINTR": 0, "EINVAL": 0},
    "rename": {"ENOSPC": NO_SPACE, "EDQUOT": NO_SPACE, "EIO": IO, "EXDEV": IO, "EBUSY": IO},
    "renameat2": {"EINVAL": 0, "ENOSYS": 0},
    "link": {"EMLINK": 0, "EPERM": 0, "EXDEV": 0, "EOPNOTSUPP": 0},
    "symlink": {"EPERM": READ_ONLY, "ENOSPC": NO_SPACE},
    "unlink": {"EPERM": READ_ONLY, "EIO": IO},
    "mkdir": {"ENOSPC": NO_SPACE, "EDQUOT": NO_SPACE, "EMLINK": IO, "EACCES": READ_ONLY},
    "chmod": {"EPERM": READ_ONLY, "EROFS": READ_ONLY},
    "utimes": {"EPERM": READ_ONLY},
    "openat2": {"ENOSYS": 0, "EPERM": 0, "EAGAIN": IO},
    "flock": {"ENOLCK": 0, "EOPNOTSUPP": 0, "EWOULDBLOCK": 0},
    "direct": {"EINVAL": 0},
    "random": {"ENOSYS": IO},
}
PAIRS = [(kind, name) for kind, errors in ERRORS.items() for name in errors]
MODES = [mode for mode in crashes.MODES if mode.name != "aside"]


@pytest.fixture(params=["two_refs", "two_foreign_refs"], ids=["own", "foreign"])
def refs(request) -> tuple[str, str]:
    return request.getfixturevalue(request.param)


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def case(request, refs, two_versions, memory_place, tmp_path):
    return Case(request.param, refs, two_versions, memory_place, tmp_path)


def act_of(name: str) -> str:
    return name if name == "short" else str(getattr(errno, name))


def matters(kind: str, calls: list[str]) -> bool:
    """Does one of them have to succeed? What is left of our own work is the next run's to remove."""
    return any(kind != "unlink" or not (".modelcar." in call or call.endswith(" journal")) for call in calls)


@pytest.mark.matrix(4)
@pytest.mark.parametrize("kind,name", PAIRS, ids=lambda value: value)
def test_a_call_that_fails_is_got_over_or_reported(case, kind, name, request):
    """Once at each occurrence, and from there on for good; unless there is no such call in this mode."""
    outcome, problems, codes = ERRORS[kind][name], [], set()
    calls = case.calls(kinds=kind)
    draw = random.Random(f"{models.SEED} {request.node.name}")
    for at in crashes.points(calls, draw, LEAST):
        for times in (1, FOR_GOOD) if name != "EINTR" else (1,):
            try:
                codes.add(case.fail(kind, act_of(name), at, times, outcome))
            except AssertionError as problem:
                problems.append(str(problem).split("\nassert ")[0])
    assert not problems, f"{len(problems)} problems\n" + "\n".join(problems[:20])
    must_show = crashes.FULL and bool(outcome) and matters(kind, calls)
    assert outcome in codes or not must_show, f"no run ended with {outcome}"
