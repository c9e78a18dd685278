"""Destinations that are not what one expects: links, slashes, files in the way, and what is said of them."""
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import crashes
import images
import models
import tool
import trees


@pytest.fixture
def packed(tmp_path) -> tuple[str, Path]:
    """A model of three files in a layout, one in a directory: its reference and its tree."""
    tree = models.write(tmp_path / "tree", {"config.json": "{}", "sub/part.json": "[]", "model.bin": models.weights(100_000, 1)})
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    (tmp_path / "place").mkdir()
    return f"oci:{tmp_path}/l:v1", tree


def test_a_link_with_slashes_behind_it_is_followed(tmp_path, packed):
    ref, tree = packed
    (tmp_path / "place/m").mkdir()
    (tmp_path / "place/link").symlink_to("m")
    tool.ok("pull", ref, f"{tmp_path}/place/link//")
    trees.assert_same(tree, tmp_path / "place/m")
    assert (tmp_path / "place/link").is_symlink()
    assert "unchanged" in tool.ok("pull", ref, f"{tmp_path}/place/link/").err


def test_a_link_to_itself_is_the_destinations_fault(tmp_path, packed):
    (tmp_path / "place/loop").symlink_to("loop")
    assert "leads nowhere" in tool.fails(tool.NOT_OURS, "pull", packed[0], tmp_path / "place/loop").err


@pytest.mark.parametrize("command", ["verify", "repair", "gc"])
def test_a_file_where_a_directory_is_named_is_a_wrong_use(tmp_path, command):
    (tmp_path / "file").touch()
    assert "Not a directory" in tool.fails(tool.USAGE, command, tmp_path / "file").err


def test_a_directory_of_versions_takes_nothing_but_versions(tmp_path, packed):
    ref, _ = packed
    tool.ok("pull", "--publish", "version", ref, tmp_path / "v")
    assert "--publish version" in tool.fails(tool.NOT_OURS, "pull", ref, tmp_path / "v").err


@pytest.mark.parametrize("locked", ["index.json", "blobs/sha256"])
def test_a_layout_that_may_not_be_read_is_named(tmp_path, packed, unprivileged, locked):
    layout = tmp_path / "l"
    for parent in [*tmp_path.parents, tmp_path]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    mode = (layout / locked).stat().st_mode
    (layout / locked).chmod(0)
    try:
        result = tool.fails(tool.READ_ONLY, "inspect", f"oci:{layout}:v1", **unprivileged)
    finally:
        (layout / locked).chmod(mode)
    assert str(layout) in result.err and "ermission denied" in result.err, result.err


def test_a_directory_that_may_not_be_read_is_not_called_absent(tmp_path, packed, unprivileged):
    (tmp_path / "place/m").mkdir(mode=0)
    for parent in [*tmp_path.parents, tmp_path, tmp_path / "place"]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    assert "ermission denied" in tool.fails(tool.READ_ONLY, "verify", tmp_path / "place/m", **unprivileged).err


@pytest.mark.parametrize("way", ["directory for a file", "file for a directory", "link for a directory"])
@pytest.mark.parametrize("kind", ["own", "foreign"])
def test_what_is_in_the_way_of_an_adoption_is_named_and_left_alone(tmp_path, packed, foreign, way, kind):
    ref, tree = packed
    if kind == "foreign":
        foreign.image("v1", foreign.layer(images.tar(*images.files_of(tree))))
        ref = foreign.ref("v1")
    dest = tmp_path / "place/m"
    if way.startswith("directory"):
        obstacle = dest / "model.bin"
        (obstacle / "inner").mkdir(parents=True)
    else:
        dest.mkdir()
        obstacle = dest / "sub"
        obstacle.symlink_to(tmp_path) if way.startswith("link") else obstacle.write_text("mine")
    result = tool.fails(tool.NOT_OURS, "pull", "--adopt", ref, dest)
    assert "in the way" in result.err and "move it away" in result.err
    assert os.path.lexists(obstacle) and not (tmp_path / "part.json").exists()
    if obstacle.is_dir() and not obstacle.is_symlink():
        shutil.rmtree(obstacle)
    else:
        obstacle.unlink()
    assert tool.ok("pull", "--adopt", "--json", ref, dest).json["bytesFetched"] == 0
    trees.assert_same(tree, dest)


def test_more_files_than_a_pull_has_put_there_are_nothing_to_repair(tmp_path, packed):
    ref, tree = packed
    dest = models.write(tmp_path / "place/m", {"mine.txt": "mine"})
    tool.ok("pull", "--adopt", ref, dest)
    result = tool.run("verify", dest)
    assert result.code == tool.DAMAGED and "mine.txt" in result.err and "repair" not in result.err
    (dest / "config.json").unlink()
    assert "repair" in tool.run("verify", dest).err
    result = tool.run("verify", "--against", ref, dest)
    assert result.code == tool.DAMAGED and "repair" not in result.err and "--adopt" in result.err


def test_files_of_others_stay_through_an_update_where_that_is_asked_for(tmp_path, packed):
    ref, tree = packed
    models.write(tree, {"config.json": '{"v": 2}'})
    tool.ok("pack", tree, f"{ref[:-2]}v2")
    dest = models.write(tmp_path / "place/m", {"mine.txt": "mine"})
    tool.ok("pull", "--adopt", ref, dest)
    assert "--publish in-place --adopt" in tool.fails(tool.NOT_OURS, "pull", f"{ref[:-2]}v2", dest).err
    tool.ok("pull", "--publish", "in-place", "--adopt", f"{ref[:-2]}v2", dest)
    assert (dest / "mine.txt").read_text() == "mine"
    (dest / "mine.txt").unlink()
    trees.assert_same(tree, dest)


@pytest.fixture
def read_only(tmp_path):
    """A volume of another size with one tree, then mounted read-only."""
    root = tmp_path / "volume"
    root.mkdir()

    def make(ref: str) -> Path:
        if subprocess.run(["mount", "-t", "tmpfs", "none", root], capture_output=True).returncode:
            pytest.skip("absent: the right to mount")
        tool.ok("pull", ref, root / "m")
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        return root

    yield make
    subprocess.run(["umount", "-l", root], capture_output=True)


def test_a_read_only_volume_is_one_line_with_the_next_step(tmp_path, packed, read_only):
    ref, tree = packed
    root = read_only(ref)
    models.write(tree, {"config.json": '{"v": 2}'})
    tool.ok("pack", tree, f"{ref[:-2]}v2")
    assert "unchanged" in tool.ok("pull", ref, root / "m").err
    for command in (["pull", f"{ref[:-2]}v2", root / "m"], ["pull", ref, root / "new"], ["repair", root / "m"],
                    ["pull", "--publish", "version", ref, root / "versions"]):
        assert "Read-only file system; remove readOnly from the volume" in tool.fails(tool.READ_ONLY, *command).err


def test_a_volume_of_another_owner_is_one_line_with_the_next_step(tmp_path, packed, unprivileged):
    ref, tree = packed
    if not unprivileged:
        (tmp_path / "place").chmod(0o555)
    for parent in [*tmp_path.parents, tmp_path]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    result = tool.fails(tool.READ_ONLY, "pull", ref, tmp_path / "place/m", **unprivileged)
    assert "Permission denied; set securityContext.fsGroup" in result.err
    (tmp_path / "place").chmod(0o755)


def test_pulls_of_different_images_to_one_directory_take_turns(tmp_path, packed, foreign):
    """Whatever wrote them, and in whatever mode: one comes after the other, and none is mixed with another."""
    ref, tree = packed
    two = models.write(tmp_path / "two", {"config.json": '{"v": 2}', "sub/part.json": "[2]", "model.bin": models.weights(100_000, 2)})
    foreign.image("v2", foreign.layer(images.tar(*images.files_of(two))))
    for number in range(6):
        dest = tmp_path / f"place/{number}"
        if number % 2:
            dest.mkdir()
        commands = [["pull", ref, dest], ["pull", foreign.ref("v2"), dest], ["pull", "--publish", "in-place", ref, dest]]
        with ThreadPoolExecutor(len(commands)) as pool:
            results = list(pool.map(lambda command: tool.run(*command), commands))
        assert [r.code for r in results] == [tool.OK] * len(commands), "\n".join(map(str, results))
        tool.ok("verify", "--full", dest)
        assert trees.tree(dest) in (trees.tree(tree), trees.tree(two))


def test_no_record_vouches_for_what_another_has_put_there(tmp_path, packed):
    """Where the lease tells nothing: one stops before its record, another fills the same directory."""
    ref, tree = packed
    dest = tmp_path / "place/m"
    dest.mkdir()
    (tmp_path / "books").mkdir()
    calls = crashes.run("pull", ref, dest, root=tmp_path / "books").calls
    at = max(n for n, call in enumerate(calls, 1) if "rename" in call and "config.json" in call) + 1
    shutil.rmtree(dest)
    dest.mkdir()
    stopped = crashes.start("pull", ref, dest, root=tmp_path / "books", act="stop-before", at=at)
    try:
        assert os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_status == signal.SIGSTOP
        (dest / "sub/part.json").unlink()
        (dest / "sub/part.json").write_text("{}")
        stopped.send_signal(signal.SIGCONT)
        out, err = stopped.communicate(timeout=60)
    finally:
        stopped.kill()
        stopped.wait()
    assert stopped.returncode == 33 and "changed by another" in err, err
    assert not (dest / trees.RECORD).exists()
    tool.ok("pull", ref, dest)
    trees.assert_same(tree, dest)


@pytest.mark.parametrize("text", ["", "{", '{"recordVersion":1}'])
def test_a_record_that_cannot_be_read_is_in_nobodys_way(tmp_path, packed, text):
    ref, tree = packed
    tool.ok("pull", ref, tmp_path / "m")
    (tmp_path / "m" / trees.RECORD).write_text(text)
    tool.fails(tool.NOT_OURS, "pull", ref, tmp_path / "m")
    tool.ok("pull", "--adopt", ref, tmp_path / "m")
    trees.assert_same(tree, tmp_path / "m")
    assert "unchanged" in tool.ok("pull", ref, tmp_path / "m").err


def test_the_record_of_a_triton_model_that_was_removed_is_in_nobodys_way(tmp_path, packed):
    repository, model, other = models.triton(tmp_path / "source", models=("encoder",)), f"oci:{tmp_path}/l:model", packed[0]
    place = tmp_path / "place"
    tool.ok("pack", repository / "encoder", model)
    for remove, ref in ((False, model), (True, model), (True, other), (False, model), (False, other)):
        if remove:
            shutil.rmtree(place / "encoder")
        tool.ok("pull", ref, place / "encoder")
        beside = {".modelcar.encoder.json"} if ref == model else set()
        assert {p.name for p in place.iterdir() if not p.name.endswith(".old.part")} == {"encoder"} | beside
        tool.ok("verify", place / "encoder")
