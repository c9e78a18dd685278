"""Access to registries: plain http, https, Basic, tokens, client certificates."""
import json

import pytest

import tool
import trees
from servers import Authority, DockerRegistry, TokenServer, free_port, write_authfile

USERS = {"joe": "secret-word"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def round_trip(tmp_path, model, ref: str, *flags) -> None:
    tool.ok("pack", model, ref, *flags)
    tool.ok("pull", ref, tmp_path / "out", *flags)
    trees.assert_same(model, tmp_path / "out")


def test_plain_http_is_automatic_on_loopback(tmp_path, model, repo):
    round_trip(tmp_path, model, f"{repo}:v1")


@pytest.mark.parametrize("form", ["docker://{}", "oci://{}"])
def test_registry_references_may_carry_a_scheme(tmp_path, model, repo, form):
    round_trip(tmp_path, model, form.format(f"{repo}:v1"))


def test_localhost_by_name_works_as_well(tmp_path, model, registry):
    round_trip(tmp_path, model, f"localhost:{registry.port}/by-name/tiny:v1")


def test_https_needs_the_authority(tmp_path, model, start, authority):
    server = start(DockerRegistry, "tls", authority=authority)
    ref = server.ref("a/tiny:v1")
    round_trip(tmp_path, model, ref, "--ca-file", authority.certificate)
    result = tool.fails(tool.TLS, "pull", ref, tmp_path / "none")
    assert server.host in result.err or "certificate" in result.err
    assert not (tmp_path / "none").exists()
    tool.ok("pull", ref, tmp_path / "unverified", "--tls-verify=false")


def test_https_with_a_client_certificate(tmp_path, model, start, authority):
    server = start(DockerRegistry, "mtls", authority=authority, client_ca=authority.certificate)
    certificate, key = authority.issue("client", "clientAuth")
    trust = ["--ca-file", authority.certificate]
    round_trip(tmp_path, model, server.ref("a/tiny:v1"), *trust, "--cert", certificate, "--key", key)
    assert tool.run("pull", server.ref("a/tiny:v1"), tmp_path / "none", *trust).code in (tool.TLS, tool.NETWORK)


def test_basic_credentials_come_from_the_authfile(tmp_path, model, start):
    server = start(DockerRegistry, "basic", users=USERS)
    authfile = write_authfile(tmp_path / "config.json", server.host, "joe", "secret-word")
    round_trip(tmp_path, model, server.ref("a/tiny:v1"), "--authfile", authfile)


def test_basic_credentials_come_from_docker_config(tmp_path, model, start):
    server = start(DockerRegistry, "basic", users=USERS)
    write_authfile(tmp_path / "config.json", server.host, "joe", "secret-word")
    tool.ok("pack", model, server.ref("a/tiny:v1"), env={"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("word", [None, "wrong-word"])
def test_refused_credentials_are_exit_11_and_are_never_shown(tmp_path, model, start, word):
    server = start(DockerRegistry, "basic", users=USERS)
    flags = ["--authfile", write_authfile(tmp_path / "c.json", server.host, "joe", word)] if word else []
    result = tool.fails(tool.REFUSED, "pack", model, server.ref("a/tiny:v1"), *flags)
    assert "wrong-word" not in result.err and server.host in result.err


@pytest.fixture
def guarded(tmp_path, start):
    """A registry that takes only tokens of our server."""
    tokens = start(TokenServer, "tokens", users=USERS, anonymous_pull=True)
    return start(DockerRegistry, "guarded", token=tokens), tokens


def test_a_bearer_token_is_fetched_for_the_scope_that_is_needed(tmp_path, model, guarded):
    server, tokens = guarded
    authfile = write_authfile(tmp_path / "config.json", server.host, "joe", "secret-word")
    round_trip(tmp_path, model, server.ref("a/tiny:v1"), "--authfile", authfile)
    scopes = " ".join(scope for asked in tokens.asked for scope in asked["scope"])
    assert "repository:a/tiny:" in scopes and "push" in scopes
    assert all(asked["user"] == "joe" for asked in tokens.asked)


def test_a_token_is_reused(tmp_path, model, guarded):
    server, tokens = guarded
    authfile = write_authfile(tmp_path / "config.json", server.host, "joe", "secret-word")
    tool.ok("pack", model, server.ref("a/tiny:v1"), "--authfile", authfile)
    assert len(tokens.asked) <= 3, tokens.asked


def test_anybody_may_pull_what_the_token_server_lets_them(tmp_path, model, guarded):
    server, tokens = guarded
    authfile = write_authfile(tmp_path / "config.json", server.host, "joe", "secret-word")
    ref = server.ref("a/tiny:v1")
    tool.ok("pack", model, ref, "--authfile", authfile)
    tool.ok("pull", ref, tmp_path / "out")
    assert tokens.asked[-1]["user"] == ""
    tool.fails(tool.REFUSED, "pack", model, server.ref("a/tiny:v2"))


def test_a_token_that_ends_during_the_work_is_renewed(tmp_path, model, start):
    """Tokens of two seconds, with a registry that gives no grace."""
    tokens = start(TokenServer, "tokens", users=USERS, seconds=2)
    server = start(DockerRegistry, "guarded", token=tokens)
    authfile = write_authfile(tmp_path / "config.json", server.host, "joe", "secret-word")
    round_trip(tmp_path, model, server.ref("a/tiny:v1"), "--authfile", authfile)


def test_a_registry_that_is_not_there_is_exit_20(tmp_path, model):
    ref = f"127.0.0.1:{free_port()}/a/tiny:v1"
    result = tool.fails(tool.NETWORK, "pull", ref, tmp_path / "out", env={"MODELCAR_RETRY_FOR": "1s"})
    assert ref.split("/")[0] in result.err


def test_what_a_registry_does_not_have_is_exit_10(tmp_path, registry, pushed):
    tool.fails(tool.NOT_FOUND, "pull", registry.ref("no/such:v1"), tmp_path / "out")
    tool.fails(tool.NOT_FOUND, "pull", pushed.replace(":v1", ":v9"), tmp_path / "out")
    tool.fails(tool.NOT_FOUND, "pull", pushed.split(":v1")[0] + "@sha256:" + "0" * 64, tmp_path / "out")


def test_a_push_leaves_no_upload_behind(registry, pushed):
    uploads = list((registry.root / "data").glob("docker/registry/v2/repositories/shared/tiny/_uploads/*"))
    assert uploads == []
    assert json.loads(registry.get("shared/tiny", "v1")[1])["manifests"]
