"""A directory in the storage of a zot: that serves a manifest by its digest only if index.json lists it."""
import json
from pathlib import Path

import pytest

import tool
import trees
from copies import mirror, signed_layout


def listed(root: Path) -> dict[str, set]:
    """Every digest in index.json with its tags; one entry a digest without any."""
    found: dict[str, set] = {}
    for entry in json.loads((root / "index.json").read_text())["manifests"]:
        tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
        assert tag or entry["digest"] not in found, "an entry without a tag beside one of the same digest"
        found.setdefault(entry["digest"], set()).update({tag} - {None})
    return found


def manifests(root: Path) -> set[str]:
    """Every blob of a layout that is a manifest."""
    layout, found = trees.Layout(root), set()
    for digest in layout.blobs():
        data = layout.blob_path(digest).read_bytes()
        if data[:1] == b"{" and "schemaVersion" in json.loads(data):
            found.add(digest)
    return found


@pytest.fixture(params=["said", "been"])
def place(request, tmp_path) -> tuple[Path, list[str]]:
    """Where zot has not been it must be said, where it has been there is `.uploads`."""
    root = tmp_path / "zot/team"
    root.mkdir(parents=True)
    if request.param == "said":
        return root / "m", ["--zot"]
    (root / "m/.uploads").mkdir(parents=True)
    return root / "m", []


def test_every_manifest_is_listed(place, packed):
    root, flags = place
    tool.ok("cp", *flags, f"oci:{packed}:v1", f"oci:{root}:v1")
    index = trees.Layout(packed).tagged("v1")
    assert set(listed(root)) == manifests(root) and len(manifests(root)) >= 3
    assert {digest for digest, tags in listed(root).items() if tags} == {index}
    tool.ok("cp", *flags, "-t", "v3", f"oci:{packed}:v1", f"oci:{root}:v2")
    assert listed(root)[index] == {"v1", "v2", "v3"}
    assert tool.ok("inspect", "--json", f"oci:{root}").json["digest"] == index


def test_what_was_there_without_being_listed_is_listed(tmp_path, packed):
    root = tmp_path / "m"
    tool.ok("cp", f"oci:{packed}:v1", f"oci:{root}:v1")
    assert set(listed(root)) < manifests(root)
    report = tool.ok("cp", "--json", "--zot", f"oci:{packed}:v1", f"oci:{root}:v1").json
    assert set(listed(root)) == manifests(root)
    assert all(o["kind"] == "manifest" for o in report["objects"] if o["state"] == "sent")


def test_signatures_are_listed_too(tmp_path, place):
    root, flags = place
    layout = signed_layout(tmp_path / "signed", deep=True)
    mirror(*flags, f"oci:{layout.root}", f"oci:{root}")
    assert set(listed(root)) == manifests(root) >= set(listed(layout.root))


def test_skopeo_and_we_read_it(tmp_path, place, packed, skopeo):
    root, flags = place
    tool.ok("cp", *flags, f"oci:{packed}:v1", f"oci:{root}:v1")
    skopeo.copy(f"oci:{root}:v1", f"dir:{tmp_path}/out", "--all", "--preserve-digests")
    tool.ok("cp", f"oci:{root}:v1", f"oci:{tmp_path}/back:v1")
    assert trees.Layout(tmp_path / "back").blobs() == trees.Layout(packed).blobs()
    assert len(listed(tmp_path / "back")) == 1
