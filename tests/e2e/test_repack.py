"""Packing again: what did not change is not read, what the destination has is not sent."""
import os
import random
import re
import time

import pytest

import models
import tool
from trees import Layout

MIB = 1 << 20
SETTLED_S = 2.2  # younger files are not trusted, they may change within a tick of the clock


@pytest.fixture
def weights(tmp_path):
    """Layers large enough to be sent while they are hashed, one small one, a bucket."""
    chance = random.Random(models.SEED)
    root = tmp_path / "weights"
    root.mkdir()
    for name, size in {"a.bin": 9 * MIB + 1, "b.bin": 5 * MIB, "c.bin": 2 * MIB}.items():
        (root / name).write_bytes(chance.randbytes(size))
    for number in range(3):
        (root / f"text{number}.txt").write_text(f"{number}")
    return root


@pytest.fixture
def pack(tmp_path, weights):
    def run(ref: str, *flags) -> tool.Result:
        return tool.ok("pack", weights, ref, *flags, env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
    return run


def was_read(result: tool.Result) -> bool:
    """Progress names the bytes to hash or to send, when there are any."""
    return bool(re.search(r"^(hash|send): .*iB in", result.err, re.M))


def entries(tmp_path) -> list:
    return sorted((tmp_path / "cache/modelcar/layers").iterdir())


def uploads(server) -> int:
    return len(server.requests("PATCH", "/blobs/"))


def test_an_unchanged_tree_is_not_read_again(tmp_path, pack):
    time.sleep(SETTLED_S)
    first = pack(f"oci:{tmp_path}/a:v1")
    again = pack(f"oci:{tmp_path}/a:v2")
    assert was_read(first) and not was_read(again)
    assert again.digest == first.digest == pack(f"oci:{tmp_path}/b:v1").digest
    Layout(tmp_path / "b").check()
    assert was_read(pack(f"oci:{tmp_path}/a:v3", "--no-cache"))


def test_young_files_are_read_again(tmp_path, pack, weights):
    (weights / "young.bin").write_bytes(b"young" * MIB)
    pack(f"oci:{tmp_path}/a:v1")
    assert was_read(pack(f"oci:{tmp_path}/a:v2"))


def test_a_change_that_keeps_size_and_mtime_is_seen(tmp_path, pack, weights):
    time.sleep(SETTLED_S)
    first = pack(f"oci:{tmp_path}/a:v1").digest
    before = os.stat(weights / "b.bin")
    models.flip(weights / "b.bin", 3 * MIB)
    os.utime(weights / "b.bin", ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = pack(f"oci:{tmp_path}/a:v2").digest
    assert changed != first
    assert changed == pack(f"oci:{tmp_path}/c:v1", "--no-cache").digest
    assert tool.ok("verify", f"oci:{tmp_path}/a:v2").code == 0


def test_a_damaged_cache_is_none(tmp_path, pack):
    time.sleep(SETTLED_S)
    first = pack(f"oci:{tmp_path}/a:v1").digest
    for number, entry in enumerate(entries(tmp_path)):
        models.flip(entry, 40) if number % 2 else entry.write_bytes(b"")
    again = pack(f"oci:{tmp_path}/b:v1")
    assert again.digest == first and was_read(again)


def test_file_digests_are_taken_where_the_cache_has_none(tmp_path, pack):
    time.sleep(SETTLED_S)
    pack(f"oci:{tmp_path}/a:v1")
    asked = pack(f"oci:{tmp_path}/b:v1", "--file-digests").digest
    assert asked == pack(f"oci:{tmp_path}/c:v1", "--file-digests").digest
    assert asked == pack(f"oci:{tmp_path}/d:v1", "--file-digests", "--no-cache").digest


def test_nothing_is_remembered_where_that_cannot_be(tmp_path, weights):
    first = tool.ok("pack", weights, f"oci:{tmp_path}/a:v1", env={"XDG_CACHE_HOME": "/dev/null/x"}).digest
    assert first == tool.ok("pack", weights, f"oci:{tmp_path}/b:v1", env={"XDG_CACHE_HOME": str(tmp_path)}).digest


def test_sent_ahead_or_not_the_image_is_the_same(tmp_path, pack, registry):
    ahead = pack(registry.ref("repack/ahead:v1"), "--no-cache").digest
    assert uploads(registry) >= 2
    assert ahead == pack(f"oci:{tmp_path}/layout:v1").digest
    assert ahead == pack(f"oci-archive:{tmp_path}/model.tar:v1").digest
    assert tool.ok("verify", registry.ref("repack/ahead:v1")).code == 0


@pytest.mark.parametrize("tag", ["v1", "v2"])
def test_what_another_version_has_is_not_sent_again(pack, registry, weights, tag):
    """Neither to the tag itself nor to the next, and without the help of a cache."""
    name = f"repack/known-{tag}"
    pack(registry.ref(f"{name}:v1"), "--no-cache")
    before = uploads(registry)
    (weights / "c.bin").write_bytes(b"new" * MIB)
    pack(registry.ref(f"{name}:{tag}"), "--no-cache", "--force")
    assert uploads(registry) - before <= 1, "c.bin alone is new"
    assert tool.ok("verify", registry.ref(f"{name}:{tag}")).code == 0


def test_a_tag_that_must_not_be_replaced_is_known_before_a_byte_is_sent(pack, registry, weights):
    pack(registry.ref("repack/kept:v1"), "--no-cache")
    before = uploads(registry)
    (weights / "d.bin").write_bytes(b"more" * 3 * MIB)
    tool.fails(35, "pack", weights, registry.ref("repack/kept:v1"), "--no-cache")
    assert uploads(registry) == before
