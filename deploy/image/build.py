#!/usr/bin/env python3
"""Builds the container images of modelcar as an OCI layout, the same bytes each time.

    deploy/image/build.py [--build DIR] [--only modelcar|base] LAYOUT

    modelcar  the program, also as storage-initializer, with the shared objects it needs, certificates, /tmp
    base      a static busybox as sh, ln, sleep, ls, mkdir, /tmp: for `modelcar pack --onto`

Debian 12 with the packages of ci/deps.sh; no container tool, no root, no network. What is written: LAYOUT with the
tags modelcar and base, and beside it LAYOUT.<image>.spdx.json, the SBOM. The architecture is this machine's.
Then `modelcar cp oci:LAYOUT:modelcar reg.example/tools/modelcar:0.1.0`, or skopeo, or podman load.

SOURCE_DATE_EPOCH: the time in the image and the SBOM; 1970 otherwise.
"""
import argparse
import fcntl
import gzip
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

import sbom

ROOT = Path(__file__).resolve().parents[2]
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
CREATED = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
LIBRARIES = "usr/lib/modelcar"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
APPLETS = ("sh", "ln", "sleep", "ls", "mkdir")
# glibc looks here for who answers names; there is no resolver of our own.
NSSWITCH = b"hosts: files dns\n"


def output(*command) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


class Tree:
    """What a layer holds: path -> bytes, or a link's target as text."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}
        self.links: dict[str, str] = {}

    def add(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self.files[path], self.modes[path] = data, mode

    def link(self, path: str, target: str) -> None:
        self.links[path] = target

    def directories(self) -> set[str]:
        paths = [*self.files, *self.links]
        return {str(parent) for p in paths for parent in Path(p).parents if str(parent) != "."} | {"tmp"}

    def tar(self) -> bytes:
        """By name, with nothing of the machine that made it."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in sorted(self.directories() | set(self.files) | set(self.links)):
                entry = tarfile.TarInfo(path)
                entry.mtime = EPOCH
                if path in self.links:
                    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, self.links[path], 0o777
                    tar.addfile(entry)
                elif path in self.files:
                    entry.size, entry.mode = len(self.files[path]), self.modes[path]
                    tar.addfile(entry, io.BytesIO(self.files[path]))
                else:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755
                    tar.addfile(entry)
        return out.getvalue()


class Layout:
    """An OCI layout that is written from nothing."""

    def __init__(self, root: Path):
        self.root, self.index = root, []
        (root / "blobs/sha256").mkdir(parents=True)

    def blob(self, media_type: str, data: bytes, **more) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (self.root / "blobs/sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data), **more}

    def document(self, media_type: str, value: dict, **more) -> dict:
        return self.blob(media_type, json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), **more)

    def image(self, tag: str, layers: list[tuple[str, Tree]], config: dict) -> None:
        tars = [tree.tar() for _, tree in layers]
        entries = [self.blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(t, 9, mtime=0)) for t in tars]
        arch = ARCH[platform.machine()]
        described = self.document("application/vnd.oci.image.config.v1+json", {
            "created": CREATED, "architecture": arch, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(t).hexdigest()}" for t in tars]},
            "history": [{"created": CREATED, "created_by": what} for what, _ in layers]})
        self.index.append(self.document("application/vnd.oci.image.manifest.v1+json", {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described, "layers": entries},
            platform={"architecture": arch, "os": "linux"}, annotations={"org.opencontainers.image.ref.name": tag}))
        packed, unpacked = sum(e["size"] for e in entries), sum(map(len, tars))
        print(f"{tag}: {self.index[-1]['digest']}, {packed / 2**20:.1f} MiB to pull, {unpacked / 2**20:.1f} MiB unpacked")

    def close(self) -> None:
        (self.root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.root / "index.json").write_text(json.dumps({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.index}))


def compile_modelcar(build: Path) -> Path:
    """A release build whose libraries lie beside it, so that it also runs in another Debian's image."""
    build.mkdir(parents=True, exist_ok=True)
    with open(build / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would undo each other's work
        return compile_locked(build)


def compile_locked(build: Path) -> Path:
    if not (build / "build.ninja").is_file():
        # An rpath, not a runpath: it has to serve the libraries' own libraries, too.
        flags = f"-Wl,--disable-new-dtags,-rpath,$ORIGIN/../{LIBRARIES.removeprefix('usr/')}"
        output("meson", "setup", build, ROOT, "-Dbuildtype=release", "-Dtests=false", "-Dbundled_archive=true",
               f"-Dc_link_args={flags}")
    output("ninja", "-C", build, "tools/modelcar")
    stripped = build / "modelcar.stripped"
    # Whole at once: one who came earlier may be reading it.
    unfinished = build / "modelcar.unfinished"
    output("strip", "--strip-all", "-o", unfinished, build / "tools/modelcar")
    unfinished.replace(stripped)
    return stripped


def shared_objects(program: Path) -> dict[str, Path]:
    """Where each library that it needs lies, and the interpreter, by the path that it is asked for by."""
    found = re.findall(r"(?:(\S+) => )?(/\S+) \(0x", output("ldd", program))
    return {name or path: Path(path) for name, path in found}


def modelcar_layers(program: Path) -> tuple[list[tuple[str, Tree]], list[tuple[str, Path]]]:
    """Below what Debian gives, above what we build: an update sends the upper one."""
    system, ours, origins = Tree(), Tree(), []
    interpreter = re.search(r"interpreter: (\S+?)\]", output("readelf", "-lW", program))[1]
    for name, path in sorted(shared_objects(program).items()):
        # glibc and its loader belong together, where every other program looks for them.
        libc = name == interpreter or re.match(r"lib(c|m|resolv|pthread|dl|rt)\.so\.", name)
        where = interpreter[1:] if name == interpreter else f"{'lib' if libc else LIBRARIES}/{Path(name).name}"
        system.add(where, path.read_bytes(), 0o755)
        origins.append((where, path))
    system.add("etc/ssl/certs/ca-certificates.crt", CERTIFICATES.read_bytes())
    system.add("etc/nsswitch.conf", NSSWITCH)
    origins.append(("etc/ssl/certs/ca-certificates.crt", CERTIFICATES))
    add_copyrights(system, origins)
    ours.add("usr/bin/modelcar", program.read_bytes(), 0o755)
    ours.link("usr/bin/storage-initializer", "modelcar")
    ours.add("usr/share/doc/modelcar/LICENSE", (ROOT / "LICENSE").read_bytes())
    return [("libraries of Debian", system), ("modelcar", ours)], origins


def base_layers() -> tuple[list[tuple[str, Tree]], list[tuple[str, Path]]]:
    busybox, tree = Path("/bin/busybox"), Tree()
    if not busybox.exists() or "INTERP" in output("readelf", "-lW", busybox):
        raise SystemExit(f"{busybox} is not static: apt-get install busybox-static")
    tree.add("bin/busybox", busybox.read_bytes(), 0o755)
    for applet in APPLETS:
        tree.link(f"bin/{applet}", "busybox")
    origins = [("bin/busybox", busybox)]
    add_copyrights(tree, origins)
    return [("busybox of Debian", tree)], origins


def add_copyrights(tree: Tree, origins: list[tuple[str, Path]]) -> None:
    for package in sorted({sbom.package_of(path) for _, path in origins}):
        name = package.split(":")[0]
        tree.add(f"usr/share/doc/{name}/copyright", Path(f"/usr/share/doc/{name}/copyright").read_bytes())


def version_of() -> str:
    return re.search(r"^\s*version: '([^']+)'", (ROOT / "meson.build").read_text(), re.M)[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build-image", help="where meson builds")
    parser.add_argument("--only", choices=("modelcar", "base"))
    args = parser.parse_args()
    if args.layout.exists():
        raise SystemExit(f"{args.layout} exists; remove it, or name another")
    layout = Layout(args.layout)
    labels = {"org.opencontainers.image.version": version_of(), "org.opencontainers.image.licenses": "Apache-2.0"}
    if args.only != "base":
        program = compile_modelcar(args.build.resolve())
        layers, origins = modelcar_layers(program)
        layout.image("modelcar", layers, {
            "User": "65534:0", "Entrypoint": ["/usr/bin/modelcar"], "Cmd": ["--help"], "WorkingDir": "/",
            "Env": ["PATH=/usr/bin", "HOME=/tmp", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
            "Labels": {**labels, "org.opencontainers.image.title": "modelcar"}})
        sbom.write(Path(f"{args.layout}.modelcar.spdx.json"), "modelcar", version_of(), CREATED, origins,
                   ("usr/bin/modelcar", program))
    if args.only != "modelcar":
        layers, origins = base_layers()
        layout.image("base", layers, {
            "User": "65534:0", "Cmd": ["sleep", "infinity"], "WorkingDir": "/", "Env": ["PATH=/bin"],
            "Labels": {**labels, "org.opencontainers.image.title": "modelcar-base"}})
        sbom.write(Path(f"{args.layout}.base.spdx.json"), "modelcar-base", version_of(), CREATED, origins)
    layout.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
