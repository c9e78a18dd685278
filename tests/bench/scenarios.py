"""What is measured. A scenario makes a Trial of a peer: what comes before the clock runs, the command, the check."""
import hashlib
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import bundles
import inputs
import networks
import tool
from cost import Command
from peers import Peer


@dataclass
class Trial:
    command: Command
    check: Callable[[str], None]  # is given what the command printed
    inputs: list[Path]  # what the command reads on this machine, to be warm or cold
    prepare: list[Command] = field(default_factory=list)  # by the same peer, not measured
    read: Path | None = None  # a tree that a server would read next
    sync: Path | None = None  # where it wrote


@dataclass
class Bench:
    """What scenarios work with."""
    images: inputs.Inputs
    source: networks.Registry
    target: networks.Registry
    out: Path
    pushed: set = field(default_factory=set)

    def serve(self, *names: str) -> list[inputs.Image]:
        """These images, in the source registry."""
        found = [self.images.image(n) for n in names]
        for image in found:
            if (image.name, image.tag) not in self.pushed:
                tool.ok("cp", "--force", image.local,
                        self.source.side("http").ref(image), binary_path=tool.release_binary())
                self.pushed.add((image.name, image.tag))
        return found

    def blob_files(self, image: inputs.Image) -> list[Path]:
        return self.source.blob_files(inputs.all_blobs(image))


class Scenario:
    """`work` is the method of the peers."""
    name = title = work = ""
    image = "shards"
    local = False  # no network in it

    def prepare(self, bench: Bench) -> None:
        """Once, before the first trial."""
        bench.serve(self.image)

    def takes(self, peer: Peer) -> bool:
        return peer.can(self.work)

    def moved(self, bench: Bench) -> int:
        """The bytes of the model."""
        return bench.images.image(self.image).bytes

    def trial(self, bench: Bench, peer: Peer, network: str) -> Trial | None:
        """None where the peer has nothing to do here. The place of the peer is clear."""
        raise NotImplementedError

    @staticmethod
    def place(bench: Bench, peer: Peer) -> Path:
        return bench.out / "".join(c if c.isalnum() else "-" for c in peer.name)


class Pull(Scenario):
    work = "pull"

    def __init__(self, name: str, title: str, image: str):
        self.name, self.title, self.image = name, title, image

    def takes(self, peer):
        """How files are written matters where they are large."""
        return super().takes(peer) and (not peer.is_variant or self.image in ("shards", "one"))

    def trial(self, bench, peer, network):
        image, place = bench.images.image(self.image), self.place(bench, peer)
        command = peer.pull(image, bench.source.side(network), place)
        return command and Trial(command, lambda out: peer.pulled(image, place, out), bench.blob_files(image),
                                 read=peer.tree(place), sync=place)


class PullAgain(Scenario):
    """The peer has pulled `old` before, and now pulls `image` to the same place."""
    work = "pull"

    def __init__(self, name: str, title: str, image: str, old: str):
        self.name, self.title, self.image, self.old = name, title, image, old

    def takes(self, peer):
        return super().takes(peer) and peer.kind != "limit" and not peer.is_variant

    def prepare(self, bench):
        bench.serve(self.old, self.image)

    def trial(self, bench, peer, network):
        image, old = bench.images.image(self.image), bench.images.image(self.old)
        place, side = self.place(bench, peer), bench.source.side(network)
        return Trial(peer.pull(image, side, place), lambda out: peer.pulled(image, place, out), bench.blob_files(image),
                     prepare=[peer.pull(old, side, place)], sync=place)


class ToRegistry(Scenario):
    """From a tree or a layout into an empty registry."""

    def __init__(self, name: str, title: str, work: str, image: str = "shards"):
        self.name, self.title, self.work, self.image = name, title, work, image

    def prepare(self, bench):
        bench.images.image(self.image)

    def trial(self, bench, peer, network):
        image = bench.images.image(self.image)
        source = image.tree if self.work == "pack" and peer.kind != "limit" else image.layout
        return Trial(getattr(peer, self.work)(image, bench.target.side(network)),
                     lambda out: self.arrived(bench, peer, image), [p for p in source.rglob("*") if p.is_file()],
                     sync=self.place(bench, peer))

    def arrived(self, bench, peer, image):
        if self.work == "pack":
            peer.packed(image, bench.target)
        else:
            in_registry(bench, image)


def in_registry(bench: Bench, image: inputs.Image) -> None:
    bundles.assert_in_registry(image.layout, bench.target.plain, image.name, image.tag)


class Copy(Scenario):
    name, title, work = "mirror", "registry to registry", "copy"

    def trial(self, bench, peer, network):
        image = bench.images.image(self.image)
        return Trial(peer.copy(image, bench.source.side(network), bench.target.side(network)),
                     lambda out: in_registry(bench, image), bench.blob_files(image))


class Save(Scenario):
    name, title, work = "bundle-create", "an image of a registry to one file", "save"

    def trial(self, bench, peer, network):
        image, place = bench.images.image(self.image), self.place(bench, peer)
        return Trial(peer.save(image, bench.source.side(network), place),
                     lambda out: in_archive(image, place / "image.tar"), bench.blob_files(image), sync=place)


def in_archive(image: inputs.Image, file: Path) -> None:
    """A tar of an OCI layout with everything that the image is, byte for byte."""
    wanted = inputs.all_blobs(image)
    with tarfile.open(file) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith("blobs/sha256/"):
                name = member.name.rsplit("/", 1)[1]
                assert hashlib.file_digest(archive.extractfile(member), "sha256").hexdigest() == name
                wanted.discard(f"sha256:{name}")
        entries = json.load(archive.extractfile("index.json"))["manifests"]
    assert not wanted, f"{len(wanted)} blobs are missing: {sorted(wanted)[:3]}"
    assert image.digest in {e["digest"] for e in entries}


class Load(Scenario):
    name, title, work = "bundle-load", "that file into an empty registry", "load"

    def file(self, bench: Bench) -> Path:
        return bench.images.root / "bundle.tar"

    def prepare(self, bench):
        image = bench.images.image(self.image)
        tool.ok("bundle", "create", "--force", image.local, "-o", self.file(bench),
                binary_path=tool.release_binary())

    def trial(self, bench, peer, network):
        image = bench.images.image(self.image)
        return Trial(peer.load(image, self.file(bench), bench.target.side(network)),
                     lambda out: in_registry(bench, image), [self.file(bench)])


class PackLayout(Scenario):
    name, title, work, local = "pack-layout", "a tree to an OCI layout", "pack_layout", True

    def prepare(self, bench):
        bench.images.image(self.image)

    def trial(self, bench, peer, network):
        image, place = bench.images.image(self.image), self.place(bench, peer)
        return Trial(peer.pack_layout(image, place), lambda out: peer.laid_out(image, place), image.weights(),
                     sync=place)


class Unpack(Scenario):
    name, title, work, local, image = "unpack", "an OCI layout to a tree", "unpack", True, "single"

    def prepare(self, bench):
        bench.images.image(self.image)

    def trial(self, bench, peer, network):
        image, place = bench.images.image(self.image), self.place(bench, peer)
        blobs = [p for p in image.layout.rglob("*") if p.is_file()]
        return Trial(peer.unpack(image, place), lambda out: peer.pulled(image, place, out), blobs,
                     read=peer.tree(place), sync=place)


class Verify(Scenario):
    name, title, work, local = "verify", "every byte of a pulled tree", "verify", True

    def trial(self, bench, peer, network):
        """All look at trees that the same pull has made."""
        image, place = bench.images.image(self.image), self.place(bench, peer)
        ref = bench.source.side("http").ref(image)
        tool.ok("pull", "--buffered", ref, place / "tree", binary_path=tool.release_binary())
        files = [place / "tree" / name for name in image.files]
        return Trial(peer.verify(image, place), lambda out: peer.verified(image, out), files)


ALL = [
    Pull("pull-shards", "pull of a model in 4 shards", "shards"),
    Pull("pull-one", "pull of a model in one file", "one"),
    Pull("pull-small", "pull of many small files", "small"),
    Pull("pull-foreign", "pull of a gzip image of another tool", "foreign"),
    PullAgain("repull", "pull of what is there already", "shards", "shards"),
    PullAgain("delta", "pull of a version in which one tensor differs", "next", "shards"),
    ToRegistry("push", "push of a packed layout", "push"),
    ToRegistry("pack", "pack to a registry", "pack"),
    PackLayout(),
    Copy(),
    Save(),
    Load(),
    Unpack(),
    Verify(),
]
