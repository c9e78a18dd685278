"""The arm64 half of the container images: cross built, and run by qemu. `ci/deps.sh --arm64` installs what that takes."""
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

import consumers
import pods as kube
import tool
import trees
from test_image import MIB, sbom_of

BUILD = tool.ROOT / "build-image"
EMULATOR = "qemu-aarch64-static"
DIGESTS = ("core/digest", "core/digest_lanes", "core/digest_pool", "core/digest_fips")


@pytest.fixture(scope="module")
def sysroot() -> Path:
    if not os.environ.get("MODELCAR_FULL"):
        pytest.skip("a cross build takes minutes: MODELCAR_FULL=1")
    for program in ("aarch64-linux-gnu-gcc", EMULATOR):
        try:
            consumers.find(program)
        except consumers.Absent as absent:
            pytest.skip(f"absent: {absent} (ci/deps.sh --arm64)")
    path = consumers.cache() / "sysroot-arm64"
    if not path.exists():
        pytest.skip("absent: sysroot-arm64 (ci/deps.sh --arm64)")
    return path


@pytest.fixture(scope="module")
def both(sysroot, scratch) -> Path:
    layout = scratch / "both"
    build(layout, sysroot)
    return layout


@pytest.fixture(scope="module")
def root(both, scratch) -> Path:
    """The arm64 image, unpacked."""
    place = scratch / "arm64-root"
    place.mkdir()
    for blob in manifest_of(both, "modelcar", "arm64")["layers"]:
        with tarfile.open(blob_path(both, blob)) as layer:
            layer.extractall(place)
    return place


def build(layout: Path, sysroot: Path) -> None:
    consumers.call("python3", kube.DEPLOY / "image/build.py", "--arch", "arm64,amd64", "--sysroot", sysroot, layout,
                   timeout=kube.BUILD_S)


def blob_path(layout: Path, descriptor: dict) -> Path:
    return layout / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")


def manifest_of(layout: Path, tag: str, arch: str) -> dict:
    entry = next(m for m in index_of(layout, tag)["manifests"] if m["platform"]["architecture"] == arch)
    return json.loads(blob_path(layout, entry).read_text())


def index_of(layout: Path, tag: str) -> dict:
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    entry = next(e for e in entries if e["annotations"]["org.opencontainers.image.ref.name"] == tag)
    return json.loads(blob_path(layout, entry).read_text())


def emulated(root: Path, *args) -> subprocess.CompletedProcess:
    """The program of the image with the loader and libraries of the image, on this machine's files."""
    command = [consumers.find(EMULATOR), root / "lib/ld-linux-aarch64.so.1", "--library-path", root / "lib",
               root / "usr/bin/modelcar", *args]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300, env=tool.clean_env(None))


def emulated_ok(root: Path, *args) -> str:
    run = emulated(root, *args)
    assert run.returncode == 0, f"{args}: {run.returncode}\n{run.stderr}"
    return run.stdout


def test_each_tag_is_an_index_of_both(both):
    for tag in ("modelcar", "base"):
        platforms = [m["platform"] for m in index_of(both, tag)["manifests"]]
        assert platforms == [{"architecture": a, "os": "linux"} for a in ("amd64", "arm64")]
        config = blob_path(both, manifest_of(both, tag, "arm64")["config"])
        assert json.loads(config.read_text())["architecture"] == "arm64"


def test_the_same_bytes_come_out_twice(both, sysroot, tmp_path):
    build(tmp_path / "again", sysroot)
    assert trees.tree(both) == trees.tree(tmp_path / "again")
    for kind in ("modelcar", "base"):
        again, first = (sbom_of(layout, kind, "arm64") for layout in (tmp_path / "again", both))
        assert again.read_bytes() == first.read_bytes()


def test_it_is_as_small_as_the_other(both):
    assert sum(b["size"] for b in manifest_of(both, "modelcar", "arm64")["layers"]) < 15 * MIB
    assert sum(b["size"] for b in manifest_of(both, "base", "arm64")["layers"]) < 2 * MIB


def test_all_that_runs_in_it_is_of_arm64(both, root):
    found = [p for p in root.rglob("*") if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"]
    assert len(found) > 20
    assert {p.read_bytes()[18:20] for p in found} == {b"\xb7\x00"}  # EM_AARCH64
    assert not (root / "lib64").exists()


def test_the_sbom_is_of_arm64(both, sysroot):
    sbom = json.loads(sbom_of(both, "modelcar", "arm64").read_text())
    packages = {p["name"]: p for p in sbom["packages"]}
    version = consumers.call("dpkg-query", f"--admindir={sysroot}/var/lib/dpkg", "-W", "-f", "${Version}", "libcurl4")
    assert packages["libcurl4"]["versionInfo"] == version
    assert "arch=arm64" in packages["libcurl4"]["externalRefs"][0]["referenceLocator"]
    files = {f["fileName"] for f in sbom["files"]}
    assert {"./usr/bin/modelcar", "./lib/ld-linux-aarch64.so.1", "./lib/libc.so.6"} <= files


def test_it_packs_pulls_and_verifies_as_this_machine_does(root, model, registry, repo, tmp_path):
    line = emulated_ok(root, "pack", model, f"{repo}:v1").strip()
    assert line == tool.ok("pack", model, f"oci:{tmp_path / 'here'}:v1").line.replace(f"oci:{tmp_path / 'here'}", repo)
    emulated_ok(root, "pull", f"{repo}:v1", tmp_path / "there")
    trees.assert_same(model, tmp_path / "there")
    emulated_ok(root, "verify", f"{tmp_path}/there/")
    emulated_ok(root, "verify", f"{repo}:v1")
    with open(tmp_path / "there/config.json", "r+b") as file:
        file.write(b"X")
    assert emulated(root, "verify", f"{tmp_path}/there/").returncode == tool.DAMAGED


def test_the_initializer_is_the_same_program(root):
    assert (root / "usr/bin/storage-initializer").readlink() == Path("modelcar")


def test_the_shell_of_the_base_runs(both, scratch):
    place = scratch / "arm64-base"
    place.mkdir()
    with tarfile.open(blob_path(both, manifest_of(both, "base", "arm64")["layers"][0])) as layer:
        layer.extractall(place)
    for applet in ("sh", "ln", "sleep", "ls", "mkdir"):
        assert (place / "bin" / applet).readlink() == Path("busybox")
    assert consumers.call(consumers.find(EMULATOR), place / "bin/busybox", "sh", "-c", "echo $((6 * 7))") == "42\n"


def test_a_model_goes_onto_both_bases(both, model, registry, repo, tmp_path):
    tool.ok("cp", f"oci:{both}:base", f"{repo}-base:1")
    tool.ok("pack", "--onto", f"{repo}-base:1", model, f"oci:{tmp_path / 'out'}:v1")
    for arch in ("amd64", "arm64"):
        lower = manifest_of(both, "base", arch)["layers"][0]["digest"]
        assert manifest_of(tmp_path / "out", "v1", arch)["layers"][0]["digest"] == lower


def test_digests_are_right_by_the_instructions_of_armv8(sysroot):
    """The C tests of the digest, which have OpenSSL for their oracle, and the instructions in what was built."""
    place = BUILD / "arm64-tests"
    if not (place / "build.ninja").exists():
        consumers.call("meson", "setup", f"--cross-file={sysroot}/sysroot.ini", f"--cross-file={kube.DEPLOY}/image/arm64.ini",
                       place, tool.ROOT)
    consumers.call("ninja", "-C", place, *(f"tests/unit/test_{name.replace('/', '_')}" for name in DIGESTS),
                   timeout=kube.BUILD_S)
    log = consumers.call("meson", "test", "-C", place, "--no-rebuild", "--verbose", *DIGESTS)
    assert log.count(" OK ") >= len(DIGESTS) and "self_test_tells_right_from_wrong" in log
    assert "SKIPPED" not in log, "the lanes were not used"
    code = consumers.call("aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", place / "liboci/liboci_core.a")
    for instruction in ("sha256h", "sha256h2", "sha256su0", "sha256su1"):
        assert f"\t{instruction}\t" in code
