"""A pull of what other tools made goes on where it was ended: layers that are done stay, others go on as they can."""
import errno
import json
import random
import shutil
import signal
from pathlib import Path

import pytest

import crashes
import images
import models
import tool
import trees
from cutter import end_at
from front import Front
from images import files_of, member, tar

MIB = 2**20
STEP = 8 * MIB  # the points of a ledger
CONNECTIONS = 4
SIZES = {"a.bin": 24 * MIB, "b.bin": 17 * MIB + 12345, "sub/c.bin": 9 * MIB + 512}
SMALL = {f"sub/{i}.json": f'{{"n": {i}}}' for i in range(40)}
PLAIN = ["one plain layer", "plain layers", "artifact", "modelpack"]
PACKED = ["gzip", "zstd"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    draw = random.Random(models.SEED)
    return models.write(tmp_path_factory.mktemp("weights"), {n: draw.randbytes(s) for n, s in SIZES.items()} | SMALL)


def layers_of(layout: images.ImageLayout, tree: Path, kind: str) -> list:
    """A layer a file, the last of many small ones below one of other things."""
    members = files_of(tree)
    large = [m for m in members if m[0].size >= MIB]
    small = [m for m in members if m[0].size < MIB]
    other = tar(member("usr"), member("usr/lib.so", random.Random(2).randbytes(2 * MIB)))
    return [layout.layer(t, kind) for t in (other, *(tar(m) for m in large), tar(*small))]


def write(layout: images.ImageLayout, tree: Path, kind: str, tag: str = "v1") -> None:
    if kind == "one plain layer":
        layout.image(tag, layout.layer(tar(*files_of(tree))))
    elif kind == "artifact":
        layout.artifact(tag, {p.relative_to(tree).as_posix(): p.read_bytes() for p in sorted(tree.rglob("*")) if p.is_file()})
    elif kind == "modelpack":
        tool.ok("pack", "--format", "modelpack", tree, layout.ref(tag))
    else:
        layout.image(tag, *layers_of(layout, tree, "" if kind == "plain layers" else kind))


class Stored:
    """An image of a kind in the registry; `name` is what it is called there, `sizes` are its layers'."""

    def __init__(self, layout: Path, kind: str, repo: str, tree: Path, tag: str = "v1"):
        self.layout, self.repo, self.tree = layout, repo, tree
        if kind:
            write(images.ImageLayout(layout), tree, kind, tag)
        self.name = f"{repo.split('/', 1)[1]}:v1"
        tool.ok("cp", "--force", f"oci:{layout}:{tag}", f"{repo}:v1")
        self.sizes = [layer["size"] for layer in trees.Layout(layout).layers(tag)]
        self.total = sum(self.sizes)


@pytest.fixture(scope="module")
def made(tmp_path_factory, weights):
    """kind -> a layout with that image, made once."""
    layouts: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in layouts:
            layouts[kind] = tmp_path_factory.mktemp("made") / "layout"
            write(images.ImageLayout(layouts[kind]), weights, kind)
        return layouts[kind]

    return make


@pytest.fixture
def stored(request, tmp_path, repo, weights, made) -> Stored:
    shutil.copytree(made(request.param), tmp_path / "layout")
    return Stored(tmp_path / "layout", "", repo, weights)


@pytest.fixture
def gzipped(tmp_path, repo, weights, skopeo) -> Stored:
    """An image of ours that skopeo has gzipped on its way: nothing of our format is left."""
    tool.ok("pack", weights, f"oci:{tmp_path}/own:v1")
    skopeo.copy(f"oci:{tmp_path}/own:v1", f"docker://{repo}:gz", "--dest-compress-format", "gzip")
    shutil.rmtree(tmp_path / "own")
    tool.ok("cp", f"{repo}:gz", f"oci:{tmp_path}/layout:v1")
    return Stored(tmp_path / "layout", "", repo, weights)


def finish(way, stored: Stored, dest: Path, *options) -> int:
    """The same command again, to its end: the bytes that it fetched."""
    before = way.received
    report = tool.ok("pull", "--json", *options, way.ref(stored.name), dest).json
    trees.assert_same(stored.tree, dest)
    assert report["bytesFetched"] + report["bytesReused"] == stored.total
    assert trees.leftovers(dest.parent, {dest.name, "layout", "v2", "other"}) == set()
    assert not [p for p in dest.rglob(".modelcar*") if p.name != trees.RECORD]
    tool.ok("verify", "--full", dest)
    return way.received - before


@pytest.mark.parametrize("share, number, in_place", [(0.3, signal.SIGKILL, False), (0.6, signal.SIGTERM, True),
                                                     (0.9, signal.SIGKILL, True), (0.9, signal.SIGTERM, False)])
@pytest.mark.parametrize("stored", PLAIN, indirect=True)
def test_what_is_stored_as_it_is_goes_on_in_the_middle(tmp_path, way, stored, share, number, in_place):
    if in_place:
        (tmp_path / "out").mkdir()
    code, err = end_at(way, share * stored.total, number, "pull", way.ref(stored.name), tmp_path / "out")
    assert code == (128 + number if number == signal.SIGTERM else -number)
    assert number == signal.SIGKILL or "is kept" in err
    assert not (tmp_path / "out/a.bin").exists()
    assert finish(way, stored, tmp_path / "out") <= (1 - share) * stored.total + CONNECTIONS * (STEP + MIB)


@pytest.mark.parametrize("stored", PLAIN, indirect=True)
def test_killed_again_and_again_each_run_goes_on(tmp_path, way, stored):
    for share in (0.2, 0.4, 0.6, 0.8):
        end_at(way, share * stored.total, signal.SIGKILL, "pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out")
    finish(way, stored, tmp_path / "out")
    assert way.received <= stored.total + 5 * (STEP + 2 * MIB)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("stored", PACKED, indirect=True)
def test_a_compressed_layer_begins_again_and_those_before_it_do_not(tmp_path, way, stored, share):
    end_at(way, share * stored.total, signal.SIGKILL, "pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out")
    done = at = 0
    for size in stored.sizes:
        at += size
        done = at if at <= share * stored.total - MIB else done
    assert done > 0
    assert finish(way, stored, tmp_path / "out") <= stored.total - done + MIB


@pytest.mark.parametrize("stored", ["one plain layer", "artifact"], indirect=True)
def test_where_a_server_has_no_ranges_the_layer_begins_again(tmp_path, way, stored, start, registry):
    end_at(way, 0.9 * stored.total, signal.SIGKILL, "pull", way.ref(stored.name), tmp_path / "out")
    front = start(Front, "front", target=registry.host, rule=lambda seen: seen.headers.pop("Range", None) and None)
    tool.ok("pull", f"{front.host}/{stored.name}", tmp_path / "out")
    trees.assert_same(stored.tree, tmp_path / "out")


def test_of_what_skopeo_has_gzipped_layers_that_are_done_stay(tmp_path, way, gzipped):
    end_at(way, 0.9 * gzipped.total, signal.SIGKILL, "pull", "--jobs", 1, way.ref(gzipped.name), tmp_path / "out")
    assert finish(way, gzipped, tmp_path / "out") <= 0.1 * gzipped.total + max(gzipped.sizes) + MIB


def part_of(parent: Path, path: str) -> Path:
    """The staged part of a file, which some ledger names."""
    for ledger in parent.glob(".modelcar.*.log.part"):
        for line in map(json.loads, ledger.read_text().splitlines()):
            if path in (line.get("file"), line.get("begun")):
                prefix, layer = ledger.name.removesuffix(".log.part").rsplit(".", 1)
                return parent / f"{prefix}.{layer}-{line['number']}.part"
    raise KeyError(path)


@pytest.mark.parametrize("stored", PLAIN + PACKED, indirect=True)
def test_a_part_that_was_damaged_meanwhile_is_fetched_again(tmp_path, way, stored):
    end_at(way, 0.9 * stored.total, signal.SIGKILL, "pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out")
    part = part_of(tmp_path, "a.bin")
    models.flip(part, 20 * MIB)
    fetched = finish(way, stored, tmp_path / "out")
    assert fetched > 0.1 * stored.total


@pytest.mark.parametrize("stored", ["one plain layer", "artifact"], indirect=True)
def test_of_a_damaged_part_that_is_begun_what_lies_before_the_damage_stays(tmp_path, way, stored):
    end_at(way, 23 * MIB, signal.SIGKILL, "pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out")
    models.flip(part_of(tmp_path, "a.bin"), 12 * MIB)
    assert stored.total - 2 * STEP < finish(way, stored, tmp_path / "out") <= stored.total - STEP + MIB


@pytest.mark.parametrize("stored", ["one plain layer", "gzip"], indirect=True)
@pytest.mark.parametrize("damage", ["cut", "nonsense", "gone"])
def test_a_ledger_that_is_not_whole_costs_bytes_and_nothing_else(tmp_path, way, stored, damage):
    end_at(way, 0.9 * stored.total, signal.SIGKILL, "pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out")
    for ledger in tmp_path.glob(".modelcar.*.log.part"):
        data = ledger.read_bytes()
        if damage == "gone":
            ledger.unlink()
        else:
            ledger.write_bytes(data[:len(data) // 2] + b"\0nonsense\n" * (damage == "nonsense"))
    finish(way, stored, tmp_path / "out")


@pytest.mark.parametrize("stored", ["one plain layer"], indirect=True)
def test_a_chain_that_was_changed_is_noticed_at_the_end_of_the_layer(tmp_path, way, stored):
    """What a ledger says of the layer before its point cannot be hashed again, but the layer's digest can."""
    end_at(way, 0.9 * stored.total, signal.SIGKILL, "pull", way.ref(stored.name), tmp_path / "out")
    [ledger] = tmp_path.glob(".modelcar.*.0.log.part")
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    for line in lines:
        if "chain" in line:
            line["chain"] = "0" * 64
    ledger.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    before = way.received
    assert tool.ok("pull", "--json", way.ref(stored.name), tmp_path / "out").json["bytesFetched"] == stored.total
    trees.assert_same(stored.tree, tmp_path / "out")
    assert way.received - before > stored.total


@pytest.mark.parametrize("stored", ["one plain layer", "gzip"], indirect=True)
def test_a_run_that_ends_before_it_has_looked_at_anything_takes_nothing_away(tmp_path, way, stored):
    pull = ["pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out"]
    end_at(way, 0.9 * stored.total, signal.SIGKILL, *pull)
    staged = sorted(p.name for p in tmp_path.glob(".modelcar.*-*.part"))
    ran = crashes.run(*pull, root=tmp_path, kinds="rename", act=str(errno.ENOSPC), at=2, times=0)  # the lease comes first
    assert ran.result.code == 30 and "is kept" in ran.result.err
    assert sorted(p.name for p in tmp_path.glob(".modelcar.*-*.part")) == staged
    (tmp_path / "calls").unlink()
    (tmp_path / "calls.log").unlink()
    assert finish(way, stored, tmp_path / "out") < 0.5 * stored.total


@pytest.mark.parametrize("stored", ["one plain layer", "artifact", "gzip"], indirect=True)
def test_what_was_staged_of_another_manifest_is_not_used(tmp_path, way, stored, repo, weights):
    end_at(way, 0.9 * stored.total, signal.SIGKILL, "pull", way.ref(stored.name), tmp_path / "out")
    old = {p.name for p in tmp_path.glob(".modelcar.*.part")}
    two = Path(shutil.copytree(weights, tmp_path / "v2"))
    models.flip(two / "a.bin", 100)
    changed = Stored(tmp_path / "other", "one plain layer", repo, two, "v2")
    assert finish(way, changed, tmp_path / "out") > changed.total
    assert not old & {p.name for p in tmp_path.glob(".modelcar.*.part")}


@pytest.mark.parametrize("stored", ["one plain layer", "plain layers", "gzip"], indirect=True)
def test_what_was_staged_for_other_options_is_not_used(tmp_path, way, stored):
    args = ["pull", "--jobs", 1, way.ref(stored.name), tmp_path / "out"]
    end_at(way, 0.9 * stored.total, signal.SIGKILL, *args, "--include", "*.bin")
    finish(way, stored, tmp_path / "out")


@pytest.mark.parametrize("stored", ["one plain layer", "artifact", "zstd"], indirect=True)
def test_a_volume_that_has_room_for_the_rest_alone_is_enough(tmp_path, way, stored, small_volume):
    """What is staged counts, though free space is less than the image."""
    dest = small_volume(stored.total + 16 * MIB) / "out"
    end_at(way, 0.9 * stored.total, signal.SIGKILL, "pull", way.ref(stored.name), dest)
    finish(way, stored, dest)
