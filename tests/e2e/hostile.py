"""Hostile layers, written header by header: what tools refuse to write is what must be tried.

Each case says what a pull has to do with it: refuse it with one of `codes`,
or land exactly the files of `lands`.
"""
import struct
from dataclasses import dataclass, field

MALFORMED, UNSUPPORTED, NO_SPACE = 14, 15, 30
BLOCK = 512
FILE, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIR, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
GLOBAL, PAX, LONG_NAME, LONG_LINK, SPARSE, MULTIVOLUME, OLD_NAMES = b"g", b"x", b"L", b"K", b"S", b"M", b"N"
GOOD = {"a": b"good"}


@dataclass
class Case:
    layers: list[bytes]
    codes: tuple[int, ...] = (MALFORMED,)
    lands: dict[str, bytes] | None = None
    flags: tuple[str, ...] = ()


@dataclass
class Attacks:
    """Cases by name; `outside` is a directory that no layer may touch."""
    outside: str
    cases: dict[str, Case] = field(default_factory=dict)

    def refused(self, name: str, *members: bytes, codes: tuple[int, ...] = (MALFORMED,), flags=(),
                end: bytes | None = None):
        self.cases[name] = Case([layer(*members, end=end)], codes, flags=flags)

    def contained(self, name: str, *members: bytes, lands: dict[str, bytes], flags=(), end: bytes | None = None):
        self.cases[name] = Case([layer(*members, end=end)], (0,), GOOD | lands, flags)


def octal(value: int, width: int) -> bytes:
    return f"{value:0{width - 1}o}".encode() + b"\0"


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % BLOCK)


def header(name: bytes | str, kind: bytes = FILE, size: int | bytes = 0, link: bytes | str = b"", mode: int = 0o644,
           owner: bytes = b"0000000\0", magic: bytes = b"ustar\00000", rest: bytes = b"",
           checksum: int | None = None) -> bytes:
    """One header, byte for byte; `rest` begins at byte 345: a prefix, or what GNU keeps there."""
    name, link = (t.encode() if isinstance(t, str) else t for t in (name, link))
    size = octal(size, 12) if isinstance(size, int) else size
    block = struct.pack("100s8s8s8s12s12s8s1s100s8s32s32s16s167s", name, octal(mode, 8), owner, owner, size,
                        octal(0, 12), b" " * 8, kind, link, magic, b"", b"", b"", rest)
    value = sum(block) if checksum is None else checksum
    return block[:148] + f"{value:06o}\0 ".encode() + block[156:]


def file(name: bytes | str, data: bytes = b"x", **fields) -> bytes:
    return header(name, size=len(data), **fields) + padded(data)


def record(kind: bytes, data: bytes) -> bytes:
    """A member that describes the next one: PAX records, a GNU long name."""
    return header("././@LongLink", kind, len(data)) + padded(data)



def pax_record(key: str, value: bytes | str) -> bytes:
    body = b" " + key.encode() + b"=" + (value.encode() if isinstance(value, str) else value) + b"\n"
    size = len(body)
    while size != len(body) + len(str(size)):
        size = len(body) + len(str(size))
    return str(size).encode() + body


def layer(*members: bytes, end: bytes | None = None) -> bytes:
    """A tar with models/a in it, then the members, then the end."""
    start = header("models/", DIR, mode=0o755) + file("models/a", GOOD["a"])
    return start + b"".join(members) + (b"\0" * 2 * BLOCK if end is None else end)


def names(a: Attacks) -> None:
    """T1, T2, T15: names that climb, are absolute, or are no names."""
    for bad in ("../x", "models/../x", "a/../../x", "models/..", "..", "./../x", "models//../../x", "models/x/../y",
                "models//x", "models/./x"):
        a.refused(f"name {bad}", file(bad))
    a.contained("name models/model..bin", file("models/model..bin"), lands={"model..bin": b"x"})
    for kind, absolute in {"path": "/etc/x", "path twice": "//etc/x", "canary": f"{a.outside}/x"}.items():
        a.contained(f"absolute {kind}", file(absolute), lands={})
        a.cases[f"absolute {kind} of all"] = Case(
            [layer(file(absolute))], (0,), {"models/a": GOOD["a"], absolute.lstrip("/"): b"x"}, ("--root", "/"))
    for windows in (r"C:\x", "D:x", r"\x", r"\\host\share\x", "-x", "..data"):
        a.contained(f"name {windows}", file("models/" + windows), lands={windows: b"x"})
    for kind, bad in {"newline": b"a\nb", "return": b"a\rb", "escape": b"\x1b[31m", "delete": b"\x7f",
                      "latin1": b"\xe9", "overlong": b"\xc0\xae", "256 bytes": b"n" * 256,
                      "c1": b"\xc2\x9b31m"}.items():
        a.refused(f"name with {kind}", record(LONG_NAME, b"models/" + bad + b"\0"), file(b"models/cut"))
    a.refused("name of 4097 bytes", record(LONG_NAME, b"models/" + b"/".join([b"n" * 200] * 21)), file(b"models/cut"))
    a.refused("name of 5000 levels", record(LONG_NAME, b"models/" + b"d/" * 2040 + b"x"), file(b"models/cut"))
    a.refused("name of our record", file("models/.modelcar.json", b"{}"))
    a.refused("empty name", file(b""))
    a.refused("file named as the root", file("/"), flags=("--root", "/"))


def symlinks(a: Attacks) -> None:
    """T3 to T6, T8: links that replace the root, lead outside, or stand where a file goes through them."""
    for root in (".", "/", "", "./", "././"):
        a.refused(f"link as root {root!r}", header(root, SYMLINK, link=a.outside), flags=("--root", "/"))
    through = {"absolute": a.outside, "climbing": "../..", "within": "e", "to the root": "/", "itself": "d"}
    for kind, target in through.items():
        link = header("models/d", SYMLINK, link=target)
        a.refused(f"link {kind}, then a file through it", link, file("models/d/x"))
        a.refused(f"file, then a link {kind} over its directory", file("models/d/x"), link)
        a.refused(f"link {kind}, then a file of its name", link, file("models/d"))
        a.refused(f"file, then a link {kind} of its name", file("models/d"), link)
        a.refused(f"directory, link {kind}, file", header("models/d/", DIR), link, file("models/d/x"))
        codes, lands = ((0,), GOOD | {"d/x": b"x"}) if kind in ("within", "itself") else ((MALFORMED,), None)
        a.cases[f"link {kind}, then a file through it in the next layer"] = Case(
            [layer(link), layer(file("models/d/x"))], codes, lands)
    deep = header("models/p/q/r/s", SYMLINK, link="../../..")
    for kind, target in {"out": "p/q/r/s/..", "out and in again": "p/q/r/s/../dest/a",
                         "far out": "p/q/r/s/../../../etc"}.items():
        a.refused(f"chain of links {kind}", deep, header("models/t", SYMLINK, link=target))
    a.refused("link whose target has control characters", header("models/l", SYMLINK, link="a\x1b[31m"))
    a.refused("link without target", header("models/l", SYMLINK))
    a.contained("chain of 41 links", *(header(f"models/l{i}", SYMLINK, link=f"l{i + 1}") for i in range(41)), lands={})
    for key, value in {"SCHILY.xattr.user.x": "1", "LIBARCHIVE.xattr.user.x": "MQ==", "SCHILY.fflags": "uchg",
                       "mtime": "99999999999", "uid": "4294967295"}.items():
        a.contained(f"{key} on a link", record(PAX, pax_record(key, value)), header("models/l", SYMLINK, link="a"),
                    lands={"l": GOOD["a"]})


def hardlinks(a: Attacks) -> None:
    """T7: hard links to what is not ours."""
    for kind, target in {"absolute": "/etc/passwd", "canary": f"{a.outside}/secret", "climbing": "models/../../x",
                         "in the working directory": "here", "itself": "models/h", "a directory": "models",
                         "nothing": "models/none", "the root": "/"}.items():
        a.refused(f"hard link to {kind}", header("models/h", HARDLINK, link=target))
    a.refused("hard link to a link", header("models/l", SYMLINK, link="a"),
              header("models/h", HARDLINK, link="models/l"))
    a.refused("hard link, then a file of its name", header("models/h", HARDLINK, link="models/a"), file("models/h"))
    a.refused("hard links in a circle", header("models/h", HARDLINK, link="models/i"),
              header("models/i", HARDLINK, link="models/h"))
    a.refused("hard link to the canary in all", header("h", HARDLINK, link=f"{a.outside}/secret"),
              flags=("--root", "/"))


def kinds(a: Attacks) -> None:
    """T9 to T11: odd modes, owners and types; whiteouts that are no names."""
    for mode in (0o4755, 0o2755, 0o1777, 0o7777, 0):
        a.contained(f"mode {mode:o}", file("models/m", mode=mode), lands={"m": b"x"})
    a.contained("directory of mode 0", header("models/d/", DIR, mode=0), file("models/d/x"), lands={"d/x": b"x"})
    for owner in (b"7777777\0", b"\x80\0\0\0\xff\xff\xff\xff"):
        a.contained(f"owner {owner[:1]!r}", file("models/o", owner=owner), lands={"o": b"x"})
    for kind in (CHAR, BLOCK_DEVICE, FIFO, MULTIVOLUME):
        a.refused(f"member of type {kind.decode()}", header("models/s", kind))
    for unknown in (b"Z", OLD_NAMES):
        a.contained(f"member of type {unknown.decode()}", file("models/z", kind=unknown), lands={"z": b"x"})
    for bad in (".wh.", ".wh..", ".wh..."):
        a.refused(f"whiteout {bad}", file(f"models/{bad}", b""))
    whiteouts = {"of a file here": (".wh.a", GOOD), "opaque root": (".wh..wh..opq", GOOD)}
    for kind, (name, lands) in whiteouts.items():
        a.contained(f"whiteout {kind}", file(f"models/{name}", b""), lands=lands)
    link = layer(header("models/d", SYMLINK, link="e"), file("models/e/x"))
    a.cases["whiteout through a link"] = Case([link, layer(file("models/d/.wh.x", b""))], (0,), GOOD | {"e/x": b"x"})


def twice(a: Attacks) -> None:
    """T14: one path, several times."""
    for first, second in (("x", "x"), ("x", "./x"), ("x", "x/y"), ("x/y", "x")):
        spelled = second.replace("./x", "./models/x") if second.startswith("./") else "models/" + second
        a.refused(f"{first} and {second}", file("models/" + first), file(spelled))
    a.refused("file and directory", file("models/x"), header("models/x/", DIR))
    a.refused("directory and file", header("models/x/", DIR), file("models/x"))
    a.refused("two links", header("models/l", SYMLINK, link="a"), header("models/l", SYMLINK, link="b"))
    a.contained("upper and lower case", file("models/X"), file("models/x", b"y"), lands={"X": b"x", "x": b"y"})
    a.contained("composed and decomposed", file("models/é"), file("models/e\u0301", b"y"),
                lands={"é": b"x", "e\u0301": b"y"})


def layers(outside: str) -> dict[str, Case]:
    """Every case of this file."""
    a = Attacks(outside)
    for group in (names, symlinks, hardlinks, kinds, twice):
        group(a)
    return a.cases
