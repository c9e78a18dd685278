"""The data that is moved: models as trees, as OCI layouts and, once a bench asks, in the source registry."""
import gzip
import hashlib
import os
import shutil
import struct
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import bundles
import images
import models
import tool
import trees

KIB, MIB, GIB = 2**10, 2**20, 2**30
TENSOR = 16 * MIB
STEP = 7919 * 64  # how far the data of two tensors are apart in the block from which both are cut
FULL = {"shard": GIB, "files": 5000}
QUICK = {"shard": 4 * MIB, "files": 150}


class Weights:
    """bf16 numbers by the mile: slices of one block, so that gigabytes take seconds to make."""

    def __init__(self, tensor_bytes: int):
        self.tensor_bytes = tensor_bytes
        self.block = memoryview(models.weights(2 * tensor_bytes, models.SEED))  # two bytes a number

    def tensor(self, number: int) -> memoryview:
        at = number * STEP % (3 * self.tensor_bytes)
        return self.block[at:at + self.tensor_bytes]


def write_safetensors(path: Path, weights: Weights, first: int, count: int) -> list[str]:
    """A safetensors file with the tensors `first` to `first + count - 1`; returns their names."""
    rows, names, header = weights.tensor_bytes // 2048, [], b'{"__metadata__":{"format":"pt"}'
    for i in range(count):
        names.append(f"model.layers.{first + i}.mlp.weight")
        offsets = f"{i * weights.tensor_bytes},{(i + 1) * weights.tensor_bytes}"
        header += f',"{names[-1]}":{{"dtype":"BF16","shape":[{rows},1024],"data_offsets":[{offsets}]}}'.encode()
    header += b"}"
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for i in range(count):
            file.write(weights.tensor(first + i))
    return names


def shards(root: Path, shard_bytes: int, count: int) -> Path:
    """A Hugging Face model of `count` shards of `shard_bytes` and a little."""
    weights = Weights(min(TENSOR, shard_bytes // 4))
    models.write(root, models.huggingface_texts())
    per_shard, weight_map = shard_bytes // weights.tensor_bytes, {}
    for i in range(count):
        name = f"model-{i + 1:05}-of-{count:05}.safetensors" if count > 1 else "model.safetensors"
        weight_map |= dict.fromkeys(write_safetensors(root / name, weights, i * per_shard, per_shard), name)
    if count > 1:
        total = count * per_shard * weights.tensor_bytes
        models.write(root, {"model.safetensors.index.json":
                            images.canonical({"metadata": {"total_size": total}, "weight_map": weight_map})})
    return root


def small_files(root: Path, count: int) -> Path:
    """Files of 4 to 64 KiB, of about 34 KiB in the mean however many there are: slices of one block."""
    block = models.weights(MIB // 2, models.SEED)
    for i in range(count):
        size = (4 + (30 + 37 * i) % 61) * KIB
        at = i * STEP % (MIB - size)
        models.write(root, {f"part-{i % 40:02}/file-{i:05}.bin": block[at:at + size]})
    return root


def next_version(root: Path, old: Path) -> Path:
    """The same model with one tensor changed; files that are the same are links to the old ones."""
    shutil.copytree(old, root, copy_function=os.link)
    shard = root / "model-00003-of-00004.safetensors"
    shutil.copyfile(shard, root / "copy")
    (root / "copy").rename(shard)
    size = shard.stat().st_size
    tensor = min(TENSOR, size // 4)
    with open(shard, "r+b") as file:
        file.seek(size - tensor)
        file.write(Weights(tensor).tensor(1001)[:tensor])
    return root


def gzip_layer(layout: images.ImageLayout, tree: Path, names: list[str]) -> tuple[dict, str]:
    """A layer as other tools make it: a gzip of a tar with several files; streamed, since it is large."""
    path, plain = layout.root / "layer", hashlib.sha256()

    class Tee:
        def __init__(self, out):
            self.out = out

        def write(self, data):
            plain.update(data)
            return self.out.write(data)

    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed:
        with tarfile.open(fileobj=Tee(packed), mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for name in ("models", *(f"models/{n}" for n in names)):
                archive.add(tree / name.removeprefix("models").lstrip("/"), name, recursive=False)
    digest = trees.sha256(path)
    size = path.stat().st_size
    path.rename(layout.root / "blobs/sha256" / digest)
    descriptor = {"mediaType": f"{images.LAYER}+gzip", "digest": f"sha256:{digest}", "size": size}
    return descriptor, f"sha256:{plain.hexdigest()}"


@dataclass
class Image:
    """A model in all its forms. `name` is its repository, so two versions share one."""
    name: str
    tag: str
    tree: Path
    layout: Path

    @cached_property
    def files(self) -> dict[str, tuple[int, str]]:
        return trees.tree(self.tree)

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    @property
    def local(self) -> str:
        """Its layout, as modelcar and skopeo name it."""
        return f"oci:{self.layout}:{self.tag}"

    @property
    def digest(self) -> str:
        return trees.Layout(self.layout).tagged(self.tag)

    @property
    def manifest(self) -> dict:
        return trees.Layout(self.layout).manifest(self.tag)

    @property
    def platform_digest(self) -> str:
        """The manifest of this machine's image."""
        layout = trees.Layout(self.layout)
        entries = layout.document(self.digest).get("manifests", [])
        return next((e["digest"] for e in entries if e["platform"]["architecture"] == "amd64"), self.digest)

    @property
    def blobs(self) -> dict[str, int]:
        """digest -> size of what one platform's pull fetches: layers and config."""
        return {d["digest"]: d["size"] for d in [*self.manifest["layers"], self.manifest["config"]]}

    def weights(self) -> list[Path]:
        return sorted(p for p in self.tree.rglob("*") if p.is_file())


class Inputs:
    """Makes each image when it is first asked for."""

    def __init__(self, root: Path, shard_bytes: int, files: int):
        self.root, self.shard_bytes, self.count = root, shard_bytes, files
        self.made: dict[str, Image] = {}

    def image(self, name: str) -> Image:
        if name not in self.made:
            self.made[name] = getattr(self, f"make_{name}")()
        return self.made[name]

    def tree(self, name: str, make, *args) -> Path:
        """A tree that stays for the next run is taken as it is, once it was finished."""
        path = self.root / f"{name}-{self.shard_bytes}-{self.count}"
        done = Path(f"{path}.done")
        if not done.exists():
            shutil.rmtree(path, ignore_errors=True)
            make(path, *args)
            done.touch()
        return path

    def packed(self, repository: str, tag: str, tree: Path, *flags) -> Image:
        layout = self.root / "-".join(["layout", tree.name, *flags])
        shutil.rmtree(layout, ignore_errors=True)
        tool.ok("pack", *flags, tree, f"oci:{layout}:{tag}", binary_path=tool.release_binary())
        return Image(repository, tag, tree, layout)

    def make_shards(self) -> Image:
        return self.packed("shards", "v1", self.tree("shards", shards, self.shard_bytes, 4))

    def make_single(self) -> Image:
        """The same, as one manifest without an index."""
        return self.packed("shards", "v1", self.image("shards").tree, "--single")

    def make_next(self) -> Image:
        old = self.image("shards").tree
        return self.packed("shards", "v2", self.tree("next", next_version, old))

    def make_one(self) -> Image:
        return self.packed("one", "v1", self.tree("one", shards, self.shard_bytes, 1))

    def make_small(self) -> Image:
        return self.packed("small", "v1", self.tree("small", models.many_files, self.count))

    def make_foreign(self) -> Image:
        """One model in two gzip layers."""
        tree, root = self.tree("foreign", shards, self.shard_bytes // 2, 2), self.root / "layout-foreign"
        shutil.rmtree(root, ignore_errors=True)
        layout, names = images.ImageLayout(root), sorted(p.name for p in tree.iterdir())
        weights = [n for n in names if n.endswith(".safetensors")]
        rest = [n for n in names if n not in weights]
        layout.image("v1", gzip_layer(layout, tree, weights[:1] + rest), gzip_layer(layout, tree, weights[1:]))
        return Image("foreign", "v1", tree, root)


def all_blobs(image: Image) -> set[str]:
    return bundles.blobs_of(image.layout, image.tag)
