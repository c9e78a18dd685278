"""Directory trees and OCI layouts as values that tests compare."""
import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

RECORD = ".modelcar.json"


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(root: Path, without: tuple[str, ...] = (RECORD,)) -> dict[str, tuple[int, str]]:
    """Every regular file under `root`: relative path -> (size, sha256). Links count as what they lead to."""
    files = [p for p in sorted(Path(root).rglob("*")) if p.is_file() and p.relative_to(root).as_posix() not in without]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {p.relative_to(root).as_posix(): (p.stat().st_size, value)
                for p, value in zip(files, pool.map(sha256, files), strict=True)}


def assert_same(left: Path, right: Path) -> None:
    """The two trees hold the same files, byte for byte; our own record does not count."""
    a, b = tree(left), tree(right)
    missing, extra = sorted(a.keys() - b.keys()), sorted(b.keys() - a.keys())
    changed = sorted(n for n in a.keys() & b.keys() if a[n] != b[n])
    assert not (missing or extra or changed), f"missing {missing[:5]}, extra {extra[:5]}, changed {changed[:5]}"


def modes(root: Path) -> dict[str, int]:
    return {p.relative_to(root).as_posix(): stat.S_IMODE(p.stat().st_mode) for p in Path(root).rglob("*")}


def leftovers(parent: Path, expected: set[str]) -> set[str]:
    """What lies in `parent` beyond what should: half-written things show here."""
    return {p.name for p in Path(parent).iterdir()} - expected


class Layout:
    """An OCI layout on disk, read with nothing but json and hashlib."""

    def __init__(self, root: Path):
        self.root = Path(root)

    def index(self) -> dict:
        return json.loads((self.root / "index.json").read_text())

    def blob_path(self, digest: str) -> Path:
        algorithm, value = digest.split(":")
        return self.root / "blobs" / algorithm / value

    def blobs(self) -> set[str]:
        return {f"sha256:{p.name}" for p in (self.root / "blobs/sha256").iterdir()}

    def document(self, digest: str) -> dict:
        return json.loads(self.blob_path(digest).read_bytes())

    def tagged(self, tag: str) -> str:
        """The digest that index.json gives for a tag."""
        for entry in self.index()["manifests"]:
            if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag:
                return entry["digest"]
        raise KeyError(tag)

    def manifest(self, tag: str, platform: str = "linux/amd64") -> dict:
        document = self.document(self.tagged(tag))
        for entry in document.get("manifests", []):
            if "{os}/{architecture}".format(**entry["platform"]) == platform:
                return self.document(entry["digest"])
        return document

    def layers(self, tag: str) -> list[dict]:
        return self.manifest(tag)["layers"]

    def check(self) -> None:
        """Every blob holds what its name says."""
        for path in (self.root / "blobs/sha256").iterdir():
            assert sha256(path) == path.name, f"{path} does not hold its digest"


def title(layer: dict) -> str:
    """The name of a layer; the index layer has none."""
    return layer["annotations"].get("org.opencontainers.image.title", "")


def is_index_layer(layer: dict) -> bool:
    return layer.get("annotations", {}).get("io.modelcar.kind") == "index"
