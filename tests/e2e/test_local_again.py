"""A plain directory that is pulled again, repaired from, killed over, and changed meanwhile."""
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import crashes
import models
import tool
import trees

MIB = 2**20
BLOCK = 4 * MIB
SETTLED_S = 2.2  # before, a file may change again without a trace in its times


def is_clean(out) -> bool:
    return not trees.leftovers(out.parent, {out.name})


# again


def test_unchanged_costs_no_read_where_the_times_are_known(tmp_path, shards, out):
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    time.sleep(SETTLED_S)
    tool.ok("pull", f"dir:{shards}", out, env=env)
    result = tool.ok("pull", "--json", f"dir:{shards}", out, env=env)
    assert result.json["unchanged"]
    assert '"totalBytes":0' in next(line for line in result.err.splitlines() if '"phase":"hash"' in line)
    result = tool.ok("pull", "--json", "--no-cache", f"dir:{shards}", out, env=env)
    assert '"totalBytes":0' not in next(line for line in result.err.splitlines() if '"phase":"hash"' in line)


def test_an_update_is_swapped_and_moves_what_changed_alone(shards, out):
    tool.ok("pull", f"dir:{shards}", out)
    before, held = trees.tree(out), os.open(out, os.O_RDONLY)
    with open(shards / "b.bin", "r+b") as file:
        file.write(b"changed")
    report = tool.ok("pull", "--json", f"dir:{shards}", out).json
    trees.assert_same(shards, out)
    assert report["mode"] == "swap" and report["bytesFetched"] <= BLOCK + MIB
    assert report["bytesLinked"] >= 3 * BLOCK
    seen = crashes.snapshot(held)
    os.close(held)
    assert {name: digest for name, digest in seen.items() if name != trees.RECORD} == \
        {name: digest for name, (_, digest) in before.items()}


def test_a_recorded_tree_beside_it_is_linked_and_stays_what_it_was(shards, out):
    first = out.parent / "first"
    tool.ok("pull", f"dir:{shards}", first)
    report = tool.ok("pull", "--json", f"dir:{first}", out).json
    assert report["bytesLinked"] > 0 and report["bytesFetched"] == 0
    assert (first / "a.bin").stat().st_ino == (out / "a.bin").stat().st_ino
    tool.ok("verify", "--full", first), tool.ok("verify", "--full", out)
    apart = out.parent / "apart"
    assert tool.ok("pull", "--json", "--no-link", f"dir:{first}", apart).json["bytesLinked"] == 0
    assert (first / "a.bin").stat().st_ino != (apart / "a.bin").stat().st_ino


def test_versions_come_beside_each_other(own_model, out):
    tool.ok("pull", "--publish", "version", f"dir:{own_model}", out)
    one = os.readlink(out / "current")
    (own_model / "config.json").write_text('{"model_type": "llama", "v": 2}')
    tool.ok("pull", "--publish", "version", f"dir:{own_model}", out)
    trees.assert_same(own_model, out / "current")
    assert os.readlink(out / "current") != one and (out / one).is_dir()


def test_a_triton_repository_is_filled_in_place_with_no_directory_of_ours(tmp_path, out):
    tree = models.triton(tmp_path / "repository")
    out.mkdir()
    assert tool.ok("pull", "--json", f"dir:{tree}", out).json["mode"] == "in-place"
    trees.assert_same(tree, out)
    models.write(tree, {"encoder/config.pbtxt": models.triton_config("encoder") + "# changed\n"})
    report = tool.ok("pull", "--json", "--publish", "in-place", f"dir:{tree}", out).json
    trees.assert_same(tree, out)
    assert report["mode"] == "in-place" and report["bytesKept"] > 0
    assert {p.name for p in out.iterdir() if p.is_dir()} == {"encoder", "decoder"}


def test_a_single_triton_model_keeps_its_record_beside_it(tmp_path, out):
    tree = models.triton(tmp_path / "repository")
    tool.ok("pull", f"dir:{tree}/encoder", out)
    trees.assert_same(tree / "encoder", out)
    assert not (out / trees.RECORD).exists() and (out.parent / ".modelcar.out.json").exists()
    assert "unchanged" in tool.ok("pull", f"dir:{tree}/encoder", out).err


def test_a_dry_run_says_what_would_come_and_writes_nothing(shards, out):
    dry = tool.ok("pull", "--dry-run", "--json", f"dir:{shards}", out).json
    assert trees.leftovers(out.parent, set()) == set() and dry["dryRun"]
    real = tool.ok("pull", "--json", f"dir:{shards}", out).json
    for key in ("digest", "files", "bytes", "bytesFetched", "mode"):
        assert dry[key] == real[key], key
    with open(shards / "b.bin", "r+b") as file:
        file.write(b"changed")
    before = trees.tree(out)
    dry = tool.ok("pull", "--dry-run", "--json", f"dir:{shards}", out).json
    assert trees.tree(out) == before and is_clean(out)
    real = tool.ok("pull", "--json", f"dir:{shards}", out).json
    assert dry["bytesLinked"] == real["bytesLinked"] and dry["bytesFetched"] >= real["bytesFetched"] > 0
    assert tool.ok("pull", "--dry-run", "--json", f"dir:{shards}", out).json["unchanged"]


# repair


def test_repair_takes_from_the_directory_what_is_damaged(shards, out):
    tool.ok("pull", f"dir:{shards}", out)
    models.flip(out / "a.bin", BLOCK + 5)
    assert tool.run("verify", out).code == tool.DAMAGED
    report = tool.ok("repair", "--json", out).json
    assert 0 < report["bytesFetched"] <= BLOCK
    trees.assert_same(shards, out)


def test_repair_takes_no_notice_of_what_the_directory_has_besides(shards, out):
    tool.ok("pull", f"dir:{shards}", out)
    models.flip(out / "b.bin", 5)
    (shards / "more.bin").write_bytes(b"more")
    tool.ok("repair", out)
    tool.ok("verify", "--full", out)
    assert "more.bin" not in trees.tree(out) and '"partial":false' in (out / trees.RECORD).read_text()


def test_repair_of_a_part_takes_that_part(own_model, out):
    tool.ok("pull", f"dir:{own_model}", out, "--include", "*.json")
    (out / "config.json").write_text("damaged")
    tool.ok("repair", out)
    assert '"partial":true' in (out / trees.RECORD).read_text()
    tool.ok("verify", "--full", out)
    assert set(trees.tree(out)) == {n for n in trees.tree(own_model) if n.endswith(".json")}


def test_repair_from_a_directory_that_is_another_one_now_changes_nothing(shards, out):
    tool.ok("pull", f"dir:{shards}", out)
    models.flip(out / "a.bin", 5)
    models.flip(shards / "b.bin", 5)
    before = trees.tree(out)
    assert "is not sha256:" in tool.fails(tool.SOURCE, "repair", out).err
    assert trees.tree(out) == before


# killed, stopped, changed


def pull(shards, out, *flags) -> list:
    """What a run does is the same each time: it knows nothing of the one before, and works on one thing at a time."""
    return ["pull", "--no-cache", "--jobs", 1, *flags, f"dir:{shards}", out]


def calls_of(shards, out, books, kinds="mutating") -> list[str]:
    """Those of a run in a place like this one."""
    twin = books / "twin"
    shutil.copytree(out.parent, twin, symlinks=True)
    ran = crashes.run(*pull(shards, twin / out.name), root=books, kinds=kinds)
    assert ran.result.code == tool.OK, str(ran.result)
    shutil.rmtree(twin)
    return ran.calls


def landing(calls: list[str]) -> int:
    """Which call is the first that writes a piece of a file."""
    return next(n for n, call in enumerate(calls, 1) if call.split()[1:] == ["pwrite64", str(MIB)])


def test_killed_at_any_point_the_next_run_goes_on(tmp_path, shards, out):
    calls = calls_of(shards, out, tmp_path)
    for at in crashes.points(calls, random.Random(f"{models.SEED} local"), 10):
        killed = crashes.run(*pull(shards, out), root=tmp_path, act="kill-before", at=at)
        assert killed.result.code == -signal.SIGKILL, calls[at - 1]
        assert not out.exists() or trees.tree(out) == trees.tree(shards), calls[at - 1]
        crashes.age(out.parent)
        tool.ok(*pull(shards, out), binary_path=tool.release_binary())
        trees.assert_same(shards, out)
        assert is_clean(out), calls[at - 1]
        shutil.rmtree(out)


def test_what_a_killed_run_has_copied_is_not_copied_again(tmp_path, shards, out):
    last = len([call for call in calls_of(shards, out, tmp_path, "write") if call.endswith(f" {MIB}")])
    calls = calls_of(shards, out, tmp_path, "write")
    at = [n for n, call in enumerate(calls, 1) if call.endswith(f" {MIB}")][last * 3 // 4]
    crashes.run(*pull(shards, out), root=tmp_path, kinds="write", act="kill-before", at=at)
    report = tool.ok(*pull(shards, out, "--json"), binary_path=tool.release_binary()).json
    assert report["bytesReused"] >= 2 * BLOCK and report["bytesFetched"] <= report["bytes"] - 2 * BLOCK
    trees.assert_same(shards, out)


def change(shards):
    models.flip(shards / "b.bin", BLOCK + 1)


def swap_bytes(shards):
    """The times stay."""
    was = (shards / "b.bin").stat()
    models.flip(shards / "b.bin", BLOCK + 1)
    os.utime(shards / "b.bin", ns=(was.st_atime_ns, was.st_mtime_ns))


CHANGES = [change, swap_bytes, lambda tree: (tree / "b.bin").unlink(), lambda tree: (tree / "b.bin").write_bytes(b"short"),
           lambda tree: (tree / "new.bin").write_bytes(b"n"), lambda tree: (tree / "config.json").write_text("{ }"),
           lambda tree: os.replace(shutil.copy2(tree / "a.bin", tree.parent / "copy"), tree / "a.bin")]


@pytest.mark.parametrize("had", [False, True], ids=["fresh", "update"])
@pytest.mark.parametrize("spoil", CHANGES, ids=["bytes", "bytes-not-times", "gone", "cut", "new", "small", "replaced"])
@pytest.mark.parametrize("when", ["first-write", "before-publishing"])
def test_a_directory_that_changes_meanwhile_is_not_published(tmp_path, shards, out, spoil, when, had):
    if had:
        tool.ok("pull", f"dir:{shards}", out)
        models.flip(shards / "a.bin", 9)
    before = trees.tree(out) if had else None
    calls = calls_of(shards, out, tmp_path)
    at = landing(calls)
    if when == "before-publishing":
        at = next(n for n in range(at, len(calls)) if calls[n - 1].split()[1:] == ["fsync"])
    sleeper = crashes.start(*pull(shards, out), root=tmp_path, act="stop-before", at=at)
    err = crashes.meanwhile(sleeper, lambda: spoil(shards), timeout=60)
    assert sleeper.returncode == tool.SOURCE, err
    assert "run again once nothing writes to it" in err
    assert (trees.tree(out) if out.exists() else None) == before
    assert is_clean(out)
    tool.ok("pull", f"dir:{shards}", out)
    trees.assert_same(shards, out)


def test_a_terminated_run_says_so_and_the_next_goes_on(tmp_path, shards, out):
    at = landing(calls_of(shards, out, tmp_path))
    sleeper = crashes.start(*pull(shards, out), root=tmp_path, act="stop-before", at=at + 5)
    assert os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_status == signal.SIGSTOP
    sleeper.send_signal(signal.SIGTERM)
    sleeper.send_signal(signal.SIGCONT)
    _, err = sleeper.communicate(timeout=60)
    assert sleeper.returncode == 128 + signal.SIGTERM and not out.exists(), err
    assert tool.ok(*pull(shards, out, "--json"), binary_path=tool.release_binary()).json["bytesReused"] > 0
    trees.assert_same(shards, out)


def test_two_at_once_make_one_tree(shards, out):
    both = [subprocess.Popen([tool.release_binary(), "pull", "-q", f"dir:{shards}", out], env=tool.clean_env(None),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    ended = [process.communicate() + (process.returncode,) for process in both]
    assert [code for *_, code in ended] == [0, 0], ended
    trees.assert_same(shards, out)
    assert is_clean(out)


# a file system that shares extents


@pytest.fixture
def sharing(tmp_path):
    """A file system on which two files may have the same blocks, with a place in it."""
    image, root = tmp_path / "image", tmp_path / "sharing"
    maker = next(([found, *flags] for name, *flags in (("mkfs.xfs", "-q", "-m", "reflink=1"), ("mkfs.btrfs", "-q"))
                  if (found := shutil.which(name))), None)
    if not maker:
        pytest.skip("absent: mkfs.xfs or mkfs.btrfs")
    with open(image, "wb") as file:
        file.truncate(512 * MIB)
    subprocess.run([*maker, image], check=True)
    root.mkdir()
    if subprocess.run(["mount", "-o", "loop", image, root], capture_output=True).returncode:
        pytest.skip("absent: the right to mount such a file system")
    yield root
    subprocess.run(["umount", "-l", root], check=True)


def used_bytes(root) -> int:
    os.sync()
    return shutil.disk_usage(root).used


def test_files_are_cloned_and_proven_where_extents_are_shared(sharing, shards):
    tree, cache = shutil.copytree(shards, sharing / "tree"), sharing / "hub/models--a--b"
    models.write(cache, {"blobs/w": (shards / "a.bin").read_bytes(), "snapshots/r/config.json": "{}"})
    (cache / "snapshots/r/w.bin").symlink_to("../../blobs/w")
    before = used_bytes(sharing)
    for source, name in ((tree, "plain"), (cache / "snapshots/r", "linked")):
        report = tool.ok("pull", "--json", "--no-link", f"dir:{source}", sharing / name).json
        assert report["bytesReused"] >= 3 * BLOCK and report["bytesFetched"] < MIB
        trees.assert_same(source, sharing / name)
        tool.ok("verify", "--full", sharing / name)
    assert used_bytes(sharing) - before < 2 * BLOCK
    models.flip(tree / "a.bin", 5)  # the copy is a copy
    tool.ok("verify", "--full", sharing / "plain")
