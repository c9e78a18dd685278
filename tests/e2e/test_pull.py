"""What pull lands: the model byte for byte, whole or not at all."""
import json
import shutil

import pytest

import models
import tool
import trees
from trees import Layout


@pytest.fixture(params=["layout", "archive", "registry"])
def source(request, tmp_path, model, packed, pushed) -> str:
    if request.param == "archive":
        tool.ok("pack", model, f"oci-archive:{tmp_path}/model.tar:v1")
        return f"oci-archive:{tmp_path}/model.tar:v1"
    return {"layout": f"oci:{packed}:v1", "registry": pushed}[request.param]


def test_the_model_comes_back_byte_for_byte(tmp_path, model, source):
    tool.ok("pull", source, tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_files_are_readable_for_the_group_whatever_the_umask(tmp_path, packed):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out", umask=0o077)
    found = trees.modes(tmp_path / "out")
    assert {mode for name, mode in found.items() if name != trees.RECORD} == {0o664}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o775


def test_the_record_says_what_landed(tmp_path, packed, model):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out")
    text = (tmp_path / "out" / trees.RECORD).read_text()
    assert Layout(packed).tagged("v1") in text
    assert all(json.dumps(name) in text for name in trees.tree(model)), text[:2000]
    tool.ok("verify", tmp_path / "out")


def test_json_tells_what_was_fetched(tmp_path, packed):
    report = tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out", "--json").json
    assert Layout(packed).tagged("v1") in json.dumps(report)


def test_a_digest_reference_pulls_exactly_that(tmp_path, own_model, registry, repo):
    first = tool.ok("pack", own_model, f"{repo}:v1").digest
    before = trees.tree(own_model)
    (own_model / "config.json").write_text('{"model_type": "llama", "changed": true}')
    tool.ok("pack", own_model, f"{repo}:v1", "--force")
    tool.ok("pull", f"{repo}@{first}", tmp_path / "out")
    assert trees.tree(tmp_path / "out") == before


def test_platform_chooses_the_manifest(tmp_path, packed):
    for name in ("amd64", "arm64"):
        tool.ok("pull", f"oci:{packed}:v1", tmp_path / name, "--platform", f"linux/{name}")
        entry = Layout(packed).document(Layout(packed).tagged("v1"))["manifests"][name == "arm64"]
        assert entry["digest"] in (tmp_path / name / trees.RECORD).read_text()
    tool.fails(tool.NOT_FOUND, "pull", f"oci:{packed}:v1", tmp_path / "none", "--platform", "windows/amd64")


def test_include_fetches_only_the_blobs_that_it_needs(tmp_path, registry, model, repo):
    tool.ok("pack", model, f"{repo}:v1")
    mark = len(registry.requests("GET", "/blobs/"))
    tool.ok("pull", f"{repo}:v1", tmp_path / "out", "--include", "README.md")
    assert set(trees.tree(tmp_path / "out")) == {"README.md"}
    fetched = registry.requests("GET", "/blobs/")[mark:]
    digests = {d.split(":")[1]: title for d, title in
               ((layer["digest"], trees.title(layer)) for layer in json.loads(manifest_of(registry, repo))["layers"])}
    titles = [digests[d] for line in fetched for d in digests if d in line]
    assert not [t for t in titles if t.endswith(".safetensors")], titles


def test_each_manifest_is_asked_for_once(tmp_path, registry, model, repo):
    tool.ok("pack", model, f"{repo}:v1")
    mark = len(registry.requests("GET", "/manifests/"))
    tool.ok("pull", f"{repo}:v1", tmp_path / "out")
    asked = registry.requests("GET", "/manifests/")[mark:]
    assert len(asked) == 2, asked  # the index by its tag, one manifest by its digest


def manifest_of(registry, repo: str) -> bytes:
    name = repo.split("/", 1)[1]
    index = json.loads(registry.get(name, "v1")[1])
    return registry.get(name, index["manifests"][0]["digest"])[1]


@pytest.mark.parametrize("glob", ["onnx", "onnx/", "onnx/*", "/onnx/1", "*/1"])
def test_a_directory_that_matches_is_meant_with_all_below_it_by_pack_and_pull(tmp_path, glob):
    tree = models.write(tmp_path / "tree", {"onnx/1/model.onnx": b"x" * 5000, "a.txt": "a", "b/c.txt": "c"})
    tool.ok("pack", tree, f"oci:{tmp_path}/all:v1")
    for flag, wanted in (("--include", ["onnx/1/model.onnx"]), ("--exclude", ["a.txt", "b/c.txt"])):
        tool.ok("pack", tree, f"oci:{tmp_path}/some{flag}:v1", flag, glob)
        tool.ok("pull", f"oci:{tmp_path}/all:v1", tmp_path / f"pulled{flag}", flag, glob)
        for place in (f"oci:{tmp_path}/some{flag}:v1", tmp_path / f"pulled{flag}"):
            assert [f["path"] for f in tool.ok("ls", place, "--json").json["files"]] == wanted


def test_exclude_leaves_files_out(tmp_path, packed, model):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out", "--exclude", "*.safetensors")
    assert set(trees.tree(tmp_path / "out")) == {n for n in trees.tree(model) if not n.endswith(".safetensors")}


def test_nested_directories_and_long_names_survive(tmp_path):
    tree = models.write(tmp_path / "tree", {
        "a/b/c/d/deep.bin": b"deep", "long-" * 40 + "name.bin": b"long", "x" * 60 + "/" + "y" * 60 + "/z.txt": b"split",
        "unicode-é-日本.txt": b"u", "with space.txt": b"s", "empty": b"", "back\\slash": b"b", "-dash": b"d"})
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")


def test_a_triton_repository_keeps_its_shape(tmp_path):
    tree = models.triton(tmp_path / "repository")
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == {"encoder", "decoder"}


def test_links_in_the_tree_land_as_files(tmp_path):
    tree = models.single(tmp_path / "tree")
    (tree / "alias.safetensors").symlink_to("model.safetensors")
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")
    assert not (tmp_path / "out/alias.safetensors").is_symlink()


def test_a_hugging_face_cache_is_packed_as_the_files_it_links_to(tmp_path):
    snapshot = models.huggingface_cache(tmp_path / "hub")
    plain = models.huggingface(tmp_path / "plain", shards=2)
    a = tool.ok("pack", snapshot, f"oci:{tmp_path}/l:a").digest
    b = tool.ok("pack", plain, f"oci:{tmp_path}/l:b").digest
    assert a == b


def test_nothing_but_the_tree_is_left_beside_it(tmp_path, packed):
    (tmp_path / "place").mkdir()
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "place/out")
    assert not trees.leftovers(tmp_path / "place", {"out"})


def test_a_failed_pull_leaves_nothing_but_what_the_next_one_needs(tmp_path, own_layout):
    layout = Layout(own_layout)
    missing = layout.blob_path(layout.layers("v1")[2]["digest"])
    missing.rename(tmp_path / "aside")
    (tmp_path / "place").mkdir()
    result = tool.fails(tool.NOT_FOUND, "pull", f"oci:{own_layout}:v1", tmp_path / "place/out")
    left = trees.leftovers(tmp_path / "place", set())
    assert all(name.startswith(".modelcar.") and name.endswith(".part") for name in left)
    assert not left or "is kept" in result.err
    (tmp_path / "aside").rename(missing)
    tool.ok("pull", f"oci:{own_layout}:v1", tmp_path / "place/out")
    assert not trees.leftovers(tmp_path / "place", {"out"})


def test_a_layout_on_another_file_system_pulls_as_well(tmp_path, packed, model, second_file_system):
    copy = shutil.copytree(packed, second_file_system / "pull-layout")
    tool.ok("pull", f"oci:{copy}:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_a_tree_pulled_and_packed_again_has_the_same_digest(tmp_path, packed):
    """Our record in the tree is no part of the model."""
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out")
    assert tool.ok("pack", tmp_path / "out", f"oci:{tmp_path}/l:v1").digest == Layout(packed).tagged("v1")


def test_an_oras_artifact_lands_under_its_titles(tmp_path, foreign):
    files = {"model.onnx": b"weights", "labels.txt": b"cat\ndog\n", "sub/dir/x.json": b"{}"}
    foreign.artifact("v1", files)
    tool.ok("pull", foreign.ref("v1"), tmp_path / "out")
    assert trees.tree(tmp_path / "out") == trees.tree(models.write(tmp_path / "want", files))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\evil/../../x", ""])
def test_an_artifact_whose_title_leads_out_of_the_tree_is_refused(tmp_path, foreign, name):
    foreign.artifact("v1", {name: b"x"})
    (tmp_path / "place").mkdir()
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "place/out")
    assert result.code in (tool.MALFORMED, tool.UNSUPPORTED), str(result)
    assert not trees.leftovers(tmp_path / "place", set()) and not (tmp_path / "evil").exists()
