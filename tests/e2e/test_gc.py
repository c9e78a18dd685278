"""gc: old versions and dead leftovers go, everything that somebody may need stays."""
import os
import time

import pytest

import crashes
import tool
import trees

DAY = 24 * 3600


@pytest.fixture
def versions(tmp_path, own_model):
    """Four versions of a model, a day apart and the last two days old: (directory, names from old to new)."""
    names = []
    for i in range(4):
        (own_model / "config.json").write_text('{"model_type": "llama", "n": %d}' % i)
        tool.ok("pack", own_model, f"oci:{tmp_path}/l:v{i}")
        report = tool.ok("pull", "--json", "--publish", "version", f"oci:{tmp_path}/l:v{i}", tmp_path / "versions").json
        names.append(report["version"])
    for i, name in enumerate(names):
        when = time.time() - (6 - i) * DAY
        os.utime(tmp_path / "versions" / name / trees.RECORD, (when, when))
    return tmp_path / "versions", names


def present(root, names) -> list[int]:
    return [i for i, name in enumerate(names) if (root / name).is_dir()]


def test_all_but_the_newest_two_go(versions):
    root, names = versions
    result = tool.ok("gc", root)
    assert present(root, names) == [2, 3]
    assert len(result.out.splitlines()) == 4 and "2 of 4 removed" in result.err
    tool.ok("verify", root / "current")
    assert not [p.name for p in root.iterdir() if p.name.startswith(".modelcar")]


def test_a_dry_run_says_the_same_and_removes_nothing(versions):
    root, names = versions
    report = tool.ok("gc", "--dry-run", "--json", "--keep", "3", root).json
    assert present(root, names) == [0, 1, 2, 3]
    assert report["dryRun"] and report["removed"] == 1
    assert [e["name"] for e in report["entries"] if e["removed"]] == [names[0]]
    assert all(e.get("reason") for e in report["entries"] if not e["removed"])


def test_the_current_version_stays_however_old(versions):
    root, names = versions
    tool.ok("pull", "--publish", "version", f"oci:{root.parent}/l:v0", root)
    os.utime(root / names[0] / trees.RECORD, (1, 1))
    tool.ok("gc", root)
    assert present(root, names) == [0, 2, 3]
    tool.ok("wait", "--timeout", "0", root)


@pytest.mark.parametrize("kind", ["symlink", "rename"])
def test_a_version_that_goes_while_it_becomes_current_comes_again(versions, tmp_path, kind):
    root, names = versions
    back = ["--publish", "version", f"oci:{tmp_path}/l:v0", root]
    process = crashes.start("pull", "--json", *back, root=tmp_path, act="stop-before", kinds=kind, at=1)
    crashes.meanwhile(process, lambda: tool.ok("gc", root), 60)
    assert process.returncode == tool.OK
    assert os.readlink(root / "current") == names[0] and present(root, names) == [0, 2, 3]
    tool.ok("verify", "--full", root / "current")
    assert "unchanged" in tool.ok("pull", *back).err


def test_young_versions_stay(versions):
    root, names = versions
    for name in names:
        os.utime(root / name / trees.RECORD)
    tool.ok("gc", root)
    assert present(root, names) == [0, 1, 2, 3]


def test_a_reader_keeps_what_it_has_open(versions):
    root, names = versions
    with open(root / names[0] / "config.json", encoding="utf-8") as reader:
        tool.ok("gc", root)
        assert "llama" in reader.read()
    assert present(root, names) == [2, 3]


def test_space_that_is_free_already_costs_no_version(versions):
    root, names = versions
    tool.ok("gc", "--free", "1Ki", root)
    assert present(root, names) == [0, 1, 2, 3]


def test_a_target_beyond_the_volume_is_no_space_after_all_that_may_go(versions):
    root, names = versions
    result = tool.run("gc", "--free", "1E", root)
    assert result.code == 30 and len(tool.error_lines(result)) == 1
    assert present(root, names) == [2, 3]


def test_leftovers_of_a_killed_pull_go_after_a_day(tmp_path):
    part = tmp_path / ".modelcar.0123abcd.0123456789ab.0.part"
    part.write_bytes(b"half")
    assert "stays" in tool.ok("gc", tmp_path).out  # its inode is young, whatever its time says
    os.utime(part, (1, 1))
    assert "stays" in tool.ok("gc", "--min-age", "0", tmp_path).out
    assert part.exists()


def test_leftovers_of_a_tree_are_found_through_a_link_to_it(tmp_path, own_model):
    (tmp_path / "volume").mkdir()
    for number in range(2):
        (own_model / "config.json").write_text('{"model_type": "llama", "n": %d}' % number)
        tool.ok("pack", own_model, f"oci:{tmp_path}/l:v{number}")
        tool.ok("pull", f"oci:{tmp_path}/l:v{number}", tmp_path / "volume/m")
    (tmp_path / "link").symlink_to("volume/m")
    names = [entry["name"] for entry in tool.ok("gc", "--json", tmp_path / "volume/m").json["entries"]]
    assert len(names) == 1 and names[0].endswith(".old.part")
    for path in (tmp_path / "link", f"{tmp_path}/link/"):
        assert [entry["name"] for entry in tool.ok("gc", "--json", path).json["entries"]] == names


def test_usage(tmp_path):
    tool.fails(tool.NOT_FOUND, "gc", tmp_path / "none")
    tool.fails(tool.USAGE, "gc", "--keep", "1", tmp_path)
    tool.fails(tool.USAGE, "gc", "pvc://claim/x")


def test_a_directory_that_may_not_be_written(versions, unprivileged):
    root, names = versions
    if not unprivileged:
        root.chmod(0o555)
    for parent in (root.parent, *root.parent.parents):
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    result = tool.run("gc", root, **unprivileged)
    root.chmod(0o755)
    assert result.code == tool.READ_ONLY, str(result)
    assert present(root, names) == [0, 1, 2, 3]
