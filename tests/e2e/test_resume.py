"""A pull that was ended goes on where it was; a changed model costs what has changed."""
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

import models
import tool
import trees
from cutter import end_at

MIB = 2**20
BLOCK = 4 * MIB
SIZES = (48 * MIB, 24 * MIB + 12345)
TOTAL = sum(SIZES)
CONNECTIONS = 4


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    root, chance = tmp_path_factory.mktemp("weights"), random.Random(models.SEED)
    for number, size in enumerate(SIZES):
        (root / f"part{number}.bin").write_bytes(chance.randbytes(size))
    return root


@pytest.fixture
def stored(registry, repo, weights) -> str:
    tool.ok("pack", weights, f"{repo}:v1")
    return f"{repo.split('/', 1)[1]}:v1"


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_pull_that_was_ended_fetches_only_the_rest(tmp_path, way, stored, weights, number, in_place):
    if in_place:
        (tmp_path / "out").mkdir()
    code, err = end_at(way, 0.8 * TOTAL, number, "pull", way.ref(stored), tmp_path / "out")
    assert code == (128 + number if number == signal.SIGTERM else -number)
    assert number == signal.SIGKILL or "is kept" in err
    assert not (tmp_path / "out/part0.bin").exists()
    before = way.received
    report = tool.ok("pull", "--json", way.ref(stored), tmp_path / "out").json
    assert way.received - before <= 0.2 * TOTAL + CONNECTIONS * BLOCK + MIB
    assert report["bytesReused"] >= 0.8 * TOTAL - CONNECTIONS * BLOCK - MIB
    trees.assert_same(weights, tmp_path / "out")
    assert trees.leftovers(tmp_path, {"out"}) == set()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"part0.bin", "part1.bin", trees.RECORD}


def test_a_volume_that_has_room_for_the_rest_alone_is_enough(way, stored, weights, small_volume):
    """Parts have their whole size from the first: what they take is not asked for again."""
    dest = small_volume(TOTAL + 16 * MIB) / "out"
    end_at(way, 0.5 * TOTAL, signal.SIGKILL, "pull", way.ref(stored), dest)
    tool.ok("pull", way.ref(stored), dest)
    trees.assert_same(weights, dest)


def other_boot(parent: Path) -> None:
    """Makes the journal one of another boot."""
    [journal] = parent.glob(".modelcar.*.part/journal")
    head = journal.read_bytes()[:512]
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    assert boot in head
    with open(journal, "r+b") as file:
        file.write(head.replace(boot, b"00000000-0000-0000-0000-000000000000"))


def test_after_another_boot_blocks_are_hashed_and_not_fetched(tmp_path, way, stored, weights):
    end_at(way, 0.8 * TOTAL, signal.SIGKILL, "pull", way.ref(stored), tmp_path / "out")
    other_boot(tmp_path)
    [part] = tmp_path.glob(".modelcar.*.part/tree/part0.bin")
    models.flip(part, 5 * MIB)  # what the disk had lost
    before = way.received
    tool.ok("pull", way.ref(stored), tmp_path / "out")
    assert way.received - before <= 0.2 * TOTAL + (CONNECTIONS + 1) * BLOCK + MIB
    trees.assert_same(weights, tmp_path / "out")


def test_killed_again_and_again_each_run_goes_on(tmp_path, way, stored, weights):
    for share in (0.2, 0.4, 0.6, 0.8):
        end_at(way, share * TOTAL, signal.SIGKILL, "pull", way.ref(stored), tmp_path / "out")
    tool.ok("pull", way.ref(stored), tmp_path / "out")
    assert way.received <= TOTAL + 5 * (CONNECTIONS * BLOCK + MIB)
    trees.assert_same(weights, tmp_path / "out")


def test_of_a_changed_file_only_the_changed_blocks_are_fetched(tmp_path, registry, repo, way, stored, weights):
    tool.ok("pull", way.ref(stored), tmp_path / "out")
    changed = models.write(tmp_path / "v2", {p.name: p.read_bytes() for p in weights.iterdir()})
    with open(changed / "part0.bin", "r+b") as file:
        file.seek(10 * MIB + 17)
        file.write(random.Random(1).randbytes(6 * MIB))
    tool.ok("pack", changed, f"{repo}:v2")
    before = way.received
    report = tool.ok("pull", "--json", way.ref(stored).replace(":v1", ":v2"), tmp_path / "out").json
    assert way.received - before <= 3 * BLOCK + MIB
    assert report["bytesFetched"] <= 3 * BLOCK + MIB and report["bytesLinked"] == SIZES[1]
    trees.assert_same(changed, tmp_path / "out")
    tool.ok("verify", tmp_path / "out")


def test_another_tree_gives_what_it_has(tmp_path, way, stored, weights):
    """One without a record, that another tool has filled."""
    (tmp_path / "far").mkdir()
    before = way.received
    report = tool.ok("pull", "--json", "--reuse-from", weights, way.ref(stored), tmp_path / "far/out").json
    assert way.received - before <= MIB and report["bytesReused"] >= TOTAL
    trees.assert_same(weights, tmp_path / "far/out")
    assert all(p.stat().st_nlink == 1 for p in weights.iterdir())


def test_an_unchanged_tree_costs_one_request(tmp_path, start, registry, stored):
    from front import Front
    front = start(Front, "front", target=registry.host)
    ref = f"{front.host}/{stored}"
    tool.ok("pull", ref, tmp_path / "out")
    front.seen.clear()
    assert "unchanged" in tool.ok("pull", ref, tmp_path / "out").err
    asked = [s for s in front.seen if s.path != "/v2/"]
    assert len(asked) == 1 and "/manifests/" in asked[0].path, [s.path for s in asked]


def test_pulls_of_one_image_to_one_place_fetch_it_once(tmp_path, way, stored, weights):
    command = [tool.binary(), "pull", way.ref(stored), str(tmp_path / "out")]
    pods = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=tool.clean_env(None))
            for _ in range(8)]
    ended = [(p.wait(timeout=120), p.stderr.read().decode()) for p in pods]
    assert [code for code, _ in ended] == [0] * 8, ended
    assert way.received <= 1.05 * TOTAL + 8 * MIB
    trees.assert_same(weights, tmp_path / "out")
    assert trees.leftovers(tmp_path, {"out"}) == set()
