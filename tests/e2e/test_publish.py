"""How a tree appears: fresh, by a swap, in place, as a version; and what may lie there before."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import models
import tool
import trees


@pytest.fixture
def versions(tmp_path) -> tuple[str, Path, str, Path]:
    """Two versions of a model in a layout: a shard and a file differ, one is new and one gone."""
    v1 = models.huggingface(tmp_path / "v1")
    v2 = models.huggingface(tmp_path / "v2")
    (v2 / "model-00002-of-00004.safetensors").write_bytes(
        models.safetensors({"model.layers.1.mlp.weight": (300, 1024), "model.layers.1.norm.weight": (1024,)}, seed=99))
    (v2 / "generation_config.json").write_text('{"do_sample": false}')
    (v2 / "tokenizer_config.json").unlink()
    (v2 / "extra").mkdir()
    (v2 / "extra/chat_template.jinja").write_text("{{ x }}")
    tool.ok("pack", v1, f"oci:{tmp_path}/l:v1")
    tool.ok("pack", v2, f"oci:{tmp_path}/l:v2")
    return f"oci:{tmp_path}/l:v1", v1, f"oci:{tmp_path}/l:v2", v2


@pytest.fixture
def place(tmp_path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def mounted(tmp_path):
    """An empty directory that is a mount point."""
    root = tmp_path / "mounted"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", root], capture_output=True).returncode:
        pytest.skip("absent: the right to mount")
    yield root
    subprocess.run(["umount", "-l", root], check=True)


def record(root: Path) -> dict:
    return json.loads((root / trees.RECORD).read_text())


def names(root: Path) -> set[str]:
    return {p.name for p in root.iterdir()}


def test_an_older_tree_is_swapped_and_a_reader_keeps_the_old_one(place, versions):
    one, v1, two, v2 = versions
    tool.ok("pull", one, place / "m")
    reader = os.open(place / "m", os.O_RDONLY)
    before = trees.tree(Path(f"/proc/self/fd/{reader}"))
    result = tool.ok("pull", two, place / "m")
    assert "publish mode swap" in result.err.splitlines()[0]
    trees.assert_same(v2, place / "m")
    assert trees.tree(Path(f"/proc/self/fd/{reader}")) == before == trees.tree(v1)
    os.close(reader)
    old = names(place) - {"m"}
    assert len(old) == 1 and old.pop().endswith(".old.part")
    tool.ok("pull", one, place / "m")
    trees.assert_same(v1, place / "m")
    assert len(names(place)) == 2


def test_unchanged_files_are_linked_and_changed_ones_are_not(place, versions):
    one, v1, two, v2 = versions
    tool.ok("pull", one, place / "m")
    inodes = {p.name: p.stat().st_ino for p in (place / "m").iterdir()}
    report = tool.ok("pull", "--json", two, place / "m").json
    same = {p.name for p in (place / "m").iterdir() if inodes.get(p.name) == p.stat().st_ino}
    assert {f"model-0000{i}-of-00004.safetensors" for i in (1, 3, 4)} <= same
    assert not same & {"model-00002-of-00004.safetensors", "generation_config.json", trees.RECORD}
    assert report["bytesLinked"] > 3 * 600_000 and report["mode"] == "swap"
    shutil.rmtree(place / "m")
    tool.ok("pull", one, place / "a")
    tool.ok("pull", "--no-link", one, place / "b")
    assert all(p.stat().st_nlink == 1 for p in (place / "b").iterdir())
    trees.assert_same(v1, place / "b")


def test_an_unchanged_tree_is_left_alone(place, versions):
    one, _, _, _ = versions
    digest = tool.ok("pull", one, place / "m").digest
    before = {p: p.stat().st_mtime_ns for p in (place / "m").rglob("*")}
    result = tool.ok("pull", one, place / "m")
    assert result.digest == digest and "unchanged" in result.err
    assert {p: p.stat().st_mtime_ns for p in (place / "m").rglob("*")} == before
    assert tool.ok("pull", "--json", one, place / "m").json["unchanged"] is True


def test_a_damaged_tree_is_made_right_again(place, versions):
    one, v1, _, _ = versions
    tool.ok("pull", one, place / "m")
    (place / "m/config.json").write_text("{}")
    (place / "m/model-00001-of-00004.safetensors").unlink()
    tool.ok("pull", one, place / "m")
    trees.assert_same(v1, place / "m")
    tool.ok("verify", place / "m")


@pytest.mark.parametrize("mode", [[], ["--publish", "in-place"], ["--publish", "swap"]])
def test_an_empty_directory_is_filled_and_keeps_its_inode(place, versions, mode):
    one, v1, two, v2 = versions
    (place / "m").mkdir()
    inode = (place / "m").stat().st_ino
    tool.ok("pull", *mode, one, place / "m")
    assert (place / "m").stat().st_ino == inode
    trees.assert_same(v1, place / "m")
    assert names(place) == {"m"}
    result = tool.ok("pull", "--publish", "in-place", two, place / "m")
    assert "publish mode in-place" in result.err.splitlines()[0] and (place / "m").stat().st_ino == inode
    trees.assert_same(v2, place / "m")
    assert not [n for n in names(place / "m") if n.endswith(".part")]
    tool.ok("verify", place / "m")


def test_a_mount_point_is_filled_and_changed_only_when_asked(mounted, versions):
    one, v1, two, v2 = versions
    (mounted / "lost+found").mkdir()
    assert "in-place" in tool.ok("pull", one, mounted).err.splitlines()[0]
    assert "unchanged" in tool.ok("pull", one, mounted).err
    refused = tool.fails(tool.NOT_OURS, "pull", two, mounted)
    assert "--publish in-place" in refused.err
    trees.assert_same(v1, mounted)
    assert "mount point" in tool.fails(tool.NOT_OURS, "pull", "--publish", "swap", two, mounted).err
    report = tool.ok("pull", "--json", "--publish", "in-place", two, mounted).json
    trees.assert_same(v2, mounted)
    assert report["bytesKept"] > 3 * 600_000 and report["bytesLinked"] == 0
    assert not [n for n in names(mounted) if n.endswith(".part")]
    (mounted / "config.json").write_text("{}")
    tool.ok("pull", two, mounted)  # the same image: it is mended without asking
    trees.assert_same(v2, mounted)


def test_a_directory_below_a_mount_point_is_swapped_as_any_other(mounted, versions):
    one, _, two, v2 = versions
    tool.ok("pull", one, mounted / "m")
    assert "swap" in tool.ok("pull", two, mounted / "m").err.splitlines()[0]
    trees.assert_same(v2, mounted / "m")


def test_versions_stand_side_by_side_and_current_says_which(place, versions):
    one, v1, two, v2 = versions
    first = tool.ok("pull", "--publish", "version", one, place / "m").digest
    assert os.readlink(place / "m/current") == f"sha256-{first[7:19]}"
    inode = (place / "m" / os.readlink(place / "m/current") / "model-00001-of-00004.safetensors").stat().st_ino
    second = tool.ok("pull", "--publish", "version", two, place / "m").digest
    assert os.readlink(place / "m/current") == f"sha256-{second[7:19]}"
    trees.assert_same(v1, place / f"m/sha256-{first[7:19]}")
    trees.assert_same(v2, place / "m/current")
    assert (place / "m/current/model-00001-of-00004.safetensors").stat().st_ino == inode, "shared with the version before"
    back = tool.ok("pull", "--publish", "version", one, place / "m")
    assert "unchanged" in back.err and os.readlink(place / "m/current") == f"sha256-{first[7:19]}"
    assert len(names(place / "m")) == 3


def test_files_of_others_are_exit_34_and_stay(place, versions):
    one, _, two, _ = versions
    models.write(place / "m", {"notes/mine.txt": "mine"})
    refused = tool.fails(tool.NOT_OURS, "pull", one, place / "m")
    assert "notes/mine.txt" in refused.err and "--adopt" in refused.err
    assert trees.tree(place / "m").keys() == {"notes/mine.txt"}
    shutil.rmtree(place / "m")
    tool.ok("pull", one, place / "m")
    models.write(place / "m", {"mine.txt": "mine"})
    assert "mine.txt" in tool.fails(tool.NOT_OURS, "pull", two, place / "m").err
    assert (place / "m/mine.txt").exists()


def test_adopted_files_cost_nothing_when_they_are_right(place, versions):
    one, v1, _, _ = versions
    shutil.copytree(v1, place / "m")
    (place / "m/config.json").write_text("{}")
    (place / "m/mine.txt").write_text("mine")
    models.flip(place / "m/model-00003-of-00004.safetensors", 5000)
    inode = (place / "m/model-00001-of-00004.safetensors").stat().st_ino
    report = tool.ok("pull", "--json", "--adopt", one, place / "m").json
    assert (place / "m/model-00001-of-00004.safetensors").stat().st_ino == inode
    assert (place / "m/mine.txt").read_text() == "mine"
    (place / "m/mine.txt").unlink()
    trees.assert_same(v1, place / "m")
    assert report["bytesFetched"] < 1_000_000 < report["bytesKept"]


def test_modes_are_the_same_under_any_umask(place, versions):
    one, _, _, _ = versions
    (place / "m").mkdir()
    tool.ok("pull", one, place / "m", preexec_fn=lambda: os.umask(0o077))
    tool.ok("pull", one, place / "fresh", preexec_fn=lambda: os.umask(0o077))
    for root in (place / "m", place / "fresh"):
        assert set(trees.modes(root).values()) <= {0o664, 0o775}


def test_repair_builds_bad_files_anew_and_writes_no_published_one(place, versions):
    one, v1, _, _ = versions
    tool.ok("pull", one, place / "m")
    shard = place / "m/model-00002-of-00004.safetensors"
    times = shard.stat()
    models.flip(shard, 400_000)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))  # nobody sees it without reading
    (place / "m/mine.txt").write_text("mine")
    tool.run("verify", place / "m")
    assert tool.run("verify", "--full", place / "m").code == tool.DAMAGED
    held = os.open(shard, os.O_RDONLY)
    tool.ok("repair", place / "m")
    assert os.fstat(held).st_nlink == 0 and shard.stat().st_ino != times.st_ino
    os.close(held)
    assert (place / "m/mine.txt").exists()
    (place / "m/mine.txt").unlink()
    trees.assert_same(v1, place / "m")
    tool.ok("verify", "--full", place / "m")
    assert "nothing was damaged" in tool.ok("repair", place / "m").err
    tool.fails(tool.NOT_FOUND, "repair", v1)


def test_a_directory_that_is_absent_can_be_filled_in_place(place, versions):
    one, v1, _, _ = versions
    tool.ok("pull", "--publish", "in-place", one, place / "m")
    trees.assert_same(v1, place / "m")
    assert names(place) == {"m"} and (place / "m" / trees.RECORD).exists()


def test_repair_takes_no_siblings_word_for_a_file_that_both_share(place, versions):
    one, v1, _, _ = versions
    tool.ok("pull", one, place / "m")
    tool.ok("pull", one, place / "n")
    shard = place / "m/model-00002-of-00004.safetensors"
    times = shard.stat()
    assert times.st_nlink == 2
    models.flip(shard, 400_000)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    report = tool.ok("repair", "--json", place / "m").json
    assert 0 < report["bytesFetched"] < 1_000_000 < report["bytesKept"]
    tool.ok("verify", "--full", place / "m")
    assert tool.run("verify", "--full", place / "n").code == tool.DAMAGED
    tool.ok("repair", place / "n")
    tool.ok("verify", "--full", place / "n")
    assert "nothing was damaged" in tool.ok("repair", place / "n").err


def test_repair_finds_a_layout_that_was_named_from_another_directory(place, versions, tmp_path):
    one, v1, _, _ = versions
    transport, path = one.split(":", 1)
    tool.ok("pull", f"{transport}:{os.path.relpath(path, v1)}", place / "m", cwd=v1)
    (place / "m/config.json").write_text("{}")
    tool.ok("repair", place / "m", cwd=tmp_path)
    trees.assert_same(v1, place / "m")


def test_what_is_said_is_one_line_whatever_the_name_of_the_destination(place, versions):
    one, v1, _, _ = versions
    dest = place / "two\nlines"
    for result in (tool.ok("pull", one, dest), tool.ok("pull", one, dest), tool.ok("wait", dest)):
        assert "'" + str(place) + "/two\\x0alines'" in result.err and "\nlines" not in result.err
    (place / "a\nfile").touch()
    result = tool.fails(tool.NOT_OURS, "pull", one, place / "a\nfile")
    assert "\\x0afile' is a file" in result.err
    odd = os.fsencode(place) + b"/\xff"
    assert "/\\xff'" in tool.ok("pull", one, os.fsdecode(odd)).err
    assert "/\\xff'" in tool.ok("pull", "--progress", "json", one, os.fsdecode(odd)).err.replace("\\\\", "\\")


def test_a_part_of_an_image_is_unchanged_as_well(place, versions):
    one, _, _, _ = versions
    tool.ok("pull", "--include", "*.json", one, place / "m")
    before = (place / "m" / trees.RECORD).stat().st_ino
    assert "unchanged" in tool.ok("pull", "--include", "*.json", one, place / "m").err
    assert (place / "m" / trees.RECORD).stat().st_ino == before and names(place) == {"m"}
    assert "unchanged" not in tool.ok("pull", one, place / "m").err


def test_the_parent_need_not_be_readable(mounted, second_file_system, versions, unprivileged):
    """A volume below a directory that may be passed only."""
    if not unprivileged:
        pytest.skip("absent: the right to become another user")
    second_file_system.chmod(0o755)
    layout = shutil.copytree(versions[0][4:].rsplit(":", 1)[0], second_file_system / "parent-layout")
    passage = second_file_system / "passage"
    (passage / "m").mkdir(parents=True)
    subprocess.run(["mount", "--bind", mounted, passage / "m"], check=True)
    try:
        mounted.chmod(0o777)
        passage.chmod(0o711)
        tool.ok("pull", f"oci:{layout}:v1", passage / "m", binary_path=tool.release_binary(), **unprivileged)
        trees.assert_same(versions[1], passage / "m")
    finally:
        subprocess.run(["umount", "-l", passage / "m"], check=True)
