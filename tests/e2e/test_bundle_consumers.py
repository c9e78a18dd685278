"""A bundle that is not split is an OCI layout in a tar to the tools that others have, and theirs are read."""
import json
import subprocess

import pytest

import bundles
import models
import tool
import trees


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A model in an image of one manifest, and a bundle of it; only read from."""
    root = tmp_path_factory.mktemp("single")
    tool.ok("pack", models.huggingface(root / "model", shards=2), f"oci:{root}/layout:v1", "--single")
    bundles.create(f"oci:{root}/layout:v1", to=root / "m.tar")
    return root


def untar(bundle, to):
    to.mkdir()
    subprocess.run(["tar", "-xf", bundle, "-C", to], check=True)
    return to


def test_skopeo_copies_it_into_a_registry(tmp_path, packed, skopeo, registry, repo):
    bundles.create(f"oci:{packed}:v1", to=tmp_path / "m.tar")
    skopeo.copy(f"oci-archive:{tmp_path}/m.tar:v1", f"docker://{repo}:v1", "--all", "--preserve-digests")
    assert registry.get(repo.split("/", 1)[1], "v1")[0] == trees.Layout(packed).tagged("v1")


def test_skopeo_inspects_it(single, skopeo):
    seen = json.loads(skopeo.run("inspect", f"oci-archive:{single}/m.tar:v1"))
    assert seen["Digest"] == trees.Layout(single / "layout").tagged("v1")


def test_podman_loads_and_mounts_it(single, podman):
    image = podman.run("pull", "-q", "--signature-policy", podman.root / "policy.json",
                       f"oci-archive:{single}/m.tar:v1").strip()
    root = podman.mount(image)
    try:
        trees.assert_same(single / "model", root / "models")
    finally:
        podman.unmount(image)


def test_crane_pushes_it_untarred(tmp_path, single, crane, registry, repo):
    crane.run("push", untar(single / "m.tar", tmp_path / "untarred"), f"{repo}:v1")
    assert crane.run("digest", f"{repo}:v1").strip() == trees.Layout(single / "layout").tagged("v1")


def test_umoci_unpacks_it_untarred(tmp_path, single, umoci):
    root = umoci.unpack(untar(single / "m.tar", tmp_path / "untarred"), "v1", tmp_path / "unpacked")
    trees.assert_same(single / "model", root / "models")


def test_what_podman_saves_is_loaded_as_a_bundle_is(tmp_path, single, podman):
    image = podman.run("pull", "-q", "--signature-policy", podman.root / "policy.json",
                       f"oci-archive:{single}/m.tar:v1").strip()
    podman.run("tag", image, "localhost/saved/m:v1")
    podman.run("save", "-q", "--format", "docker-archive", "-o", tmp_path / "saved.tar", "localhost/saved/m:v1")
    tool.ok("pull", f"bundle:{tmp_path}/saved.tar", tmp_path / "out")
    trees.assert_same(single / "model", tmp_path / "out")
    tool.ok("load", tmp_path / "saved.tar", f"oci:{tmp_path}/there")
    tool.ok("pull", f"oci:{tmp_path}/there:v1", tmp_path / "again")
    trees.assert_same(single / "model", tmp_path / "again")
