"""Archives that others write, as a source: compressed, cut into parts, with an image among other things."""
import hashlib
import json
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

import images
import models
import tool
import trees
from copies import signed_layout, tags_of
from servers import Distribution

MIB = 2**20
NAME = "ghcr.io/team/llm:v1"


def pack_up(root: Path, out: Path, *names: str) -> Path:
    """A tar as GNU tar makes it, compressed by the programs that users have."""
    kind = {".gz": ["--gzip"], ".zst": ["--zstd"]}.get(out.suffix, [])
    subprocess.run(["tar", "-C", root, *kind, "-cf", out, *(names or ["."])], check=True)
    return out


def cut_up(path: Path, size: int, pattern: str) -> list[Path]:
    data, parts = path.read_bytes(), []
    for number, at in enumerate(range(0, len(data), size), 1):
        parts.append(path.with_name(pattern.format(path.name, number)))
        parts[-1].write_bytes(data[at:at + size])
    path.unlink()
    return parts


def rename(root: Path, **annotations: str) -> None:
    """Gives every entry of a layout these annotations, `_` in a key for what a keyword cannot have."""
    index = json.loads((root / "index.json").read_text())
    for entry in index["manifests"]:
        entry["annotations"] = annotations
    (root / "index.json").write_text(json.dumps(index))


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A layout of three blobs that compress to nothing less, the larger ones not first."""
    root, chance = tmp_path_factory.mktemp("large"), random.Random(models.SEED)
    for name, size in (("a.bin", MIB), ("b.bin", 7 * MIB), ("c.bin", 3 * MIB)):
        (root / name).write_bytes(chance.randbytes(size))
    layout = tmp_path_factory.mktemp("packed") / "layout"
    tool.ok("pack", root, f"oci:{layout}:v1")
    return layout


def assert_copied(source: str, layout: Path, tmp_path: Path) -> None:
    result = tool.ok("cp", source, f"oci:{tmp_path}/copied:v1")
    assert result.digest == trees.Layout(layout).tagged("v1")
    trees.Layout(tmp_path / "copied").check()
    assert trees.Layout(tmp_path / "copied").blobs() == trees.Layout(layout).blobs()


@pytest.mark.parametrize("name", ["l.tar", "l.tar.gz", "l.tar.zst"])
def test_a_layout_in_a_tar_is_a_source(tmp_path, large, name):
    assert_copied(f"oci-archive:{pack_up(large, tmp_path / name)}:v1", large, tmp_path)


@pytest.mark.parametrize("order", [("index.json", "oci-layout", "blobs"), ("blobs", "index.json", "oci-layout")])
def test_members_come_in_any_order(tmp_path, large, order):
    assert_copied(f"oci-archive:{pack_up(large, tmp_path / 'l.tar.zst', *order)}", large, tmp_path)


def test_a_compressed_archive_is_unpacked_twice_and_never_kept(tmp_path, large):
    """Once for what is in it, once for the blobs: whatever their order is, each byte of the file is read so often."""
    archive = pack_up(large, tmp_path / "l.tar.zst")
    trace = tmp_path / "trace"
    run = subprocess.run(["strace", "-f", "-y", "-e", "trace=read,pread64", "-o", trace, tool.binary(), "cp",
                          f"oci-archive:{archive}:v1", f"oci:{tmp_path}/copied:v1"],
                         env=tool.clean_env({"ASAN_OPTIONS": "detect_leaks=0"}), capture_output=True, text=True) \
        if Path("/usr/bin/strace").exists() else pytest.skip("absent: strace")
    assert run.returncode == 0, run.stderr
    read = sum(int(line.rsplit("= ", 1)[1].split()[0]) for line in trace.read_text().splitlines()
               if str(archive) in line and "= " in line and "resumed" not in line)
    assert read <= 2.2 * archive.stat().st_size


@pytest.fixture
def zarf(tmp_path, large) -> Path:
    """The tree of a Zarf package around the layout."""
    root = tmp_path / "package"
    for name in ("components", "images"):
        (root / name).mkdir(parents=True)
    subprocess.run(["cp", "-r", *large.iterdir(), root / "images"], check=True)
    rename(root / "images", **{images.REF_NAME: NAME, "org.opencontainers.image.base.name": NAME})
    (root / "zarf.yaml").write_text("kind: ZarfPackageConfig\n")
    (root / "components/app.tar").write_bytes(images.tar(images.member("index.json", b"{")))
    (root / "checksums.txt").write_text("")
    return root


@pytest.mark.parametrize("end", [".tar", ".tar.zst"])
@pytest.mark.parametrize("name", ["v1", NAME, "digest", ""])
def test_a_zarf_package_is_a_source(tmp_path, large, zarf, end, name):
    package = pack_up(zarf, tmp_path / f"zarf-package-llm-amd64-1.0.0{end}")
    suffix = "@" + trees.Layout(large).tagged("v1") if name == "digest" else f":{name}" if name else ""
    assert_copied(f"oci-archive:{package}{suffix}", large, tmp_path)


@pytest.mark.parametrize("end", [".tar", ".tar.zst"])
def test_a_zarf_package_in_parts_is_a_source(tmp_path, large, zarf, end):
    package = pack_up(zarf, tmp_path / f"zarf-package-llm-amd64{end}")
    data = package.read_bytes()
    parts = cut_up(package, 2 * MIB, "{}.part{:03}")
    first = package.with_name(package.name + ".part000")
    first.write_text(json.dumps({"Sha256Sum": hashlib.sha256(data).hexdigest(), "Bytes": len(data),
                                 "Count": len(parts)}))
    assert_copied(f"oci-archive:{first}:{NAME}", large, tmp_path)
    for given in ([package], [first], [first, *parts], parts[::-1]):
        tool.ok("load", *given, f"oci:{tmp_path}/loaded:v{len(given)}")
    assert len({trees.Layout(tmp_path / "loaded").tagged(tag) for tag in ("v1", f"v{len(parts)}")}) == 1
    for place in ("oci-archive", "bundle"):
        found = tool.ok("inspect", "--json", f"{place}:{package}").json
        assert found["digest"] == trees.Layout(large).tagged("v1")
    tool.fails(tool.MALFORMED, "load", parts[0], tmp_path / "package/components/app.tar", f"oci:{tmp_path}/two:v1")
    parts[1].write_bytes(parts[1].read_bytes()[:-1])
    tool.fails(tool.MALFORMED, "inspect", f"oci-archive:{first}")
    parts[1].unlink()
    assert parts[1].name in tool.fails(tool.NOT_FOUND, "inspect", f"oci-archive:{first}").err


def test_a_flipped_bit_in_a_part_is_found_and_nothing_is_named(tmp_path, large, zarf):
    package = pack_up(zarf, tmp_path / "haul.tar")
    parts = cut_up(package, 2 * MIB, "{}.{:03}")
    data = bytearray(parts[2].read_bytes())
    data[MIB] ^= 1
    parts[2].write_bytes(data)
    tool.fails(tool.MISMATCH, "cp", f"oci-archive:{parts[0]}:v1", f"oci:{tmp_path}/copied:v1")
    assert not json.loads((tmp_path / "copied/index.json").read_text())["manifests"]


def hauler_annotations(kind: str) -> dict:
    return {"kind": f"dev.hauler/{kind}", images.REF_NAME: "team/llm:v1", "io.containerd.image.name": NAME}


@pytest.mark.parametrize("cut", [False, True])
def test_a_haul_is_a_source_with_its_signatures(tmp_path, start, cut):
    layout, server = signed_layout(tmp_path / "store"), start(Distribution, "to")
    kinds = {"v1": "image", "sig": "sigs", "sbom": "referrers/0123"}
    index = json.loads((layout.root / "index.json").read_text())
    entries = {name: next(e for e in index["manifests"] if e["annotations"][images.REF_NAME].endswith(name))
               for name in kinds}
    for name, kind in kinds.items():
        entries[name]["annotations"] = hauler_annotations(kind)
    index["manifests"] = list(entries.values())
    (layout.root / "index.json").write_text(json.dumps(index))
    haul = pack_up(layout.root, tmp_path / "haul.tar.zst")
    haul = cut_up(haul, 200, "{}.{:03}")[0] if cut else haul
    report = tool.ok("cp", "--referrers", "--json", f"oci-archive:{haul}:{NAME}" if not cut else
                     f"oci-archive:{haul}:v1", server.ref("llm:v1")).json
    image = entries["v1"]["digest"]
    assert report["digest"] == image and report["signatures"] == 2
    assert {"v1", image.replace(":", "-") + ".sig"} <= tags_of(server, "llm")
    assert server.get("llm", image.replace(":", "-") + ".sig")[0] == entries["sig"]["digest"]
    listed = json.loads(server.get("llm", image.replace(":", "-"))[1])["manifests"]
    assert [d["digest"] for d in listed] == [entries["sbom"]["digest"]]
    assert listed[0]["artifactType"] == "application/spdx+json"


@pytest.mark.parametrize("name", ["../outside", "blobs/sha256/../../../outside", "/tmp/outside", "./../outside"])
def test_a_name_that_leads_out_is_refused_though_nobody_asks_for_it(tmp_path, large, name):
    path = pack_up(large, tmp_path / "layout.tar")
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo(name))
    for verb in (["cp", f"oci-archive:{path}:v1", f"oci:{tmp_path}/to:v1"], ["load", path, f"oci:{tmp_path}/to"]):
        assert "leads out" in tool.fails(tool.MALFORMED, *verb).err
    assert not trees.leftovers(tmp_path, {"layout.tar", "state"})


def test_an_archive_of_docker_may_be_compressed(tmp_path):
    plain = images.tar(images.member("models/a", b"a"))
    archive = images.docker_save(tmp_path / "d.tar", "r.io/m:v1", plain)
    wanted = tool.ok("inspect", "--json", f"docker-archive:{archive}").json["digest"]
    subprocess.run(["gzip", archive], check=True)
    result = tool.ok("cp", f"docker-archive:{archive}.gz:r.io/m:v1", f"oci:{tmp_path}/copied")
    assert result.digest == wanted
    trees.Layout(tmp_path / "copied").check()


def test_a_model_is_pulled_out_of_a_compressed_archive(tmp_path, model, packed):
    archive = pack_up(packed, tmp_path / "l.tar.gz")
    tool.ok("pull", f"oci-archive:{archive}:v1", tmp_path / "pulled")
    trees.assert_same(model, tmp_path / "pulled")


def test_a_window_that_takes_too_much_memory_is_refused(tmp_path, large):
    archive = pack_up(large, tmp_path / "l.tar")
    subprocess.run(["zstd", "-q", "--long=27", "-1", archive], check=True)
    tool.fails(tool.UNSUPPORTED, "cp", f"oci-archive:{archive}.zst:v1", f"oci:{tmp_path}/copied")


def test_what_crane_pulls_is_a_source(tmp_path, large, registry, repo, crane):
    tool.ok("cp", f"oci:{large}:v1", f"{repo}:v1")
    crane.run("pull", "--platform", "linux/amd64", f"{repo}:v1", tmp_path / "crane.tar")
    tool.ok("cp", f"docker-archive:{tmp_path}/crane.tar:{repo}:v1", f"oci:{tmp_path}/copied:v1")
    trees.Layout(tmp_path / "copied").check()
