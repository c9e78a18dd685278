"""Images from one place to another: whole, untouched, and no byte more than it takes."""
import json
import random
import signal
import subprocess
import time

import pytest

import images
import models
import tool
import trees
from copies import KILLS, SIZES, assert_whole, documents, pack_weights, refer, signed_layout, tags_of
from cutter import Cutter, at_random
from servers import Distribution, DockerRegistry

MIB = 2**20


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return pack_weights(tmp_path_factory)


@pytest.fixture(scope="module")
def source(tmp_path_factory, weights):
    """A registry that has it as a/m:v1; only read from."""
    server = DockerRegistry(tmp_path_factory.mktemp("source"))
    tool.ok("cp", f"oci:{weights}:v1", server.ref("a/m:v1"))
    yield server
    server.close()


def uploads(server) -> list[str]:
    return server.requests("PATCH") + [line for line in server.requests("PUT") if "/blobs/" in line]


def test_all_of_an_index_arrives_untouched(weights, source, start):
    server = start(DockerRegistry, "to")
    result = tool.ok("cp", source.ref("a/m:v1"), server.ref("b/n"))
    assert result.line == f"{server.ref('b/n')}@{trees.Layout(weights).tagged('v1')}"
    assert_whole(server, "b/n", weights)


def test_what_is_there_is_not_sent_again(weights, source, start):
    server = start(DockerRegistry, "to")
    tool.ok("cp", source.ref("a/m:v1"), server.ref("b/n:v1"))
    before = len(uploads(server))
    report = tool.ok("cp", source.ref("a/m:v1"), server.ref("b/n:v1"), "--json").json
    assert report["unchanged"] and report["bytesSent"] == 0
    assert {o["state"] for o in report["objects"]} == {"exists"}
    assert len(uploads(server)) == before


def test_within_one_registry_blobs_are_mounted(weights, start):
    server = start(DockerRegistry, "one")
    tool.ok("cp", f"oci:{weights}:v1", server.ref("a/m:v1"))
    before = len(uploads(server))
    report = tool.ok("cp", server.ref("a/m:v1"), server.ref("b/n:v1"), "--json").json
    assert report["bytesMounted"] > sum(SIZES) and len(uploads(server)) == before
    assert_whole(server, "b/n", weights)


def test_several_tags_are_one_copy(weights, source, start):
    server = start(DockerRegistry, "to")
    tool.ok("copy", source.ref("a/m:v1"), server.ref("b/n:v1"), "-t", "stable", "--tag", "v1.0")
    for tag in ("v1", "stable", "v1.0"):
        assert_whole(server, "b/n", weights, name=tag)


def test_a_digest_may_be_copied_without_any_tag(weights, source, start):
    server, digest = start(DockerRegistry, "to"), trees.Layout(weights).tagged("v1")
    tool.ok("cp", source.ref(f"a/m@{digest}"), server.ref("b/n"))
    assert server.get("b/n", digest)[0] == digest
    assert tool.run("tags", server.ref("b/n")).out == ""


def test_a_platform_is_its_manifest_alone(weights, source, start):
    server = start(DockerRegistry, "to")
    wanted = next(d["digest"] for d in trees.Layout(weights).document(trees.Layout(weights).tagged("v1"))["manifests"]
                  if d["platform"]["architecture"] == "arm64")
    result = tool.ok("cp", "--platform", "linux/arm64", source.ref("a/m:v1"), server.ref("b/n:v1"))
    assert result.digest == wanted == server.get("b/n", "v1")[0]
    assert not server.has("b/n", trees.Layout(weights).tagged("v1"))
    assert "linux/arm64" in tool.fails(tool.NOT_FOUND, "cp", "--platform", "linux/s390x", source.ref("a/m:v1"),
                                       server.ref("b/n:v2")).err


def test_a_dry_run_says_what_it_would_move_and_moves_nothing(weights, source, start):
    server = start(DockerRegistry, "to")
    report = tool.ok("cp", "--dry-run", "--json", source.ref("a/m:v1"), server.ref("b/n:v1")).json
    assert report["bytesSent"] == sum(o["size"] for o in report["objects"]) > sum(SIZES)
    assert {o["state"] for o in report["objects"]} == {"new"}
    assert server.blobs() == {} and not server.requests("POST") and not server.has("b/n", "v1")


def test_a_tag_with_other_content_is_replaced_only_by_force(weights, source, start, packed):
    server = start(DockerRegistry, "to")
    tool.ok("cp", f"oci:{packed}:v1", server.ref("b/n:v1"))
    before = server.blobs()
    assert "--force" in tool.fails(tool.TAG_EXISTS, "cp", source.ref("a/m:v1"), server.ref("b/n:v1")).err
    assert server.blobs() == before
    tool.ok("cp", "--force", source.ref("a/m:v1"), server.ref("b/n:v1"))
    assert_whole(server, "b/n", weights)


def test_any_place_to_any_place(tmp_path, weights, source):
    tool.ok("cp", source.ref("a/m:v1"), f"oci:{tmp_path}/layout")
    tool.ok("cp", f"oci:{tmp_path}/layout:v1", f"oci-archive:{tmp_path}/a.tar:x")
    tool.ok("cp", f"oci-archive:{tmp_path}/a.tar", f"oci:{tmp_path}/back:v1")
    assert (tmp_path / "back/index.json").is_file()
    assert trees.Layout(tmp_path / "back").blobs() == trees.Layout(weights).blobs()
    trees.Layout(tmp_path / "back").check()


def written(path) -> tuple[int, int, int]:
    """What changes when a file is written, and not when it is read."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def test_an_archive_that_exists_is_kept_unless_forced(tmp_path, weights, packed):
    target = f"oci-archive:{tmp_path}/a.tar:x"
    tool.ok("cp", f"oci:{packed}:v1", target)
    before = written(tmp_path / "a.tar")
    assert "unchanged" in tool.ok("cp", f"oci:{packed}:v1", target).err
    tool.fails(tool.TAG_EXISTS, "cp", f"oci:{weights}:v1", target)
    tool.fails(tool.TAG_EXISTS, "cp", f"oci:{weights}:v1", f"oci-archive:{tmp_path}/a.tar:y")
    assert written(tmp_path / "a.tar") == before
    tool.ok("cp", "--force", f"oci:{weights}:v1", target)
    assert tool.ok("inspect", "--json", target).json["digest"] == trees.Layout(weights).tagged("v1")


@pytest.mark.parametrize("args", [["SRC", "DST@sha256:" + "0" * 64], ["oci:/nowhere", "DST"], ["SRC", "DST:-"],
                                  ["SRC", "DST", "-t", "a b"], ["SRC", "docker-archive:/x"]])
def test_what_cannot_be_a_destination_is_said_before_anything_is_asked(source, args):
    words = [a.replace("SRC", source.ref("a/m:v1")).replace("DST", "127.0.0.1:1/b/n") for a in args]
    assert tool.run("cp", *words).code in (tool.USAGE, tool.UNSUPPORTED)


# signatures


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_signatures_come_along_when_asked_for(tmp_path, start, kind):
    layout, server = signed_layout(tmp_path / "signed", deep=True), start(kind, "to")
    root = trees.Layout(tmp_path / "signed").tagged("v1")
    tool.ok("cp", layout.ref("v1"), server.ref("b/plain:v1"))
    assert tags_of(server, "b/plain") == {"v1"}
    report = tool.ok("cp", "--referrers", "--json", layout.ref("v1"), server.ref("b/n:v1")).json
    assert report["signatures"] == 3
    name = root.replace(":", "-")
    assert {name, f"{name}.sig", "v1"} <= set(tags_of(server, "b/n"))
    listed = json.loads(server.get("b/n", name)[1])["manifests"]
    assert [d["digest"] for d in listed] == [trees.Layout(tmp_path / "signed").tagged("keep-sbom")]
    deep = json.loads(server.get("b/n", listed[0]["digest"].replace(":", "-"))[1])["manifests"]
    assert server.has("b/n", deep[0]["digest"])
    tool.ok("cp", "--referrers", server.ref("b/n:v1"), f"oci:{tmp_path}/back:v1")
    assert root.split(":")[1] in (tmp_path / "back/index.json").read_text()


def test_referrers_that_the_destination_has_stay(tmp_path, start):
    layout, server = signed_layout(tmp_path / "signed"), start(DockerRegistry, "to")
    tool.ok("cp", "--referrers", layout.ref("v1"), server.ref("b/n:v1"))
    other = images.ImageLayout(tmp_path / "other")
    image = other.image("v1", other.layer(images.tar(images.member("models/a", b"a"))))
    refer(other, image, other.manifest("keep", other.blob(b"{}", images.EMPTY),
                                       [other.blob(b"other", "text/plain")], subject=image))
    tool.ok("cp", "--referrers", other.ref("v1"), server.ref("b/n:v1"))
    assert len(json.loads(server.get("b/n", image["digest"].replace(":", "-"))[1])["manifests"]) == 2


# cuts, kills and wrong bytes


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_a_copy_over_connections_cut_at_random_ends_well(tmp_path, weights, source, start, kind):
    server = start(kind, "to")
    ways = [Cutter(source.port, at_random(models.SEED, MIB, 8 * MIB), answers=True),
            Cutter(server.port, at_random(models.SEED + 1, 2 * MIB, 9 * MIB))]
    try:
        tool.ok("cp", ways[0].ref("a/m:v1"), ways[1].ref("b/n:v1"), "--state-dir", tmp_path / "state")
        assert all(way.cuts > 0 for way in ways)
    finally:
        for way in ways:
            way.close()
    assert_whole(server, "b/n", weights)


@pytest.mark.parametrize("place", ["2.8", "3", "layout", "archive"])
def test_killed_at_any_point_it_is_whole_or_not_there_and_the_next_run_ends(tmp_path, weights, source, start, place):
    chance, flags = random.Random(models.SEED), ["--state-dir", tmp_path / "state"]
    server = start({"2.8": DockerRegistry, "3": Distribution}[place], "to") if place in ("2.8", "3") else None
    for number in range(KILLS):
        where = f"n{number // 5}"  # what is whole after a few kills makes room for another
        to = server.ref(f"b/{where}:v1") if server else f"{kind_of(place)}:{tmp_path}/{where}:v1"
        way = Cutter(source.port, rate=60 * MIB, answers=True)
        run = subprocess.Popen([tool.binary(), "cp", way.ref("a/m:v1"), to, *map(str, flags)],
                               env=tool.clean_env(None), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        point = chance.randrange(sum(SIZES))
        while way.received < point and run.poll() is None:
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.wait()
        way.close()
        if tool.run("inspect", to).code == tool.OK:
            check_place(tmp_path, weights, server, to, where)
    tool.ok("cp", source.ref("a/m:v1"), to, *flags)
    check_place(tmp_path, weights, server, to, where)


def kind_of(place: str) -> str:
    return "oci-archive" if place == "archive" else "oci"


def check_place(tmp_path, weights, server, to: str, where: str) -> None:
    if server:
        assert_whole(server, f"b/{where}", weights)
    else:
        tool.ok("cp", to, f"oci:{tmp_path}/check:v1")
        trees.Layout(tmp_path / "check").check()
        assert trees.Layout(tmp_path / "check").blobs() == trees.Layout(weights).blobs()


@pytest.mark.parametrize("what", ["layer", "manifest"])
def test_what_the_source_lacks_is_named(start, own_layout, what):
    server, layout = start(DockerRegistry, "to"), trees.Layout(own_layout)
    digest = layout.layers("v1")[0]["digest"] if what == "layer" else documents(own_layout)[1]
    layout.blob_path(digest).unlink()
    assert digest in tool.fails(tool.NOT_FOUND, "cp", f"oci:{own_layout}:v1", server.ref("b/n:v1")).err
    assert not server.has("b/n", "v1")


def test_memory_stays_small_whatever_the_blobs(tmp_path, weights, source, start):
    server = start(Distribution, "to")
    usage = tool.measure("cp", source.ref("a/m:v1"), server.ref("b/n:v1"), log=tmp_path / "log")
    assert usage.code == tool.OK, usage.out
    if tool.release_binary() != tool.binary():
        assert usage.rss_bytes <= 48 * MIB
