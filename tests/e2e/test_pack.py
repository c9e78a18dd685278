"""What pack writes: the same bytes for the same model, laid out as spec/ says."""
import io
import json
import tarfile

import pytest

import images
import models
import tool
import trees
from trees import Layout, is_index_layer, title


def members(layout: Layout, layer: dict) -> list[tarfile.TarInfo]:
    with tarfile.open(layout.blob_path(layer["digest"])) as archive:
        return archive.getmembers()


def file_layers(layout: Layout, tag: str = "v1") -> list[dict]:
    return [layer for layer in layout.layers(tag) if not is_index_layer(layer)]


def test_the_result_is_one_line_that_names_the_digest(tmp_path, model):
    result = tool.ok("pack", model, f"oci:{tmp_path}/layout:v1")
    assert result.line == f"oci:{tmp_path}/layout@{Layout(tmp_path / 'layout').tagged('v1')}"
    Layout(tmp_path / "layout").check()


def test_the_result_goes_into_a_file_for_steps_without_a_shell(tmp_path, model):
    file, target = tmp_path / "refs", f"oci:{tmp_path / 'out'}:v1"
    result = tool.ok("pack", "--json", "--image-refs", file, model, target)
    assert file.read_text() == result.json["reference"] and file.stat().st_mode & 0o777 == 0o644
    file.unlink()
    tool.ok("pack", "--dry-run", "--image-refs", file, model, target)
    assert not file.exists()
    assert "nowhere" in tool.fails(tool.NOT_FOUND, "pack", "--image-refs", tmp_path / "nowhere/refs", model, target).err


def test_same_files_give_the_same_digest_whatever_their_mtime_owner_and_order(tmp_path, model, second_file_system):
    first = tool.ok("pack", model, f"oci:{tmp_path}/a:v1").digest
    for seed in range(2):
        copy = models.shuffled_copy(model, second_file_system / f"copy-{seed}", seed)
        assert tool.ok("pack", copy, f"oci:{tmp_path}/b-{seed}:v1").digest == first
    assert Layout(tmp_path / "a").blobs() == Layout(tmp_path / "b-0").blobs()


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_the_number_of_jobs_does_not_show_in_the_digest(tmp_path, model, packed, jobs):
    digest = tool.ok("pack", model, f"oci:{tmp_path}/layout:v1", "--jobs", jobs).digest
    assert digest == Layout(packed).tagged("v1")


def test_all_three_stores_get_the_same_digest(tmp_path, model, packed, pushed, registry):
    archive = tool.ok("pack", model, f"oci-archive:{tmp_path}/model.tar:v1")
    assert archive.digest == Layout(packed).tagged("v1") == registry.get("shared/tiny", "v1")[0]


def test_the_default_is_an_index_of_two_runnable_images_over_the_same_layers(packed):
    layout = Layout(packed)
    index = layout.document(layout.tagged("v1"))
    assert index["mediaType"] == images.INDEX and "artifactType" not in index
    platforms = [f"{e['platform']['os']}/{e['platform']['architecture']}" for e in index["manifests"]]
    assert platforms == ["linux/amd64", "linux/arm64"]
    amd64, arm64 = (layout.document(entry["digest"]) for entry in index["manifests"])
    assert amd64["layers"] == arm64["layers"]
    assert amd64["config"]["digest"] != arm64["config"]["digest"]
    assert all(m["mediaType"] == images.MANIFEST and "artifactType" not in m for m in (amd64, arm64))


def test_each_platform_asked_for_gets_an_image(tmp_path, model):
    wanted = ["linux/arm64", "linux/s390x"]
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--platform", wanted[0], "--platform", wanted[1])
    index = Layout(tmp_path / "l").document(Layout(tmp_path / "l").tagged("v1"))
    assert ["{os}/{architecture}".format(**e["platform"]) for e in index["manifests"]] == wanted


def test_single_writes_one_manifest(tmp_path, model):
    digest = tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--single").digest
    assert Layout(tmp_path / "l").document(digest)["mediaType"] == images.MANIFEST


def test_layers_run_from_weights_to_the_index(packed):
    layers = Layout(packed).layers("v1")
    weights = [i for i, layer in enumerate(layers) if title(layer).endswith(".safetensors")]
    assert weights == list(range(4)), [title(layer) for layer in layers]
    assert [title(layers[i]) for i in weights] == sorted(title(layers[i]) for i in weights)
    documents = {title(layer) for layer in layers[4:6]}
    assert documents == {"README.md", "LICENSE"}
    assert [is_index_layer(layer) for layer in layers] == [False] * (len(layers) - 1) + [True]
    assert {layer["mediaType"] for layer in layers} == {images.LAYER}


def test_every_layer_holds_parents_then_files_with_fixed_metadata(packed):
    layout = Layout(packed)
    for layer in file_layers(layout):
        found = members(layout, layer)
        assert found[0].name == "models" and found[0].isdir()
        for m in found:
            assert (m.uid, m.gid, m.uname, m.gname, m.mtime) == (0, 0, "", "", 0)
            assert m.mode == (0o775 if m.isdir() else 0o664)
            assert not m.name.startswith(("./", "/")) and not m.pax_headers


def test_a_layer_ends_with_two_zero_blocks_and_nothing_after(packed):
    layout = Layout(packed)
    for layer in layout.layers("v1"):
        data = layout.blob_path(layer["digest"]).read_bytes()
        last = members(layout, layer)[-1]
        assert len(data) == last.offset_data + -(-last.size // 512) * 512 + 1024
        assert data[-1024:] == bytes(1024)


def test_the_data_of_a_file_lies_where_its_annotation_says(packed, model):
    layout = Layout(packed)
    checked = 0
    for layer in file_layers(layout):
        notes = layer["annotations"]
        if "io.modelcar.file.path" not in notes:
            continue
        offset, size = int(notes["io.modelcar.file.offset"]), int(notes["io.modelcar.file.size"])
        data = layout.blob_path(layer["digest"]).read_bytes()[offset:offset + size]
        assert data == (model / notes["io.modelcar.file.path"]).read_bytes()
        checked += 1
    assert checked >= 6


def test_layers_together_hold_the_tree_byte_for_byte(tmp_path, packed, model):
    layout = Layout(packed)
    for layer in layout.layers("v1"):
        with tarfile.open(layout.blob_path(layer["digest"])) as archive:
            archive.extractall(tmp_path / "root", filter="data")
    trees.assert_same(model, tmp_path / "root/models")


def test_the_config_has_diff_ids_history_and_a_user_and_no_entrypoint(packed):
    layout = Layout(packed)
    manifest = layout.manifest("v1")
    config = layout.document(manifest["config"]["digest"])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert len(config["history"]) == len(manifest["layers"])
    assert not any(entry.get("empty_layer") for entry in config["history"])
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert config["config"]["User"] == "65534:0"
    assert not {"Entrypoint", "Cmd"} & config["config"].keys()


def test_created_comes_from_source_date_epoch(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", env={"SOURCE_DATE_EPOCH": "86400"})
    layout = Layout(tmp_path / "l")
    assert layout.document(layout.manifest("v1")["config"]["digest"])["created"] == "1970-01-02T00:00:00Z"


def test_annotations_are_filled_from_the_model_and_from_the_command_line(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--annotation", "org.opencontainers.image.vendor=Acme",
            "--annotation", "note=a=b")
    layout = Layout(tmp_path / "l")
    notes = layout.document(layout.tagged("v1"))["annotations"]
    assert notes["org.opencontainers.image.vendor"] == "Acme" and notes["note"] == "a=b"
    assert notes["org.opencontainers.image.licenses"] == "apache-2.0"


def test_changing_one_shard_changes_its_layer_and_the_index_alone(tmp_path, own_model):
    tool.ok("pack", own_model, f"oci:{tmp_path}/l:v1")
    models.flip(own_model / "model-00003-of-00004.safetensors", 4000)
    tool.ok("pack", own_model, f"oci:{tmp_path}/l:v2")
    layout = Layout(tmp_path / "l")
    pairs = list(zip(layout.layers("v1"), layout.layers("v2"), strict=True))
    changed = {title(a) for a, b in pairs if a["digest"] != b["digest"] and not is_index_layer(a)}
    assert changed == {"model-00003-of-00004.safetensors"}


def test_a_repack_sends_only_what_is_new(own_model, registry, repo):
    tool.ok("pack", own_model, f"{repo}:v1")
    models.flip(own_model / "model-00002-of-00004.safetensors", 4000)
    before = set(registry.blobs())
    mark = len(registry.requests("PUT", "/blobs/uploads/"))
    report = tool.ok("pack", own_model, f"{repo}:v2", "--json").json
    # One shard, the index layer, two configs.
    assert len(registry.requests("PUT", "/blobs/uploads/")) - mark == 4
    new = {layer["digest"] for layer in report["layers"] if layer["state"] == "new"}
    assert len(new) == 2 and new <= set(registry.blobs()) - before


def test_an_unchanged_repack_sends_no_blob_at_all(model, registry, repo):
    first = tool.ok("pack", model, f"{repo}:v1")
    mark = len(registry.requests("PUT", "/blobs/uploads/")), len(registry.requests("POST"))
    assert tool.ok("pack", model, f"{repo}:v1").digest == first.digest
    assert (len(registry.requests("PUT", "/blobs/uploads/")), len(registry.requests("POST"))) == mark


def three_of_four(tmp_path) -> tuple:
    first = models.huggingface(tmp_path / "one")
    second = models.huggingface(tmp_path / "two")
    models.flip(second / "model-00004-of-00004.safetensors", 4000)
    return first, second


def test_two_models_share_three_of_four_shards_in_a_layout(tmp_path):
    first, second = three_of_four(tmp_path)
    tool.ok("pack", first, f"oci:{tmp_path}/l:one")
    report = tool.ok("pack", second, f"oci:{tmp_path}/l:two", "--json").json
    layout = Layout(tmp_path / "l")
    one, two = ({layer["digest"] for layer in layout.layers(t)} for t in ("one", "two"))
    assert len(one - two) == len(two - one) == 2
    assert report["bytesShared"] >= sum(layer["size"] for layer in layout.layers("two") if layer["digest"] in one)
    shard = next(layer for layer in layout.layers("two") if title(layer) == "model-00004-of-00004.safetensors")
    assert shard["size"] <= report["bytesNew"] < 2 * shard["size"]


def test_two_repositories_of_a_registry_store_shared_shards_once(tmp_path, registry, repo):
    first, second = three_of_four(tmp_path)
    before = set(registry.blobs())
    one = tool.ok("pack", first, f"{repo}/one:v1", "--json").json
    between = set(registry.blobs())
    two = tool.ok("pack", second, f"{repo}/two:v1", "--json").json
    # Shard, index layer, two configs, two manifests, index.
    assert len(set(registry.blobs()) - between) == 7
    shared = {layer["digest"] for layer in one["layers"]} & {layer["digest"] for layer in two["layers"]}
    assert len(shared) == len(two["layers"]) - 2 and shared <= between - before | before


def test_json_reports_layers_and_bytes(tmp_path, model):
    report = tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--json").json
    layout = Layout(tmp_path / "l")
    assert report["digest"] == layout.tagged("v1")
    assert report["reference"] == f"oci:{tmp_path}/l@{report['digest']}"
    assert report["bytesShared"] == 0
    assert report["bytesNew"] >= sum(layer["size"] for layer in layout.layers("v1"))
    written = [(layer["digest"], layer["size"]) for layer in layout.layers("v1")]
    assert [(layer["digest"], layer["size"]) for layer in report["layers"]] == written
    assert {layer["state"] for layer in report["layers"]} == {"new"}


def test_dry_run_tells_the_digest_and_writes_nothing(tmp_path, model, packed):
    report = tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--dry-run", "--json").json
    assert report["digest"] == Layout(packed).tagged("v1")
    assert not (tmp_path / "l").exists()


def test_dry_run_lists_what_defaults_leave_out_and_what_the_destination_has(own_model, repo):
    models.write(own_model, {".git/config": "x", ".cache/huggingface/a.lock": "x", "lost+found/x": "y",
                             ".snapshot/x": "y", "config.json~": "x"})
    tool.ok("pack", own_model, f"{repo}:v1")
    (own_model / "config.json").write_text('{"model_type": "llama"}')
    run = tool.ok("pack", own_model, f"{repo}:v2", "--dry-run")
    for name in (".git", ".cache", "lost+found", ".snapshot", "config.json~"):
        assert name in run.out + run.err, str(run)
    states = {layer["title"]: layer["state"]
              for layer in tool.ok("pack", own_model, f"{repo}:v2", "--dry-run", "--json").json["layers"]}
    assert states["model-00001-of-00004.safetensors"] == "shared"
    assert "new" in states.values()


def test_several_tags_name_one_digest(model, registry, repo):
    digest = tool.ok("pack", model, f"{repo}:v1", "-t", "v1.0", "-t", "latest").digest
    name = repo.split("/", 1)[1]
    assert {registry.get(name, t)[0] for t in ("v1", "v1.0", "latest")} == {digest}


def test_include_and_exclude_choose_files(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--exclude", "*.md", "--exclude", "LICENSE")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    assert set(trees.tree(model)) - set(trees.tree(tmp_path / "out")) == {"README.md", "LICENSE"}
    tool.ok("pack", model, f"oci:{tmp_path}/l:v2", "--include", "*.json", "--force")
    tool.ok("pull", f"oci:{tmp_path}/l:v2", tmp_path / "json")
    assert all(name.endswith(".json") for name in trees.tree(tmp_path / "json"))


def test_file_digests_are_recorded_for_every_file_on_request(tmp_path, model):
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1", "--file-digests")
    layout = Layout(tmp_path / "l")
    layer = layout.layers("v1")[-1]
    with tarfile.open(fileobj=io.BytesIO(layout.blob_path(layer["digest"]).read_bytes())) as archive:
        index = json.load(archive.extractfile(".modelcar/index.json"))
    recorded = {f["path"]: f["digest"] for f in index["files"]}
    assert recorded == {name: f"sha256:{digest}" for name, (_, digest) in trees.tree(model).items()}
