"""Damaged and overgrown tars: headers that two readers understand differently, ends that are none, bombs."""
import gzip
import hashlib
import struct
import subprocess
import zlib

from hostile import (BLOCK, DIR, FILE, GLOBAL, LONG_LINK, LONG_NAME, MALFORMED, NO_SPACE, PAX, SPARSE, UNSUPPORTED,
                     Attacks, Case, file, header, layer, octal, padded, pax_record, record)

GNU = b"ustar  \0"
MIB = 1 << 20


def raw_pax(data: bytes) -> bytes:
    return record(PAX, data) + file("models/p")


def differentials(a: Attacks) -> None:
    """T12: what one reader takes for a header is data to another."""
    inner = file("models/evil", b"evil")
    hidden = header("models/p") + inner
    a.contained("size by PAX hides a member", record(PAX, pax_record("size", str(len(inner)))), hidden,
                lands={"p": inner})
    a.refused("size by PAX beyond the end", record(PAX, pax_record("size", "1000000")), hidden)
    a.contained("size by PAX before a long name", record(PAX, pax_record("size", "1")),
                record(LONG_NAME, b"models/n\0"), file("models/p"), lands={"n": b"x"})
    a.contained("global path and size", record(GLOBAL, pax_record("path", "models/g") + pax_record("size", "0")),
                file("models/p"), lands={"p": b"x"})
    for name, data in {"no newline": b"9 path=aX", "length 0": b"0 path=a\n", "no length": b"path=a\n",
                       "short": b"5 path=a\n", "length beyond": b"99 path=a\n",
                       "length overflows": b"9" * 40 + b" path=a\n",
                       "no key": b"6 a a\n", "garbage": b"\xff" * 64}.items():
        a.refused(f"PAX record with {name}", raw_pax(data))
    a.contained("PAX path with NUL", raw_pax(pax_record("path", b"models/x\0../../y")), lands={"x": b"x"})
    a.refused("PAX path that climbs", raw_pax(pax_record("path", "models/../../x")))
    a.refused("PAX link path that climbs", record(PAX, pax_record("linkpath", "../../x")),
              header("models/l", b"2", link="a"))
    for size in ("-1", "99999999999999999999"):
        a.refused(f"PAX size {size}", raw_pax(pax_record("size", size)))
    a.contained("PAX size 1e3", raw_pax(pax_record("size", "1e3")), lands={"p": b"x"})
    a.contained("PAX keys twice", raw_pax(pax_record("path", "models/one") + pax_record("path", "models/two")),
                lands={"two": b"x"})
    a.contained("path of digits", raw_pax(pax_record("path", "models/0123")), lands={"0123": b"x"})
    a.refused("negative size", header("models/p", size=b"\xff" * 12), padded(b"x"))
    a.refused("size that is no number", header("models/p", size=b"12345abcdefg"), padded(b"x"))
    a.refused("size of 2^63", header("models/p", size=b"\x80\0\0\0\x80" + b"\0" * 7), padded(b"x"),
              codes=(MALFORMED, NO_SPACE))
    a.refused("long name cut off", header("././@LongLink", LONG_NAME, 5000) + padded(b"models/"), end=b"")
    a.refused("long name of 2 MiB", record(LONG_NAME, b"models/" + b"n" * (2 * MIB)), file("models/p"))
    a.contained("long name thrice", *(record(LONG_NAME, b"models/%d\0" % i) for i in range(3)), file("models/p"),
                lands={"2": b"x"})
    a.refused("long names without end", *(record(LONG_NAME, b"models/x\0") for _ in range(50_000)), end=b"")
    a.refused("long link that climbs", record(LONG_LINK, b"../../x\0"), header("models/l", b"2", link="a"))
    a.refused("sparse name that climbs", record(PAX, pax_record("GNU.sparse.name", "../../x")
              + pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0")), file("models/p", b"0\n"))
    a.refused("Solaris holes", raw_pax(pax_record("SUN.holesdata", " 1 2 99999999999999999999")))


def sparse(a: Attacks) -> None:
    """T13: holes."""
    def old_gnu(real: int, *pieces: tuple[int, int]) -> bytes:
        maps = b"".join(octal(o, 12) + octal(n, 12) for o, n in pieces).ljust(96, b"\0")
        rest = b"\0" * 41 + maps + b"\0" + octal(real, 12)
        return header("models/s", SPARSE, BLOCK, magic=GNU, rest=rest) + padded(b"x" * BLOCK)

    a.refused("sparse", old_gnu(4096, (0, 512)))
    a.refused("sparse of 8 GiB", old_gnu(8 << 30, (0, 512)))
    a.refused("sparse that overlaps", old_gnu(4096, (0, 512), (0, 512)))
    a.refused("sparse beyond its data", old_gnu(4096, (0, 4096)))
    for major, text in {"0": b"1\n0\n1\n", "1": b"99999999\n" + b"0\n" * 200_000}.items():
        keys = {"GNU.sparse.major": major, "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 62),
                "GNU.sparse.numblocks": "1", "GNU.sparse.map": "0,1"}
        a.refused(f"sparse of version {major}", record(PAX, b"".join(pax_record(k, v) for k, v in keys.items())),
                  file("models/s", text))


def ends(a: Attacks) -> None:
    """T16: where a tar ends, and what comes after."""
    zeros = b"\0" * 2 * BLOCK
    a.contained("no end blocks", file("models/x"), lands={"x": b"x"}, end=b"")
    a.contained("zeros behind the end", lands={}, end=zeros * 20)
    a.contained("a member behind the end", lands={}, end=zeros + file("models/evil"))
    a.contained("garbage behind the end", lands={}, end=zeros + b"\xff" * 3000)
    a.refused("wrong checksum", header("models/x", checksum=1))
    a.refused("header cut", end=header("models/x")[:300])
    a.refused("data cut", end=header("models/x", size=5000) + b"x" * 600)
    a.refused("directory with a size", header("models/d/", DIR, size=BLOCK) + padded(b"x"), end=b"\xff" * BLOCK)


def layers(outside: str) -> dict[str, Case]:
    """Every tar of this file that is a plain layer."""
    a = Attacks(outside)
    for group in (differentials, sparse, ends):
        group(a)
    return a.cases


def zstd_frame(window_log: int) -> bytes:
    """A frame that asks for a window of 2^window_log and holds one empty raw block."""
    return struct.pack("<IBB", 0xFD2FB528, 0, (window_log - 10) << 3) + b"\1\0\0"


def repeat(block: bytes, count: int) -> bytes:
    """gzip of `block` again and again, then the end of a tar; never held whole."""
    pack = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [pack.compress(layer(end=b""))]
    many, rest = divmod(count, 1000)
    parts += [pack.compress(block * 1000) for _ in range(many)]
    return b"".join([*parts, pack.compress(block * rest + b"\0" * 2 * BLOCK), pack.flush()])


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c", "-3"], input=data, check=True, capture_output=True).stdout


def big_file(name: str, size: int) -> bytes:
    """A header for `size` bytes; the zeros that follow it are the caller's."""
    base256 = b"\x80" + size.to_bytes(11, "big")
    return header(name, FILE, size=base256)


class Bomb:
    """A compressed layer: its bytes, how it is compressed, and its diffID where that is looked at."""

    def __init__(self, kind: str, blob: bytes, codes: tuple[int, ...], diff_id: str = "sha256:" + "0" * 64):
        self.kind, self.blob, self.codes, self.diff_id = kind, blob, codes, diff_id


def of_zeros(kind: str, name: str, size: int) -> Bomb:
    plain = layer(big_file(name, size), b"\0" * size)
    blob = gzip.compress(plain, 6, mtime=0) if kind == "gzip" else zstd(plain)
    return Bomb(kind, blob, (0,), "sha256:" + hashlib.sha256(plain).hexdigest())


BOMBS = {
    "gzip of zeros, beside the model": lambda: of_zeros("gzip", "x", 256 * MIB),
    "zstd of zeros, beside the model": lambda: of_zeros("zstd", "x", 256 * MIB),
    "gzip in gzip in gzip": lambda: Bomb("gzip", gzip.compress(gzip.compress(repeat(b"", 0))), (13, MALFORMED)),
    "gzip with garbage behind it": lambda: Bomb("gzip", gzip.compress(layer()) + b"garbage", (MALFORMED,)),
    "gzip cut short": lambda: Bomb("gzip", gzip.compress(layer())[:-9], (MALFORMED,)),
    "gzip of nothing": lambda: Bomb("gzip", b"", (MALFORMED,)),
    "zstd window of 2^31": lambda: Bomb("zstd", zstd_frame(31), (UNSUPPORTED,)),
    "zstd window of 2^27": lambda: Bomb("zstd", zstd_frame(27), (UNSUPPORTED,)),
    "zstd, frames to skip only": lambda: Bomb("zstd", struct.pack("<II", 0x184D2A50, 0) * MIB, (13,)),
    "a file of 16 TiB": lambda: Bomb("gzip", gzip.compress(layer(big_file("models/x", 1 << 44))), (NO_SPACE,)),
    "PAX records of 1 GiB": lambda: Bomb("gzip", gzip.compress(
        layer(header("pax", PAX, size=1 << 30), b"x" * 32 * MIB)), (MALFORMED,)),
    "a million and one members": lambda: Bomb("gzip", repeat(header("x"), 1_000_001), (MALFORMED,)),
    "a million links": lambda: Bomb("gzip", repeat(header("models/l", b"2", link="a"), 1_000_000), (UNSUPPORTED,)),
    "a million whiteouts": lambda: Bomb("gzip", repeat(header("models/.wh.x"), 1_000_000), (UNSUPPORTED,)),
    "directories, again and again": lambda: Bomb("gzip", repeat(header("models/d/", DIR), 200_000), (13, UNSUPPORTED)),
    "long names, again and again": lambda: Bomb("gzip", repeat(
        record(LONG_NAME, b"/".join([b"models", *[b"n" * 200] * 18, b".wh.x"])) + header("models/x"),
        30_000), (UNSUPPORTED,)),
}
