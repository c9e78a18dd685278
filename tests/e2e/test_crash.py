"""Killed at any system call, a pull leaves what was there or what shall be; the next run goes on to its end."""
import dataclasses
import random
import shutil

import pytest

import crashes
import models
import tool
import trees
from crash_case import Case

BLOCK = 4 * crashes.MIB
LEAST = 6  # points of each matrix that are tried every day


@pytest.fixture(params=["layout", "registry", "directory", "foreign"])
def refs(request, two_versions) -> tuple[str, str]:
    """Both versions at one kind of source, or as another tool writes them."""
    if request.param == "directory":
        return f"dir:{two_versions[0]}", f"dir:{two_versions[1]}"
    if request.param == "layout":
        return request.getfixturevalue("two_refs")
    if request.param == "foreign":
        return request.getfixturevalue("two_foreign_refs")
    return crashes.pack_versions(two_versions, request.getfixturevalue("registry").ref("test/crash"))


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path):
    return tmp_path if request.param == "disk" else request.getfixturevalue("memory_place")


@pytest.fixture(params=crashes.MODES, ids=lambda mode: mode.name)
def case(request, refs, two_versions, place, tmp_path):
    mode = request.param
    if refs[0].startswith("dir:"):  # so that each run calls what the first one has called
        mode = dataclasses.replace(mode, options=(*mode.options, "--no-cache"))
    return Case(mode, refs, two_versions, place, tmp_path)


@pytest.mark.matrix(3)
@pytest.mark.parametrize("act", ["kill-before", "kill-after"])
def test_a_killed_pull_is_whole_or_absent_and_goes_on(case, act, request):
    draw = random.Random(f"{models.SEED} {request.node.name}")
    problems = []
    for at in crashes.points(case.calls(), draw, LEAST):
        try:
            case.crash(act, at)
        except AssertionError as problem:
            problems.append(str(problem).split("\nassert ")[0])
    if not problems:
        assert "unchanged" in case.finish("once more").err
    assert not problems, f"{len(problems)} problems\n" + "\n".join(problems[:20])


def test_what_a_killed_pull_has_written_is_not_fetched_again(tmp_path, registry, repo):
    """But for the block that each connection was at."""
    size, connections = 10 * BLOCK + 12345, 4
    models.write(tmp_path / "tree", {"model.bin": random.Random(models.SEED).randbytes(size)})
    tool.ok("pack", tmp_path / "tree", f"{repo}:v1")
    pull = ["pull", "--json", "--jobs", connections, f"{repo}:v1"]
    writes = crashes.run(*pull, tmp_path / "whole", root=tmp_path, kinds="write").calls
    for at in random.Random(models.SEED).sample(range(1, len(writes) + 1), 40 if crashes.FULL else 4):
        killed = crashes.run(*pull, tmp_path / "m", root=tmp_path, kinds="write", act="kill-before", at=at)
        landed = sum(int(call.split()[2]) for call in killed.calls[:at - 1])
        again = tool.ok(*pull, tmp_path / "m", binary_path=tool.release_binary()).json["bytesFetched"]
        assert landed + again <= size + connections * BLOCK + crashes.MIB, f"killed before {at} of {len(writes)} writes"
        shutil.rmtree(tmp_path / "m")


def test_a_run_in_another_mode_leaves_nothing_of_one_that_was_killed(two_refs, two_versions, tmp_path):
    dest = tmp_path / "place/m"
    (tmp_path / "place").mkdir()
    tool.ok("pull", two_refs[0], dest)
    crashes.run("pull", "--publish", "in-place", two_refs[1], dest, root=tmp_path, kinds="chmod", act="kill-before", at=4)
    assert list(dest.parent.glob(".modelcar.*.[0-9].part")) or list(dest.parent.glob(".modelcar.*.[0-9][0-9].part"))
    tool.ok("pull", two_refs[1], dest)
    assert crashes.look(dest) == crashes.look(two_versions[1])
    assert not [path.name for path in dest.parent.iterdir() if path != dest and not path.name.endswith(".old.part")]


def test_directories_that_are_empty_after_an_update_go_though_it_was_killed(tmp_path):
    dest = tmp_path / "place/m"
    (tmp_path / "place").mkdir()
    for tag, files in (("v1", {"a.json": "1", "b/c/d.json": "1"}), ("v2", {"a.json": "2"})):
        tool.ok("pack", models.write(tmp_path / tag, files), f"oci:{tmp_path}/l:{tag}")
    for at in range(1, 100):
        shutil.rmtree(dest, ignore_errors=True)
        tool.ok("pull", f"oci:{tmp_path}/l:v1", dest)
        update = ("pull", "--publish", "in-place", f"oci:{tmp_path}/l:v2", dest)
        if crashes.run(*update, root=tmp_path, kinds="unlink", act="kill-after", at=at).result.code == tool.OK:
            break
        tool.ok(*update)
        assert {path.name for path in dest.iterdir()} == {"a.json", trees.RECORD}, at
    assert at > 3


def test_a_killed_repair_is_ended_by_the_next(two_refs, two_versions, tmp_path):
    dest = tmp_path / "place/m"
    (tmp_path / "place").mkdir()
    for at in range(1, 100):
        shutil.rmtree(dest, ignore_errors=True)
        tool.ok("pull", two_refs[0], dest)
        models.flip(dest / "a.bin", 100)
        (dest / "config.json").write_text("damaged")
        killed = crashes.run("repair", dest, root=tmp_path, kinds="rename", act="kill-after", at=at)
        if killed.result.code == tool.OK:
            break
        tool.ok("repair", dest)
        assert crashes.look(dest) == crashes.look(two_versions[0]), killed.calls[-1]
        assert [path.name for path in dest.parent.iterdir()] == ["m"], killed.calls[-1]
    assert at > 3


@pytest.mark.parametrize("mode", crashes.MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("act", ["kill-before", "kill-after"])
def test_of_a_foreign_image_nothing_is_fetched_once_all_has_landed(mode, act, two_foreign_refs, two_versions,
                                                                   memory_place, tmp_path):
    """Wherever the way to the tree was cut: parts that have moved already are found again."""
    case = Case(mode, two_foreign_refs, two_versions, memory_place, tmp_path)
    calls = case.calls()
    landed = min(n for n, call in enumerate(calls, 1) if "mkdirat .modelcar" in call or ".record.part" in call)
    draw = random.Random(f"{models.SEED} {mode.name} {act}")
    points = range(landed, len(calls) + 1)
    assert len(points) > 20
    for at in points if crashes.FULL else draw.sample(points, 8):
        crashes.put_back(case.template, case.dest)
        case.pull(act=act, at=at)
        crashes.age(case.dest.parent)
        assert case.finish(f"{act} {calls[at - 1]}").json["bytesFetched"] == 0, f"{act} {calls[at - 1]}"
