"""Certificates: where they may come from, and what is said when one is wrong."""
import os
import random
import socket
import ssl
import threading

import pytest

import models
import tool
import trees
from cutter import Cutter
from servers import Authority, DockerRegistry


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory, authority, model):
    """A registry with https that holds the model as a/tiny:v1."""
    server = DockerRegistry(tmp_path_factory.mktemp("tls"), authority=authority)
    tool.ok("pack", model, server.ref("a/tiny:v1"), "--ca-file", authority.certificate)
    yield server
    server.close()


def certs_d(home, host: str) -> os.PathLike:
    """The user's own directory of certificates for a host; HOME is `home`."""
    path = home / ".config/containers/certs.d" / host
    path.mkdir(parents=True)
    return path


def test_an_authority_of_certs_d_is_trusted_and_means_https(tmp_path, secure, authority, model):
    (certs_d(tmp_path, secure.host) / "ca.crt").write_bytes(authority.certificate.read_bytes())
    tool.ok("pull", secure.ref("a/tiny:v1"), tmp_path / "out", env={"HOME": str(tmp_path)})
    trees.assert_same(model, tmp_path / "out")


def test_certs_d_of_another_port_is_not_looked_at(tmp_path, secure, authority):
    (certs_d(tmp_path, "127.0.0.1:1") / "ca.crt").write_bytes(authority.certificate.read_bytes())
    flags = ["--ca-file", "/etc/ssl/certs/ca-certificates.crt"]
    tool.fails(tool.TLS, "ls", secure.ref("a/tiny:v1"), *flags, env={"HOME": str(tmp_path)})


def test_a_client_certificate_of_certs_d_is_sent(tmp_path, start, authority, model):
    server = start(DockerRegistry, "mtls", authority=authority, client_ca=authority.certificate)
    certificate, key = authority.issue("client", "clientAuth")
    place = certs_d(tmp_path, server.host)
    (place / "ca.crt").write_bytes(authority.certificate.read_bytes())
    (place / "client.cert").write_bytes(certificate.read_bytes())
    result = tool.fails(tool.TLS, "pack", model, server.ref("a/tiny:v1"), env={"HOME": str(tmp_path)})
    assert "client.key" in result.err
    (place / "client.key").write_bytes(key.read_bytes())
    tool.ok("pack", model, server.ref("a/tiny:v1"), env={"HOME": str(tmp_path)})


def test_a_client_certificate_that_is_wanted_or_refused_is_said(tmp_path, start, authority):
    server = start(DockerRegistry, "mtls-bare", authority=authority, client_ca=authority.certificate)
    flags = ["--ca-file", authority.certificate]
    assert "wants a client certificate" in tool.fails(tool.TLS, "ls", server.ref("a/tiny:v1"), *flags).err
    certificate, key = Authority(tmp_path / "other").issue("stranger", "clientAuth")
    flags += ["--cert", certificate, "--key", key]
    assert "refused the client certificate" in tool.fails(tool.TLS, "ls", server.ref("a/tiny:v1"), *flags).err


def test_ssl_cert_file_is_trusted(secure, authority):
    # an empty file of one's own makes it https
    result = tool.ok("ls", secure.ref("a/tiny:v1"), "--tls-verify=true", "--ca-file", authority.certificate,
                     env={"SSL_CERT_FILE": str(authority.certificate)})
    assert "config.json" in result.out


def test_https_on_this_machine_is_found_where_nobody_names_it(tmp_path, secure, authority, model):
    env = {"SSL_CERT_FILE": str(authority.certificate)}
    tool.ok("pack", model, secure.ref("a/found:v1"), env=env)
    tool.ok("cp", secure.ref("a/found:v1"), secure.ref("a/again:v1"), env=env)
    tool.ok("pull", secure.ref("a/again:v1"), tmp_path / "out", env=env)
    trees.assert_same(model, tmp_path / "out")
    for verb in (["ls"], ["inspect"], ["pack", model]):
        assert "not trusted" in tool.fails(tool.TLS, *verb, secure.ref("a/found:v1")).err


def test_ssl_cert_file_that_is_not_there_is_said(secure, authority):
    result = tool.fails(tool.TLS, "ls", secure.ref("a/tiny:v1"), "--ca-file", authority.certificate,
                        env={"SSL_CERT_FILE": "/nonexistent/ca.pem"})
    assert "SSL_CERT_FILE" in result.err


def test_a_ca_file_that_is_not_there_is_named(tmp_path, secure):
    result = tool.fails(tool.TLS, "ls", secure.ref("a/tiny:v1"), "--ca-file", tmp_path / "none.pem")
    assert "none.pem" in result.err


def test_an_unknown_authority_is_exit_22_and_says_what_to_do(tmp_path, secure):
    other = Authority(tmp_path / "other")
    result = tool.fails(tool.TLS, "ls", secure.ref("a/tiny:v1"), "--ca-file", other.certificate)
    assert "--ca-file" in result.err and "not trusted" in result.err


@pytest.mark.parametrize("made, words", [({"days": -1}, "expired"), ({"hosts": "DNS:other.example"}, "host name")])
def test_a_wrong_certificate_is_exit_22_and_says_why(start, authority, made, words):
    server = start(DockerRegistry, "wrong", authority=authority, pair=authority.issue(words.split()[0], **made))
    result = tool.fails(tool.TLS, "ls", server.ref("a/tiny:v1"), "--ca-file", authority.certificate)
    assert words in result.err and server.host in result.err


def test_no_check_is_said_loudly_and_once(secure):
    result = tool.ok("ls", secure.ref("a/tiny:v1"), "--tls-verify=false")
    assert result.err.count("is not checked") == 1 and secure.host in result.err


def test_no_check_is_said_even_when_quiet(tmp_path, secure):
    result = tool.ok("pull", secure.ref("a/tiny:v1"), tmp_path / "out", "--tls-verify=false", "--quiet")
    assert result.err.count("is not checked") == 1


def test_https_where_http_was_meant_and_the_other_way_round(secure, pushed, authority):
    result = tool.fails(tool.TLS, "ls", secure.ref("a/tiny:v1"), "--plain-http")
    assert "https" in result.err and "--plain-http" in result.err
    result = tool.fails(tool.TLS, "ls", pushed, "--ca-file", authority.certificate)
    assert "--plain-http" in result.err


def test_each_side_of_pack_has_its_own_options(tmp_path, secure, authority, model, repo):
    """The base comes over https with its authority, the image goes to a registry without."""
    base = secure.ref("a/tiny:v1")
    tool.fails(tool.TLS, "pack", model, f"{repo}:v1", "--onto", base, "--src-ca-file", "/nonexistent")
    tool.fails(tool.TLS, "pack", model, f"{repo}:v1", "--onto", base, "--ca-file", authority.certificate)
    tool.ok("pack", model, f"{repo}:v1", "--onto", base, "--prefix", "more", "--src-ca-file", authority.certificate)


def test_ipv6_with_tls(tmp_path, start, authority, model):
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("absent: IPv6")
    server = start(DockerRegistry, "six", authority=authority, address="::1")
    flags = ["--ca-file", authority.certificate]
    tool.ok("pack", model, server.ref("a/tiny:v1"), *flags)
    tool.ok("pull", server.ref("a/tiny:v1"), tmp_path / "out", *flags)
    trees.assert_same(model, tmp_path / "out")


def test_a_certificate_that_changes_in_mid_pull_ends_it(tmp_path, start, secure, authority):
    """Nobody else goes on where the registry was."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/big.bin").write_bytes(random.Random(models.SEED).randbytes(12 << 20))
    tool.ok("pack", tmp_path / "tree", secure.ref("a/big:v1"), "--ca-file", authority.certificate)
    other = Authority(tmp_path / "other")
    imposter = start(DockerRegistry, "imposter", authority=other)

    def swap_at_the_second_cut() -> int:
        way.upstream = imposter.port if way.cuts else way.upstream
        return 3 << 20

    way = Cutter(secure.port, cut_after=swap_at_the_second_cut, answers=True)
    try:
        result = tool.fails(tool.TLS, "pull", way.ref("a/big:v1"), tmp_path / "out", "--ca-file", authority.certificate)
    finally:
        way.close()
    assert "not trusted" in result.err and not (tmp_path / "out").exists()


def serve_tls(context: ssl.SSLContext, seen: list) -> socket.socket:
    """Shakes hands with whoever comes, and notes the protocol that both chose, or that there was none."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(client, server_side=True) as wrapped:
                    seen.append(wrapped.selected_alpn_protocol())
            except OSError as error:
                seen.append(error)

    threading.Thread(target=run, daemon=True).start()
    return listener


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2], ids=["1.0", "1.2"])
def test_tls_of_yesterday_is_not_spoken_and_http_2_not_offered(authority, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(*authority.issue(f"old{version.value}"))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    seen: list = []
    with serve_tls(context, seen) as listener:
        code = tool.TLS if version == ssl.TLSVersion.TLSv1 else tool.NETWORK
        tool.fails(code, "ls", f"127.0.0.1:{listener.getsockname()[1]}/a/x:v1", "--ca-file", authority.certificate)
        listener.shutdown(socket.SHUT_RDWR)
    assert seen and "h2" not in seen


def test_a_name_with_a_dead_address_is_reached_at_its_other(start, authority, model):
    """localhost is 127.0.0.1, where nobody listens, and ::1."""
    if not os.path.exists("/proc/net/if_inet6") or "::1" not in open("/etc/hosts").read():
        pytest.skip("absent: IPv6")
    server = start(DockerRegistry, "six", address="::1")
    tool.ok("pack", model, f"localhost:{server.port}/a/tiny:v1")
