"""SHA-256 from a state to a state: a second opinion on the index layer, by OpenSSL through ctypes."""
import ctypes
import ctypes.util
import json
import struct
import tarfile
from pathlib import Path

BLOCK = 4 << 20
START = struct.pack(">8I", 0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                    0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)


class Sha256State(ctypes.Structure):
    _fields_ = [("h", ctypes.c_uint32 * 8), ("bits_low", ctypes.c_uint32), ("bits_high", ctypes.c_uint32),
                ("data", ctypes.c_uint32 * 16), ("num", ctypes.c_uint), ("md_len", ctypes.c_uint)]


crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")


def state(chain: bytes, done: int) -> Sha256State:
    context = Sha256State()
    crypto.SHA256_Init(ctypes.byref(context))
    context.h[:] = struct.unpack(">8I", chain)
    context.bits_low, context.bits_high = (done * 8) & 0xFFFFFFFF, (done * 8) >> 32
    return context


def advance(chain: bytes, data: bytes) -> bytes:
    """The chaining value after `data`, whose length is a multiple of 64."""
    assert len(data) % 64 == 0
    context = state(chain, 0)
    crypto.SHA256_Update(ctypes.byref(context), data, ctypes.c_size_t(len(data)))
    return struct.pack(">8I", *context.h)


def finish(chain: bytes, done: int, data: bytes) -> str:
    """The digest of a message whose last bytes are `data`, after `done` bytes that led to `chain`."""
    context, out = state(chain, done), ctypes.create_string_buffer(32)
    crypto.SHA256_Update(ctypes.byref(context), data, ctypes.c_size_t(len(data)))
    crypto.SHA256_Final(out, ctypes.byref(context))
    return "sha256:" + out.raw.hex()


class IndexLayer:
    """What `.modelcar/index.json` and `.modelcar/blocks` say."""

    def __init__(self, path: Path):
        with tarfile.open(path) as archive:
            self.names = archive.getnames()
            self.document = json.load(archive.extractfile(".modelcar/index.json"))
            self.chains = archive.extractfile(".modelcar/blocks").read()

    def layer(self, digest: str) -> dict:
        return next(layer for layer in self.document["layers"] if layer["digest"] == digest)

    def chain(self, layer: dict, k: int) -> bytes:
        at = (layer["first"] + k) * 32
        return self.chains[at:at + 32]

    @staticmethod
    def blocks(layer: dict) -> int:
        return max(1, -(-(layer["size"] - layer["start"]) // BLOCK))

    def block_holds(self, layer: dict, k: int, data: bytes) -> bool:
        """Does block `k` of the layer, with nothing but itself, lead from its checkpoint to the next one?"""
        offset, last = layer["start"] + k * BLOCK, k == self.blocks(layer) - 1
        if len(data) != min(BLOCK, layer["size"] - offset):
            return False
        if last:
            return finish(self.chain(layer, k), offset, data) == layer["digest"]
        return advance(self.chain(layer, k), data) == self.chain(layer, k + 1)

    def head_holds(self, layer: dict, data: bytes) -> bool:
        return advance(START, data) == self.chain(layer, 0)
