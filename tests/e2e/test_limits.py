"""Large models: many files, many shards, a file beyond 8 GiB, memory that stays small."""
import json
import shutil
import subprocess
import tarfile

import pytest

import models
import tool
import trees
from images import member, tar
from trees import Layout, is_index_layer

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def manifests(layout: Layout, tag: str) -> list[str]:
    return [e["digest"] for e in layout.document(layout.tagged(tag))["manifests"]]


def assert_within_caps(layout: Layout, tag: str) -> None:
    for digest in manifests(layout, tag):
        assert len(layout.document(digest)["layers"]) <= 120
        assert layout.blob_path(digest).stat().st_size <= 200 * KIB


@pytest.mark.parametrize("make", [models.many_files, models.many_shards])
def test_the_caps_hold_for_many_files_and_for_many_shards(tmp_path, make):
    tree = make(tmp_path / "tree")
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1", "--modelpack")
    assert_within_caps(Layout(tmp_path / "l"), "v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")
    tool.ok("verify", tmp_path / "out")


def test_the_caps_hold_with_a_base_of_many_layers(tmp_path, foreign):
    foreign.image("base", *(foreign.layer(tar(member(f"etc/{i}", b"x"))) for i in range(40)))
    tree = models.many_shards(tmp_path / "tree")
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1", "--onto", foreign.ref("base"))
    assert_within_caps(Layout(tmp_path / "l"), "v1")


def test_the_caps_hold_for_long_paths(tmp_path):
    deep = "/".join("d" * 200 for _ in range(5))
    tree = models.write(tmp_path / "tree", {f"{deep}/{i:03}{'n' * 200}.bin": bytes([i]) for i in range(110)})
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1", "--modelpack")
    assert_within_caps(Layout(tmp_path / "l"), "v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1-modelpack", tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")


@pytest.mark.parametrize("flags", [[], ["--single"], ["--format", "modelpack"]])
def test_a_manifest_beyond_the_cap_is_refused_before_anything_is_written(tmp_path, flags):
    tree = models.single(tmp_path / "tree")
    large = [f"--annotation=org.example.{i}={'v' * 110 * KIB}" for i in range(2)]
    result = tool.fails(tool.UNSUPPORTED, "pack", tree, f"oci:{tmp_path}/l:v1", *flags, *large)
    assert "200 KiB" in result.err and not trees.leftovers(tmp_path, {"tree"})


def test_one_more_file_moves_one_bucket(tmp_path):
    tree = models.many_files(tmp_path / "tree", 600)
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    models.write(tree, {"part-01/one-more.json": "{}"})
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v2")
    layout = Layout(tmp_path / "l")
    one, two = ({d["digest"] for d in layout.layers(t) if not is_index_layer(d)} for t in ("v1", "v2"))
    assert len(two - one) == 1 and len(one - two) <= 1


def test_five_thousand_files_are_read_by_podman(tmp_path, podman, repo):
    tree = models.many_files(tmp_path / "tree")
    tool.ok("pack", tree, f"{repo}:v1")
    image = podman.pull(f"{repo}:v1")
    root = podman.mount(image)
    try:
        trees.assert_same(tree, root / "models")
    finally:
        podman.unmount(image)


@pytest.fixture(scope="module")
def huge(scratch):
    """A sparse file of 12 GiB, packed: its directory, the layout, and its layer on disk."""
    if shutil.disk_usage(scratch).free < 40 * GIB:
        pytest.skip("absent: 40 GiB of disk")
    tree = models.sparse(scratch / "huge/tree", 12 * GIB)
    tool.ok("pack", tree, f"oci:{scratch}/huge/l:v1", binary_path=tool.release_binary())
    layout = Layout(scratch / "huge/l")
    layer = max(layout.layers("v1"), key=lambda d: d["size"])
    yield tree, layout, layout.blob_path(layer["digest"])
    shutil.rmtree(scratch / "huge")


def same_as(file, command: list) -> bool:
    """What the command prints is the file, byte for byte."""
    with subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE) as process:
        return subprocess.run(["cmp", "-", str(file)], stdin=process.stdout).returncode == 0


@pytest.mark.heavy
def test_a_file_beyond_8_gib_round_trips(huge, tmp_path):
    tree, layout, _ = huge
    tool.ok("pull", f"oci:{layout.root}:v1", tmp_path / "out", binary_path=tool.release_binary())
    assert same_as(tree / "model.bin", ["cat", tmp_path / "out/model.bin"])
    shutil.rmtree(tmp_path / "out")


@pytest.mark.heavy
@pytest.mark.parametrize("reader", [["tar", "-xOf"], ["bsdtar", "-xOf"]], ids=["GNU tar", "libarchive"])
def test_a_file_beyond_8_gib_is_read_by_other_tars(huge, reader):
    tree, _, blob = huge
    assert same_as(tree / "model.bin", [*reader, blob, "models/model.bin"])
    with tarfile.open(blob) as archive:
        assert archive.getmember("models/model.bin").size == 12 * GIB


@pytest.mark.heavy
@pytest.mark.long
def test_a_file_beyond_8_gib_is_read_by_podman(huge, podman):
    tree, layout, _ = huge
    image = podman.run("pull", "-q", "--signature-policy", podman.root / "policy.json",
                       f"oci:{layout.root}:v1").strip()
    root = podman.mount(image)
    try:
        assert same_as(tree / "model.bin", ["cat", root / "models/model.bin"])
    finally:
        podman.unmount(image)
        podman.run("rmi", "--force", image)


@pytest.fixture(scope="module")
def four_gib(scratch):
    tree = scratch / "four/tree"
    for i in range(4):
        models.sparse(tree, GIB, name=f"part-{i}.bin")
    yield tree
    shutil.rmtree(scratch / "four")


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["layout", "registry"])
def test_pack_and_pull_of_4_gib_stay_within_32_mib(four_gib, tmp_path, repo, kind):
    ref = f"{repo}:v1" if kind == "registry" else f"oci:{tmp_path}/l:v1"
    for step in (["pack", four_gib, ref], ["pull", ref, tmp_path / "out"]):
        usage = tool.measure(*step, log=tmp_path / "log")
        print(json.dumps({"step": step[0], "store": kind, "rss_mib": round(usage.rss_bytes / MIB, 1),
                          "seconds": round(usage.seconds, 1)}))
        assert usage.code == 0 and usage.rss_bytes > 0, usage.out
        assert usage.rss_bytes <= 32 * MIB, f"{step[0]}: {usage.rss_bytes / MIB:.1f} MiB"
    shutil.rmtree(tmp_path / "out")
