"""The container images that deploy/image makes: reproducible, small, for any user, and the base for `pack --onto`."""
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import consumers
import pods as kube
import tool
import trees
from trees import Layout

MIB = 2**20
IMAGE = kube.DEPLOY / "image"
INITIALIZER = """#!/bin/sh
echo "original: $@"
"""


def box(podman, *args) -> str:
    return podman.run("run", "--rm", "--read-only", "--cap-drop", "all", *args)


@pytest.fixture
def as_nobody_special(pod_podman):
    return lambda *args: box(pod_podman, "--user", "12345:0", *args)


def sbom_of(layout: Path, kind: str, arch: str = "*") -> Path:
    """The one that lies beside a layout; unless it is said, of the only architecture."""
    found, = layout.parent.glob(f"{layout.name}.{kind}.{arch}.spdx.json")
    return found


def blobs_of(layout, tag: str) -> list[dict]:
    index = json.loads((layout / "index.json").read_text())["manifests"]
    digest = next(m["digest"] for m in index if m["annotations"]["org.opencontainers.image.ref.name"] == tag)
    return json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_text())["layers"]


def test_the_same_bytes_come_out_twice(container_images, tmp_path):
    kube.build_images(tmp_path / "again")
    assert trees.tree(container_images) == trees.tree(tmp_path / "again")
    for kind in ("modelcar", "base"):
        assert sbom_of(tmp_path / "again", kind).read_bytes() == sbom_of(container_images, kind).read_bytes()


def test_where_it_was_built_is_not_in_it(container_images):
    """Else another directory would make another digest."""
    layer = blobs_of(container_images, "modelcar")[1]
    with tarfile.open(container_images / "blobs/sha256" / layer["digest"].removeprefix("sha256:")) as tar:
        program = tar.extractfile("usr/bin/modelcar").read()
    assert b"liboci/core/digest_hash.c" in program
    assert b"../liboci" not in program and str(tool.ROOT).encode() not in program


def test_the_image_is_small(container_images):
    assert sum(b["size"] for b in blobs_of(container_images, "modelcar")) < 15 * MIB
    assert sum(b["size"] for b in blobs_of(container_images, "base")) < 2 * MIB


def test_any_user_runs_it_with_a_read_only_root(as_nobody_special):
    assert as_nobody_special(kube.OURS, "--version").startswith("modelcar ")
    seen = as_nobody_special("--entrypoint", "/usr/bin/storage-initializer", kube.OURS, "--help")
    assert "storage-initializer" in seen.splitlines()[0]


def test_there_is_no_shell_in_it(pod_podman):
    run = subprocess.run([str(a) for a in kube.Pods(pod_podman, None).command("run", "--rm", "--entrypoint", "/bin/sh", kube.OURS)],
                         env={**os.environ, **pod_podman.env}, capture_output=True, text=True)
    assert run.returncode in (126, 127), run.stderr


def test_the_sbom_names_every_file_and_the_package_it_comes_from(container_images):
    sbom = json.loads(sbom_of(container_images, "modelcar").read_text())
    assert sbom["spdxVersion"] == "SPDX-2.3" and sbom["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    packages = {p["name"]: p for p in sbom["packages"]}
    assert {"libc6", "libcurl4", "libssl3", "ca-certificates", "modelcar"} <= set(packages)
    installed = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libcurl4"], capture_output=True, text=True)
    assert packages["libcurl4"]["versionInfo"] == installed.stdout
    ids = {e["SPDXID"] for e in sbom["packages"] + sbom["files"]} | {"SPDXRef-DOCUMENT"}
    assert all({r["spdxElementId"], r["relatedSpdxElement"]} <= ids for r in sbom["relationships"])
    owned = {r["relatedSpdxElement"] for r in sbom["relationships"] if r["relationshipType"] == "CONTAINS"}
    assert {f["SPDXID"] for f in sbom["files"]} <= owned


def test_our_own_tool_puts_it_into_a_registry(container_images, registry, repo, pod_podman):
    tool.ok("cp", f"oci:{container_images}:modelcar", f"{repo}:0.1.0")
    assert box(pod_podman, pod_podman.pull(f"{repo}:0.1.0"), "--version").startswith("modelcar ")


def test_a_model_on_the_tiny_base_serves_kserves_sidecar(container_images, model, registry, repo, pod_podman, tmp_path):
    """The commands of KServe's modelcar containers, as its webhook writes them."""
    tool.ok("cp", f"oci:{container_images}:base", f"{repo}-base:1")
    tool.ok("pack", "--onto", f"{repo}-base:1", model, f"{repo}:v1")
    image = pod_podman.pull(f"{repo}:v1")
    user = ("--user", "12345:0", "--entrypoint", "sh", image, "-c")
    names = box(pod_podman, *user, '[ -d /models ] && [ "$(ls -A /models)" ] && ls /models').split()
    assert set(names) == {p.name for p in model.iterdir()}
    link = "mkdir -p /tmp/mnt && ln -sf /proc/$$/root/models /tmp/mnt/models && ls /tmp/mnt/models/ && sleep 0"
    assert set(pod_podman.run("run", "--rm", *user, link).split()) == set(names)


@pytest.mark.long
def test_kserves_own_image_gets_what_is_no_image(container_images, pod_podman, pushed, tmp_path, buildah):
    """A stand-in for KServe's image, on the libraries of this machine: its initializer says what it was given."""
    root = tmp_path / "original"
    (root / "storage-initializer/scripts").mkdir(parents=True)
    script = root / "storage-initializer/scripts/initializer-entrypoint"
    script.write_text(INITIALIZER)
    script.chmod(0o755)
    for library in ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libresolv.so.2"):
        place = root / ("lib64" if library.startswith("ld-") else "lib/x86_64-linux-gnu") / library
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(f"/lib/x86_64-linux-gnu/{library}", place)
    (root / "bin").mkdir()
    shutil.copy("/bin/busybox", root / "bin/sh")
    (root / "mnt").mkdir()
    consumers.call("tar", "-C", root, "-cf", tmp_path / "original.tar", ".")
    pod_podman.run("import", "-q", tmp_path / "original.tar", "localhost/original:test")
    pod_podman.run("build", "-q", "--pull-never", "--signature-policy", pod_podman.root / "policy.json", "--build-arg",
                   f"MODELCAR={kube.OURS}", "--build-arg", "ORIGINAL=localhost/original:test", "-t", "localhost/both:test",
                   IMAGE / "kserve")
    out = pod_podman.run("run", "--rm", "--network=host", "localhost/both:test", f"oci://{pushed}", "/tmp/a", "hf://org/m", "/tmp/b")
    assert out.strip().splitlines()[-1] == "original: hf://org/m /tmp/b"
