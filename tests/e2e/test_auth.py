"""Credentials: where they are found, what is said when they are wrong, and who may write."""
import json
import os

import pytest

import tool
from front import Front
from logins import USERS, add_helper, login, use_helper
from servers import Authority, DockerRegistry, TokenServer, write_authfile

# where they are found

def test_several_files_are_one(tmp_path, home, basic):
    write_authfile(tmp_path / "one.json", "other.example", "x", "y")
    write_authfile(tmp_path / "two.json", basic.host, "joe", "secret-word")
    files = ["--authfile", tmp_path / "one.json", "--authfile", tmp_path / "two.json"]
    tool.fails(tool.NOT_FOUND, "ls", basic.ref("no/such:v1"), *files, env=home)
    tool.fails(tool.REFUSED, "ls", basic.ref("no/such:v1"), *files[:2], env=home)


@pytest.mark.parametrize("name", [".dockerconfigjson", ".dockercfg"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_mounted_kubernetes_secret(tmp_path, home, basic, name, whole):
    """As kubelet mounts it: the name is a link to a link; the directory may be named as well as the file."""
    data = tmp_path / "secret/..2026"
    data.mkdir(parents=True)
    write_authfile(data / name, basic.host, "joe", "secret-word")
    if name == ".dockercfg":
        (data / name).write_text(json.dumps(json.loads((data / name).read_text())["auths"]))
    (tmp_path / "secret/..data").symlink_to("..2026")
    (tmp_path / "secret" / name).symlink_to(f"..data/{name}")
    place = tmp_path / "secret" if whole else tmp_path / "secret" / name
    tool.fails(tool.NOT_FOUND, "ls", basic.ref("no/such:v1"), "--authfile", place, env=home)


def test_an_identity_token_is_posted(tmp_path, home, start, model):
    tokens = start(TokenServer, "tokens", users=USERS, identities={"IDENTITY-TOKEN": "joe"})
    server = start(DockerRegistry, "guarded", token=tokens)
    for token, expected in (("IDENTITY-TOKEN", tool.OK), ("OLD-TOKEN", tool.REFUSED)):
        (tmp_path / "c.json").write_text(json.dumps({"auths": {server.host: {"identitytoken": token}}}))
        result = tool.run("pack", model, server.ref("a/tiny:v1"), "--authfile", tmp_path / "c.json", env=home)
        assert result.code == expected and token not in result.err, str(result)
    assert {asked["method"] for asked in tokens.asked} == {"POST"}


# what is wrong, and what to do

@pytest.mark.parametrize("text", ["{", "<html>", "[]", '{"auths": {"HOST": {"auth": "%%%"}}}'])
def test_a_file_that_makes_no_sense_is_named(tmp_path, home, basic, text):
    (tmp_path / "bad.json").write_text(text.replace("HOST", basic.host))
    result = tool.fails(tool.MALFORMED, "ls", basic.ref("a/x:v1"), "--authfile", tmp_path / "bad.json", env=home)
    assert "bad.json" in result.err


BAD_HELPERS = {"garbage": "echo no JSON, but SECRET", "fails": "echo SECRET; echo SECRET >&2; exit 3",
               "silent": "exit 0", "flood": "head -c 3000000 /dev/zero"}


@pytest.mark.parametrize("how", BAD_HELPERS)
def test_a_helper_that_misbehaves_is_named_and_what_it_says_is_not_shown(tmp_path, home, basic, how):
    add_helper(tmp_path, "#!/bin/sh\n" + BAD_HELPERS[how])
    use_helper(home, basic)
    result = tool.fails(tool.REFUSED, "ls", basic.ref("a/x:v1"), env=home)
    assert "docker-credential-testing" in result.err and "SECRET" not in result.err


def test_a_helper_that_is_not_installed_is_named(home, basic):
    use_helper(home, basic, "absent")
    result = tool.fails(tool.REFUSED, "ls", basic.ref("a/x:v1"), env=home)
    assert "docker-credential-absent" in result.err and "install" in result.err


def test_a_helper_that_hangs_is_ended(tmp_path, home, basic):
    add_helper(tmp_path, "#!/bin/sh\necho $$ > \"$0.pid\"\nexec sleep 600")
    use_helper(home, basic)
    result = tool.fails(tool.REFUSED, "ls", basic.ref("a/x:v1"), env=home)
    assert "no answer for 30 s" in result.err
    assert not os.path.exists(f"/proc/{(tmp_path / 'bin/docker-credential-testing.pid').read_text().strip()}")


def test_a_web_page_in_the_place_of_a_registry(tmp_path, home, start):
    page = start(Front, "page", rule=lambda seen: (200, {"Content-Type": "text/html"}, b"<html>hello</html>"))
    assert "web page" in tool.fails(tool.MALFORMED, "ls", f"{page.host}/a/x:v1", env=home).err
    assert "web page" in login(page, home, run=tool.fails, code=[tool.MALFORMED]).err


def test_a_token_service_that_is_a_web_page(home, start):
    page = start(Front, "page", rule=lambda seen: (200, {"Content-Type": "text/html"}, b"<html>hello</html>"))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{page.host}/token",service="s"'}
    front = start(Front, "front", rule=lambda seen: (401, challenge, b""))
    assert f"{page.host}/token: a web page" in tool.fails(tool.MALFORMED, "ls", f"{front.host}/a/x:v1", env=home).err


def test_a_token_service_that_is_down_is_asked_by_one_level_of_retries_alone(home, start):
    tokens = start(Front, "tokens", rule=lambda seen: (503, {}, b""))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.host}/token",service="s"'}
    front = start(Front, "front", rule=lambda seen: (401, challenge, b""))
    result = tool.fails(tool.NETWORK, "ls", f"{front.host}/a/x:v1", env=home)
    assert f"{tokens.host}/token: status 503" in result.err
    assert len(tokens.seen) == 5


# who may write

def refuse(status: int, code: str):
    def rule(seen):
        if seen.method in ("POST", "PUT", "PATCH"):
            return status, {"Content-Type": "application/json"}, json.dumps({"errors": [{"code": code}]}).encode()
        return None
    return rule


@pytest.mark.parametrize("status, code, exit_code", [(403, "DENIED", tool.REFUSED), (401, "UNAUTHORIZED", tool.REFUSED),
                                                     (405, "UNSUPPORTED", tool.READ_ONLY)])
def test_who_may_not_write_is_told_before_anything_is_sent(home, start, registry, model, status, code, exit_code):
    front = start(Front, "front", target=registry.host, rule=refuse(status, code))
    tool.fails(exit_code, "pack", model, f"{front.host}/may/not:v1", env=home)
    assert [seen.method for seen in front.seen if seen.method not in ("GET", "HEAD")] == ["POST"]


def test_who_may_only_read_may_pack_what_is_there_already(home, start, registry, pushed, model):
    front = start(Front, "front", target=registry.host, rule=refuse(403, "DENIED"))
    tool.ok("pack", model, pushed.replace(registry.host, front.host), env=home)
    assert {seen.method for seen in front.seen} <= {"GET", "HEAD"}


def test_a_token_for_reading_alone_is_no_leave_to_write(tmp_path, home, start, model):
    """The service grants what it can, and says nothing of what it does not."""
    tokens = start(TokenServer, "tokens", users={}, anonymous_pull=True)
    server = start(DockerRegistry, "guarded", token=tokens)
    front = start(Front, "front", target=server.host)
    tool.fails(tool.REFUSED, "pack", model, f"{front.host}/a/tiny:v1", env=home)
    assert not [seen for seen in front.seen if seen.method in ("PATCH", "PUT")]


def test_a_token_service_over_plain_http_gets_nothing_from_a_registry_with_https(tmp_path, home, start):
    authority = Authority(tmp_path / "authority")
    tokens = start(TokenServer, "tokens", users=USERS)
    server = start(DockerRegistry, "guarded", token=tokens, authority=authority)
    authfile = write_authfile(tmp_path / "c.json", server.host, "joe", "secret-word")
    result = tool.fails(tool.REFUSED, "ls", server.ref("a/x:v1"), "--authfile", authfile,
                        "--ca-file", authority.certificate, env=home)
    assert "plain http" in result.err and tokens.asked == []
