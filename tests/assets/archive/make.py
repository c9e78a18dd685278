#!/usr/bin/env python3
"""Write small archives of images, OCI layouts and Docker's, into a directory: make.py DIR

ok-*           open, by any part of what is cut; they name one image and hold the blob b"weights"
bad-*          are malformed or hostile
absent-*       lack a part
unsupported-*  are well formed, but nothing that is read
docker-*       are Docker's, with more in them than the ok-* have
"""
import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

BLOCK = 512
END = bytes(2 * BLOCK)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def document(value):
    return json.dumps(value, separators=(",", ":")).encode()


WEIGHTS = b"weights"
CONFIG = b"{}"
MANIFEST = document({
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
               "digest": "sha256:" + digest(CONFIG), "size": len(CONFIG)},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": "sha256:" + digest(WEIGHTS), "size": len(WEIGHTS)}],
})
INDEX = document({
    "schemaVersion": 2,
    "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
                   "digest": "sha256:" + digest(MANIFEST), "size": len(MANIFEST),
                   "annotations": {"org.opencontainers.image.ref.name": "v1"}}],
})
LAYOUT = document({"imageLayoutVersion": "1.0.0"})


def blob_path(data):
    return "blobs/sha256/" + digest(data)


BLOBS = [(blob_path(data), data) for data in (CONFIG, MANIFEST, WEIGHTS)]
FILES = [("oci-layout", LAYOUT), *BLOBS, ("index.json", INDEX)]


def octal(value, width):
    return b"%0*o\0" % (width - 1, value)


def base256(value):
    return b"\x80" + value.to_bytes(11, "big")


def header(name, size, kind=b"0", link=b"", magic=b"ustar\x0000", prefix=b"", wrong_sum=False):
    """One raw header; `size` is a number or the field's 12 bytes."""
    field = octal(size, 12) if isinstance(size, int) else size
    name = name.encode() if isinstance(name, str) else name
    fixed = [name.ljust(100, b"\0"), octal(0o644, 8), octal(0, 8), octal(0, 8), field, octal(0, 12)]
    after = [kind, link.ljust(100, b"\0"), magic, bytes(64), bytes(16), prefix.ljust(155, b"\0"), bytes(12)]
    block = b"".join(fixed) + b" " * 8 + b"".join(after)
    total = sum(block) + wrong_sum
    return block[:148] + b"%06o\0 " % total + block[156:]


def pad(data):
    return data + bytes(-len(data) % BLOCK)


def member(name, data, **fields):
    return header(name, fields.pop("size", len(data)), **fields) + pad(data)


def archive(files, end=END):
    return b"".join(member(name, data) for name, data in files) + end


def with_extra(extra, end=END):
    """A good archive with raw bytes after its oci-layout."""
    return archive(FILES[:1], b"") + extra + archive(FILES[1:], end)


def long_name(name, data):
    return member("././@LongLink", name, kind=b"L", magic=b"ustar  \0") + member(name[:100], data)


def pax(records, name="PaxHeaders/x", kind=b"x"):
    return member(name, records, kind=kind)


def pax_record(key, value):
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(b"%d" % length) + len(body) != length:
        length += 1
    return b"%d" % length + body


def by_tarfile(fmt, prefix=""):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        for name in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(prefix + name)
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        for name, data in FILES:
            info = tarfile.TarInfo(prefix + name)
            info.size = len(data)
            info.mtime = 1.5
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def good():
    deep = "d" * 120 + "/"
    yield "plain", archive(FILES)
    yield "ustar", by_tarfile(tarfile.USTAR_FORMAT)
    yield "gnu", by_tarfile(tarfile.GNU_FORMAT)
    yield "pax", by_tarfile(tarfile.PAX_FORMAT)
    yield "dot-slash", by_tarfile(tarfile.USTAR_FORMAT, "./")
    yield "wrapped", by_tarfile(tarfile.USTAR_FORMAT, "model/")
    yield "wrapped-ustar-prefix", by_tarfile(tarfile.USTAR_FORMAT, deep)
    yield "wrapped-gnu-long-name", by_tarfile(tarfile.GNU_FORMAT, deep)
    yield "wrapped-pax-path", by_tarfile(tarfile.PAX_FORMAT, deep)
    yield "reversed", archive(FILES[::-1])
    yield "foreign-members", with_extra(
        archive([("manifest.json", b"[]"), ("blobs/readme", b"x"), ("deep/er/oci-layout", b"?")], b"")
        + header("link", 0, kind=b"2", link=b"/etc/passwd"))
    yield "blob-twice", with_extra(member(*BLOBS[2]))
    yield "base-256-size", with_extra(member("big", b"data", size=base256(4)))
    yield "pax-size", with_extra(pax(pax_record(b"size", b"4")) + header("big", 0) + pad(b"data"))
    yield "pax-global", with_extra(pax(pax_record(b"comment", b"x"), kind=b"g"))
    yield "v7-directory", with_extra(header("blobs/", 0, kind=b"\0", magic=bytes(8)))
    yield "one-end-block", archive(FILES, bytes(BLOCK))
    yield "padded", archive(FILES, bytes(20 * BLOCK))


def bad_members():
    yield "blob-is-symlink", header("blobs/sha256/" + "0" * 64, 0, kind=b"2", link=b"/etc/passwd")
    yield "blob-is-hardlink", header("blobs/sha256/" + "0" * 64, 0, kind=b"1", link=b"oci-layout")
    yield "blob-is-directory", header("blobs/sha256/" + "0" * 64 + "/", 0, kind=b"5")
    yield "blob-twice-other-size", member(blob_path(WEIGHTS), b"heavier weights")
    yield "index-twice", member("index.json", INDEX)
    yield "layout-twice", member("oci-layout", LAYOUT)
    yield "device", header("dev", 0, kind=b"3")
    yield "gnu-sparse", header("sparse", 0, kind=b"S")
    yield "unknown-type", header("what", 0, kind=b"Z")
    yield "directory-with-size", member("dir/", b"data", kind=b"5")
    yield "checksum", header("x", 0, wrong_sum=True)
    yield "size-no-number", header("x", b"12345678x\0\0\0")
    yield "size-negative", header("x", b"\xff" * 12)
    yield "size-overflows", header("x", b"\x80" + b"\xff" * 11)
    yield "size-over-64-bit", member("x", b"data", size=b"\x81" + base256(4)[1:])
    yield "size-beyond-file", header("x", base256(1 << 40))
    yield "size-wraps-offset", header("x", base256((1 << 63) - 1))
    yield "long-name-empty", member("x", b"", kind=b"L") + member("x", b"")
    yield "long-name-unterminated", long_name(b"n" * 4096, b"")
    yield "long-name-huge", long_name(b"n" * 70000, b"")


def bad_pax():
    x = member("x", b"")
    yield "no-length", pax(b"path=x\n") + x
    yield "length-zero", pax(b"0 path=x\n") + x
    yield "length-short", pax(b"3 a=b\n") + x
    yield "length-beyond", pax(b"99 path=x\n") + x
    yield "length-overflows", pax(b"99999999999999999999999999 path=x\n") + x
    yield "no-equals", pax(b"8 pathx\n") + x
    yield "no-newline", pax(b"9 path=xy") + x
    yield "nul-in-path", pax(pax_record(b"path", b"a\0b")) + x
    yield "path-too-long", pax(pax_record(b"path", b"p" * 5000)) + x
    yield "records-too-long", pax(pax_record(b"comment", b"p" * 70000)) + x
    yield "size-negative", pax(pax_record(b"size", b"-1")) + x
    yield "size-beyond-file", pax(pax_record(b"size", b"9223372036854775807")) + x
    yield "size-overflows", pax(pax_record(b"size", b"99999999999999999999")) + x
    yield "sparse", pax(pax_record(b"GNU.sparse.major", b"1")) + x


def bad():
    whole = archive(FILES)
    yield "empty", b""
    yield "zeros", END
    yield "text", b"this is no archive\n" * 100
    yield "short", b"x" * 100
    yield "no-layout", archive(FILES[1:])
    yield "no-index", archive(FILES[:-1])
    yield "layout-too-deep", archive([("a/b/" + name, data) for name, data in FILES])
    yield "layout-no-json", archive([("oci-layout", b"1.0.0"), *FILES[1:]])
    yield "layout-no-version", archive([("oci-layout", b"{}"), *FILES[1:]])
    yield "layout-is-symlink", header("oci-layout", 0, kind=b"2", link=b"x") + archive(FILES[1:])
    yield "layout-huge", archive([("oci-layout", LAYOUT + b" " * (1 << 20)), *FILES[1:]])
    yield "index-elsewhere", archive([("a/oci-layout", LAYOUT), *FILES[1:]])
    yield "no-end-marker", archive(FILES, b"")
    yield "truncated-header", whole[:BLOCK * 2 + 100]
    yield "truncated-data", whole[:BLOCK * 3 + 1]
    for name, extra in bad_members():
        yield name, with_extra(extra)
    for name, extra in bad_pax():
        yield "pax-" + name, with_extra(extra)


def docker_config(*layers, **more):
    diff_ids = ["sha256:" + digest(layer) for layer in layers]
    return document({"architecture": "amd64", "os": "linux", "config": {},
                     "rootfs": {"type": "layers", "diff_ids": diff_ids}, **more})


def docker_manifest(*images):
    return document([{"Config": config, "RepoTags": tags, "Layers": layers} for config, tags, layers in images])


DOCKER_CONFIG = docker_config(WEIGHTS)


def docker(manifest=None, members=None, config=DOCKER_CONFIG, layers=("a/layer.tar",)):
    """One image whose layer is the member a/layer.tar; `members` stand in for that, raw."""
    files = member("a/layer.tar", WEIGHTS) if members is None else members
    named = docker_manifest(("c.json", ["r.io/m:v1"], list(layers)))
    return member("c.json", config) + files + member("manifest.json", named if manifest is None else manifest) + END


def link(name, target, kind=b"2"):
    return header(name, 0, kind=kind, link=target)


def chain(links):
    """a/layer.tar over so many links to the file."""
    names = ["a/layer.tar", *(f"a/{i}" for i in range(1, links)), "a/end"]
    return b"".join(link(here, there[2:].encode()) for here, there in zip(names, names[1:])) + member("a/end", WEIGHTS)


def good_docker():
    yield "plain", docker()
    yield "dot-slash", docker(docker_manifest(("./c.json", ["r.io/m:v1"], ["./a//layer.tar"])))
    yield "links", docker(members=link("a/layer.tar", b"../b/./layer.tar") + link("b/layer.tar", b"w.tar", b"1")
                          + member("w.tar", WEIGHTS))
    yield "eight-links", docker(members=chain(8))
    yield "pax-link", docker(members=pax(pax_record(b"linkpath", b"../w.tar")) + link("a/layer.tar", b"nowhere")
                             + member("w.tar", WEIGHTS))
    yield "gnu-long-link", docker(members=member("././@LongLink", b"../w.tar\0", kind=b"K")
                                  + link("a/layer.tar", b"nowhere") + member("w.tar", WEIGHTS))
    yield "unused-twice", docker(members=member("x", b"1") + member("x", b"2") + member("a/layer.tar", WEIGHTS))


def bad_docker():
    named = docker_manifest(("c.json", ["r.io/m:v1"], ["a/layer.tar"]))
    yield "no-json", docker(b"[")
    yield "no-list", docker(document(json.loads(named)[0]))
    yield "image-no-object", docker(b"[7]")
    yield "no-config-named", docker(b'[{"Layers":["a/layer.tar"]}]')
    yield "config-no-text", docker(b'[{"Config":7,"Layers":["a/layer.tar"]}]')
    yield "layers-no-list", docker(b'[{"Config":"c.json","Layers":"a/layer.tar"}]')
    yield "layer-no-text", docker(b'[{"Config":"c.json","Layers":[7]}]')
    yield "tags-no-list", docker(b'[{"Config":"c.json","RepoTags":"r.io/m:v1","Layers":["a/layer.tar"]}]')
    yield "tag-no-text", docker(b'[{"Config":"c.json","RepoTags":[7],"Layers":["a/layer.tar"]}]')
    yield "manifest-huge", docker(named + b" " * (4 << 20))
    yield "manifest-is-directory", member("c.json", DOCKER_CONFIG) + header("manifest.json/", 0, kind=b"5") + END
    yield "manifest-twice", docker(members=member("a/layer.tar", WEIGHTS) + member("manifest.json", named))
    yield "images-many", docker(document([{}] * 1001))
    yield "config-absent", docker(docker_manifest(("d.json", ["r.io/m:v1"], ["a/layer.tar"])))
    yield "config-no-json", docker(config=b"config")
    yield "config-no-rootfs", docker(config=b"{}")
    yield "config-huge", docker(config=DOCKER_CONFIG + b" " * (4 << 20))
    yield "configs-huge", docker(docker_manifest(*[("c.json", [], ["a/layer.tar"])] * 40),
                                 config=DOCKER_CONFIG + b" " * (2 << 20))
    yield "layers-fewer", docker(layers=())
    yield "layers-more", docker(layers=("a/layer.tar", "a/layer.tar"))
    yield "layer-absent", docker(layers=("b/layer.tar",))
    yield "layer-empty-path", docker(layers=("",))
    yield "layer-absolute", docker(layers=("/a/layer.tar",))
    yield "layer-outside", docker(layers=("../a/layer.tar",))
    yield "layer-is-directory", docker(members=header("a/layer.tar/", 0, kind=b"5"))
    yield "layer-twice", docker(members=2 * member("a/layer.tar", WEIGHTS))
    yield "link-absolute", docker(members=link("a/layer.tar", b"/etc/passwd"))
    yield "link-outside", docker(members=link("a/layer.tar", b"../../c.json"))
    yield "hard-link-outside", docker(members=link("a/layer.tar", b"../c.json", b"1"))
    yield "link-absent", docker(members=link("a/layer.tar", b"../w.tar"))
    yield "link-empty", docker(members=link("a/layer.tar", b""))
    yield "link-to-itself", docker(members=link("a/layer.tar", b"layer.tar"))
    yield "link-to-directory", docker(members=header("b/", 0, kind=b"5") + link("a/layer.tar", b"../b"))
    yield "nine-links", docker(members=chain(9))
    yield "path-too-long", docker(layers=("p" * 5000,))
    yield "names-many", docker(docker_manifest(("c.json", ["r.io/m:v1"] * 30000, ["a/layer.tar"])))


def docker_more():
    """Two images that share the gzip layer; `other` is not what its config says."""
    packed = gzip.compress(WEIGHTS, mtime=0)
    one, two = docker_config(WEIGHTS, b"lower"), docker_config(WEIGHTS, author="two")
    images = [("one.json", ["busybox:v1", "r.io/m:v1", "busybox:new"], ["gz", "plain"]),
              ("two.json", ["docker.io/library/two:v2", "localhost/m:v1"], ["gz"])]
    yield "images", archive([("one.json", one), ("two.json", two), ("gz", packed), ("plain", b"lower"),
                             ("manifest.json", docker_manifest(*images))])
    yield "no-name", docker(docker_manifest(("c.json", None, ["a/layer.tar"])))
    yield "other-content", docker(members=member("a/layer.tar", b"WEIGHTS"))


def zstd(data):
    """A frame of raw blocks."""
    blocks = [data[at:at + 1000] for at in range(0, len(data), 1000)]
    heads = [(len(block) << 3 | (i == len(blocks) - 1)).to_bytes(3, "little") for i, block in enumerate(blocks)]
    start = b"\x28\xb5\x2f\xfd\xe0" + len(data).to_bytes(8, "little")
    return start + b"".join(head + block for head, block in zip(heads, blocks))


def zarf_package():
    """The images of a package, among what else is in it."""
    return archive([("zarf.yaml", b"kind: ZarfPackageConfig\n"), ("checksums.txt", b""),
                    ("components/index.json", b"{"), ("components/app.tar", END)]
                   + [("images/" + name, data) for name, data in FILES] + [("sboms.tar", END)])


def cut(name, data, size=3000):
    """As Hauler cuts."""
    for number, at in enumerate(range(0, len(data), size), 1):
        yield f"{name}.{number:03}", data[at:at + size]


def zarf_cut(name, data, size=3000, **wrong):
    parts = [part for _, part in cut(name, data, size)]
    said = {"Sha256Sum": digest(data), "Bytes": len(data), "Count": len(parts), **wrong}
    yield f"{name}.part000", document(said)
    for number, part in enumerate(parts, 1):
        yield f"{name}.part{number:03}", part


def good_packed():
    whole = archive(FILES)
    yield "gzip.tar.gz", gzip.compress(whole, mtime=0)
    yield "gzip-members.tar.gz", gzip.compress(whole[:2000], mtime=0) + gzip.compress(whole[2000:], mtime=0)
    yield "zstd.tar.zst", zstd(whole)
    yield "zstd-frames.tar.zst", zstd(whole[:2000]) + b"\x50\x2a\x4d\x18\4\0\0\0skip" + zstd(whole[2000:])
    yield "reversed.tar.zst", zstd(archive(FILES[::-1]))
    yield "docker.tar.gz", gzip.compress(docker(), mtime=0)
    yield "zarf.tar", zarf_package()
    yield "zarf.tar.zst", zstd(zarf_package())
    yield "two-layouts.tar", archive([("a/index.json", b"{"), *FILES, ("a/oci-layout", b"")])
    yield from zarf_cut("zarf-cut.tar.zst", zstd(zarf_package()))
    yield from zarf_cut("zarf-cut.tar", zarf_package(), 700)
    yield from cut("haul-cut.tar.zst", zstd(whole))
    yield from cut("haul-cut.tar", whole, 512)


def bad_packed():
    whole, packed = archive(FILES), gzip.compress(archive(FILES), mtime=0)
    yield "gzip-of-text.tar.gz", gzip.compress(b"no archive\n" * 100, mtime=0)
    yield "gzip-truncated.tar.gz", packed[:-200]
    yield "gzip-of-truncated.tar.gz", gzip.compress(whole[:BLOCK * 3 + 1], mtime=0)
    yield "gzip-size-huge.tar.gz", gzip.compress(with_extra(header("x", base256((1 << 63) - 1))), mtime=0)
    yield "zstd-alone.tar.zst", b"\x28\xb5\x2f\xfd".ljust(BLOCK, b"\0")
    yield "zstd-truncated.tar.zst", zstd(whole)[:-1500]
    yield "zstd-no-end.tar.zst", zstd(archive(FILES, b""))
    yield from zarf_cut("zarf-bytes.tar", whole, Bytes=1)
    yield from list(zarf_cut("zarf-count.tar", whole, Count="4"))[:1]
    yield "zarf-list.tar.part000", b"["


def absent():
    """Of what was cut a part is missing."""
    parts = [*zarf_cut("zarf.tar.zst", zstd(zarf_package()))]
    yield from parts[:1] + parts[2:]
    yield from list(zarf_cut("zarf-last.tar.zst", zstd(zarf_package())))[:-1]


def unsupported():
    yield "xz.tar.xz", b"\xfd7zXZ\0".ljust(BLOCK, b"\0")
    yield "bzip2.tar.bz2", b"BZh9".ljust(BLOCK, b"\0")
    yield "layout-version.tar", archive([("oci-layout", b'{"imageLayoutVersion":"2.0.0"}'), *FILES[1:]])


def main():
    directory = pathlib.Path(sys.argv[1])
    for name, data in good():
        (directory / f"ok-{name}.tar").write_bytes(data)
    for name, data in good_docker():
        (directory / f"ok-docker-{name}.tar").write_bytes(data)
    for name, data in docker_more():
        (directory / f"docker-{name}.tar").write_bytes(data)
    for name, data in bad_docker():
        (directory / f"bad-docker-{name}.tar").write_bytes(data)
    for name, data in bad():
        (directory / f"bad-{name}.tar").write_bytes(data)
    for kind, files in (("ok", good_packed()), ("bad", bad_packed()), ("absent", absent()),
                        ("unsupported", unsupported())):
        for name, data in files:
            (directory / f"{kind}-{name}").write_bytes(data)


if __name__ == "__main__":
    main()
