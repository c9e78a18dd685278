"""What tests of copying share: signed images, and two registries that let nobody in without a name."""
import os
import random
from pathlib import Path

import pytest

import images
import models
import tool
import trees
from servers import Authority, Distribution, DockerRegistry, write_authfile

MIB = 2**20
SIZES = (12 * MIB, 6 * MIB, 3 * MIB)
KILLS = 50 if os.environ.get("MODELCAR_FULL") else 5
TAGS = ("v1.0.0", "v1.2.0", "v1.10.0", "v2.0.0-rc.1", "latest")
BOTH_WAYS = pytest.mark.parametrize("kinds", [(DockerRegistry, Distribution), (Distribution, DockerRegistry)],
                                    ids=["2.8-to-3", "3-to-2.8"])


def pack_weights(tmp_path_factory) -> Path:
    """A layout with an index over three layers that compress to nothing less."""
    root, chance = tmp_path_factory.mktemp("weights"), random.Random(models.SEED)
    for number, size in enumerate(SIZES):
        (root / f"part{number}.bin").write_bytes(chance.randbytes(size))
    layout = tmp_path_factory.mktemp("packed") / "layout"
    tool.ok("pack", root, f"oci:{layout}:v1")
    return layout


def documents(layout, tag: str = "v1") -> list[str]:
    """The digest of an index and of all that it lists."""
    root = trees.Layout(layout).tagged(tag)
    return [root, *(d["digest"] for d in trees.Layout(layout).document(root).get("manifests", []))]


def assert_whole(server, repository: str, layout, tag: str = "v1", name: str = "v1") -> None:
    """The tag, every manifest byte by byte, and every blob."""
    kept = trees.Layout(layout)
    assert server.get(repository, name)[0] == kept.tagged(tag)
    for digest in documents(layout, tag):
        assert server.get(repository, digest)[1] == kept.blob_path(digest).read_bytes()
        document = kept.document(digest)
        for blob in [document.get("config"), *document.get("layers", [])]:
            if blob:
                assert server.blobs()[blob["digest"]] == blob["size"]
                assert trees.sha256(server.blob_path(blob["digest"])) == blob["digest"].split(":")[1]


class Corner:
    """A part of a registry for one test alone, which costs no start: all its repositories are below a name."""

    def __init__(self, server: DockerRegistry, name: str):
        self.server, self.name = server, "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")

    def ref(self, name: str) -> str:
        return self.server.ref(f"{self.name}/{name}")

    def get(self, repository: str, reference: str) -> tuple[str, bytes]:
        return self.server.get(f"{self.name}/{repository}", reference)

    def has(self, repository: str, reference: str) -> bool:
        return self.server.has(f"{self.name}/{repository}", reference)

    def requests(self, method: str) -> list[str]:
        return self.server.requests(method, f"/v2/{self.name}/")


def guarded(tmp_path: Path, start, kinds) -> tuple[list, list, list]:
    """Two registries with TLS and a user each; the flags for both, and those for the first as a destination."""
    ends, flags = [], []
    for side, name, kind in zip(("src", "dest"), ("joe", "ann"), kinds, strict=True):
        authority = Authority(tmp_path / side)
        ends.append(start(kind, f"registry-{side}", authority=authority, users={name: "secret-word"}))
        authfile = write_authfile(tmp_path / f"{side}.json", ends[-1].host, name, "secret-word")
        flags += [f"--{side}-ca-file", authority.certificate, f"--{side}-authfile", authfile]
    return ends, flags, [f.replace("src", "dest") if isinstance(f, str) else f for f in flags[:4]]


def signed_layout(root, *, deep: bool = False) -> images.ImageLayout:
    """v1 with a signature by tag, an SBOM by subject, and, `deep`, a signature of the SBOM."""
    layout = images.ImageLayout(root)
    image = layout.image("v1", layout.layer(images.tar(images.member("models/a", b"a"))))
    empty = layout.blob(b"{}", images.EMPTY)
    hex_ = image["digest"].split(":")[1]
    layout.manifest(f"sha256-{hex_}.sig", empty, [layout.blob(b"signature", "application/octet-stream")])
    sbom = layout.manifest("keep-sbom", empty, [layout.blob(b"sbom", "text/plain")], subject=image,
                           artifactType="application/spdx+json")
    refer(layout, image, sbom)
    if deep:
        refer(layout, sbom, layout.manifest("keep-deep", empty, [layout.blob(b"deep", "text/plain")], subject=sbom,
                                            artifactType="application/vnd.test.signature"))
    return layout


def refer(layout: images.ImageLayout, subject: dict, *entries: dict) -> None:
    """The list of referrers, as the distribution-spec has it where there is no better one."""
    document = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": list(entries)}
    layout.tag(subject["digest"].replace(":", "-"), layout.blob(images.canonical(document), images.INDEX))


def image(layout: images.ImageLayout, tag: str, text: str, size: int = 0) -> dict:
    data = text.encode() + random.Random(text).randbytes(size)
    return layout.image(tag, layout.layer(images.tar(images.member("models/a", data))))


def five_tags(root: Path) -> images.ImageLayout:
    """TAGS over an image each, of a MiB that nothing compresses."""
    layout = images.ImageLayout(root)
    for tag in TAGS:
        image(layout, tag, tag, MIB)
    return layout


def push(layout: images.ImageLayout, server, repository: str) -> None:
    tool.ok("mirror", f"oci:{layout.root}", server.ref(repository))


def tags_of(server, repository: str) -> set[str]:
    return set(tool.ok("tags", server.ref(repository)).out.split())


def mirror(*args, code: int = 0, **options) -> dict:
    """The report, as JSON."""
    result = tool.run("mirror", "--json", *args, **options)
    assert result.code == code, str(result)
    return result.json


def states(report: dict) -> dict[str, str]:
    return {e["destination"].rsplit(":", 1)[1]: e["state"] for e in report["entries"]}
