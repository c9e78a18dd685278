"""What a pull can be told about space, memory and modes."""
import os
import stat
import subprocess

import pytest

import images
import models
import tool
import trees

MIB = 2**20
NO_SPACE = 30


@pytest.fixture
def small_volume(tmp_path):
    """A volume with room for one of the models and a little."""
    root = tmp_path / "volume"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=44m", "none", root], capture_output=True).returncode:
        pytest.skip("absent: the right to mount")
    yield root
    subprocess.run(["umount", "-l", root], check=True)


@pytest.fixture
def versions(tmp_path):
    """Two models of 24 MiB that share their first half."""
    half = models.weights(6 * MIB, 1)
    for tag, seed in (("v1", 2), ("v2", 3)):
        models.write(tmp_path / tag, {"a.bin": half, "b.bin": models.weights(6 * MIB, seed), "notes.txt": tag})
        tool.ok("pack", tmp_path / tag, f"oci:{tmp_path}/l:{tag}")
    return tmp_path / "v1", f"oci:{tmp_path}/l:v1", tmp_path / "v2", f"oci:{tmp_path}/l:v2"


def test_too_small_a_volume_says_need_and_have_before_a_byte_comes(small_volume, tmp_path):
    models.write(tmp_path / "big", {"w.bin": models.weights(25 * MIB, 1)})
    tool.ok("pack", tmp_path / "big", f"oci:{tmp_path}/l:big")
    refused = tool.fails(NO_SPACE, "pull", f"oci:{tmp_path}/l:big", small_volume / "m")
    assert "needs" in refused.err and "are free" in refused.err
    assert not list(small_volume.iterdir())


@pytest.mark.parametrize("flags", [[], ["--publish", "in-place"]])
def test_old_and_new_that_do_not_fit_together_take_turns_when_asked(small_volume, versions, flags):
    v1, one, v2, two = versions
    tool.ok("pull", one, small_volume / "m")
    (small_volume / "filler").write_bytes(os.urandom(4 * MIB))
    refused = tool.fails(NO_SPACE, "pull", *flags, two, small_volume / "m")
    assert "--replace-first" in refused.err
    trees.assert_same(v1, small_volume / "m")
    report = tool.ok("pull", "--json", "--replace-first", *flags, two, small_volume / "m").json
    trees.assert_same(v2, small_volume / "m")
    assert report["bytesKept"] == 12 * MIB
    assert not [p.name for p in small_volume.rglob("*.part")]
    tool.ok("verify", "--full", small_volume / "m")


def test_an_image_of_another_tool_takes_turns_with_the_old_tree_as_well(small_volume, versions, foreign):
    v1, one, v2, _ = versions
    tool.ok("pull", one, small_volume / "m")
    (small_volume / "filler").write_bytes(os.urandom(4 * MIB))
    foreign.image("v2", foreign.layer(images.tar(*images.files_of(v2))))
    assert "--replace-first" in tool.fails(NO_SPACE, "pull", foreign.ref("v2"), small_volume / "m").err
    trees.assert_same(v1, small_volume / "m")
    tool.ok("pull", "--replace-first", foreign.ref("v2"), small_volume / "m")
    trees.assert_same(v2, small_volume / "m")
    tool.ok("verify", "--full", small_volume / "m")


@pytest.mark.parametrize("kind", ["own", "foreign"])
def test_the_old_tree_stays_where_its_room_is_not_enough(small_volume, versions, foreign, tmp_path, kind):
    v1, one, _, _ = versions
    big = models.write(tmp_path / "big", {"w.bin": models.weights(22 * MIB, 1)})
    tool.ok("pack", big, f"oci:{tmp_path}/l:big")
    foreign.image("big", foreign.layer(images.tar(*images.files_of(big))))
    ref = foreign.ref("big") if kind == "foreign" else f"oci:{tmp_path}/l:big"
    tool.ok("pull", one, small_volume / "m")
    result = tool.fails(NO_SPACE, "pull", "--replace-first", ref, small_volume / "m")
    assert "which stays" in result.err
    trees.assert_same(v1, small_volume / "m")
    assert "unchanged" in tool.ok("pull", one, small_volume / "m").err


def test_where_nothing_is_there_is_nothing_to_replace_first(tmp_path, versions):
    v1, one, _, _ = versions
    assert tool.ok("pull", "--json", "--replace-first", one, tmp_path / "m").json["mode"] == "fresh"
    trees.assert_same(v1, tmp_path / "m")


@pytest.mark.parametrize("flag", ["--direct", "--buffered", "--warm"])
def test_the_page_cache_makes_no_difference_to_the_bytes(tmp_path, versions, flag):
    v1, one, _, _ = versions
    tool.ok("pull", flag, one, tmp_path / "m")
    trees.assert_same(v1, tmp_path / "m")
    tool.ok("verify", "--full", tmp_path / "m")


def test_direct_and_buffered_exclude_each_other(tmp_path, versions):
    tool.fails(tool.USAGE, "pull", "--direct", "--buffered", versions[1], tmp_path / "m")


def test_sealed_files_are_read_only_and_shared_with_sealed_ones_alone(tmp_path, versions):
    _, one, _, two = versions
    tool.ok("pull", "--seal", one, tmp_path / "m")
    files = [p for p in (tmp_path / "m").iterdir() if p.name != trees.RECORD]
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o444}
    tool.ok("pull", two, tmp_path / "other")
    assert (tmp_path / "other/a.bin").stat().st_ino != (tmp_path / "m/a.bin").stat().st_ino
    assert stat.S_IMODE((tmp_path / "other/a.bin").stat().st_mode) == 0o664
    tool.ok("pull", "--seal", two, tmp_path / "m")
    assert stat.S_IMODE((tmp_path / "m/b.bin").stat().st_mode) == 0o444


@pytest.mark.parametrize("format", [(), ("--format", "modelpack")], ids=["blocks", "streams"])
def test_a_version_never_changes_to_another_part_of_its_image(tmp_path, versions, format):
    root, ref, parts = tmp_path / "m", f"oci:{tmp_path}/other:v1", ("--publish", "version", "--include", "*.txt")
    tool.ok("pack", *format, versions[0], ref)
    version = tool.ok("pull", "--json", "--publish", "version", ref, root).json["version"]
    inode = (root / version).stat().st_ino
    result = tool.fails(tool.NOT_OURS, "pull", *parts, ref, root)
    assert "a version never changes" in result.err and "the same command" not in result.err
    assert (root / version).stat().st_ino == inode and {p.name for p in root.iterdir()} == {version, "current"}
    trees.assert_same(versions[0], root / version)
    (root / version / "notes.txt").write_text("damaged")
    tool.ok("pull", *parts, ref, root)
    tool.ok("pull", *parts, ref, root)
    tool.fails(tool.NOT_OURS, "pull", "--publish", "version", ref, root)
