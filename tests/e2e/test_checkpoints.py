"""Every 4 MiB block of a layer proves itself; all of them together prove the layer."""
import random
import shutil

import pytest

import models
import tool
from checkpoints import BLOCK, IndexLayer
from images import ImageLayout, canonical
from trees import Layout, is_index_layer

draw = random.Random(models.SEED)


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A layout with one shard of five blocks and a bit, one of exactly one block, and small files."""
    root = tmp_path_factory.mktemp("blocks")
    tree = models.single(root / "model")
    models.write(tree, {"large.bin": random.Random(7).randbytes(5 * BLOCK + 12345), "even.bin": bytes(BLOCK),
                        "empty.bin": b"", "one.bin": b"x"})
    tool.ok("pack", tree, f"oci:{root}/layout:v1")
    return Layout(root / "layout")


def index_of(layout: Layout) -> IndexLayer:
    return IndexLayer(layout.blob_path(next(d["digest"] for d in layout.layers("v1") if is_index_layer(d))))


def block(data: bytes, layer: dict, k: int) -> bytes:
    return data[layer["start"] + k * BLOCK:][:BLOCK]


def large_layer(layout: Layout, index: IndexLayer) -> tuple[dict, bytes]:
    layer = max(index.document["layers"], key=lambda entry: entry["size"])
    return layer, layout.blob_path(layer["digest"]).read_bytes()


def test_the_index_names_every_layer_but_itself(big):
    index = index_of(big)
    assert {".modelcar/index.json", ".modelcar/blocks"} <= set(index.names)
    named = {(layer["digest"], layer["size"]) for layer in index.document["layers"]}
    assert named == {(layer["digest"], layer["size"]) for layer in big.layers("v1") if not is_index_layer(layer)}
    assert sum(index.blocks(layer) for layer in index.document["layers"]) * 32 == len(index.chains)


def test_every_block_verifies_alone_in_random_order(big):
    index = index_of(big)
    todo = [(layer, k) for layer in index.document["layers"] for k in range(index.blocks(layer))]
    draw.shuffle(todo)
    for layer, k in todo:
        with open(big.blob_path(layer["digest"]), "rb") as blob:
            blob.seek(layer["start"] + k * BLOCK)
            assert index.block_holds(layer, k, blob.read(BLOCK)), (layer, k)
    for layer in index.document["layers"]:
        assert index.head_holds(layer, big.blob_path(layer["digest"]).read_bytes()[:layer["start"]])


def test_any_flipped_bit_is_caught_by_its_own_block(big):
    index = index_of(big)
    layer, data = large_layer(big, index)
    for _ in range(40):
        k = draw.randrange(index.blocks(layer))
        damaged = bytearray(block(data, layer, k))
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        assert not index.block_holds(layer, k, bytes(damaged))


def test_swapped_blocks_are_caught(big):
    index = index_of(big)
    layer, data = large_layer(big, index)
    for _ in range(10):
        a, b = draw.sample(range(index.blocks(layer) - 1), 2)
        assert not index.block_holds(layer, a, block(data, layer, b))


def test_every_file_lies_where_the_index_says(big, tmp_path):
    index = index_of(big)
    tool.ok("pull", f"oci:{big.root}:v1", tmp_path / "out")
    for file in index.document["files"]:
        layer = index.document["layers"][file["layer"]]
        with open(big.blob_path(layer["digest"]), "rb") as blob:
            blob.seek(file["offset"])
            assert blob.read(file["size"]) == (tmp_path / "out" / file["path"]).read_bytes()


@pytest.mark.parametrize("what", ["bit", "swap", "truncate", "extend"])
def test_a_damaged_blob_never_lands(big, tmp_path, what):
    copy = Layout(shutil.copytree(big.root, tmp_path / "copy"))
    layer, data = large_layer(copy, index_of(copy))
    path, start = copy.blob_path(layer["digest"]), layer["start"]
    if what == "bit":
        models.flip(path, draw.randrange(len(data)), 1 << draw.randrange(8))
    elif what == "swap":
        one, two = data[start:start + BLOCK], data[start + BLOCK:start + 2 * BLOCK]
        path.write_bytes(data[:start] + two + one + data[start + 2 * BLOCK:])
    else:
        path.write_bytes(data[:-512] if what == "truncate" else data + bytes(512))
    tool.fails(tool.MISMATCH, "verify", f"oci:{copy.root}:v1")
    tool.fails(tool.MISMATCH, "pull", f"oci:{copy.root}:v1", tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == {"copy"}


def test_an_altered_checkpoint_is_caught_even_when_the_manifest_vouches_for_it(big, tmp_path):
    """Who signs a wrong index layer has not thereby made a wrong block right."""
    copy = Layout(shutil.copytree(big.root, tmp_path / "copy"))
    reseal(copy, lambda data: flip_in(data, index_of(big).chains[32:64]))
    code = tool.run("verify", f"oci:{copy.root}:v1").code
    assert code in (tool.MISMATCH, tool.MALFORMED)


def flip_in(data: bytes, needle: bytes) -> bytes:
    at = data.index(needle)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def reseal(layout: Layout, change) -> None:
    """Changes the index layer and makes every document above it agree with the change."""
    manifest = layout.manifest("v1")
    old = manifest["layers"][-1]
    new = ImageLayout.blob(layout, change(layout.blob_path(old["digest"]).read_bytes()), old["mediaType"])
    config = layout.blob_path(manifest["config"]["digest"]).read_text().replace(old["digest"], new["digest"])
    manifest["layers"][-1] = old | new
    manifest["config"] = ImageLayout.blob(layout, config.encode(), manifest["config"]["mediaType"])
    top = ImageLayout.blob(layout, canonical(manifest), manifest["mediaType"])
    index = layout.index()
    index["manifests"] = [top | {"annotations": {"org.opencontainers.image.ref.name": "v1"}}]
    (layout.root / "index.json").write_bytes(canonical(index))
