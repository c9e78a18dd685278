"""Hostile manifests, annotations and layouts: every way in which the documents around the layers can lie.

A builder gets an empty `ImageLayout` and leaves the tag v1 in it; a wrecker gets
the directory of a good one and damages it.
"""
import gzip
import json
import os
import shutil
import tarfile
from copy import copy
from pathlib import Path

from hostile import MALFORMED, NO_SPACE, UNSUPPORTED, file, layer
from images import CONFIG, INDEX, LAYER, MANIFEST, REF_NAME, TITLE, ImageLayout, canonical

OK, NOT_FOUND, MISMATCH, IO = 0, 10, 13, 32
FILEPATH = "org.cncf.model.filepath"
UNPACK = "io.deis.oras.content.unpack"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SIZES = {"0": 0, "-1": -1, "2^63": 1 << 63, "2^63-1": (1 << 63) - 1, "1e3": 1e3, "text": "5", "null": None,
         "too small": -7, "too large": 7}
DIGESTS = {"upper case": str.upper, "63 digits": lambda d: d[:-1], "65 digits": lambda d: d + "0",
           "climbs": lambda d: "../x", "climbs behind its kind": lambda d: "sha256:../../x",
           "md5": lambda d: "md5:" + d[7:39],
           "short sha512": lambda d: "sha512:" + d[7:], "nothing": lambda d: "sha256:", "NUL": lambda d: d[:-1] + "\0",
           "a link": lambda d: "sha256:" + "/" * 64, "absent": lambda d: None}
TEXTS = {"deep": b'{"a":' * 2048, "very deep": b"[" * 100_000, "BOM": b"\xef\xbb\xbf{}", "not UTF-8": b'{"a":"\xff"}',
         "two values": b"{}{}", "huge number": b'{"schemaVersion":1e400}', "NUL": b'{"a":"\\u0000"}',
         "a million layers": b'{"schemaVersion":2,"layers":[' + b"{}," * 1_000_000 + b"{}]}",
         "many keys": b"{" + b",".join(b'"%d":0' % i for i in range(200_000)) + b"}"}


def manifest(layout: ImageLayout, **changes) -> dict:
    """A good manifest of one good layer, with keys replaced; None takes one away."""
    descriptor, diff_id = layout.layer(layer())
    config = layout.blob(canonical({"architecture": "amd64", "os": "linux", "config": {},
                                    "rootfs": {"type": "layers", "diff_ids": [diff_id]}}), CONFIG)
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [descriptor], **changes}
    return {k: v for k, v in document.items() if v is not None}


def put(layout: ImageLayout, document: dict | bytes, media_type: str = MANIFEST) -> dict:
    text = document if isinstance(document, bytes) else canonical(document)
    return layout.tag("v1", layout.blob(text, media_type))


def with_layer(layout: ImageLayout, **changes) -> dict:
    document = manifest(layout)
    document["layers"] = [{**document["layers"][0], **changes}]
    return put(layout, document)


def of_size(layout: ImageLayout, size: int) -> dict:
    empty = len(canonical(manifest(layout, annotations={"a": ""})))
    return put(layout, manifest(layout, annotations={"a": "x" * (size - empty)}))


def with_size(layout: ImageLayout, value) -> dict:
    good = manifest(layout)["layers"][0]["size"]
    return with_layer(layout, size=good + value if value in (-7, 7) else value)


def with_digest(layout: ImageLayout, change) -> dict:
    return with_layer(layout, digest=change(manifest(layout)["layers"][0]["digest"]))


def nested(layout: ImageLayout, levels: int) -> dict:
    """An index that lists one child twice, and so on: 2^levels ways down."""
    child = layout.blob(canonical(manifest(layout)), MANIFEST)
    for _ in range(levels):
        child = layout.blob(canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child, child]}), INDEX)
    return layout.tag("v1", child)


def artifact(layout: ImageLayout, *layers: dict) -> dict:
    return layout.manifest("v1", layout.blob(b"{}", "application/vnd.oci.empty.v1+json"), list(layers),
                           artifactType="application/vnd.test")


def titled(layout: ImageLayout, key: str, *titles: str) -> dict:
    blobs = (layout.blob(b"x%d" % i, "application/octet-stream", **{key: title}) for i, title in enumerate(titles))
    return artifact(layout, *blobs)


def manifests() -> dict:
    """M: name -> (builder, codes)."""
    found = {
        "manifests and layers": (lambda l: put(l, manifest(l, manifests=[])), (MALFORMED,)),
        "manifests and config": (lambda l: put(l, manifest(l, manifests=[], layers=None)), (MALFORMED,)),
        "another type than it came as": (lambda l: put(l, manifest(l), INDEX), (MALFORMED,)),
        "no type within": (lambda l: put(l, manifest(l, mediaType=None)), (OK,)),
        "schema 1": (lambda l: put(l, {"schemaVersion": 1, "fsLayers": []}), (UNSUPPORTED, MALFORMED)),
        "schema missing": (lambda l: put(l, manifest(l, schemaVersion=None)), (MALFORMED,)),
        "unknown type": (lambda l: put(l, manifest(l, mediaType="application/x-new"), "application/x-new"),
                         (UNSUPPORTED,)),
        "layers null": (lambda l: put(l, json.dumps({**manifest(l), "layers": None}).encode()), (MALFORMED,)),
        "layers an object": (lambda l: put(l, manifest(l, layers={})), (MALFORMED,)),
        "no layers": (lambda l: put(l, manifest(l, layers=[])), (MALFORMED, UNSUPPORTED)),
        "a layer too few": (lambda l: put(l, manifest(l, layers=manifest(l)["layers"] * 2)), (MALFORMED,)),
        "config is no config": (lambda l: put(l, manifest(l, config=l.blob(b"[]", CONFIG))), (MALFORMED,)),
        "config of 100 MiB": (lambda l: put(l, manifest(l, config=l.blob(b" " * (100 << 20), CONFIG))), (MALFORMED,)),
        "digest twice": (lambda l: put(l, canonical(manifest(l)).replace(b'"size"', b'"digest":"x","size"')),
                         (MALFORMED,)),
        "data that is not its digest": (lambda l: with_layer(l, data="ZXZpbA=="), (OK, MISMATCH)),
        "urls": (lambda l: with_layer(l, urls=["http://127.0.0.1:9/evil"]), (OK,)),
        "an index 4 deep": (lambda l: nested(l, 4), (OK,)),
        "an index 20 deep": (lambda l: nested(l, 20), (MALFORMED,)),
        "an index of nothing": (lambda l: put(l, {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}, INDEX),
                                (NOT_FOUND,)),
        "a list of Docker's": (lambda l: put(l, {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": []},
                                             DOCKER_LIST), (NOT_FOUND,)),
    }
    for size in (4194303, 4194304):
        found[f"{size} bytes"] = (lambda l, s=size: of_size(l, s), (OK,))
    for size in (4194305, 4393216, 8388609, 100 << 20):
        found[f"{size} bytes"] = (lambda l, s=size: of_size(l, s), (MALFORMED,))
    for name, value in SIZES.items():
        codes = (MISMATCH, NO_SPACE) if name in ("0", "2^63-1", "too small", "too large") else (MALFORMED,)
        found[f"size {name}"] = (lambda l, v=value: with_size(l, v), codes)
    for name, change in DIGESTS.items():
        codes = (MALFORMED, UNSUPPORTED) if name == "md5" else (MALFORMED,)
        found[f"digest {name}"] = (lambda l, c=change: with_digest(l, c), codes)
    for name, text in TEXTS.items():
        found[f"text {name}"] = (lambda l, t=text: put(l, t), (MALFORMED,))
    return found


def annotations() -> dict:
    """A: paths and other control data in annotations."""
    found = {}
    for title in ("../x", "a/../../x", "/etc/x", "", ".", "..", "a/", "a//b", "a\0b", "\x1b[31mred", "a\nb",
                  ".modelcar.json", "n" * 256):
        for key in (TITLE, FILEPATH):
            found[f"{key.rsplit('.', 1)[1]} {title[:12]!r}"] = (lambda l, k=key, t=title: titled(l, k, t), (MALFORMED,))
    found |= {
        "one title twice": (lambda l: titled(l, TITLE, "x", "x"), (MALFORMED,)),
        "a title below another": (lambda l: titled(l, TITLE, "x", "x/y"), (MALFORMED,)),
        "a title above another": (lambda l: titled(l, TITLE, "x/y", "x"), (MALFORMED,)),
        "no title": (lambda l: artifact(l, l.blob(b"x", "application/octet-stream")), (UNSUPPORTED,)),
        "what is no tar to be unpacked": (lambda l: artifact(l, l.blob(
            b"no tar", "application/octet-stream", **{TITLE: "x", UNPACK: "true"})), (MALFORMED,)),
        "a tar that climbs to be unpacked": (lambda l: artifact(l, l.blob(
            gzip.compress(layer(file("../x"))), LAYER + "+gzip", **{TITLE: "x", UNPACK: "true"})), (MALFORMED,)),
        "odd modes and times": (lambda l: artifact(l, l.blob(b"x", "application/octet-stream", **{
            FILEPATH: "x", "org.cncf.model.file.metadata+json": '{"mode":3583,"mtime":"9999999999-01-01"}'})), (OK,)),
    }
    return found


def relink(path: Path, target) -> None:
    path.unlink()
    path.symlink_to(target)


def move_away(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def edit_index(root: Path, change) -> None:
    index = json.loads((root / "index.json").read_text())
    change(index)
    (root / "index.json").write_text(json.dumps(index))


def rename_tag(index: dict, name: str) -> None:
    index["manifests"].append({**index["manifests"][0], "annotations": {REF_NAME: name}})


def largest(root: Path) -> Path:
    return max((root / "blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)


def replace(path: Path, make) -> None:
    path.unlink()
    make(path)


WRECKED = {
    "a blob is a link": (lambda r: (shutil.copy(largest(r), r.parent / "copy"), relink(largest(r), r.parent / "copy")),
                         (MALFORMED,)),
    "a blob is a link to a device": (lambda r: relink(largest(r), "/dev/zero"), (MALFORMED,)),
    "a blob is a fifo": (lambda r: replace(largest(r), os.mkfifo), (MALFORMED,)),
    "a blob is a directory": (lambda r: replace(largest(r), Path.mkdir), (MALFORMED,)),
    "a blob is missing": (lambda r: largest(r).unlink(), (NOT_FOUND,)),
    "a blob is longer": (lambda r: largest(r).write_bytes(largest(r).read_bytes() + b"x"), (MISMATCH,)),
    "a blob is shorter": (lambda r: os.truncate(largest(r), 1000), (MISMATCH,)),
    "a blob holds other bytes": (lambda r: largest(r).write_bytes(b"x" * largest(r).stat().st_size), (MISMATCH,)),
    "blobs are a link": (lambda r: move_away(r / "blobs"), (MALFORMED,)),
    "sha256 is a link": (lambda r: move_away(r / "blobs/sha256"), (MALFORMED,)),
    "an extra blob": (lambda r: (r / "blobs/sha256/extra").write_text("x"), (OK,)),
    "index.json of 100 MiB": (lambda r: (r / "index.json").write_bytes(b" " * (100 << 20)), (MALFORMED,)),
    "index.json is a link": (lambda r: relink(r / "index.json", "/etc/passwd"), (MALFORMED,)),
    "index.json is a fifo": (lambda r: replace(r / "index.json", os.mkfifo), (MALFORMED, IO)),
    "index.json without manifests": (lambda r: (r / "index.json").write_text('{"schemaVersion":2}'),
                                     (MALFORMED, NOT_FOUND)),
    "oci-layout of another version": (lambda r: (r / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}'),
                                      (UNSUPPORTED,)),
    "oci-layout is no JSON": (lambda r: (r / "oci-layout").write_text("1.0.0"), (MALFORMED,)),
    "oci-layout is a fifo": (lambda r: replace(r / "oci-layout", os.mkfifo), (MALFORMED, IO)),
    "a tag that climbs": (lambda r: edit_index(r, lambda i: rename_tag(i, "../../x")), (OK,)),
    "a tag with control characters": (lambda r: edit_index(r, lambda i: rename_tag(i, "a\n\x1b[31m")), (OK,)),
    "one tag, two digests": (lambda r: edit_index(r, lambda i: i["manifests"].append(
        {**i["manifests"][0], "digest": "sha256:" + "0" * 64})), (MALFORMED,)),
}


def member(info: tarfile.TarInfo, **changes) -> tarfile.TarInfo:
    for key, value in changes.items():
        setattr(info, key, value)
    return info


# The second argument says whether it is the largest blob.
ARCHIVED = {
    "a blob is a link": (lambda m, big: member(m, type=tarfile.SYMTYPE, linkname="/dev/zero", size=0) if big else m,
                         (MALFORMED,)),
    "a blob is a link to itself": (lambda m, big: member(m, type=tarfile.LNKTYPE, linkname=m.name, size=0)
                                   if big else m, (MALFORMED,)),
    "a blob is a device": (lambda m, big: member(m, type=tarfile.CHRTYPE, size=0) if big else m, (MALFORMED,)),
    "a blob is left out": (lambda m, big: None if big else m, (NOT_FOUND,)),
    "a blob is there twice": (lambda m, big: [m, m] if big else [m], (OK,)),
    "a blob is there twice, the second shorter": (lambda m, big: [m, member(copy(m), size=512)] if big else [m],
                                                  (MALFORMED,)),
    "a blob is shorter": (lambda m, big: member(m, size=1024) if big else m, (MISMATCH,)),
    "every document twice": (lambda m, big: [m, m], (MALFORMED,)),
    "every name climbs": (lambda m, big: member(m, name="../" + m.name), (MALFORMED, OK)),
    "every name is absolute": (lambda m, big: member(m, name="/" + m.name), (MALFORMED, OK)),
}


def archive(root: Path, change) -> Path:
    """The layout as a tar whose members `change` may alter, leave out or repeat."""
    path = root.parent / "odd.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for found in sorted(p for p in root.rglob("*") if p.is_file()):
            changed = change(tar.gettarinfo(found, found.relative_to(root).as_posix()), found == largest(root))
            for info in changed if isinstance(changed, list) else [changed] if changed else []:
                with open(found, "rb") as data:
                    tar.addfile(info, data)
    return path
