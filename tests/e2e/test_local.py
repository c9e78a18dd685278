"""A plain directory as what is pulled: the guarantees of a pull from a registry, and the digest that pack gives."""
import json
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


@pytest.fixture
def out(tmp_path):
    """A place with nothing beside it."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place/out"


@pytest.fixture
def shards(tmp_path):
    """Two weight files of several blocks, and a small one; the test's own."""
    draw = random.Random(models.SEED)
    return models.write(tmp_path / "shards", {"a.bin": draw.randbytes(3 * BLOCK + 7), "b.bin": draw.randbytes(2 * BLOCK),
                                              "config.json": "{}"})


def is_clean(out) -> bool:
    return not trees.leftovers(out.parent, {out.name})


# what lands


def test_the_directory_comes_byte_for_byte_as_the_image_that_pack_makes_of_it(tmp_path, model, out):
    report = tool.ok("pull", f"dir:{model}", out, "--json").json
    trees.assert_same(model, out)
    tool.ok("verify", "--full", out)
    assert is_clean(out)
    assert report["digest"] == tool.ok("pack", model, f"oci:{tmp_path}/l:v1").digest
    assert report["reference"] == f"dir:{model}@{report['digest']}" and report["mode"] == "fresh"
    assert report["bytesFetched"] >= report["bytes"] == sum(size for size, _ in trees.tree(model).values())
    assert "unchanged" in tool.ok("pull", f"oci:{tmp_path}/l:v1", out).err


def test_modes_are_those_of_a_pull_and_not_the_sources(own_model, out):
    (own_model / "config.json").chmod(0o600)
    (own_model / "README.md").chmod(0o777)
    tool.ok("pull", f"dir:{own_model}", out, umask=0o077)
    assert {mode for name, mode in trees.modes(out).items() if name != trees.RECORD} == {0o664}


def test_the_record_names_the_directory_from_the_root_on(tmp_path, own_model, out):
    tool.ok("pull", f"dir:{own_model.name}", out, cwd=own_model.parent)
    assert json.loads((out / trees.RECORD).read_text())["reference"] == f"dir:{own_model}"


def test_colons_and_ats_belong_to_the_path(tmp_path, out):
    tree = models.write(tmp_path / "a:b@c", {"x.bin": b"x"})
    first = tool.ok("pull", f"dir:{tree}", out).line
    assert first.startswith(f"dir:{tree}@sha256:")
    assert "unchanged" in tool.ok("pull", first, out).err


def test_include_and_exclude_are_looked_at_before_anything_is_read(own_model, out):
    (own_model / "secret.bin").symlink_to("/etc/passwd")
    (own_model / ".git").mkdir()
    models.write(own_model / ".git", {"HEAD": "x"})
    result = tool.ok("pull", f"dir:{own_model}", out, "--exclude", "secret*", "--exclude", "*.safetensors")
    assert ".git" in result.err
    assert set(trees.tree(out)) == {n for n in trees.tree(own_model) if not n.startswith((".git", "secret")) and
                                    not n.endswith(".safetensors")}
    args = ["pull", f"dir:{own_model}", out, "--exclude", "secret*", "--exclude", "*.safetensors"]
    assert "unchanged" in tool.ok(*args).err


def test_a_snapshot_of_a_hugging_face_cache_lands_as_files(tmp_path, out):
    snapshot = models.huggingface_cache(tmp_path / "hub")
    tool.ok("pull", f"dir:{snapshot}", out)
    trees.assert_same(snapshot, out)
    assert not [p for p in out.rglob("*") if p.is_symlink()]


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.bin", "nowhere"])
def test_a_link_out_of_the_tree_is_refused_by_name(tmp_path, own_model, out, target):
    (tmp_path / "outside.bin").write_bytes(b"x")
    (own_model / "alias.bin").symlink_to(target)
    assert "alias.bin" in tool.fails(tool.SOURCE, "pull", f"dir:{own_model}", out).err
    assert not out.exists() and trees.leftovers(out.parent, set()) == set()


def test_a_model_that_is_not_whole_wants_force(own_model, out):
    next(own_model.glob("*.safetensors")).unlink()
    assert "--force" in tool.fails(tool.SOURCE, "pull", f"dir:{own_model}", out).err
    assert not out.exists()
    tool.ok("pull", "--force", f"dir:{own_model}", out)
    trees.assert_same(own_model, out)


def test_many_models_of_a_volume_come_from_directories_as_well(tmp_path, own_model):
    (tmp_path / "root").mkdir()
    (tmp_path / "models.yaml").write_text(f"models: [{{ref: 'dir:{own_model}', path: a/b}}]\n")
    tool.ok("pull", "-f", tmp_path / "models.yaml", tmp_path / "root")
    trees.assert_same(own_model, tmp_path / "root/a/b")


def test_another_file_system_is_no_obstacle(own_model, second_file_system):
    out = second_file_system / "local"
    tool.ok("pull", f"dir:{own_model}", out)
    trees.assert_same(own_model, out)
    shutil.rmtree(out)


# what is refused


def test_what_is_not_there_is_named_before_anything_is_made(tmp_path, own_model, out):
    for code, path in ((tool.NOT_FOUND, tmp_path / "none"), (tool.USAGE, own_model / "config.json")):
        assert str(path) in tool.fails(code, "pull", f"dir:{path}", out).err
    (tmp_path / "empty").mkdir()
    tool.fails(tool.SOURCE, "pull", f"dir:{tmp_path}/empty", out)
    tool.fails(tool.USAGE, "pull", "dir:", out)
    tool.fails(tool.USAGE, "pull", "--root", "/", f"dir:{own_model}", out)
    assert trees.leftovers(out.parent, set()) == set()


def test_a_place_in_the_directory_itself_is_refused(own_model):
    before = trees.tree(own_model)
    for place in (own_model / "below", own_model / "sub/../below", own_model.parent / "own-model/below"):
        (own_model / "sub").mkdir(exist_ok=True)
        assert "itself" in tool.fails(tool.USAGE, "pull", f"dir:{own_model}", place).err
    assert trees.tree(own_model) == before


def test_a_place_with_other_files_is_refused_before_the_directory_is_read(own_model, out):
    models.write(out, {"mine.txt": "x"})
    result = tool.fails(tool.NOT_OURS, "pull", f"dir:{own_model}", out)
    assert "mine.txt" in result.err and "hash" not in result.err
    tool.fails(tool.NOT_FOUND, "pull", f"dir:{own_model}", out / "no/parent")


def test_the_directory_itself_may_be_adopted_and_costs_no_byte(own_model):
    before = trees.tree(own_model)
    report = tool.ok("pull", "--adopt", "--json", f"dir:{own_model}", own_model).json
    assert report["bytesKept"] == report["bytes"] and report["bytesFetched"] == 0
    assert trees.tree(own_model) == before
    tool.ok("verify", own_model)
    assert "unchanged" in tool.ok("pull", f"dir:{own_model}", own_model).err


def test_other_verbs_say_what_reads_a_directory(tmp_path, own_model):
    for args in (["cp", f"dir:{own_model}", f"oci:{tmp_path}/l:v1"], ["inspect", f"dir:{own_model}"],
                 ["pack", own_model, f"dir:{tmp_path}/x"]):
        assert not tool.run(*args).code == 0 and not (tmp_path / "l").exists() and not (tmp_path / "x").exists()
    assert "pack makes an image" in tool.fails(tool.UNSUPPORTED, "inspect", f"dir:{own_model}").err


def test_permissions_on_either_side_are_named(tmp_path, unprivileged, scratch):
    place = scratch / "permissions"
    tree = models.write(place / "tree", {"a.bin": b"a", "b.bin": b"b"})
    (place / "closed").mkdir(mode=0o755)
    for path in (place, scratch):
        path.chmod(0o755)
    if unprivileged:
        (place / "open").mkdir()
        (place / "open").chmod(0o777)
    else:
        (place / "open").mkdir()
        (place / "closed").chmod(0o555)
    try:
        tool.fails(tool.READ_ONLY, "pull", f"dir:{tree}", place / "closed/out", **unprivileged)
        tool.ok("pull", f"dir:{tree}", place / "open/out", **unprivileged)
        (tree / "b.bin").chmod(0)
        assert "b.bin" in tool.fails(tool.SOURCE, "pull", f"dir:{tree}", place / "open/other", **unprivileged).err
        assert not (place / "open/other").exists()
    finally:
        (place / "closed").chmod(0o755)
        scratch.chmod(0o700)


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


def test_repair_of_a_part_takes_that_part(own_model, out):
    tool.ok("pull", f"dir:{own_model}", out, "--include", "*.json")
    (out / "config.json").write_text("damaged")
    tool.ok("repair", out)
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
    try:
        assert os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_status == signal.SIGSTOP
        spoil(shards)
        sleeper.send_signal(signal.SIGCONT)
        _, err = sleeper.communicate(timeout=60)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert sleeper.returncode == tool.SOURCE, err
    assert "run again once nothing writes to it" in err
    assert (trees.tree(out) if out.exists() else None) == before
    assert is_clean(out)
    tool.ok("pull", f"dir:{shards}", out)
    trees.assert_same(shards, out)


def test_two_at_once_make_one_tree(shards, out):
    both = [subprocess.Popen([tool.release_binary(), "pull", "-q", f"dir:{shards}", out], env=tool.clean_env(None),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    ended = [process.communicate() + (process.returncode,) for process in both]
    assert [code for *_, code in ended] == [0, 0], ended
    trees.assert_same(shards, out)
    assert is_clean(out)
