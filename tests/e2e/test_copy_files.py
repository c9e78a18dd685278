"""Blobs of a layout are sent from their files: whole, resumed, and never taken for what they are not."""
import errno
import os
import shutil

import pytest

import crashes
import models
import tool
from backends import Memory
from copies import assert_whole, pack_weights
from cutter import Cutter, at_random
from fault import Server
from servers import Authority, Distribution, DockerRegistry

MIB = 2**20


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return pack_weights(tmp_path_factory)


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_files_of_a_layout_go_over_connections_that_are_cut(tmp_path, weights, start, kind):
    server = start(kind, "to")
    way = Cutter(server.port, at_random(models.SEED, 2 * MIB, 9 * MIB))
    try:
        tool.ok("cp", f"oci:{weights}:v1", way.ref("b/n:v1"), "--state-dir", tmp_path / "state")
        assert way.cuts > 0
    finally:
        way.close()
    assert_whole(server, "b/n", weights)


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
@pytest.mark.parametrize("way", ["plain", "tls", "tls-by-surprise"])
def test_wrong_bytes_at_the_source_never_get_a_name(tmp_path, weights, start, kind, way):
    """Large files go to a plain registry unread, which must not make a difference."""
    authority = Authority(tmp_path / "ca") if way != "plain" else None
    server = start(kind, "to", authority=authority)
    shutil.copytree(weights, tmp_path / "layout")
    large = [path for path in (tmp_path / "layout/blobs/sha256").iterdir() if path.stat().st_size > 2 * MIB]
    for path in large[:2]:
        models.flip(path, path.stat().st_size // 2)
    options = ["--ca-file", authority.certificate] if way == "tls" else []
    env = {"SSL_CERT_FILE": str(authority.certificate)} if way == "tls-by-surprise" else {}
    result = tool.fails(tool.MISMATCH, "cp", f"oci:{tmp_path}/layout:v1", server.ref("b/n:v1"), *options, env=env)
    assert any(path.name in result.err for path in large[:2])
    assert "content hashes to" in result.err, result.err
    tool.fails(tool.NOT_FOUND, "inspect", server.ref("b/n:v1"), *options, env=env)
    assert not {f"sha256:{path.name}" for path in large[:2]} & set(server.blobs())


def test_a_file_cut_short_at_the_source_is_named(tmp_path, weights, start):
    server = start(DockerRegistry, "to")
    shutil.copytree(weights, tmp_path / "layout")
    largest = max((tmp_path / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size - 1)
    assert largest.name in tool.fails(tool.MISMATCH, "cp", f"oci:{tmp_path}/layout:v1", server.ref("b/n:v1")).err
    assert not server.has("b/n", "v1")


@pytest.mark.parametrize("act,times", [(errno.EINVAL, 0), (errno.ENOSYS, 0), (errno.ETIMEDOUT, 1), (errno.ENOTCONN, 1),
                                       (errno.EIO, 1), ("short", 0)])
def test_where_the_system_does_not_send_a_file_it_goes_another_way(tmp_path, weights, start, act, times):
    """A file system that does not know how, and connections that end in all the ways that they can."""
    server = start(Distribution, "to")
    ran = crashes.run("cp", f"oci:{weights}:v1", server.ref("b/n:v1"), "--retry-for", "30s", root=tmp_path,
                      act=str(act), at=2, kinds="sendfile", times=times)
    assert ran.result.code == tool.OK, str(ran.result)
    assert len(ran.calls) > 2
    assert_whole(server, "b/n", weights)


def cut_short(path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def change(path) -> None:
    models.flip(path, path.stat().st_size * 3 // 4)


@pytest.mark.parametrize("act", [cut_short, change])
def test_a_file_that_changes_while_it_is_sent_is_named(tmp_path, weights, start, act):
    server = start(DockerRegistry, "to")
    shutil.copytree(weights, tmp_path / "layout")
    largest = max((tmp_path / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    push = crashes.start("cp", f"oci:{tmp_path}/layout:v1", server.ref("b/n:v1"), root=tmp_path, act="stop-before", at=3,
                         kinds="sendfile")
    err = crashes.meanwhile(push, lambda: act(largest), timeout=120)
    assert push.returncode == tool.MISMATCH and largest.name in err, err
    assert not server.has("b/n", "v1")


def spoil(weights, root):
    """A copy of the layout in which one large blob is not what its name says."""
    shutil.copytree(weights, root)
    largest = max((root / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    change(largest)
    return f"oci:{root}:v1", largest.name


def test_what_a_registry_that_compares_nothing_took_is_found_by_each_pull(tmp_path, weights):
    """The one case in which a push does not know: the bytes went from the file, and nobody looked."""
    source, name = spoil(weights, tmp_path / "layout")
    with Server(Memory()) as server:
        server.backend.compares = False
        tool.ok("cp", source, f"{server.host}/b/n:v1")
        assert name in tool.fails(tool.MISMATCH, "pull", f"{server.host}/b/n:v1", tmp_path / "out").err


def test_what_passes_through_our_hands_anyway_is_hashed(tmp_path, weights):
    """On the way to a proxy, for one."""
    source, name = spoil(weights, tmp_path / "layout")
    with Server(Memory()) as server:
        server.backend.compares = False
        result = tool.fails(tool.MISMATCH, "cp", source, "registry.invalid/b/n:v1", "--plain-http",
                            env={"HTTP_PROXY": f"http://{server.host}"})
        assert name in result.err
        assert f"sha256:{name}" not in server.backend.blobs
