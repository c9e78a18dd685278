"""Images that others make: built here member by member, so that each can be as odd as a test wants."""
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"


def member(name: str, data: bytes | None = None, **fields) -> tuple[tarfile.TarInfo, bytes]:
    """A tar member: a file with these bytes, a directory without; `fields` overrides what it is."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    info.mode = 0o755 if data is None else 0o644
    info.size = len(data or b"")
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data or b""


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def compress(data: bytes, kind: str) -> bytes:
    if kind == "gzip":
        return gzip.compress(data, mtime=0)
    if kind == "zstd":
        return subprocess.run(["zstd", "-q", "-c"], input=data, check=True, capture_output=True).stdout
    return data


def canonical(document: dict) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


class ImageLayout:
    """Writes an OCI layout: blobs first, manifests over them, tags in index.json."""

    def __init__(self, root: Path):
        self.root, self.entries = Path(root), []
        (self.root / "blobs/sha256").mkdir(parents=True)
        (self.root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, data: bytes, media_type: str, **annotations) -> dict:
        value = hashlib.sha256(data).hexdigest()
        (self.root / "blobs/sha256" / value).write_bytes(data)
        found = {"mediaType": media_type, "digest": f"sha256:{value}", "size": len(data)}
        return found | ({"annotations": annotations} if annotations else {})

    def layer(self, plain: bytes, kind: str = "") -> tuple[dict, str]:
        """A tar layer, compressed as `kind`: its descriptor and its diff id."""
        suffix = f"+{kind}" if kind else ""
        return (self.blob(compress(plain, kind), LAYER + suffix), "sha256:" + hashlib.sha256(plain).hexdigest())

    def image(self, tag: str, *layers: tuple[dict, str], architecture: str = "amd64") -> dict:
        config = {"architecture": architecture, "os": "linux", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
                  "history": [{"created_by": "test"}] * len(layers)}
        return self.manifest(tag, self.blob(canonical(config), CONFIG), [descriptor for descriptor, _ in layers])

    def manifest(self, tag: str, config: dict, layers: list[dict], **more) -> dict:
        document = {"schemaVersion": 2, "mediaType": MANIFEST, **more, "config": config, "layers": layers}
        return self.tag(tag, self.blob(canonical(document), MANIFEST))

    def tag(self, tag: str, descriptor: dict) -> dict:
        self.entries.append({**descriptor, "annotations": {REF_NAME: tag}})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries}
        (self.root / "index.json").write_bytes(canonical(index))
        return descriptor

    def artifact(self, tag: str, files: dict[str, bytes]) -> dict:
        """What `oras push` makes: an empty config, one titled blob a file."""
        layers = [self.blob(data, "application/octet-stream", **{TITLE: name}) for name, data in files.items()]
        return self.manifest(tag, self.blob(b"{}", EMPTY), layers, artifactType="application/vnd.test.model")

    def packed_dir(self, tag: str, name: str, plain: bytes, **annotations) -> dict:
        """A directory as ORAS packs it: a titled tar+gzip, said to be one by its CLI, not by its Python library."""
        layer = self.blob(compress(plain, "gzip"), LAYER + "+gzip", **{TITLE: name}, **annotations)
        return self.manifest(tag, self.blob(b"{}", EMPTY), [layer], artifactType="application/vnd.test.model")

    def ref(self, tag: str) -> str:
        return f"oci:{self.root}:{tag}"


def files_of(tree: Path, prefix: str = "models/") -> list[tuple[tarfile.TarInfo, bytes]]:
    """A tree as tar members below `prefix`, directories before what is in them."""
    out = [member(prefix.rstrip("/"))] if prefix else []
    for path in sorted(tree.rglob("*")):
        name = prefix + path.relative_to(tree).as_posix()
        out.append(member(name, path.read_bytes() if path.is_file() else None))
    return out


def docker_save(archive: Path, tag: str, plain: bytes) -> Path:
    """An archive as older `docker save` writes it: manifest.json, a config, layers by path."""
    config = canonical({"architecture": "amd64", "os": "linux", "config": {},
                        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain).hexdigest()]}})
    config_name, layer_name = hashlib.sha256(config).hexdigest() + ".json", "0" * 64 + "/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [layer_name]}]
    archive.write_bytes(tar(member(config_name, config), member(layer_name, plain),
                            member("manifest.json", json.dumps(manifest).encode())))
    return archive


def base(layout: ImageLayout, tag: str = "base") -> dict:
    """A base image of one layer with something outside /models in it."""
    return layout.image(tag, layout.layer(tar(member("etc"), member("etc/os-release", b"ID=test\n")), "gzip"))
