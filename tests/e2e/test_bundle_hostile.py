"""Bundles made to do harm, or made wrong: refused with a code that says so; only the destination is touched."""
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import bundles
import hostile
import images
import tool
import trees

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
REFUSED = (tool.MISMATCH, tool.MALFORMED)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob_name(value: str) -> str:
    return "blobs/" + value.replace(":", "/")


class Made:
    """An image as the documents and blobs that a bundle is made of, before somebody spoils it."""

    def __init__(self):
        self.layer = images.tar(images.member("models/a", b"a"))
        config = images.canonical({"architecture": "amd64", "os": "linux", "config": {},
                                   "rootfs": {"type": "layers", "diff_ids": [digest(self.layer)]}})
        self.manifest = images.canonical({
            "schemaVersion": 2, "mediaType": images.MANIFEST, "config": self.of(config, images.CONFIG),
            "layers": [self.of(self.layer, images.LAYER)]})
        self.blobs = {digest(d): d for d in (self.manifest, config, self.layer)}
        self.index = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": [
            {**self.of(self.manifest, images.MANIFEST), "annotations": {images.REF_NAME: "v1"}}]}
        self.map = {"bundleVersion": 1, "index": self.index, "documents": 1,
                    "blobs": [{"digest": k, "size": len(v)} for k, v in self.blobs.items()], "needed": []}

    @staticmethod
    def of(data: bytes, media_type: str) -> dict:
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def write(self, path: Path, *, head: list | None = None, blobs: dict[str, bytes] | None = None,
              extra: bytes = b"", index: dict | None = None) -> Path:
        """The bytes that the map says; whatever is given is written in place of what should be there."""
        index_text = images.canonical(index or self.map.get("index", self.index))
        head = head or [("oci-layout", LAYOUT), ("index.json", index_text), ("bundle.json", images.canonical(self.map))]
        blobs = self.blobs if blobs is None else blobs
        out = b"".join(ours(name, data) for name, data in head)
        out += b"".join(ours(blob_name(name), data) for name, data in blobs.items())
        path.write_bytes(out + extra + b"\0" * 1024)
        return path


def ours(name: str, data: bytes) -> bytes:
    """A member in the one shape that bundles have."""
    header = hostile.header(name, size=len(data), mode=0o664, magic=b"ustar  \0")
    block = bytearray(header)
    block[329:345] = b"0000000\x000000000\x00"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block) + data + b"\0" * (-len(data) % 512)


def spoiled_map(**changes):
    def act(made: Made, path: Path) -> None:
        made.map |= changes
        made.write(path)
    return act


def listed(change):
    """The list of blobs in the map, changed."""
    def act(made: Made, path: Path) -> None:
        made.map["blobs"] = change(made.map["blobs"])
        made.write(path)
    return act


def wrong_bytes(which: int):
    """A blob under a name that its bytes do not have."""
    def act(made: Made, path: Path) -> None:
        name = list(made.blobs)[which]
        made.write(path, blobs=made.blobs | {name: made.blobs[name][:-1] + b"\1"})
    return act


def lacking(which: int):
    """The map and the tar agree on a bundle in which an image's blob is not."""
    def act(made: Made, path: Path) -> None:
        name = list(made.blobs)[which]
        blobs = {k: v for k, v in made.blobs.items() if k != name}
        made.map["blobs"] = [b for b in made.map["blobs"] if b["digest"] != name]
        made.map["documents"] = min(made.map["documents"], len(blobs))
        made.write(path, blobs=blobs)
    return act


def truncated(left: float):
    def act(made: Made, path: Path) -> None:
        data = made.write(path).read_bytes()
        path.write_bytes(data[:int(len(data) * left) // 512 * 512])
    return act


def linked(kind: bytes):
    """A blob that is a link to a file of the machine."""
    def act(made: Made, path: Path) -> None:
        data = made.write(path).read_bytes()
        name = blob_name(list(made.blobs)[2])
        at = data.index(name.encode(), 4096)
        path.write_bytes(data[:at] + hostile.header(name, kind, link="/etc/passwd") + data[at + 512:])
    return act


def renamed(name: str):
    """A blob that says it lies elsewhere."""
    def act(made: Made, path: Path) -> None:
        data = made.write(path).read_bytes()
        at = data.index(blob_name(list(made.blobs)[2]).encode(), 4096)
        path.write_bytes(data[:at] + ours(name, made.layer)[:512] + data[at + 512:])
    return act


def same_twice(made: Made, path: Path) -> None:
    """Two images under one name."""
    other = made.of(b"{}", images.MANIFEST)
    made.map["index"]["manifests"].append({**other, "annotations": {images.REF_NAME: "v1"}})
    made.map["blobs"].append({"digest": other["digest"], "size": 2})
    made.write(path, blobs=made.blobs | {other["digest"]: b"{}"})


def going_round(made: Made, path: Path) -> None:
    """A manifest that no bytes can be: its digest stands in itself, so the name is a lie."""
    name = "sha256:" + "a" * 64
    document = images.canonical({"schemaVersion": 2, "mediaType": images.INDEX,
                                 "manifests": [{"mediaType": images.INDEX, "digest": name, "size": 300}]})
    document += b" " * (300 - len(document))
    entry = {"mediaType": images.INDEX, "digest": name, "size": 300, "annotations": {images.REF_NAME: "v1"}}
    made.map |= {"index": {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": [entry]},
                 "blobs": [{"digest": name, "size": 300}]}
    made.write(path, blobs={name: document})


def other_index(made: Made, path: Path) -> None:
    """index.json names what the map does not: two readers would see two images."""
    made.write(path, index={**made.index, "manifests": []})


CASES = {
    "wrong-manifest": wrong_bytes(0), "wrong-config": wrong_bytes(1), "wrong-layer": wrong_bytes(2),
    "no-manifest": lacking(0), "no-config": lacking(1), "no-layer": lacking(2),
    "cut-in-head": truncated(0.2), "cut-in-blob": truncated(0.7), "cut-at-end": truncated(0.96),
    "symlink": linked(hostile.SYMLINK), "hardlink": linked(hostile.HARDLINK),
    "traversal": renamed("../../../../outside"), "absolute": renamed("/tmp/outside"), "two-names": same_twice,
    "circle": going_round, "other-index": other_index,
    "bytes-after-end": lambda made, path: made.write(path, extra=ours("more", b"x")),
    "no-list": spoiled_map(blobs=None), "list-of-text": spoiled_map(blobs=["x"]), "no-index": spoiled_map(index=None),
    "documents-beyond": spoiled_map(documents=99), "documents-none": spoiled_map(documents=-1),
    "huge-size": listed(lambda b: [*b[:2], {**b[2], "size": 2**63 - 1}]),
    "size-over": listed(lambda b: [*b[:2], {**b[2], "size": 2**64}]),
    "sizes-that-overflow": listed(lambda b: [{**x, "size": 2**62} for x in b]),
    "other-size": listed(lambda b: [*b[:2], {**b[2], "size": b[2]["size"] + 512}]),
    "listed-twice": listed(lambda b: [*b, b[2]]),
    "digest-of-nothing": listed(lambda b: [*b, {"digest": "x", "size": 1}]),
    "traversal-in-digest": listed(lambda b: [{**b[0], "digest": "../../x"}, *b[1:]]),
    "needed-and-there": spoiled_map(needed=[{"digest": digest(b"{}"), "size": 2}] * 2),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_nothing_else_is_touched(tmp_path, name):
    (tmp_path / "work").mkdir()
    bundle = tmp_path / "work/m.tar"
    CASES[name](Made(), bundle)
    before = trees.tree(tmp_path, ())
    there = tmp_path / "there"
    results = [tool.run("load", bundle, f"oci:{there}"), tool.run("pull", f"bundle:{bundle}:v1", tmp_path / "model")]
    results.append(tool.run("load", "-q", "-", f"oci:{there}", stdin=open(bundle, "rb")))
    for result in results:
        # A place that lacks a blob is what `pull` calls it, as of any other place.
        lacks = name.startswith("no-") and result.args[1] == "pull"
        codes = (*REFUSED, tool.NOT_FOUND) if lacks else REFUSED
        assert result.code in codes and len(tool.error_lines(result)) == 1, f"{name}: {result}"
    bundles.assert_absent(there)
    assert not (tmp_path / "model").exists() and not (tmp_path.parent / "outside").exists()
    assert {k: v for k, v in trees.tree(tmp_path, ()).items() if not k.startswith("there/")} == before


def test_made_right_it_is_taken(tmp_path):
    """What the cases spoil is what modelcar writes, byte for byte."""
    made, layout = Made(), images.ImageLayout(tmp_path / "layout")
    layout.image("v1", layout.layer(made.layer))
    made.write(tmp_path / "m.tar")
    tool.ok("load", tmp_path / "m.tar", f"oci:{tmp_path}/there")
    tool.ok("pull", f"bundle:{tmp_path}/m.tar", tmp_path / "model")
    assert (tmp_path / "model/a").read_bytes() == b"a"


@pytest.mark.parametrize("version, code", [(2, tool.UNSUPPORTED), ("1", tool.MALFORMED), (None, tool.MALFORMED)])
def test_another_version_is_said(tmp_path, version, code):
    made = Made()
    made.map["bundleVersion"] = version
    made.write(tmp_path / "m.tar")
    tool.fails(code, "load", tmp_path / "m.tar", f"oci:{tmp_path}/there")


def test_a_map_without_an_end_and_one_too_large_are_refused(tmp_path):
    made = Made()
    text = images.canonical(made.map)
    head = [("oci-layout", LAYOUT), ("index.json", images.canonical(made.index))]
    for data in (text[:-20], b"[" * 100_000, b"{" + b" " * (33 * 2**20) + b"}"):
        made.write(tmp_path / "m.tar", head=[*head, ("bundle.json", data)])
        tool.fails(tool.MALFORMED, "load", tmp_path / "m.tar", f"oci:{tmp_path}/there")
        assert tool.run("load", "-", f"oci:{tmp_path}/there", stdin=open(tmp_path / "m.tar", "rb")).code == tool.MALFORMED


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 10240, b"PK\3\4" + b"\0" * 1000])
def test_what_is_no_bundle_at_all_is_said(tmp_path, data):
    (tmp_path / "m.tar").write_bytes(data)
    assert tool.run("load", tmp_path / "m.tar", f"oci:{tmp_path}/there").code in (tool.MALFORMED, tool.UNSUPPORTED)
    assert tool.run("load", "-", f"oci:{tmp_path}/there", stdin=open(tmp_path / "m.tar", "rb")).code == tool.MALFORMED
    assert tool.run("bundle", "info", tmp_path / "m.tar").code == tool.MALFORMED


def test_others_archives_with_links_stay_inside(tmp_path):
    """The same bundle as a plain oci-archive, whose blob is a link: refused as every archive of the kind is."""
    made, out = Made(), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in [("oci-layout", LAYOUT), ("index.json", images.canonical(made.index)),
                           *[(blob_name(k), v) for k, v in list(made.blobs.items())[:2]]]:
            archive.addfile(images.member(name, data)[0], io.BytesIO(data))
        link = blob_name(list(made.blobs)[2])
        archive.addfile(images.member(link, None, type=tarfile.SYMTYPE, linkname="/etc/passwd")[0])
    (tmp_path / "m.tar").write_bytes(out.getvalue())
    result = tool.run("load", tmp_path / "m.tar", f"oci:{tmp_path}/there")
    assert result.code in (tool.NOT_FOUND, *REFUSED), str(result)
    bundles.assert_absent(tmp_path / "there")


# parts


@pytest.fixture(scope="module")
def made_parts(tmp_path_factory):
    stem = tmp_path_factory.mktemp("parts") / "m.tar"
    Made().write(stem.with_name("whole.tar"))
    tool.ok("load", stem.with_name("whole.tar"), f"oci:{stem.parent}/layout")
    bundles.create(f"oci:{stem.parent}/layout:v1", to=stem, flags=["--split", "8Ki"])
    return stem


@pytest.mark.parametrize("change", [{"part": 0}, {"part": 99999}, {"part": 2**63}, {"partSize": 0}, {"partSize": 1},
                                    {"partSize": 2**63}, {"parts": 7}, {"bundle": "sha256:" + "0" * 64}, {"partVersion": 9},
                                    {"bundle": "../x"}, {"part": "1"}], ids=str)
def test_a_part_that_lies_about_itself_is_refused(tmp_path, made_parts, change):
    shutil.copytree(made_parts.parent, tmp_path / "media")
    first = next(r["parts"] for r in bundles.inventory(made_parts) if r["kind"] == "blob" and "-" in r["parts"])
    part = tmp_path / f"media/m.tar.part{int(first.split('-')[0]):03}"
    data = part.read_bytes()
    text = images.canonical(json.loads(data[512:1024]) | change)
    part.write_bytes(data[:512] + text + b" " * (512 - len(text)) + data[1024:])
    with subprocess.Popen(["cat", *map(str, sorted((tmp_path / "media").glob("*.part*")))], stdout=subprocess.PIPE) as cat:
        piped = tool.run("load", "-", f"oci:{tmp_path}/there", stdin=cat.stdout)
        cat.stdout.close()
    for result in (piped, tool.run("load", tmp_path / "media/m.tar", f"oci:{tmp_path}/there")):
        assert result.code in (*REFUSED, tool.UNSUPPORTED, tool.USAGE, bundles.MORE_PARTS), str(result)
    bundles.assert_absent(tmp_path / "there")
