"""Who takes part, and how each does a piece of work: methods that return the Command, and ones that look at the result.

    pull(image, side, place)      an image from a registry; pulled(image, place, out) checks it and what was said
    unpack(image, place)          the same from a layout
    push(image, side)             a layout to a registry, digests kept
    pack(image, side)             a tree to a registry; packed(image, registry) checks it
    pack_layout(image, place)     a tree to a layout; laid_out(image, place) checks it
    copy(image, source, target)   a registry to a registry
    save(image, side, place)      an image to one file, place/image.tar
    load(image, file, side)       back from it
    verify(image, place)          every byte of a tree that `pull` made; verified(image, out) checks what was said

A peer without one of these does not take part there. `notes` says what a reader should know of its way, and `differs`
where what it leaves is something else than the others leave, so that it is not compared with them in words.
"""
import json
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path

import bundles
import consumers
import machine
import networks
import tool
import trees
from cost import Command
from inputs import Image

RAW = "files as they are, no image"


def same_tree(image: Image, place: Path) -> None:
    found = trees.tree(place)
    wrong = sorted(n for n in found.keys() | image.files.keys() if found.get(n) != image.files.get(n))
    assert not wrong, f"{len(wrong)} files are not what was packed: {wrong[:5]}"


def script(*commands: list, pipe: bool = False) -> list[str]:
    """One command line that runs these in turn, or as a pipe, and fails with any of them."""
    return ["bash", "-euo", "pipefail", "-c",
            (" | " if pipe else "\n").join(shlex.join(map(str, c)) for c in commands)]


class Peer:
    name, kind = "", "peer"
    is_variant = False
    notes: dict[str, str] = {}
    differs: tuple[str, ...] = ()

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def version(self) -> str:
        return ""

    def can(self, work: str) -> bool:
        return hasattr(self, work)

    def clear(self, place: Path) -> None:
        """Nothing of an earlier run is left."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)

    def pulled(self, image: Image, place: Path, out: str) -> None:
        same_tree(image, place / "tree")

    def tree(self, place: Path) -> Path | None:
        """Where a server would read the model, if it can."""
        return place / "tree"

    def packed(self, image: Image, registry: networks.Registry) -> None:
        """Any image is good that holds the model."""
        self.holds(image, registry.side("http").ref(image))

    def laid_out(self, image: Image, place: Path) -> None:
        trees.Layout(place / "layout").check()
        self.holds(image, f"oci:{place}/layout:{image.tag}")

    def holds(self, image: Image, ref: str) -> None:
        out = self.root / "looked-at"
        shutil.rmtree(out, ignore_errors=True)
        tool.ok("pull", ref, out, binary_path=tool.release_binary())
        same_tree(image, out)
        shutil.rmtree(out)

    def verified(self, image: Image, out: str) -> None:
        """Its exit status has said it."""

    def close(self) -> None:
        pass


class Modelcar(Peer):
    name, kind = "modelcar", "modelcar"
    flags: list[str] = []
    notes = {"pack": "--no-cache: every file is read", "pack_layout": "--no-cache: every file is read"}

    def version(self) -> str:
        return machine.first_line(tool.release_binary(), "--version")

    def run(self, *args, sides: tuple = ()) -> Command:
        ca = next((["--ca-file", s.ca] for s in sides if s.ca), [])
        return Command([tool.release_binary(), *args, *ca, "--quiet"], {"HOME": str(self.root)})

    def pull(self, image, side, place):
        return self.run("pull", side.ref(image), place / "tree", *self.flags, sides=(side,))

    def unpack(self, image, place):
        return self.run("pull", image.local, place / "tree", *self.flags)

    def push(self, image, side):
        return self.run("cp", image.local, side.ref(image), sides=(side,))

    def pack(self, image, side):
        return self.run("pack", "--no-cache", image.tree, side.ref(image), sides=(side,))

    def packed(self, image, registry):
        bundles.assert_in_registry(image.layout, registry.plain, image.name, image.tag)

    def pack_layout(self, image, place):
        return self.run("pack", "--no-cache", image.tree, f"oci:{place}/layout:{image.tag}")

    def laid_out(self, image, place):
        bundles.assert_arrived(image.layout, place / "layout", image.tag)

    def copy(self, image, source, target):
        ref = source.ref(image), target.ref(image)
        return self.run("cp", *ref, sides=(source, target))

    def save(self, image, side, place):
        return self.run("bundle", "create", side.ref(image), "-o", place / "image.tar", sides=(side,))

    def load(self, image, file, side):
        return self.run("load", file, side.ref(image), sides=(side,))

    def verify(self, image, place):
        return self.run("verify", "--full", place / "tree")


class Variant(Modelcar):
    """modelcar with a flag, where that makes a difference."""
    is_variant = True

    def can(self, work):
        return work in ("pull", "unpack")


class Direct(Variant):
    name, flags = "modelcar --direct", ["--direct"]


class Buffered(Variant):
    name, flags = "modelcar --buffered", ["--buffered"]


class LayoutPuller(Peer):
    """One that keeps what it pulls as an OCI layout."""
    notes = {"pull": "to an OCI layout: layers, no files"}
    differs = ("pull",)

    def pulled(self, image, place, out):
        bundles.assert_arrived(image.layout, place / "layout", image.tag)

    def tree(self, place):
        return None


class Skopeo(LayoutPuller):
    name = "skopeo"
    notes = {**LayoutPuller.notes, "load": "unpacks the file to a temporary directory first"}

    def __init__(self, root):
        super().__init__(root)
        self.tool = consumers.Skopeo(root)

    def version(self):
        return machine.first_line(self.tool.path, "--version")

    def run(self, source, target, sides):
        flags = [f"--{end}-tls-verify={'true' if side.ca else 'false'}" for end, side in sides.items()]
        env = next(({"SSL_CERT_FILE": str(s.ca)} for s in sides.values() if s.ca), {})
        kept = ["--preserve-digests", "--dest-oci-accept-uncompressed-layers"]
        return Command(self.tool.command("copy", "-q", "--all", *kept, *flags, source, target), env)

    def pull(self, image, side, place):
        return self.run(f"docker://{side.ref(image)}", f"oci:{place}/layout:{image.tag}", {"src": side})

    def push(self, image, side):
        return self.run(image.local, f"docker://{side.ref(image)}", {"dest": side})

    def copy(self, image, source, target):
        return self.run(f"docker://{source.ref(image)}", f"docker://{target.ref(image)}",
                        {"src": source, "dest": target})

    def save(self, image, side, place):
        return self.run(f"docker://{side.ref(image)}", f"oci-archive:{place}/image.tar:{image.tag}",
                        {"src": side})

    def load(self, image, file, side):
        return self.run(f"oci-archive:{file}:{image.tag}", f"docker://{side.ref(image)}", {"dest": side})


class Crane(Peer):
    name = "crane"
    notes = {"pull": "crane export, piped to tar"}

    def __init__(self, root):
        super().__init__(root)
        self.path = consumers.find("crane")

    def version(self):
        return "crane " + machine.first_line(self.path, "version")

    def env(self, *sides):
        ca = next(({"SSL_CERT_FILE": str(s.ca)} for s in sides if s.ca), {})
        return {"DOCKER_CONFIG": str(self.root), **ca}

    def pull(self, image, side, place):
        export = [self.path, "export", side.ref(image), "-", "--platform", "linux/amd64"]
        tar = ["tar", "-xf", "-", "-C", place / "tree", "--strip-components=1", "models"]
        return Command(script([*export], tar, pipe=True), self.env(side))

    def clear(self, place):
        super().clear(place)
        (place / "tree").mkdir()

    def push(self, image, side):
        return Command([self.path, "push", image.layout, side.ref(image)], self.env(side))

    def copy(self, image, source, target):
        return Command([self.path, "copy", source.ref(image), target.ref(image)],
                       self.env(source, target))


class Regctl(LayoutPuller):
    name = "regctl"
    notes = {**LayoutPuller.notes, "pack": RAW}
    differs = ("pull", "pack")

    def __init__(self, root):
        super().__init__(root)
        self.path = consumers.find("regctl")

    def version(self):
        return "regctl " + machine.first_line(self.path, "version", "--format", "{{.VCSTag}}")

    def run(self, *args, sides, cwd=None):
        """What hosts speak is in its configuration; the file is a name of each set of hosts."""
        hosts = {s.host: {"tls": "enabled" if s.ca else "disabled"} for s in sides}
        name = self.root / ("-".join(h.replace(":", "_") for h in hosts) + ".json")
        name.write_text(json.dumps({"hosts": hosts}))
        ca = next(({"SSL_CERT_FILE": str(s.ca)} for s in sides if s.ca), {})
        return Command([self.path, *args], {"REGCTL_CONFIG": str(name), "HOME": str(self.root), **ca}, cwd)

    def pull(self, image, side, place):
        return self.run("image", "copy", side.ref(image), f"ocidir://{place}/layout:{image.tag}",
                        sides=(side,))

    def push(self, image, side):
        return self.run("image", "copy", f"ocidir://{image.layout}:{image.tag}", side.ref(image),
                        sides=(side,))

    def copy(self, image, source, target):
        return self.run("image", "copy", source.ref(image), target.ref(image),
                        sides=(source, target))

    def save(self, image, side, place):
        return self.run("image", "export", side.ref(image), place / "image.tar", sides=(side,))

    def load(self, image, file, side):
        return self.run("image", "import", side.ref(image), file, sides=(side,))

    def pack(self, image, side):
        files = [w for name in image.files for w in ("--file", name, "--file-media-type", "application/octet-stream")]
        return self.run("artifact", "put", "--artifact-type", "application/vnd.test.model", "--file-title", *files,
                        side.ref(image), sides=(side,), cwd=image.tree)

    def packed(self, image, registry):
        raw_files_arrived(image, registry)


def raw_files_arrived(image: Image, registry: networks.Registry) -> None:
    """An artifact whose blobs are the files."""
    manifest = json.loads(registry.plain.get(image.name, image.tag)[1])
    wanted = {f"sha256:{digest}" for _, digest in image.files.values()}
    assert {layer["digest"] for layer in manifest["layers"]} == wanted
    assert wanted <= set(registry.plain.blobs())


class KServe(Peer):
    name = "kserve-storage"

    def __init__(self, root):
        super().__init__(root)
        self.tool = consumers.KServe(root)

    def version(self):
        return f"kserve-storage {metadata.version('kserve-storage')}"

    def pull(self, image, side, place):
        env = {"HOME": str(self.root), "KSERVE_OCI_INSECURE_REGISTRY": "false" if side.ca else "true"}
        env |= {"REQUESTS_CA_BUNDLE": str(side.ca)} if side.ca else {}
        uri = f"oci://{side.ref(image)}"
        return Command([sys.executable, "-c", self.tool.CODE, uri, place / "tree"], env)


class Oras(Peer):
    name = "oras-py"
    notes = {"pull": "layers as files, nothing verified", "pack": RAW}
    differs = ("pull", "pack")
    PULL = """import sys, oras.client
oras.client.OrasClient(insecure=sys.argv[1] == "http").pull(target=sys.argv[2], outdir=sys.argv[3])"""
    PUSH = """import sys, oras.client
oras.client.OrasClient(insecure=sys.argv[1] == "http").push(target=sys.argv[2], files=sys.argv[3:], quiet=True)"""

    def __init__(self, root):
        super().__init__(root)
        try:
            metadata.version("oras")
        except metadata.PackageNotFoundError as error:
            raise consumers.Absent(self.name) from error

    def version(self):
        return f"oras-py {metadata.version('oras')}"

    def run(self, code, side, *args, cwd=None):
        env = {"HOME": str(self.root), **({"REQUESTS_CA_BUNDLE": str(side.ca)} if side.ca else {})}
        return Command([sys.executable, "-c", code, side.scheme, *args], env, cwd)

    def pull(self, image, side, place):
        return self.run(self.PULL, side, f"{side.host}/{image.name}@{image.platform_digest}", place / "blobs")

    def pulled(self, image, place, out):
        """Layers under their titles; it unpacks those that are tar+gzip, which it takes for directories."""
        if (place / "blobs/models").is_dir():
            return same_tree(image, place / "blobs/models")
        found = {f"sha256:{trees.sha256(p)}" for p in (place / "blobs").rglob("*") if p.is_file()}
        missing = {layer["digest"] for layer in image.manifest["layers"]} - found
        assert not missing, f"layers that did not come: {sorted(missing)}"

    def tree(self, place):
        return None

    def pack(self, image, side):
        return self.run(self.PUSH, side, side.ref(image), *image.files, cwd=image.tree)

    def packed(self, image, registry):
        raw_files_arrived(image, registry)
