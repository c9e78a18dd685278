"""Blobs of a layout are sent from their files: whole, resumed, and never taken for what they are not."""
import os
import shutil

import pytest

import models
import tool
from copies import assert_whole, pack_weights
from cutter import Cutter, at_random
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
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_wrong_bytes_at_the_source_never_get_a_name(tmp_path, weights, start, kind, secure):
    """Large files go to a plain registry unread, which must not make a difference."""
    authority = Authority(tmp_path / "ca") if secure else None
    server = start(kind, "to", authority=authority)
    shutil.copytree(weights, tmp_path / "layout")
    large = [path for path in (tmp_path / "layout/blobs/sha256").iterdir() if path.stat().st_size > 2 * MIB]
    for path in large[:2]:
        models.flip(path, path.stat().st_size // 2)
    options = ["--ca-file", authority.certificate] if secure else []
    result = tool.fails(tool.MISMATCH, "cp", f"oci:{tmp_path}/layout:v1", server.ref("b/n:v1"), *options)
    assert any(path.name in result.err for path in large[:2])
    tool.fails(tool.NOT_FOUND, "inspect", server.ref("b/n:v1"), *options)
    assert not {f"sha256:{path.name}" for path in large[:2]} & set(server.blobs())


def test_a_file_cut_short_at_the_source_is_named(tmp_path, weights, start):
    server = start(DockerRegistry, "to")
    shutil.copytree(weights, tmp_path / "layout")
    largest = max((tmp_path / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size - 1)
    assert largest.name in tool.fails(tool.MISMATCH, "cp", f"oci:{tmp_path}/layout:v1", server.ref("b/n:v1")).err
    assert not server.has("b/n", "v1")
