"""Models that are larger than any disk here: nearly all hole, on a file system in which zeros take no room."""
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import models
import servers
import tool

MIB, GIB = 1 << 20, 1 << 30
SHARDS = 4
SIZE = int(os.environ.get("MODELCAR_SPARSE_GIB", "20")) * GIB  # 200, measured by hand, takes a quarter of an hour
SMALL = 1 * GIB


class SparseFs:
    """tests/sparsefs: `root`, in which what is written lands in `back`, but for zeros."""

    def __init__(self, root: Path):
        self.back, self.root = root / "back", root / "mount"
        program = Path(tool.release_binary()).resolve().parents[1] / "tests" / "sparsefs/sparsefs"
        if not program.exists():
            pytest.skip("absent: libfuse3, to build tests/sparsefs with")
        for path in (self.back, self.root):
            path.mkdir(parents=True)
        self.process = subprocess.Popen([program, self.back, self.root], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True)
        while not os.path.ismount(self.root):
            if self.process.poll() is not None:
                pytest.skip(f"absent: the right to mount with FUSE ({self.process.stderr.read().strip()})")
            time.sleep(0.01)

    def close(self) -> None:
        self.process.terminate()  # unmounts
        self.process.wait(20)
        self.process.stderr.close()


def data(path: Path) -> list[tuple[int, bytes]]:
    """What a file holds but zeros, in pages."""
    found, at, page = [], 0, 4096
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole from here on
                break
            for at in range(at - at % page, os.lseek(fd, at, os.SEEK_HOLE), page):
                text = os.pread(fd, page, at)
                if text.strip(b"\0"):
                    found.append((at, text))
            at += page
    finally:
        os.close(fd)
    return found


def write_shards(root: Path, size: int) -> Path:
    for i in range(SHARDS):
        models.sparse(root, size // SHARDS + i * 12345, name=f"part-{i}.bin")
    return models.write(root, {"config.json": "{}"})


@pytest.fixture
def sparse(start) -> SparseFs:
    return start(SparseFs, "sparse")


@pytest.mark.heavy
@pytest.mark.long
@pytest.mark.parametrize("size", [SMALL, SIZE], ids=["small", "large"])
def test_memory_stays_within_32_mib_whatever_the_model(tmp_path, sparse, start, size):
    tree = write_shards(tmp_path / "tree", size)
    registry = start(servers.Distribution, "sparse/mount/registry")
    ref, dest = registry.ref("test/sparse:v1"), sparse.root / "place/m"
    dest.parent.mkdir()
    for step in (["pack", "--no-cache", tree, ref], ["pull", ref, dest], ["verify", "--full", dest], ["verify", ref]):
        usage = tool.measure(*step, log=tmp_path / "log")
        print(json.dumps({"step": step[:2], "gib": size // GIB, "rss_mib": round(usage.rss_bytes / MIB, 1),
                          "seconds": round(usage.seconds, 1)}), flush=True)
        assert usage.code == 0 and usage.rss_bytes > 0, usage.out
        assert usage.rss_bytes <= 32 * MIB, f"{step[0]}: {usage.rss_bytes / MIB:.1f} MiB"
    assert sum(path.lstat().st_blocks for path in sparse.back.rglob("*")) * 512 <= 128 * MIB
    for path in tree.iterdir():
        landed = sparse.back / "place/m" / path.name
        assert landed.stat().st_size == path.stat().st_size
        assert data(landed) == data(path)
    assert "unchanged" in tool.ok("pull", ref, dest, binary_path=tool.release_binary()).err
    shutil.rmtree(tree)
