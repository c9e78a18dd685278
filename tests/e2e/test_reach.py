"""The way to a registry: proxies, limits, outages, warnings; and that no secret leaves it."""
import json
import subprocess
import time

import pytest

import tool
import trees
from front import Front
from servers import DockerRegistry, TokenServer, write_authfile

USERS = {"joe": "CANARY-password"}


def pull(ref: str, out, *flags, **options) -> tool.Result:
    return tool.ok("pull", ref, out, *flags, **options)


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


def test_a_registry_that_is_away_for_a_while_is_waited_for(tmp_path, start, registry, pushed, model):
    """Once it has served something it is tried for longer than the usual five times."""
    away = [True]
    front = start(Front, "front", target=registry.host,
                  rule=lambda seen: (503, {}, b"") if away and "/blobs/" in seen.path else None)
    command = [tool.binary(), "pull", pushed.replace(registry.host, front.host), str(tmp_path / "out")]
    with subprocess.Popen(command, env=tool.clean_env(None), stderr=subprocess.PIPE, text=True) as process:
        said = [line for line in process.stderr if "trying again" not in line or away.clear()]
    assert process.returncode == 0 and not away, said
    trees.assert_same(model, tmp_path / "out")


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
