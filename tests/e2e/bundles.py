"""What tests of bundles share: something to carry, the files of it, and ways to spoil them."""
import csv
import json
import random
import subprocess
import tarfile
from pathlib import Path

import images
import models
import tool
import trees

MIB = 2**20
SIZES = (12 * MIB, 6 * MIB, 3 * MIB)
MORE_PARTS = 51


def weights(root: Path, changed: int | None = None) -> Path:
    """A model of three weight files; `changed` is the number of one that has other bytes."""
    for number, size in enumerate(SIZES):
        seed = models.SEED * 100 + number + (50 if number == changed else 0)
        models.write(root, {f"part{number}.bin": random.Random(seed).randbytes(size)})
    return root


def layout(root: Path) -> Path:
    """v1, and v2 in which one file differs; `root` is new."""
    for tag, changed in (("v1", None), ("v2", 2)):
        tool.ok("pack", weights(root.parent / f"model-{tag}", changed), f"oci:{root}:{tag}")
    return root


def create(*references, to: Path, flags=()) -> list[Path]:
    """The files that hold the bundle."""
    return [Path(line) for line in tool.ok("bundle", "create", *references, "-o", to, *flags).out.splitlines()]


def files_of(stem: Path) -> dict[str, bytes]:
    """Everything that a bundle is and that lies beside it."""
    return {p.name: p.read_bytes() for p in sorted(stem.parent.glob(f"{stem.name}*"))}


def inventory(stem: Path) -> list[dict]:
    with open(f"{stem}.csv", newline="") as file:
        return list(csv.DictReader(file))


def sums_hold(stem: Path) -> bool:
    return subprocess.run(["sha256sum", "--strict", "--quiet", "-c", f"{stem.name}.SHA256SUMS"], cwd=stem.parent,
                          capture_output=True).returncode == 0


def members(path: Path) -> dict[str, tuple[int, int]]:
    """What another reader of tars sees: name -> place and size of its data."""
    with tarfile.open(path) as archive:
        return {m.name: (m.offset_data, m.size) for m in archive}


def flip(path: Path, offset: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


def taken_bytes(directory: Path) -> int:
    """What lies in a directory while another process changes it."""
    taken = 0
    for path in directory.iterdir():
        try:
            taken += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return taken


def documents(root: Path, tag: str) -> list[str]:
    found = trees.Layout(root)
    top = found.tagged(tag)
    return [top, *(d["digest"] for d in found.document(top).get("manifests", []))]


def blobs_of(root: Path, tag: str) -> set[str]:
    """All that a tag leads to."""
    found, out = trees.Layout(root), set()
    for digest in documents(root, tag):
        document = found.document(digest)
        out |= {digest} | {d["digest"] for d in [document.get("config"), *document.get("layers", [])] if d}
    return out


def assert_arrived(source: Path, there: Path, tag: str = "v1", name: str | None = None) -> None:
    """A layout has the tag and all below it, byte for byte."""
    found = trees.Layout(there)
    assert found.tagged(name or tag) == trees.Layout(source).tagged(tag)
    for digest in blobs_of(source, tag):
        assert trees.sha256(found.blob_path(digest)) == digest.split(":")[1]


def has_names(there: Path) -> bool:
    """A layout in which a name stands for something."""
    index = there / "index.json"
    return index.exists() and json.loads(index.read_text())["manifests"] != []


def assert_absent(there: Path) -> None:
    assert not has_names(there)


def assert_in_registry(source: Path, server, repository: str, tag: str = "v1", name: str | None = None) -> None:
    found = trees.Layout(source)
    assert server.get(repository, name or tag)[0] == found.tagged(tag)
    for digest in documents(source, tag):
        assert server.get(repository, digest)[1] == found.blob_path(digest).read_bytes()
    assert blobs_of(source, tag) <= set(server.blobs())


def named(root: Path, names: dict[str, str]) -> images.ImageLayout:
    """Images whose entries say a full name, since a tag alone would not tell them apart: name -> its text."""
    out = images.ImageLayout(root)
    for name, text in names.items():
        tag = name.rsplit(":", 1)[1]
        entry = out.image(tag, out.layer(images.tar(images.member("models/a", text.encode()))))
        out.entries[-1] = {**entry, "annotations": {images.REF_NAME: name, "io.containerd.image.name": name}}
    index = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": out.entries}
    (out.root / "index.json").write_bytes(images.canonical(index))
    return out
