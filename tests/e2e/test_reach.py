"""The way to a registry: mirrors, proxies, limits, warnings; and that no secret leaves it."""
import json
import random
import time

import pytest

import models
import tool
import trees
from front import Front
from servers import DockerRegistry, TokenServer, write_authfile

USERS = {"joe": "CANARY-password"}


def host_of(ref: str) -> str:
    return ref.split("/")[0]


def pull(ref: str, out, *flags, **options) -> tool.Result:
    return tool.ok("pull", ref, out, *flags, **options)


# mirrors

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


# proxies

def through(proxy: Front, login: str = "joe:CANARY-proxy") -> dict:
    return {"HTTP_PROXY": f"http://{login}@{proxy.host}"}


def test_a_proxy_with_a_login_is_used_and_no_proxy_goes_past_it(tmp_path, start, registry, pushed, model):
    proxy = start(Front, "proxy", target=registry.host, login="joe:CANARY-proxy")
    ref = pushed.replace(registry.host, "registry.invalid")
    pull(ref, tmp_path / "out", "--plain-http", env=through(proxy))
    trees.assert_same(model, tmp_path / "out")
    assert all(seen.path.startswith("http://registry.invalid/") for seen in proxy.seen)
    count = len(proxy.seen)
    tool.ok("ls", pushed, env=through(proxy))
    tool.fails(tool.NETWORK, "ls", ref, "--plain-http", env={**through(proxy), "NO_PROXY": ".invalid"})
    assert len(proxy.seen) == count


@pytest.mark.parametrize("scheme, code", [("http", tool.REFUSED), ("https", tool.REFUSED)])
def test_a_proxy_that_refuses_is_exit_11_and_its_password_is_not_shown(start, scheme, code):
    proxy = start(Front, "proxy", login="joe:other")
    env = {"HTTP_PROXY": through(proxy)["HTTP_PROXY"], "HTTPS_PROXY": through(proxy)["HTTP_PROXY"]}
    flags = ["--plain-http"] if scheme == "http" else []
    result = tool.fails(code, "ls", "registry.invalid/a/x:v1", *flags, env=env)
    assert "CANARY" not in result.err and "proxy" in result.err


@pytest.mark.parametrize("proxy, code", [("bad://joe:CANARY-proxy@127.0.0.1:9", tool.USAGE),
                                         ("http://joe:CANARY-proxy@127.0.0.1:bad", tool.USAGE),
                                         ("http://joe:CANARY-proxy@[bad", tool.USAGE),
                                         ("http://joe:CANARY-proxy@no.invalid:9", tool.NETWORK)])
def test_a_proxy_that_cannot_be_used_does_not_show_its_password(proxy, code):
    result = tool.fails(code, "ls", "registry.invalid/a/x:v1", env={"HTTPS_PROXY": proxy})
    assert "CANARY" not in result.err and "HTTPS_PROXY" in result.err


# limits and warnings

def test_limit_rate_holds_for_all_connections_together(tmp_path, registry, pushed, model):
    size = sum(f.stat().st_size for f in model.rglob("*") if f.is_file())
    begun = time.monotonic()
    pull(pushed, tmp_path / "out", "--limit-rate", str(size // 3))
    assert time.monotonic() - begun > 2
    begun = time.monotonic()
    tool.ok("pack", model, registry.ref("limited/up:v1"), env={"MODELCAR_LIMIT_RATE": str(size // 3)})
    assert time.monotonic() - begun > 2


def test_429_is_waited_for_by_all_requests(tmp_path, start, registry, pushed, model):
    refused = []

    def rule(seen):
        if "/blobs/" in seen.path and len(refused) < 2:
            refused.append(seen)
            return 429, {"Retry-After": "1"}, b""
        return None

    front = start(Front, "front", target=registry.host, rule=rule)
    pull(pushed.replace(registry.host, front.host), tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")
    after = [s.at for s in front.seen if s.at > refused[-1].at + 0.05]
    assert after and after[0] - refused[-1].at > 0.9


def test_a_silent_registry_is_given_up_in_the_time_allowed(tmp_path, start, pushed, registry):
    """With the usual patience it would be minutes: five times one minute, and the waits between them."""
    silent = start(Front, "silent", rule=lambda seen: time.sleep(8) or (404, {}, b""))
    result = tool.fails(tool.NETWORK, "inspect", pushed.replace(registry.host, silent.host), "--stall-timeout", "1s",
                        timeout=100)
    assert "no answer for 2 s" in result.err


# trace

def test_trace_shows_every_request_and_its_retries(tmp_path, start, registry, pushed, model):
    failed = []

    def rule(seen):
        if "/blobs/" in seen.path and not failed:
            failed.append(seen)
            return 503, {}, b""
        return None

    front = start(Front, "front", target=registry.host, rule=rule)
    ref = pushed.replace(registry.host, front.host)
    result = pull(ref, tmp_path / "out", "--trace")
    lines = [line for line in result.err.splitlines() if line.startswith("trace: ")]
    assert len(lines) == len(front.seen)
    assert [line for line in lines if "manifests/v1: status 200, " in line]
    assert [line for line in lines if "/blobs/" in line and ": status 503, " in line]
    assert [line for line in lines if "/blobs/" in line and ": try 2, status 200, " in line]
    told = tool.ok("inspect", ref, "--json", "--trace", "--quiet", env={"MODELCAR_TRACE": "1"})
    assert told.json and "trace: " in told.err
    assert "trace" not in tool.ok("inspect", ref).err


def test_warnings_of_a_registry_are_shown_once_and_escaped(start, registry, pushed):
    extra = {"Warning": '299 - "read \x1b[31mthis \\"please\\""'}
    front = start(Front, "front", target=registry.host, extra=extra)
    result = tool.ok("ls", pushed.replace(registry.host, front.host))
    assert result.err.count("says: read") == 1 and "\x1b" not in result.err and '"please"' in result.err


# tags

def test_tags_are_listed_through_all_pages(start, registry, pushed, model, repo):
    for tag in ("b", "a", "c"):
        tool.ok("pack", model, f"{repo}:{tag}")
    assert tool.ok("tags", repo).out.split() == ["a", "b", "c"]
    assert tool.ok("tags", repo, "--json").json["tags"] == ["a", "b", "c"]
    name = repo.split("/", 1)[1]

    def pages(seen):
        if "/tags/" not in seen.path:
            return None
        last = seen.path.rpartition("last=")[2] if "last=" in seen.path else ""
        following = {"": "a", "a": "b", "b": ""}[last]
        link = {"Link": f'</v2/{name}/tags/list?last={following}>; rel="next"'} if following else {}
        return 200, {"Content-Type": "application/json", **link}, json.dumps({"tags": ["t" + last]}).encode()

    front = start(Front, "front", rule=pages)
    assert tool.ok("tags", f"{front.host}/{name}").out.split() == ["t", "ta", "tb"]


def test_tags_wants_a_repository(registry, pushed, packed):
    tool.fails(tool.USAGE, "tags", pushed)
    tool.fails(tool.NOT_FOUND, "tags", registry.ref("no/such"))
    assert tool.ok("tags", f"oci:{packed}").out.split() == ["v1"]


@pytest.mark.parametrize("link", ["http://127.0.0.2:1/v2/a/x/tags/list?n=5", "{self}"])
def test_a_next_page_elsewhere_or_itself_is_refused(start, link):
    front = start(Front, "front", rule=lambda seen: (
        200, {"Link": f'<{link.format(self=seen.path)}>; rel="next"'}, b'{"tags":["a"]}'))
    tool.fails(tool.MALFORMED, "tags", f"{front.host}/a/x")


# secrets

def test_no_secret_is_shown_or_left_anywhere(tmp_path, start, model):
    """Passwords, tokens and signed addresses, in success and failure: in no output, no file but the one for them."""
    tokens = start(TokenServer, "tokens", users=USERS, identities={"CANARY-identity": "joe"})
    server = start(DockerRegistry, "guarded", token=tokens)
    basic = start(DockerRegistry, "basic", users=USERS)
    signed = "/signed?X-Signature=CANARY-signature"

    def redirect(seen):
        if seen.path.startswith("/signed"):
            return 403, {}, b'{"errors":[{"code":"DENIED","message":"no"}]}'
        return (307, {"Location": signed}, b"") if "/blobs/" in seen.path and seen.method == "GET" else None

    front = start(Front, "front", target=server.host, rule=redirect)
    proxy = start(Front, "proxy", target=basic.host, login="joe:CANARY-proxy")
    home = tmp_path / "home"
    home.mkdir()
    env = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **through(proxy)}
    authfile = tmp_path / "c.json"
    auths = {host: {"auth": json.loads(write_authfile(authfile, "x", "joe", "CANARY-password").read_text())
                    ["auths"]["x"]["auth"]} for host in (server.host, front.host, "registry.invalid")}
    authfile.write_text(json.dumps({"auths": auths}))
    identity = tmp_path / "identity.json"
    identity.write_text(json.dumps({"auths": {server.host: {"identitytoken": "CANARY-identity"}}}))
    flags = ["--authfile", authfile, "--plain-http", "--trace"]
    said = [tool.run("pack", model, server.ref("a/tiny:v1"), *flags, env=env),
            tool.run("pull", server.ref("a/tiny:v1"), tmp_path / "one", *flags, env=env),
            tool.run("pull", f"{front.host}/a/tiny:v1", tmp_path / "two", *flags, env=env),
            tool.run("pack", model, "registry.invalid/a/tiny:v1", *flags, env=env),
            tool.run("pull", server.ref("a/tiny:v1"), tmp_path / "four", "--authfile", identity, "--trace",
                     env=env),
            tool.run("pull", server.ref("a/none:v1"), tmp_path / "five", *flags, env=env),
            tool.run("pull", "registry.invalid/a/tiny:v1", tmp_path / "six", *flags,
                     env={**env, "HTTP_PROXY": through(proxy, "joe:CANARY-wrong")["HTTP_PROXY"]}),
            tool.run("login", server.host, "-u", "joe", "--password-stdin", "--authfile", tmp_path / "new.json",
                     env=env, input="CANARY-password")]
    assert [s.code for s in said[:2]] == [0, 0] and said[3].code == said[4].code == said[7].code == 0
    assert said[2].code == tool.NETWORK and said[6].code == tool.REFUSED
    assert {"GET", "POST"} == {asked["method"] for asked in tokens.asked}
    assert any("/signed: status 403" in result.err for result in said), "the trace shows what could tell"
    for result in said:
        for text in (result.out, result.err):
            assert "CANARY" not in text and "eyJ" not in text, str(result)
    for path in (p for p in home.rglob("*") if p.is_file()):
        assert b"CANARY" not in path.read_bytes() and b"eyJ" not in path.read_bytes(), path
