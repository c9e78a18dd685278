"""The other things pack can write: ModelPack, an image on a base, one more Triton version."""
import shutil

import pytest

import images
import models
import tool
import trees
from trees import Layout

MODELPACK = "application/vnd.cncf.model.manifest.v1+json"


def test_modelpack_is_one_more_manifest_over_the_same_blobs(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--modelpack")
    layout = Layout(tmp_path / "l")
    entries = layout.document(layout.tagged("v1"))["manifests"]
    assert entries[-1]["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert entries[-1]["digest"] == layout.tagged("v1-modelpack")
    manifest = layout.document(entries[-1]["digest"])
    assert manifest["artifactType"] == MODELPACK
    image_layers = {layer["digest"] for layer in layout.layers("v1")}
    assert {layer["digest"] for layer in manifest["layers"]} < image_layers
    config = layout.document(manifest["config"]["digest"])
    assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]


def test_the_modelpack_config_says_what_the_files_say(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--modelpack")
    layout = Layout(tmp_path / "l")
    config = layout.document(layout.document(layout.tagged("v1-modelpack"))["config"]["digest"])
    assert config["config"]["architecture"] == "transformer" or config["descriptor"]["family"] == "llama"
    assert config["config"]["format"] == "safetensors"
    assert config["config"]["precision"] == "bf16"
    assert config["config"]["paramSize"] == "1.2M"
    assert config["descriptor"]["licenses"] == ["apache-2.0"]


def test_format_modelpack_stores_files_as_they_are(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--format", "modelpack")
    layout = Layout(tmp_path / "l")
    manifest = layout.manifest("v1")
    assert manifest["artifactType"] == MODELPACK
    raw = {layer["digest"] for layer in manifest["layers"] if layer["mediaType"].endswith(".raw")}
    assert {f"sha256:{digest}" for _, digest in trees.tree(model).values()} == raw


@pytest.mark.parametrize("flags", [["--modelpack"], ["--format", "modelpack"], ["--single"]])
def test_every_variant_comes_back_byte_for_byte(tmp_path, model, flags):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", *flags)
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")
    if flags == ["--modelpack"]:
        tool.ok("pull", f"oci:{tmp_path}/l:v1-modelpack", tmp_path / "artifact")
        trees.assert_same(model, tmp_path / "artifact")
        assert not (tmp_path / "artifact/models").exists(), "the image's root is no directory of the model"


def test_the_same_file_has_one_raw_digest_under_any_path(tmp_path):
    data = models.safetensors({"w": (64, 64)})
    models.write(tmp_path / "a", {"x.safetensors": data})
    models.write(tmp_path / "b", {"deep/y.safetensors": data})
    for name in "ab":
        tool.ok("pack", tmp_path / name, f"oci:{tmp_path}/l:{name}", "--format", "modelpack")
    layout = Layout(tmp_path / "l")
    a, b = ({layer["digest"] for layer in layout.layers(name)} for name in "ab")
    assert a & b


def test_onto_puts_the_base_below_the_model(tmp_path, model, foreign):
    images.base(foreign)
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--onto", foreign.ref("base"))
    layout = Layout(tmp_path / "l")
    base, packed = Layout(foreign.root).layers("base"), layout.layers("v1")
    assert [layer["digest"] for layer in packed[:1]] == [base[0]["digest"]]
    config = layout.document(layout.manifest("v1")["config"]["digest"])
    assert len(config["rootfs"]["diff_ids"]) == len(packed) == len(config["history"])
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "all", "--root", "/")
    assert (tmp_path / "all/etc/os-release").read_text() == "ID=test\n"


def test_a_base_in_the_same_registry_is_mounted_not_copied(tmp_path, model, foreign, skopeo, registry, repo):
    images.base(foreign)
    skopeo.copy(foreign.ref("base"), f"docker://{repo}/base:1", "--preserve-digests")
    tool.ok("pack", model, f"{repo}/model:v1", "--onto", f"{repo}/base:1")
    layer = Layout(foreign.root).layers("base")[0]["digest"]
    mounts = [line for line in registry.requests("POST", "mount=") if layer.split(":")[1] in line]
    assert mounts and " 201 " in mounts[0], mounts


def test_prefix_adds_a_triton_version_without_the_rest_on_disk(tmp_path, repo):
    whole = models.triton(tmp_path / "whole", models=("encoder",), versions=(1, 2, 3))
    early = tmp_path / "early"
    shutil.copytree(whole, early, ignore=shutil.ignore_patterns("3"))
    tool.ok("pack", early, f"{repo}:v1")
    run = tool.ok("pack", whole / "encoder/3", f"{repo}:v2", "--onto", f"{repo}:v1", "--prefix", "encoder/3", "--json")
    tool.ok("pull", f"{repo}:v2", tmp_path / "out")
    trees.assert_same(whole, tmp_path / "out")
    assert any(layer["state"] != "new" for layer in run.json["layers"])


def test_what_the_base_has_counts_when_a_model_is_looked_at(tmp_path):
    whole = models.triton(tmp_path / "whole", models=("encoder",), versions=(1, 2))
    layout = f"oci:{tmp_path}/l"
    tool.ok("pack", whole, f"{layout}:v1")
    update = models.write(tmp_path / "update", {"config.pbtxt": models.triton_config("encoder", [1, 2, 3])})
    lacking = tool.fails(tool.SOURCE, "pack", update, f"{layout}:v2", "--onto", f"{layout}:v1", "--prefix", "encoder")
    assert "version 3" in lacking.err
    models.write(update, {"3/model.onnx": b"three"})
    tool.ok("pack", update, f"{layout}:v2", "--onto", f"{layout}:v1", "--prefix", "encoder")
    assert Layout(tmp_path / "l").manifest("v2")["annotations"]["io.modelcar.model.layout"] == "triton-repository"


def test_a_model_on_top_of_its_own_image_is_still_described(tmp_path, own_model):
    layout = f"oci:{tmp_path}/l"
    tool.ok("pack", own_model, f"{layout}:v1")
    change = models.write(tmp_path / "change", {"generation_config.json": "{}"})
    tool.ok("pack", change, f"{layout}:v2", "--onto", f"{layout}:v1")
    read = Layout(tmp_path / "l")
    before, after = (read.manifest(tag)["annotations"] for tag in ("v1", "v2"))
    base = after.pop("org.opencontainers.image.base.digest")
    assert after == before and base == read.tagged("v1")


@pytest.mark.parametrize("prefix", ["../up", "/abs", "a//b", "a/./b", ""])
def test_a_prefix_that_leads_elsewhere_is_a_usage_error(tmp_path, model, prefix):
    tool.fails(tool.USAGE, "pack", model, f"oci:{tmp_path}/l:v1", "--prefix", prefix)
    assert not (tmp_path / "l").exists()
