"""Generators of models: small, but as real tools write them."""
import json
import os
import random
import struct
from pathlib import Path

import numpy as np

SEED = int(os.environ.get("MODELCAR_SEED", "1"))
README = """---
license: apache-2.0
pipeline_tag: text-generation
---
# A small model
"""
GGUF_U32, GGUF_STRING = 4, 8


def weights(count: int, seed: int) -> bytes:
    """`count` bf16 numbers as training leaves them, about N(0, 0.02): the upper half of a float32."""
    values = np.random.default_rng(seed).normal(0, 0.02, count).astype("<f4")
    return (values.view("<u4") >> 16).astype("<u2").tobytes()


def safetensors(tensors: dict[str, tuple[int, ...]], seed: int = SEED) -> bytes:
    """A safetensors file with bf16 tensors of these shapes."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for i, (name, shape) in enumerate(tensors.items()):
        chunk = weights(int(np.prod(shape)), seed * 1000 + i)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [len(data), len(data) + len(chunk)]}
        data += chunk
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    for name, data in files.items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return Path(root)


def huggingface(root: Path, shards: int = 4, rows: int = 300, seed: int = SEED) -> Path:
    """A sharded text model: shards, their index, configuration, tokenizer, card and licence."""
    names = [f"model-{i + 1:05}-of-{shards:05}.safetensors" for i in range(shards)]
    weight_map, files, total = {}, {}, 0
    for i, name in enumerate(names):
        tensors = {f"model.layers.{i}.mlp.weight": (rows, 1024), f"model.layers.{i}.norm.weight": (1024,)}
        files[name] = safetensors(tensors, seed + i)
        weight_map |= dict.fromkeys(tensors, name)
        total += 2 * (rows + 1) * 1024
    files["model.safetensors.index.json"] = json.dumps(
        {"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2)
    return write(root, files | huggingface_texts())


def huggingface_texts() -> dict[str, str]:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 1024,
              "torch_dtype": "bfloat16", "vocab_size": 128}
    vocabulary = {f"token{i}": i for i in range(128)}
    return {
        "config.json": json.dumps(config, indent=2),
        "generation_config.json": json.dumps({"do_sample": True}),
        "tokenizer.json": json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": vocabulary}}),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "LlamaTokenizer"}),
        "README.md": README,
        "LICENSE": "Apache License, Version 2.0\n",
    }


def single(root: Path, seed: int = SEED) -> Path:
    """A model of one shard, for tests that want it small."""
    return write(root, {"model.safetensors": safetensors({"weight": (128, 64)}, seed)} | huggingface_texts())


def parameters(shards: int = 4, rows: int = 300) -> int:
    return shards * (rows + 1) * 1024


def huggingface_cache(root: Path, shards: int = 2) -> Path:
    """The cache of the Hugging Face hub: returns the snapshot, whose files are links into ../../blobs."""
    repository = Path(root) / "models--acme--tiny"
    plain = huggingface(repository / "plain", shards)
    snapshot = repository / "snapshots" / ("0" * 40)
    (repository / "blobs").mkdir()
    snapshot.mkdir(parents=True)
    for i, path in enumerate(sorted(plain.iterdir())):
        path.rename(repository / "blobs" / f"{i:040x}")
        (snapshot / path.name).symlink_to(f"../../blobs/{i:040x}")
    plain.rmdir()
    return snapshot


def gguf_string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def gguf(tensors: int = 3, rows: int = 64) -> bytes:
    """A GGUF version 3 file: metadata, F16 tensors of `rows` x 32, data aligned to 32."""
    texts = {"general.architecture": "llama", "general.name": "tiny", "general.license": "mit"}
    out = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(texts) + 1)
    for key, value in texts.items():
        out += gguf_string(key) + struct.pack("<I", GGUF_STRING) + gguf_string(value)
    out += gguf_string("general.file_type") + struct.pack("<II", GGUF_U32, 1)
    size = rows * 32 * 2
    for i in range(tensors):
        out += gguf_string(f"blk.{i}.weight") + struct.pack("<IQQIQ", 2, 32, rows, 1, i * size)
    out += b"\0" * (-len(out) % 32)
    values = np.random.default_rng(SEED).normal(0, 0.02, tensors * rows * 32).astype("<f2")
    return out + values.tobytes()


def triton(root: Path, models: tuple[str, ...] = ("encoder", "decoder"), versions: tuple[int, ...] = (1, 2)) -> Path:
    """A Triton repository: each model a directory with config.pbtxt and numeric versions."""
    for m, name in enumerate(models):
        write(root / name, {"config.pbtxt": triton_config(name), "labels.txt": "cat\ndog\n"})
        for version in versions:
            write(root / name / str(version), {"model.onnx": b"\x08\x08" + weights(5000, SEED + 10 * m + version)})
    return root


def triton_config(name: str, versions: list[int] | None = None) -> str:
    policy = f"version_policy: {{ specific {{ versions: {versions} }} }}\n" if versions else ""
    return f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 8\n{policy}'


def tensorrt_llm(root: Path) -> Path:
    """An engine directory: its config.json is not one of Hugging Face."""
    config = {"version": "0.12.0", "pretrained_config": {"architecture": "LlamaForCausalLM", "dtype": "bfloat16"},
              "build_config": {"max_batch_size": 8}}
    return write(root, {"config.json": json.dumps(config), "rank0.engine": b"ftrt" + weights(9000, SEED),
                        "rank1.engine": b"ftrt" + weights(9000, SEED + 1)})


def many_files(root: Path, count: int = 5000) -> Path:
    """A tree of many small files of all kinds, some names beyond 100 bytes."""
    suffixes = (".json", ".txt", ".py", ".bin", ".onnx", "")
    for i in range(count):
        folder = f"part-{i % 40:02}" + ("/" + "long-directory-name-" * 5 if i % 500 == 0 else "")
        write(root, {f"{folder}/file-{i:05}{suffixes[i % len(suffixes)]}": f"{i}\n" * (1 + i % 7)})
    return root


def many_shards(root: Path, shards: int = 400) -> Path:
    return huggingface(root, shards=shards, rows=2)


def sparse(root: Path, size_bytes: int, name: str = "model.bin", marks: int = 16) -> Path:
    """One file that is nearly all hole, with marks at its ends and at random places between."""
    root.mkdir(parents=True, exist_ok=True)
    draw = random.Random(SEED)
    places = [0, size_bytes - 16] + [draw.randrange(size_bytes - 16) for _ in range(marks)]
    with open(root / name, "wb") as file:
        file.truncate(size_bytes)
        for place in places:
            file.seek(place)
            file.write(struct.pack("<QQ", place, SEED))
    return root


def shuffled_copy(source: Path, target: Path, seed: int) -> Path:
    """The same files made in another order, with other mtimes and, as root, other owners and modes."""
    draw = random.Random(seed)
    files = sorted(p for p in source.rglob("*") if p.is_file())
    draw.shuffle(files)
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        copy.chmod(draw.choice((0o644, 0o600, 0o755)))
        if os.geteuid() == 0:
            os.chown(copy, draw.randrange(1, 5000), draw.randrange(1, 5000))
        os.utime(copy, (draw.randrange(2**31), draw.randrange(2**31)))
    return target


def flip(path: Path, offset: int, mask: int = 1) -> None:
    """Flips bits of one byte in place; the size and, as far as it goes, the rest stay."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))
