"""Pull mirrors: what an endpoint cannot give comes from the next one, and from the origin."""
import random

import pytest

import models
import tool
import trees
from front import Front
from servers import DockerRegistry, write_authfile

USERS = {"joe": "CANARY-password"}


def pull(ref: str, out, *flags, **options) -> tool.Result:
    return tool.ok("pull", ref, out, *flags, **options)


def test_content_comes_from_the_endpoint_and_names_from_the_origin(tmp_path, start, registry, pushed, model):
    origin = start(Front, "origin", target=registry.host)
    mirror = start(Front, "mirror", target=registry.host)
    ref = pushed.replace(registry.host, origin.host)
    pull(ref, tmp_path / "out", "--endpoint", f"{origin.host}=http://{mirror.host}",
         "--endpoint-header", f"{origin.host}=X-Dragonfly-Registry: https://{origin.host}",
         "--endpoint-header", "other.example=X-Other: no")
    trees.assert_same(model, tmp_path / "out")
    assert [s.path for s in origin.seen if s.path != "/v2/"] == ["/v2/shared/tiny/manifests/v1"]
    assert mirror.paths("/blobs/") and mirror.paths("/manifests/sha256:")
    for seen in mirror.seen:
        assert seen.path.endswith("ns=" + origin.host.replace(":", "%3A")), seen.path
        assert seen.headers["X-Dragonfly-Registry"] == f"https://{origin.host}" and "X-Other" not in seen.headers
    assert all("X-Dragonfly-Registry" not in seen.headers for seen in origin.seen)


def test_a_path_of_an_endpoint_stands_before_the_repository(tmp_path, start, registry, pushed):
    mirror = start(Front, "mirror")
    pull(pushed, tmp_path / "out", "--endpoint", f"{registry.host}=http://{mirror.host}/proxy/hub/")
    assert mirror.seen and all(s.path.startswith("/v2/proxy/hub/shared/tiny/") for s in mirror.seen)


def corrupt(seen):
    return 200, {"Content-Type": "application/octet-stream"}, b"x" * 5000


BAD_MIRRORS = {"has nothing": lambda seen: (404, {}, b""), "fails": lambda seen: (500, {}, b""),
               "wants a login": lambda seen: (401, {"WWW-Authenticate": 'Basic realm="x"'}, b""),
               "is a web page": lambda seen: (200, {"Content-Type": "text/html"}, b"<html>"), "lies": corrupt}


@pytest.mark.parametrize("how", BAD_MIRRORS)
def test_what_an_endpoint_cannot_give_comes_from_the_next_and_from_the_origin(tmp_path, start, registry, pushed,
                                                                              model, how):
    bad = start(Front, "bad", rule=BAD_MIRRORS[how])
    good = start(Front, "good", target=registry.host)
    flags = ["--endpoint", f"{registry.host}=http://{bad.host}"]
    for name in ("one", "two"):  # apart: what lies beside is not fetched
        (tmp_path / name).mkdir()
    pull(pushed, tmp_path / "one/m", *flags)
    pull(pushed, tmp_path / "two/m", *flags, "--endpoint", f"{registry.host}=http://{good.host}")
    blobs = bad.paths("/blobs/")
    assert len(blobs) == len(set(blobs)) * (2 if how == "has nothing" else 1), "asked again for what it cannot give"
    trees.assert_same(model, tmp_path / "one/m")
    trees.assert_same(model, tmp_path / "two/m")
    assert bad.seen and good.paths("/blobs/")


def test_a_blob_that_an_endpoint_cuts_goes_on_at_the_origin(tmp_path, start, registry):
    tree = models.single(tmp_path / "tree")
    (tree / "big.bin").write_bytes(random.Random(models.SEED).randbytes(12 << 20))
    ref = registry.ref("cut/big:v1")
    tool.ok("pack", tree, ref)
    big_start = 2 * 512  # of the data in its layer: headers of models/ and of the file

    def cut(seen):
        if seen.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0] not in ("0", str(big_start)):
            return 500, {}, b""
        status, headers, body = mirror.hand_on(seen, b"")
        return status, {**headers, "Connection": "close"}, body[:7 << 20]

    mirror = start(Front, "mirror", target=registry.host, rule=cut)
    origin = start(Front, "origin", target=registry.host)
    pull(ref.replace(registry.host, origin.host), tmp_path / "out",
         "--endpoint", f"{origin.host}=http://{mirror.host}")
    trees.assert_same(tree, tmp_path / "out")
    first = [int(s.headers["Range"].split("=")[1].split("-")[0]) for s in origin.seen if "Range" in s.headers]
    assert first and min(first) >= 6 << 20, first


def flip(seen, mirror):
    """A large blob, with one bit of it wrong, whichever part of it is asked for."""
    status, headers, body = mirror.hand_on(seen, b"")
    whole = headers.get("Content-Range", f"bytes 0-0/{len(body)}").split(" ")[1]
    at = (5 << 20) - int(whole.split("-")[0])
    if int(whole.split("/")[1]) > 5 << 20 and 0 <= at < len(body):
        body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
    return status, headers, body


def test_a_large_blob_that_an_endpoint_has_wrong_comes_from_the_next(tmp_path, start, registry):
    tree = models.single(tmp_path / "tree")
    (tree / "big.bin").write_bytes(random.Random(models.SEED).randbytes(12 << 20))
    ref = registry.ref("wrong/big:v1")
    tool.ok("pack", tree, ref)
    bad = start(Front, "bad", target=registry.host, rule=lambda seen: flip(seen, bad))
    good = start(Front, "good", target=registry.host)
    origin = start(Front, "origin", target=registry.host)
    result = pull(ref.replace(registry.host, origin.host), tmp_path / "out",
                  "--endpoint", f"{origin.host}=http://{bad.host}", "--endpoint", f"{origin.host}=http://{good.host}")
    trees.assert_same(tree, tmp_path / "out")
    assert good.paths("/blobs/") and not origin.paths("/blobs/")
    assert result.err.count("endpoint of") == 1 and "is something else" in result.err


def test_what_is_wrong_everywhere_is_exit_13(tmp_path, start, registry):
    tree = models.single(tmp_path / "tree")
    (tree / "big.bin").write_bytes(random.Random(models.SEED).randbytes(12 << 20))
    ref = registry.ref("wrong/everywhere:v1")
    tool.ok("pack", tree, ref)
    bad = start(Front, "bad", target=registry.host, rule=lambda seen: flip(seen, bad))
    tool.fails(tool.MISMATCH, "pull", ref.replace(registry.host, bad.host), tmp_path / "out",
               "--endpoint", f"{bad.host}=http://{bad.host}")


def test_a_digest_is_resolved_at_the_endpoint_and_at_the_origin_only_where_that_has_it_not(tmp_path, start, registry,
                                                                                         pushed, model):
    origin = start(Front, "origin", target=registry.host)
    digest = registry.get("shared/tiny", "v1")[0]
    ref = f"{origin.host}/shared/tiny@{digest}"
    mirror = start(Front, "mirror", target=registry.host)
    pull(ref, tmp_path / "out", "--endpoint", f"{origin.host}=http://{mirror.host}")
    trees.assert_same(model, tmp_path / "out")
    assert origin.seen == []
    for how in BAD_MIRRORS:
        bad = start(Front, how, rule=BAD_MIRRORS[how])
        assert digest in tool.ok("inspect", ref, "--endpoint", f"{origin.host}=http://{bad.host}", "--json").out
        assert bad.seen and origin.paths(digest)
        origin.seen.clear()


def test_a_dead_endpoint_is_said_once_and_costs_one_wait(tmp_path, registry, pushed, model):
    result = pull(pushed, tmp_path / "out", "--endpoint", f"{registry.host}=http://127.0.0.1:1")
    trees.assert_same(model, tmp_path / "out")
    assert result.err.count("endpoint of") == 1 and "127.0.0.1:1" in result.err


def test_endpoints_are_for_pulls_only(start, registry, repo, model):
    mirror = start(Front, "mirror", target=registry.host)
    tool.ok("pack", model, f"{repo}:v1", "--endpoint", f"{registry.host}=http://{mirror.host}")
    assert mirror.seen == []


@pytest.mark.parametrize("flags", [["--endpoint", "nothing"], ["--endpoint", "a.example=ftp://b.example"],
                                   ["--endpoint", "a.example=http://u:CANARY-word@b.example"],
                                   ["--endpoint", "a.example=http://b.example?x=CANARY-word"],
                                   ["--endpoint-header", "a.example=CANARY-word"],
                                   ["--endpoint-header", "CANARY-word"]])
def test_endpoints_in_another_form_are_a_usage_error(pushed, flags):
    assert "CANARY" not in tool.fails(tool.USAGE, "ls", pushed, *flags).err


def test_credentials_of_the_origin_stay_there(tmp_path, start, model):
    server = start(DockerRegistry, "basic", users=USERS)
    authfile = write_authfile(tmp_path / "c.json", server.host, "joe", "CANARY-password")
    tool.ok("pack", model, server.ref("a/tiny:v1"), "--authfile", authfile)
    mirror = start(Front, "mirror", rule=BAD_MIRRORS["wants a login"])
    pull(server.ref("a/tiny:v1"), tmp_path / "out", "--authfile", authfile,
         "--endpoint", f"{server.host}=http://{mirror.host}")
    assert mirror.seen and all("Authorization" not in seen.headers for seen in mirror.seen)
