"""What pack and check know about models: layouts, and what makes one incomplete."""
import json
import struct

import pytest

import models
import tool

MAKERS = {
    "huggingface": models.huggingface,
    "triton-repository": models.triton,
    "triton-model": lambda root: models.triton(root / "up", models=("m",)) / "m",
    "tensorrt-llm": models.tensorrt_llm,
    "gguf": lambda root: models.write(root, {"tiny.gguf": models.gguf()}),
    "plain": lambda root: models.write(root, {"data.bin": b"x" * 100}),
}


@pytest.mark.parametrize("layout", MAKERS)
def test_check_names_the_layout(tmp_path, layout):
    tree = MAKERS[layout](tmp_path / "tree")
    assert tool.ok("check", tree, "--json").json["layout"] == layout


def test_check_reads_what_safetensors_say(model):
    report = tool.ok("check", model, "--json").json
    assert report["parameters"] == models.parameters()
    assert (report["format"], report["precision"], report["license"]) == ("safetensors", "bf16", "apache-2.0")
    assert report["architecture"] == "LlamaForCausalLM" and report["family"] == "llama"
    assert report["findings"] == []


def test_check_reads_what_gguf_says(tmp_path):
    models.write(tmp_path, {"tiny.gguf": models.gguf(tensors=3, rows=64)})
    report = tool.ok("check", tmp_path, "--json").json
    assert report["parameters"] == 3 * 64 * 32
    assert (report["format"], report["precision"], report["license"]) == ("gguf", "f16", "mit")
    assert report["name"] == "tiny"


def drop_shard(root):
    (root / "model-00002-of-00004.safetensors").unlink()
    return "model-00002-of-00004.safetensors"


def cut_shard(root):
    path = root / "model-00003-of-00004.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return path.name


def extend_shard(root):
    path = root / "model-00001-of-00004.safetensors"
    path.write_bytes(path.read_bytes() + b"more")
    return path.name


def wrong_header(root):
    (root / "model-00001-of-00004.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    return "model-00001-of-00004.safetensors"


def broken_config(root):
    (root / "config.json").write_text('{"model_type": ')
    return "config.json"


def cut_gguf(root):
    models.write(root, {"q.gguf": models.gguf()[:-64]})
    return "q.gguf"


@pytest.mark.parametrize("damage", [drop_shard, cut_shard, extend_shard, wrong_header, broken_config, cut_gguf])
def test_an_incomplete_model_fails_before_anything_is_written(tmp_path, own_model, damage):
    name = damage(own_model)
    checked = tool.run("check", own_model)
    assert checked.code == tool.SOURCE and name in checked.out + checked.err, str(checked)
    result = tool.fails(tool.SOURCE, "pack", own_model, f"oci:{tmp_path}/l:v1")
    assert name in result.err
    assert not (tmp_path / "l").exists()


def test_force_packs_an_incomplete_model_all_the_same(tmp_path, own_model):
    drop_shard(own_model)
    tool.ok("pack", own_model, f"oci:{tmp_path}/l:v1", "--force")


def no_version(root):
    models.write(root / "third", {"config.pbtxt": models.triton_config("third")})


def absent_version(root):
    (root / "encoder/config.pbtxt").write_text(models.triton_config("encoder", versions=[1, 7]))


@pytest.mark.parametrize("damage", [no_version, absent_version])
def test_a_triton_repository_that_cannot_be_served_is_refused(tmp_path, damage):
    tree = models.triton(tmp_path / "tree")
    tool.ok("check", tree)
    damage(tree)
    assert tool.run("check", tree).code == tool.SOURCE
    tool.fails(tool.SOURCE, "pack", tree, f"oci:{tmp_path}/l:v1")
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1", "--force")


def test_a_version_policy_that_names_versions_that_are_there_is_fine(tmp_path):
    tree = models.triton(tmp_path / "tree")
    (tree / "encoder/config.pbtxt").write_text(models.triton_config("encoder", versions=[1, 2]))
    tool.ok("check", tree)


def test_a_shard_that_no_index_names_is_a_warning(own_model):
    models.write(own_model, {"model-00009-of-00009.safetensors": models.safetensors({"x": (4, 4)})})
    levels = {f["level"] for f in tool.ok("check", own_model, "--json").json["findings"]}
    assert levels == {"warning"}


def test_check_writes_nothing(own_model):
    before = sorted(p.name for p in own_model.iterdir())
    tool.ok("check", own_model)
    assert sorted(p.name for p in own_model.iterdir()) == before


def test_a_tensorrt_engine_is_not_taken_for_hugging_face(tmp_path):
    models.tensorrt_llm(tmp_path)
    report = tool.ok("check", tmp_path, "--json").json
    assert report["layout"] == "tensorrt-llm" and report.get("format") != "safetensors"
    assert json.loads((tmp_path / "config.json").read_text())["version"]
