#!/usr/bin/env python3
"""Builds the container images of modelcar as an OCI layout, the same bytes each time.

    deploy/image/build.py [--arch amd64,arm64] [--sysroot DIR] [--build DIR] [--only modelcar|base] LAYOUT

    modelcar  the program, also as storage-initializer, with the shared objects it needs, certificates, /tmp
    base      a static busybox as sh, ln, sleep, ls, mkdir, /tmp: for `modelcar pack --onto`

Debian 12 with the packages of ci/deps.sh; no container tool, no root, no network. What is written: LAYOUT with the
tags modelcar and base, and beside it LAYOUT.<image>.<arch>.spdx.json, the SBOM of each. Without --arch the architecture
is this machine's; of more than one, a tag is an index. arm64 elsewhere is a cross build: it wants gcc-aarch64-linux-gnu
(ci/deps.sh --arm64), and what sysroot.py fetches, by the network, unless it is in --sysroot (default: below --build).
Then `modelcar cp oci:LAYOUT:modelcar reg.example/tools/modelcar:0.1.0`, or skopeo --all, or podman load.

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
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

import sbom
import sysroot
from debian import TRIPLETS, Debian, output

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}
EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
CREATED = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
LIBRARIES = "usr/lib/modelcar"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
INDEX = "application/vnd.oci.image.index.v1+json"
APPLETS = ("sh", "ln", "sleep", "ls", "mkdir")
# glibc looks here for who answers names; there is no resolver of our own.
NSSWITCH = b"hosts: files dns\n"


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

    def image(self, arch: str, layers: list[tuple[str, Tree]], config: dict) -> dict:
        tars = [tree.tar() for _, tree in layers]
        entries = [self.blob("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(t, 9, mtime=0)) for t in tars]
        described = self.document("application/vnd.oci.image.config.v1+json", {
            "created": CREATED, "architecture": arch, "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(t).hexdigest()}" for t in tars]},
            "history": [{"created": CREATED, "created_by": what} for what, _ in layers]})
        packed, unpacked = sum(e["size"] for e in entries), sum(map(len, tars))
        title = config["Labels"]["org.opencontainers.image.title"]
        print(f"{title}, {arch}: {packed / 2**20:.1f} MiB to pull, {unpacked / 2**20:.1f} MiB unpacked")
        return self.document("application/vnd.oci.image.manifest.v1+json", {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described, "layers": entries}, platform={"architecture": arch, "os": "linux"})

    def tag(self, tag: str, images: list[dict]) -> None:
        """One image as it is, several as an index."""
        entry = images[0] if len(images) == 1 else self.document(INDEX, {
            "schemaVersion": 2, "mediaType": INDEX, "manifests": images})
        self.index.append({**entry, "annotations": {"org.opencontainers.image.ref.name": tag}})
        print(f"{tag}: {entry['digest']}")

    def close(self) -> None:
        (self.root / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.root / "index.json").write_text(json.dumps({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": self.index}))


def compile_modelcar(build: Path, debian: Debian) -> Path:
    """A release build whose libraries lie beside it, so that it also runs in another Debian's image."""
    build.mkdir(parents=True, exist_ok=True)
    with open(build / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would undo each other's work
        return compile_locked(build, debian)


def compile_locked(build: Path, debian: Debian) -> Path:
    cross = debian.root != Path("/")
    if not (build / "build.ninja").is_file():
        # An rpath, not a runpath: it has to serve the libraries' own libraries, too.
        flags = f"-Wl,--disable-new-dtags,-rpath,$ORIGIN/../{LIBRARIES.removeprefix('usr/')}"
        # What an assertion says of its place must not depend on where that is built.
        places = f"-ffile-prefix-map={os.path.relpath(ROOT, build)}/="
        files = (debian.root / "sysroot.ini", HERE / f"{debian.arch}.ini") if cross else ()
        output("meson", "setup", build, ROOT, "-Dbuildtype=release", "-Dtests=false", "-Dbundled_archive=true",
               f"-Dc_link_args={flags}", f"-Dc_args={places}", *(f"--cross-file={path}" for path in files))
    output("ninja", "-C", build, "tools/modelcar")
    stripped = build / "modelcar.stripped"
    # Whole at once: one who came earlier may be reading it.
    unfinished = build / "modelcar.unfinished"
    strip = f"{debian.triplet}-strip" if cross else "strip"
    output(strip, "--strip-all", "-o", unfinished, build / "tools/modelcar")
    unfinished.replace(stripped)
    return stripped


class Contents:
    """Layers, each with what it is, and where the files of Debian in them come from."""

    def __init__(self, debian: Debian):
        self.debian, self.layers, self.origins = debian, [], []

    def take(self, tree: Tree, where: str, path: Path, mode: int = 0o644) -> None:
        tree.add(where, path.read_bytes(), mode)
        self.origins.append((where, path))

    def add_copyrights(self, tree: Tree) -> None:
        for package in sorted({self.debian.package_of(path) for _, path in self.origins}):
            name = package.split(":")[0]
            tree.add(f"usr/share/doc/{name}/copyright", self.debian.copyright_of(name))


def modelcar_contents(debian: Debian, program: Path) -> Contents:
    """Below what Debian gives, above what we build: an update sends the upper one."""
    contents, system, ours = Contents(debian), Tree(), Tree()
    interpreter = debian.interpreter_of(program)
    contents.take(system, interpreter, debian.root / interpreter, 0o755)
    for name, path in sorted(debian.shared_objects(program).items()):
        # glibc and its loader belong together, where every other program looks for them.
        libc = re.match(r"lib(c|m|resolv|pthread|dl|rt)\.so\.", name)
        contents.take(system, f"{'lib' if libc else LIBRARIES}/{name}", path, 0o755)
    contents.take(system, CERTIFICATES, debian.root / CERTIFICATES)
    system.add("etc/nsswitch.conf", NSSWITCH)
    contents.add_copyrights(system)
    ours.add("usr/bin/modelcar", program.read_bytes(), 0o755)
    ours.link("usr/bin/storage-initializer", "modelcar")
    ours.add("usr/share/doc/modelcar/LICENSE", (ROOT / "LICENSE").read_bytes())
    contents.layers = [("libraries of Debian", system), ("modelcar", ours)]
    return contents


def base_contents(debian: Debian) -> Contents:
    busybox, contents, tree = debian.root / "bin/busybox", Contents(debian), Tree()
    if not busybox.exists() or debian.interpreter_of(busybox):
        raise SystemExit(f"{busybox} is not static: apt-get install busybox-static")
    contents.take(tree, "bin/busybox", busybox, 0o755)
    for applet in APPLETS:
        tree.link(f"bin/{applet}", "busybox")
    contents.add_copyrights(tree)
    contents.layers = [("busybox of Debian", tree)]
    return contents


def version_of() -> str:
    return re.search(r"^\s*version: '([^']+)'", (ROOT / "meson.build").read_text(), re.M)[1]


def debian_of(arch: str, given: Path | None, build: Path) -> Debian:
    """This machine where it is of that kind, otherwise a sysroot, which is made where there is none."""
    if arch == ARCH[platform.machine()]:
        return Debian(arch)
    if not (HERE / f"{arch}.ini").exists():
        raise SystemExit(f"no cross build for {arch} on {platform.machine()}")
    root = (given or build / f"sysroot-{arch}").resolve()
    if not root.exists():
        build.mkdir(parents=True, exist_ok=True)
        sysroot.make(root, arch)
    return Debian(arch, root)


class Build:
    def __init__(self, args: argparse.Namespace):
        self.layout, self.out, self.place = Layout(args.layout), args.layout, args.build.resolve()
        self.debians = [debian_of(arch, args.sysroot, self.place) for arch in args.arch]

    def config(self, title: str, **more) -> dict:
        labels = {"org.opencontainers.image.version": version_of(), "org.opencontainers.image.licenses": "Apache-2.0",
                  "org.opencontainers.image.title": title}
        return {"User": "65534:0", "WorkingDir": "/", "Labels": labels, **more}

    def describe(self, tag: str, title: str, contents: Contents, program: tuple[str, Path] | None = None) -> None:
        sbom.write(Path(f"{self.out}.{tag}.{contents.debian.arch}.spdx.json"), title, version_of(), CREATED,
                   contents.debian, contents.origins, program)

    def modelcar(self, debian: Debian) -> dict:
        program = compile_modelcar(self.place / debian.arch, debian)
        contents = modelcar_contents(debian, program)
        self.describe("modelcar", "modelcar", contents, ("usr/bin/modelcar", program))
        return self.layout.image(debian.arch, contents.layers, self.config(
            "modelcar", Entrypoint=["/usr/bin/modelcar"], Cmd=["--help"],
            Env=["PATH=/usr/bin", "HOME=/tmp", f"SSL_CERT_FILE=/{CERTIFICATES}"]))

    def base(self, debian: Debian) -> dict:
        contents = base_contents(debian)
        self.describe("base", "modelcar-base", contents)
        return self.layout.image(debian.arch, contents.layers, self.config(
            "modelcar-base", Cmd=["sleep", "infinity"], Env=["PATH=/bin"]))


def architectures(text: str) -> list[str]:
    """As given on the command line: in one order, each once."""
    return sorted(set(text.split(",")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", type=Path)
    parser.add_argument("--arch", type=architectures, default=ARCH[platform.machine()],
                        help="amd64, arm64 or both, with a comma")
    parser.add_argument("--sysroot", type=Path, help="of an architecture that is not this machine's")
    parser.add_argument("--build", type=Path, default=ROOT / "build-image", help="where meson builds")
    parser.add_argument("--only", choices=("modelcar", "base"))
    args = parser.parse_args()
    if args.layout.exists():
        raise SystemExit(f"{args.layout} exists; remove it, or name another")
    if unknown := set(args.arch) - set(TRIPLETS):
        raise SystemExit(f"no image for {', '.join(sorted(unknown))}; there is {', '.join(TRIPLETS)}")
    build = Build(args)
    for tag, make in (("modelcar", build.modelcar), ("base", build.base)):
        if args.only in (None, tag):
            build.layout.tag(tag, [make(debian) for debian in build.debians])
    build.layout.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
