"""Version 2 comes over version 1, again and again, and something happens on the way."""
import signal
from pathlib import Path

import tool
from crashes import Holder, Mode, Ran, Reader, age, look, put_back, run


def brief(result: tool.Result) -> str:
    return f"exit {result.code} {' '.join(tool.error_lines(result)) or result.out[-300:]}"


class Case:
    """One matrix: a mode, a source, a file system; version 2 comes over version 1 again and again."""

    def __init__(self, mode: Mode, refs: tuple[str, str], versions: tuple[Path, Path], place: Path, books: Path):
        self.mode, self.refs, self.books = mode, refs, books
        self.one, self.two = map(look, versions)
        self.place, self.dest = place, place / "place/m"
        self.template = place / "template"
        if mode.had:
            put_back(self.template, self.dest)
            if mode.by_record:
                self.dest.mkdir()
            tool.ok("pull", *mode.options, refs[0], self.dest, binary_path=tool.release_binary())
            self.dest.rename(self.template)

    def pull(self, **how) -> Ran:
        with Holder(self.dest if self.mode.swaps else None) as holder, Reader(lambda: self.mode.eye(self.dest)) as reader:
            lack = ",".join(filter(None, (self.mode.lack, how.pop("lack", ""))))
            ran = run("pull", "--json", *self.mode.options, self.refs[1], self.dest, root=self.books, lack=lack, **how)
        self.check(reader.seen, f"{how}: {brief(ran.result)}: the reader")
        assert holder.is_whole, f"{how}: {brief(ran.result)}: who had the old tree open lost it"
        return ran

    def check(self, seen: list, what: str) -> None:
        names = {str(self.one): "v1", str(self.two): "v2", "None": "absent"}
        for one in seen:
            assert one in self.mode.allowed(self.one, self.two), f"{what} saw {names.get(str(one), one)}"

    def finish(self, what: str) -> tool.Result:
        """The same command again: version 2, whole, and nothing of ours beside it."""
        result = self.pull().result
        assert result.code == tool.OK, f"{what}: the rerun: {brief(result)}"
        assert look(self.dest / self.mode.inside) == self.two, what
        assert not self.mode.strangers(self.dest), f"{what}: {self.mode.strangers(self.dest)} left behind"
        return result

    def calls(self, **how) -> list[str]:
        """Those of a run that nobody interrupts."""
        put_back(self.template, self.dest)
        ran = self.pull(**how)
        assert ran.result.code == tool.OK, str(ran.result)
        return ran.calls

    def crash(self, act: str, at: int) -> None:
        put_back(self.template, self.dest)
        ran = self.pull(act=act, at=at)
        age(self.dest.parent)
        reached = len(ran.calls) >= at
        what = f"{self.mode.name}, {act} {ran.calls[at - 1] if reached else 'nothing'}"
        # Killed on one thread, another may not have come to write down the call before.
        assert ran.result.code in (-signal.SIGKILL, *[tool.OK] * (not reached)), f"{what}: {brief(ran.result)}"
        self.check([self.mode.eye(self.dest)], f"{what}: who came then")
        self.finish(what)

    def fail(self, kind: str, act: str, at: int, times: int, outcome: int) -> int:
        """Calls fail: the pull gets over it, or ends with this code and leaves what readers had."""
        put_back(self.template, self.dest)
        ran = self.pull(kinds=kind, act=act, at=at, times=times)
        age(self.dest.parent)
        what = f"{self.mode.name}, {act} from {ran.calls[at - 1] if len(ran.calls) >= at else 'nothing'}, {times} times"
        assert ran.result.code in (tool.OK, outcome), f"{what}: exit {outcome} was expected, not {brief(ran.result)}"
        self.check_end(ran.result, what)
        return ran.result.code

    def check_end(self, result: tool.Result, what: str) -> None:
        if result.code:
            assert result.out == "" and len(tool.error_lines(result)) == 1, f"{what}: {brief(result)}"
            self.check([self.mode.eye(self.dest)], f"{what}: who came then")
        else:
            assert look(self.dest / self.mode.inside) == self.two, f"{what}: {brief(result)}"
        self.finish(what)
