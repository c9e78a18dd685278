"""inspect, ls, verify and diff: what is there, is it whole, what changed."""
import json
import os
import shutil

import pytest

import images
import models
import tool
import trees
from trees import Layout, is_index_layer


@pytest.fixture
def pulled(tmp_path, packed):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "pulled")
    return tmp_path / "pulled"


def listed(*args) -> dict[str, int]:
    return {f["path"]: f["size"] for f in tool.ok("ls", *args, "--json").json["files"]}


def sizes(tree) -> dict[str, int]:
    return {name: size for name, (size, _) in trees.tree(tree).items()}


def test_inspect_shows_digest_platforms_and_layers(packed):
    layout = Layout(packed)
    report = tool.ok("inspect", f"oci:{packed}:v1", "--json").json
    assert report["digest"] == layout.tagged("v1")
    assert [layer["digest"] for layer in report["layers"]] == [layer["digest"] for layer in layout.layers("v1")]
    text = tool.ok("inspect", f"oci:{packed}:v1").out
    assert report["digest"] in text and "linux/amd64" in text and "linux/arm64" in text


def test_inspect_raw_prints_the_very_bytes(packed, pushed, registry):
    layout = Layout(packed)
    raw = layout.blob_path(layout.tagged("v1")).read_text()
    assert tool.ok("inspect", f"oci:{packed}:v1", "--raw").out == raw
    assert tool.ok("inspect", pushed, "--raw").out == registry.get("shared/tiny", "v1")[1].decode()


def test_ls_shows_the_same_files_for_image_and_directory(packed, pushed, pulled, model):
    assert listed(f"oci:{packed}:v1") == listed(pushed) == listed(pulled) == sizes(model)


def test_ls_takes_a_directory_without_a_record(model):
    assert listed(model) == sizes(model)
    assert "config.json" in tool.ok("ls", model).out


def test_ls_of_our_image_fetches_no_weights(registry, pushed):
    mark = len(registry.requests("GET", "/blobs/"))
    tool.ok("ls", pushed)
    index = json.loads(registry.get("shared/tiny", "v1")[1])
    manifest = json.loads(registry.get("shared/tiny", index["manifests"][0]["digest"])[1])
    weights = [layer["digest"].split(":")[1] for layer in manifest["layers"] if not is_index_layer(layer)]
    assert not [line for line in registry.requests("GET", "/blobs/")[mark:] if any(w in line for w in weights)]


def test_ls_reads_images_of_others(foreign, model):
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(model)), "gzip"))
    assert listed(foreign.ref("v1")) == sizes(model)


def test_verify_passes_what_was_pulled(pulled):
    report = tool.ok("verify", "--full", pulled, "--json").json
    assert report["ok"] is True and report["files"] == len(trees.tree(pulled)) and report["differences"] == []


def damage_bit(tree):
    models.flip(tree / "model-00002-of-00004.safetensors", 100_001)
    return "changed", "model-00002-of-00004.safetensors"


def damage_small(tree):
    models.flip(tree / "config.json", 3)
    return "changed", "config.json"


def damage_cut(tree):
    os.truncate(tree / "tokenizer.json", 10)
    return "changed", "tokenizer.json"


def damage_gone(tree):
    (tree / "LICENSE").unlink()
    return "removed", "LICENSE"


def damage_extra(tree):
    (tree / "extra.bin").write_bytes(b"x")
    return "added", "extra.bin"


@pytest.mark.parametrize("damage", [damage_bit, damage_small, damage_cut, damage_gone, damage_extra])
def test_verify_names_what_is_wrong_in_a_tree(pulled, damage):
    stat = {p.name: p.stat().st_mtime_ns for p in pulled.iterdir()}
    change, name = damage(pulled)
    if (pulled / name).exists() and name in stat:
        os.utime(pulled / name, ns=(stat[name], stat[name]))
    result = tool.run("verify", pulled, "--json")
    assert result.code == tool.DAMAGED, str(result)
    assert [(d["change"], d["path"]) for d in result.json["differences"]] == [(change, name)]
    assert name in tool.error_lines(result)[0]


def test_verify_against_takes_a_directory_without_a_record(tmp_path, model, packed, own_model):
    tool.ok("verify", model, "--against", f"oci:{packed}:v1")
    models.flip(own_model / "model-00001-of-00004.safetensors", 5000)
    result = tool.run("verify", own_model, "--against", f"oci:{packed}:v1")
    assert result.code == tool.DAMAGED and "model-00001-of-00004.safetensors" in result.out + result.err


def test_links_to_files_count_as_files_where_no_pull_left_its_record(tmp_path):
    snapshot, image = models.huggingface_cache(tmp_path / "hub"), f"oci:{tmp_path}/l:v1"
    shutil.copytree(snapshot, tmp_path / "copy")
    tool.ok("pack", snapshot, image)
    tool.ok("verify", snapshot, "--against", image)
    tool.ok("diff", image, snapshot)
    tool.ok("diff", snapshot, tmp_path / "copy")
    assert listed(snapshot) == listed(image)
    models.flip((snapshot / "config.json").resolve(), 3)
    for wrong in (("verify", snapshot, "--against", image), ("diff", snapshot, tmp_path / "copy")):
        assert "config.json" in tool.run(*wrong).out
    # What leads out of the cache is no file of the model.
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(tmp_path / "copy/config.json")
    assert "config.json" in tool.run("verify", snapshot, "--against", image).out


def test_a_link_in_place_of_a_pulled_file_is_a_change(tmp_path, pulled):
    (pulled / "config.json").rename(pulled / ".modelcar.moved")
    (pulled / "config.json").symlink_to(".modelcar.moved")
    assert "config.json" in tool.run("verify", pulled).out


def test_verify_without_a_record_or_a_reference_says_what_to_do(model):
    assert "--against" in tool.fails(tool.NOT_FOUND, "verify", model).err


def test_verify_of_a_partial_pull_asks_only_for_what_was_wanted(tmp_path, packed):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out", "--include", "*.json")
    tool.ok("verify", tmp_path / "out")


def test_verify_reads_every_blob_of_a_reference(own_layout, pushed):
    report = tool.ok("verify", f"oci:{own_layout}:v1", "--json").json
    assert report["blobs"] == len(Layout(own_layout).blobs())
    tool.ok("verify", pushed)


def test_verify_catches_a_flipped_bit_in_any_blob(tmp_path, packed):
    for i, digest in enumerate(sorted(Layout(packed).blobs())):
        copy = Layout(shutil.copytree(packed, tmp_path / str(i)))
        models.flip(copy.blob_path(digest), copy.blob_path(digest).stat().st_size // 2)
        tool.fails(tool.MISMATCH, "verify", f"oci:{copy.root}:v1")


def test_verify_catches_damage_in_a_registry(own_model, registry, repo):
    own_model.joinpath("model-00004-of-00004.safetensors").write_bytes(models.safetensors({"x": (100, 7)}, seed=99))
    models.write(own_model, {"model.safetensors.index.json": "{}"})
    report = tool.ok("pack", own_model, f"{repo}:v1", "--force", "--json").json
    weights = next(layer for layer in report["layers"] if layer["title"] == "model-00004-of-00004.safetensors")
    models.flip(registry.blob_path(weights["digest"]), 700)
    tool.fails(tool.MISMATCH, "verify", f"{repo}:v1")


@pytest.fixture
def two_versions(tmp_path, own_model):
    """v1 and v2: one shard changed, one file gone, one new."""
    tool.ok("pack", own_model, f"oci:{tmp_path}/l:v1")
    models.flip(own_model / "model-00003-of-00004.safetensors", 5000)
    (own_model / "generation_config.json").unlink()
    models.write(own_model, {"added.json": "{}"})
    tool.ok("pack", own_model, f"oci:{tmp_path}/l:v2")
    return f"oci:{tmp_path}/l:v1", f"oci:{tmp_path}/l:v2"


def test_diff_tells_added_removed_changed_and_bytes_to_go(two_versions, own_model):
    result = tool.run("diff", *two_versions, "--json")
    assert result.code == tool.DIFFERENT, str(result)
    changes = {d["path"]: d["change"] for d in result.json["files"]}
    assert changes == {"added.json": "added", "generation_config.json": "removed",
                       "model-00003-of-00004.safetensors": "changed"}
    shard = (own_model / "model-00003-of-00004.safetensors").stat().st_size
    assert shard <= result.json["bytesToGo"] < shard + 200_000
    text = tool.run("diff", *two_versions).out
    assert all(name in text for name in changes)


def test_diff_of_equal_things_is_empty_and_exit_0(packed, pushed, pulled):
    for a, b in ((f"oci:{packed}:v1", pushed), (pulled, f"oci:{packed}:v1"), (pulled, pulled)):
        assert tool.ok("diff", a, b, "--json").json["files"] == []


def test_diff_takes_directories_without_a_record(tmp_path, model, own_model):
    (own_model / "new.txt").write_text("x")
    result = tool.run("diff", model, own_model, "--json")
    assert result.code == tool.DIFFERENT
    assert [(d["change"], d["path"]) for d in result.json["files"]] == [("added", "new.txt")]
