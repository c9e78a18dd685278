"""Odd trees, odd places, and runs that are killed, cut off or in each other's way."""
import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

import models
import tool
import trees
from images import member, tar
from trees import Layout

MIB = 1 << 20
ENTRY_MAX = 100_000  # files of one image
NO_SPACE = 30


@pytest.fixture
def slow(tmp_path) -> Path:
    """A model that takes long enough to be interrupted."""
    tree = tmp_path / "slow"
    for i in range(4):
        models.sparse(tree, 128 * MIB, name=f"part-{i}.bin")
    return tree


@contextlib.contextmanager
def running(*args):
    process = subprocess.Popen([tool.binary(), *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=tool.clean_env(None))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def hidden(place: Path) -> list[Path]:
    """Temporaries of ours, at any depth."""
    return list(place.rglob(".*.part"))


def size(path: Path) -> int:
    """0 for what goes away while it is looked at."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def interrupt(place: Path, number: signal.Signals, *args) -> tuple[int, str]:
    """Runs until a large file grows below `place`, then sends the signal: -> exit status, stderr."""
    with running(*args) as process:
        deadline = time.monotonic() + 60
        while not any(size(path) > MIB for path in place.rglob("*")):
            assert process.poll() is None and time.monotonic() < deadline, "it ended before it could be interrupted"
            time.sleep(0.005)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err


def age(paths: list[Path], seconds: float = 60) -> None:
    """Makes temporaries look as if nobody had written to them for a while."""
    for path in paths:
        for at in [path, *path.rglob("*")]:
            os.utime(at, (time.time() - seconds,) * 2, follow_symlinks=False)


TREES = {
    "one file": {"a.txt": "x"},
    "empty files only": {"a": "", "b": "", "d/c": ""},
    "names of 255 bytes": {"x" * 255: "1", "y" * 255 + "/" + "z" * 255: "2"},
    "deep directories": {"/".join(f"d{i}" for i in range(200)) + "/leaf": "deep"},
    "names beyond ASCII": {"ü€😀 name/ß": "1", "日本語": "2"},
}


@pytest.mark.parametrize("what", TREES)
def test_odd_trees_come_back(tmp_path, what):
    tree = models.write(tmp_path / "tree", TREES[what])
    ref = f"oci:{tmp_path}/l:v1"
    tool.ok("pack", tree, ref)
    tool.ok("pull", ref, tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")
    tool.ok("verify", tmp_path / "out")
    tool.ok("diff", ref, tmp_path / "out")
    listed = [line[16:] for line in tool.ok("ls", ref).out.splitlines()]
    assert listed == sorted(TREES[what], key=str.encode)


def test_more_files_than_an_image_can_list_are_refused_before_anything_is_written(tmp_path):
    (tmp_path / "tree").mkdir()
    for i in range(ENTRY_MAX + 1):
        os.close(os.open(tmp_path / f"tree/{i}", os.O_CREAT))
    tool.fails(tool.UNSUPPORTED, "pack", tmp_path / "tree", f"oci:{tmp_path}/l:v1")
    assert not (tmp_path / "l").exists()


def test_a_whiteout_of_a_sibling_leaves_the_model_alone(tmp_path, foreign):
    lower = foreign.layer(tar(member("model", b"x"), member("models"), member("models/a", b"1")))
    foreign.image("v1", lower, foreign.layer(tar(member(".wh.model", b""), member("models/b", b"2"))))
    tool.ok("pull", foreign.ref("v1"), tmp_path / "out")
    assert set(trees.tree(tmp_path / "out")) == {"a", "b"}


def test_a_file_below_which_an_upper_layer_puts_others_is_not_listed(tmp_path, foreign):
    foreign.image("v1", foreign.layer(tar(member("models/a/b", b"1"))), foreign.layer(tar(member("models/a", b"2"))))
    tool.ok("pull", foreign.ref("v1"), tmp_path / "out")
    assert set(trees.tree(tmp_path / "out")) == {"a"}
    assert [f["path"] for f in tool.ok("ls", "--json", foreign.ref("v1")).json["files"]] == ["a"]


def test_a_modelpack_artifact_is_listed_and_verified_as_it_lands(tmp_path):
    """Its small files share tars, which hold the image's names."""
    tree = models.many_files(tmp_path / "tree", 40)
    ref = f"oci:{tmp_path}/l:v1-modelpack"
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1", "--modelpack")
    tool.ok("pull", ref, tmp_path / "out")
    listed = {f["path"] for f in tool.ok("ls", "--json", ref).json["files"]}
    assert listed == set(trees.tree(tmp_path / "out")) == set(trees.tree(tree))
    tool.ok("verify", "--against", ref, tmp_path / "out")


def test_a_fifo_does_not_pass_for_an_empty_file(tmp_path):
    tree = models.write(tmp_path / "tree", {"a": "", "b": "x"})
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    (tmp_path / "out/a").unlink()
    os.mkfifo(tmp_path / "out/a")
    result = tool.run("verify", tmp_path / "out")
    assert result.code == tool.DAMAGED and "changed  a" in result.out, str(result)
    assert tool.run("diff", tree, tmp_path / "out").code == tool.DIFFERENT


def test_names_that_are_not_utf_8_do_not_spoil_a_result(tmp_path):
    tree = models.write(tmp_path / "tree", {"a.txt": "x"})
    (Path(os.fsdecode(os.fsencode(tree) + b"/bad\xff\x1b[31m~"))).write_bytes(b"")
    for args in (["pack", "--json", tree, f"oci:{tmp_path}/l:v1"], ["check", "--json", tree]):
        assert tool.ok(*args).json["skipped"][0]["path"] == "bad\\xff\\x1b[31m~"
    assert "\x1b" not in tool.ok("ls", tree).out
    assert len(tool.ok("ls", "--json", tree).json["files"]) == 2


@pytest.mark.parametrize("dest", ["out/", "./out", "link/out", "there/../out"])
def test_a_destination_may_be_written_in_many_ways(tmp_path, packed, model, dest):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    tool.ok("pull", f"oci:{packed}:v1", dest, cwd=tmp_path)
    trees.assert_same(model, tmp_path / ("there/out" if dest.startswith("link") else "out"))
    assert not hidden(tmp_path)


@pytest.mark.parametrize("dest, code", [
    (".", tool.NOT_OURS), ("dangling", tool.NOT_OURS), ("absent/out", tool.NOT_FOUND),
    ("file/out", tool.USAGE), ("/", tool.USAGE), ("", tool.USAGE)])
def test_a_destination_that_cannot_be_made_is_said_to_be_so(tmp_path, packed, dest, code):
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "dangling").symlink_to("nowhere")
    tool.fails(code, "pull", f"oci:{packed}:v1", dest, cwd=tmp_path)
    assert not hidden(tmp_path) and (tmp_path / "file").read_text() == "kept"


def test_a_result_that_cannot_be_written_is_a_failure(packed):
    with open("/dev/full", "w") as full:
        process = subprocess.run([tool.binary(), "ls", f"oci:{packed}:v1"], stdout=full, stderr=subprocess.PIPE,
                                 env=tool.clean_env(None))
    assert process.returncode == 32


RUNS = {"pull": ["pull", "oci:{0}/l:v1", "{0}/place/out"], "layout": ["pack", "{0}/slow", "oci:{0}/place/l:v1"],
        "archive": ["pack", "{0}/slow", "oci-archive:{0}/place/a.tar:v1"]}


@pytest.fixture(params=RUNS)
def long_run(request, tmp_path, slow):
    (tmp_path / "place").mkdir()
    if request.param == "pull":
        tool.ok("pack", slow, f"oci:{tmp_path}/l:v1", binary_path=tool.release_binary())
    return tmp_path / "place", [word.format(tmp_path) for word in RUNS[request.param]]


def limit_file_sizes():
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, 4 * MIB))


def test_a_full_disk_is_exit_30_and_leaves_nothing_half_written(long_run):
    """The limit on the size of a file stands in for the disk."""
    place, args = long_run
    tool.fails(NO_SPACE, *args, preexec_fn=limit_file_sizes)
    assert not hidden(place) and not (place / "out").exists() and not (place / "a.tar").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_in_order_and_nothing_is_left(long_run, number):
    place, args = long_run
    code, err = interrupt(place, number, *args)
    assert code == 128 + number, err
    assert not (place / "out").exists() and not (place / "a.tar").exists()
    assert not hidden(place) or "is kept" in err  # what a pull has fetched


def test_what_a_killed_run_left_is_swept_away_by_the_next(long_run):
    place, args = long_run
    code, _ = interrupt(place, signal.SIGKILL, *args)
    left = hidden(place)
    assert code == -signal.SIGKILL and left
    age(left)
    tool.ok(*args, binary_path=tool.release_binary())
    assert not hidden(place)


def test_what_a_live_run_holds_is_not_swept_away(tmp_path, slow, packed):
    tool.ok("pack", slow, f"oci:{tmp_path}/l:v1", binary_path=tool.release_binary())
    (tmp_path / "place").mkdir()
    with running("pull", f"oci:{tmp_path}/l:v1", tmp_path / "place/slow") as process:
        while not hidden(tmp_path / "place"):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGSTOP)
        held = hidden(tmp_path / "place")
        age(held)
        tool.ok("pull", f"oci:{packed}:v1", tmp_path / "place/other")
        assert hidden(tmp_path / "place") == held
        process.send_signal(signal.SIGCONT)
        assert process.wait(timeout=120) == 0
    tool.ok("verify", tmp_path / "place/slow", binary_path=tool.release_binary())


def test_packs_at_the_same_time_into_one_layout_keep_all_tags(tmp_path):
    with contextlib.ExitStack() as stack:
        for i in range(6):
            models.write(tmp_path / f"tree-{i}", {"w.bin": os.urandom(MIB)})
        packs = [stack.enter_context(running("pack", tmp_path / f"tree-{i}", f"oci:{tmp_path}/l:t{i}"))
                 for i in range(6)]
        assert [p.wait(timeout=120) for p in packs] == [0] * 6
    layout = Layout(tmp_path / "l")
    layout.check()
    for i in range(6):
        layout.tagged(f"t{i}")
    assert not hidden(tmp_path)


def test_of_pulls_at_the_same_time_to_one_place_one_works_and_all_are_served(tmp_path, packed, model):
    with contextlib.ExitStack() as stack:
        pulls = [stack.enter_context(running("pull", f"oci:{packed}:v1", tmp_path / "out")) for _ in range(4)]
        assert [p.wait(timeout=120) for p in pulls] == [0] * 4
    trees.assert_same(model, tmp_path / "out")
    tool.ok("verify", tmp_path / "out")
    assert trees.leftovers(tmp_path, {"out"}) == set()


def test_a_killed_pull_does_not_look_like_a_model(tmp_path, slow):
    tool.ok("pack", slow, f"oci:{tmp_path}/l:v1", binary_path=tool.release_binary())
    (tmp_path / "place").mkdir()
    interrupt(tmp_path / "place", signal.SIGKILL, "pull", f"oci:{tmp_path}/l:v1", tmp_path / "place/out")
    assert all(p.name.startswith(".modelcar.") for p in (tmp_path / "place").iterdir())
