"""Programs of others read what we write, byte for byte, and see the digests that we print."""
import json

import pytest

import models
import tool
import trees
from trees import Layout


@pytest.fixture(scope="module", params=["huggingface", "triton"])
def shown(request, tmp_path_factory, registry):
    """A model, the registry reference it was pushed to, and its digest."""
    tree = getattr(models, request.param)(tmp_path_factory.mktemp("shown") / "tree")
    ref = registry.ref(f"shown/{request.param}:v1")
    return tree, ref, tool.ok("pack", tree, ref, "--modelpack").digest


def image_digest(registry, ref: str) -> str:
    """The image that this machine gets: the first of the index is linux/amd64."""
    import platform
    arch = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    name = ref.split("/", 1)[1].rsplit(":", 1)[0]
    entries = json.loads(registry.get(name, "v1")[1])["manifests"]
    return next(e["digest"] for e in entries if e["platform"]["architecture"] == arch)


def test_the_registry_names_the_digest_that_pack_printed(shown, registry):
    _, ref, digest = shown
    assert registry.get(ref.split("/", 1)[1].rsplit(":", 1)[0], "v1")[0] == digest


def test_skopeo_copies_all_of_it_with_the_same_digest(shown, tmp_path, skopeo):
    tree, ref, digest = shown
    skopeo.copy(f"docker://{ref}", f"oci:{tmp_path}/l:v1", "--all", "--preserve-digests",
                "--dest-oci-accept-uncompressed-layers")
    assert Layout(tmp_path / "l").tagged("v1") == digest
    Layout(tmp_path / "l").check()
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")


def test_skopeo_inspects_layers_labels_and_platform(shown, skopeo):
    _, ref, _ = shown
    seen = json.loads(skopeo.run("inspect", "--tls-verify=false", f"docker://{ref}"))
    assert seen["Os"] == "linux" and len(seen["Layers"]) == len(set(seen["Layers"])) > 1


def test_skopeo_moves_our_layout_and_our_archive_into_a_registry(tmp_path, model, packed, skopeo, registry, repo):
    tool.ok("pack", model, f"oci-archive:{tmp_path}/model.tar:v1")
    name = repo.split("/", 1)[1]
    for kind, source in (("layout", f"oci:{packed}:v1"), ("archive", f"oci-archive:{tmp_path}/model.tar:v1")):
        skopeo.copy(source, f"docker://{repo}:{kind}", "--all", "--preserve-digests")
        assert registry.get(name, kind)[0] == Layout(packed).tagged("v1")


def test_umoci_unpacks_our_layout(tmp_path, umoci):
    tree = models.huggingface(tmp_path / "tree", shards=2)
    # umoci takes a manifest, not an index.
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1", "--single")
    root = umoci.unpack(tmp_path / "l", "v1", tmp_path / "bundle")
    trees.assert_same(tree, root / "models")


def test_crane_exports_the_model(shown, tmp_path, crane):
    tree, ref, digest = shown
    assert crane.run("digest", ref).strip() == digest
    trees.assert_same(tree, crane.export(ref, tmp_path / "out") / "models")


def test_crane_validates_our_index(model, crane, repo):
    """Not without --fast, which takes every layer for gzip; not a ModelPack entry, which it takes for an image."""
    tool.ok("pack", model, f"{repo}:v1")
    crane.run("validate", "--remote", f"{repo}:v1", "--fast")


def test_podman_pulls_and_mounts(shown, registry, podman):
    tree, ref, digest = shown
    image = podman.pull(ref)
    seen = json.loads(podman.run("image", "inspect", image))[0]
    assert any(d.endswith(digest) for d in seen["RepoDigests"]), seen["RepoDigests"]
    root = podman.mount(image)
    try:
        trees.assert_same(tree, root / "models")
    finally:
        podman.unmount(image)


def test_podman_runs_a_container_that_reads_the_model_from_an_image_mount(shown, podman):
    tree, ref, _ = shown
    image, base = podman.pull(ref), podman.base()
    texts = [p for p in sorted(tree.rglob("*")) if p.suffix in (".json", ".pbtxt", ".txt")]
    assert texts
    for path in texts[:3]:
        out = podman.run_mounted(base, image, "/cat", f"/m/models/{path.relative_to(tree)}")
        assert out == path.read_text()


def test_containerd_pulls_and_mounts(shown, tmp_path, containerd):
    tree, ref, digest = shown
    containerd.pull(ref)
    assert digest in containerd.run("images", "ls")
    target = containerd.mount(ref, tmp_path / "mounted")
    try:
        trees.assert_same(tree, target / "models")
    finally:
        containerd.unmount(target)


def test_kserve_downloads_the_model(shown, tmp_path, kserve):
    tree, ref, _ = shown
    trees.assert_same(tree, kserve.download(ref, tmp_path / "out"))


def test_kserve_downloads_an_image_of_one_platform(tmp_path, model, kserve, repo):
    tool.ok("pack", model, f"{repo}:v1", "--single")
    trees.assert_same(model, kserve.download(f"{repo}:v1", tmp_path / "out"))


def test_the_image_podman_gets_is_the_one_of_this_machine(shown, registry, skopeo, tmp_path):
    _, ref, _ = shown
    skopeo.copy(f"docker://{ref}", f"oci:{tmp_path}/l:one", "--preserve-digests")
    assert Layout(tmp_path / "l").tagged("one") == image_digest(registry, ref)
