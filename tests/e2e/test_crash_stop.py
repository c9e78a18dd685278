"""A writer is stopped, another takes over and publishes, and the first one wakes up."""
import dataclasses
import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import crashes
import models
import tool
from crash_case import Case, brief

BUSY = 33
WRITERS = 8  # each waits half a minute for the lease of one that stands still
STOPPED = 60


class Sleeper(Case):
    """A place of its own in which a writer is stopped before call `at`."""

    def wake_after_the_other(self, at: int, name: str) -> str:
        """What went wrong, or ""."""
        what = f"{self.mode.name}, stopped before {name}"
        crashes.put_back(self.template, self.dest)
        self.books.mkdir()
        command = ["pull", *self.mode.options, self.refs[1], self.dest]
        sleeper = crashes.start(*command, root=self.books, act="stop-before", at=at, lack=self.mode.lack)
        try:
            assert crashes.stands(sleeper)
            other = tool.run(*command, binary_path=tool.release_binary())
            assert other.code == tool.OK, f"{what}: the other: {brief(other)}"
            assert crashes.look(self.dest / self.mode.inside) == self.two, f"{what}: the other's tree"
            sleeper.send_signal(signal.SIGCONT)
            out, err = sleeper.communicate(timeout=STOPPED)
        finally:
            sleeper.kill()
            sleeper.wait()
        ended = brief(tool.Result(command, sleeper.returncode, out, err))
        assert sleeper.returncode in (tool.OK, BUSY), f"{what}: woke up: {ended}"
        assert crashes.look(self.dest / self.mode.inside) == self.two, f"{what}: not v2 after it woke up: {ended}"
        self.finish(what)
        return ""

    def report(self, at: int, name: str) -> str:
        try:
            return self.wake_after_the_other(at, name)
        except AssertionError as problem:
            return str(problem).split("\nassert ")[0]


@pytest.mark.parametrize("refs", ["two_refs", "two_foreign_refs"])
@pytest.mark.parametrize("mode", [m for m in crashes.MODES if m.name != "aside"], ids=lambda mode: mode.name)
def test_a_stopped_writer_does_no_harm_when_it_wakes_up(mode, refs, two_versions, memory_place, tmp_path, request):
    # What was under way when it was stopped may touch a file that the other has published: that is read and published again.
    mode = dataclasses.replace(mode, leaves_old=True)
    refs = request.getfixturevalue(refs)
    calls = Case(mode, refs, two_versions, memory_place, tmp_path).calls()
    draw = random.Random(f"{models.SEED} {mode.name}")
    least = 4 * WRITERS if crashes.FULL else WRITERS
    renames = [n for n in range(1, len(calls) + 1) if "rename" in calls[n - 1]]
    chosen = draw.sample(renames, min(len(renames), least // 2))
    chosen += draw.sample(range(1, len(calls) + 1), least - len(chosen))
    with ThreadPoolExecutor(4 * WRITERS) as pool:
        jobs = [pool.submit(Sleeper(mode, refs, two_versions, memory_place / str(i), tmp_path / str(i)).report, at, calls[at - 1])
                for i, at in enumerate(chosen)]
        problems = [problem for job in jobs if (problem := job.result())]
    assert not problems, f"{len(problems)} problems\n" + "\n".join(problems)


def test_who_wakes_up_while_the_other_works_leaves_it_its_work(two_refs, two_versions, tmp_path):
    command = ["pull", two_refs[1], tmp_path / "place/m"]
    (tmp_path / "place").mkdir()
    at = {"first": ("write", 2), "other": ("sync", 2)}  # the first of each are of the lease
    runs = []
    try:
        for name, (kinds, number) in at.items():
            (tmp_path / name).mkdir()
            runs.append(crashes.start(*command, root=tmp_path / name, act="stop-before", kinds=kinds, at=number))
            assert crashes.stands(runs[-1]), name
        for run, code in zip(runs, (BUSY, tool.OK)):
            run.send_signal(signal.SIGCONT)
            out, err = run.communicate(timeout=STOPPED)
            assert run.returncode == code, err
    finally:
        for run in runs:
            run.kill()
            run.wait()
    assert crashes.look(tmp_path / "place/m") == crashes.look(two_versions[1])
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["m"]
