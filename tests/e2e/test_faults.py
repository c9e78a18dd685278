"""Every behaviour of faults.py, against pull, push and copy: right bytes, or the promised exit code and nothing left."""
import os
import shutil
import zlib

import pytest

import faults
import images
import models
import tool
import trees
from backends import PASSWORD, USER, Memory, Upstream, digest_of
from fault import Server
from servers import write_authfile

SEEDS = range(models.SEED, models.SEED + int(os.environ.get("MODELCAR_SEEDS", "3")))
REPOSITORY = "test/faulty"
WHERE = {where: [f for f in faults.FAULTS.values() if f.where == where] for where in ("pull", "push")}
REAL = {where: [f for f in found if f.real and not f.guarded] for where, found in WHERE.items()}


def each(found: list[faults.Fault]):
    return pytest.mark.parametrize("fault", [pytest.param(f, id=f.name) for f in found])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two shards that are sent in chunks, and files that are sent at once."""
    return models.huggingface(tmp_path_factory.mktemp("faulty") / "tree", shards=2, rows=600)


@pytest.fixture(scope="module")
def stored(tmp_path_factory, small):
    layout = tmp_path_factory.mktemp("faulty") / "layout"
    tool.ok("pack", small, f"oci:{layout}:v1")
    return layout


class Faulty:
    """A server with one fault, and the tool run against it."""

    def __init__(self, root, server, fault, seed):
        self.root, self.server, self.fault, self.seed = root, server, fault, seed
        self.ref = f"{server.host}/{REPOSITORY}:v1"
        (root / "place").mkdir()
        self.dest = root / "place/out"
        self.authfile = write_authfile(root / "auth.json", server.host, USER, PASSWORD)

    def run(self, *args) -> tool.Result:
        self.server.inject(self.fault, self.seed)
        result = tool.run(*args, "--authfile", self.authfile, timeout=300,
                          env={"MODELCAR_RETRY_FOR": "4s" if self.fault.outcome else "150s",
                               "MODELCAR_STALL_TIMEOUT": f"{faults.PATIENCE}s"})
        assert self.server.fired, f"the fault did not come about\n{result}\n{self.server.log}"
        assert not self.server.leaked, "a credential went to another origin"
        assert not [s for s in faults.SECRETS if s in result.out + result.err], str(result)
        assert result.code in self.fault.codes, f"{self.fault.codes} was expected\n{result}\n{self.server.log[-20:]}"
        if result.code:
            assert result.out == "" and len(tool.error_lines(result)) == 1, str(result)
        self.server.fault = None
        return result

    def check_pull(self, tree) -> None:
        result = self.run("pull", self.ref, self.dest)
        if result.code:
            assert not trees.leftovers(self.dest.parent, set()), str(result)
        else:
            trees.assert_same(tree, self.dest)

    def check_push(self, tree, *options) -> None:
        result = self.run("pack", tree, self.ref, *options)
        flags = ["--authfile", self.authfile]
        if result.code:
            tool.fails(tool.NOT_FOUND, "pull", self.ref, self.dest, *flags)
            tool.ok("pack", tree, self.ref, *options, *flags)
        tool.ok("pull", self.ref, self.dest, *flags)
        trees.assert_same(tree, self.dest)


    def check_copy(self, source: str, target: Server) -> None:
        """From `source` to `target`, one of which is the faulty one."""
        result = self.run("cp", source, f"{target.host}/{REPOSITORY}:v1")
        if result.code:
            assert (REPOSITORY, "v1") not in target.backend.manifests, str(result)
            tool.ok("cp", source, f"{target.host}/{REPOSITORY}:v1", "--authfile", self.authfile)


@each(WHERE["pull"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_pull_gets_over_it_or_says_why_not(tmp_path, small, stored, fault, seed):
    with Server(Memory(fault.guarded)) as server:
        server.backend.load(stored, REPOSITORY)
        Faulty(tmp_path, server, fault, seed).check_pull(small)


@each(WHERE["push"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_push_gets_over_it_or_says_why_not(tmp_path, small, fault, seed):
    with Server(Memory(fault.guarded)) as server:
        Faulty(tmp_path, server, fault, seed).check_push(small)


def assert_copied(stored, target: Server) -> None:
    there, layout = target.backend, trees.Layout(stored)
    document = layout.document(layout.tagged("v1"))
    assert digest_of(there.manifests[REPOSITORY, "v1"][1]) == layout.tagged("v1")
    for digest in (d["digest"] for d in document["manifests"]):
        assert there.manifests[REPOSITORY, digest][1] == layout.blob_path(digest).read_bytes()
        manifest = layout.document(digest)
        for blob in [manifest["config"], *manifest["layers"]]:
            assert there.blobs[blob["digest"]] == layout.blob_path(blob["digest"]).read_bytes()


@each(WHERE["pull"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_gets_over_its_source_or_says_why_not(tmp_path, stored, fault, seed):
    with Server(Memory(fault.guarded)) as source, Server(Memory()) as target:
        source.backend.load(stored, REPOSITORY)
        faulty = Faulty(tmp_path, source, fault, seed)
        if "tag moved" in fault.name:  # what is copied is what was resolved
            faulty.run("cp", faulty.ref, f"{target.host}/{REPOSITORY}:v1")
        else:
            faulty.check_copy(faulty.ref, target)
        assert_copied(stored, target)


@each(WHERE["push"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_copy_gets_over_its_destination_or_says_why_not(tmp_path, stored, fault, seed):
    with Server(Memory()) as source, Server(Memory(fault.guarded)) as target:
        source.backend.load(stored, REPOSITORY)
        Faulty(tmp_path, target, fault, seed).check_copy(f"{source.host}/{REPOSITORY}:v1", target)
        assert_copied(stored, target)


@each(faults.MOUNTS)
def test_a_layer_that_is_not_mounted_is_sent(tmp_path, small, foreign, fault):
    images.base(foreign)
    with Server(Memory()) as server:
        server.backend.load(foreign.root, "test/base")
        Faulty(tmp_path, server, fault, models.SEED).check_push(small, "--onto", f"{server.host}/test/base:base")


@each(REAL["pull"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_pull_through_a_faulty_proxy(tmp_path, small, registry, fault, seed):
    tool.ok("pack", small, registry.ref(f"{REPOSITORY}:v1"))
    with Server(Upstream(registry.host)) as server:
        Faulty(tmp_path, server, fault, seed).check_pull(small)


@each(REAL["push"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_push_through_a_faulty_proxy(tmp_path, registry, fault, seed):
    name = fault.name.replace(" ", "-").replace(",", "").lower()
    tree = models.huggingface(tmp_path / "tree", shards=2, rows=600, seed=zlib.crc32(f"{name} {seed}".encode()))
    with Server(Upstream(registry.host)) as server:
        faulty = Faulty(tmp_path, server, fault, seed)
        faulty.ref = f"{server.host}/test/faulty-{name}-{seed}:v1"
        faulty.check_push(tree)
    shutil.rmtree(tree)


def test_a_fault_that_lasts_takes_little_memory(tmp_path, stored):
    """An error whose body has no end is read as far as its message."""
    with Server(Memory()) as server:
        server.backend.load(stored, REPOSITORY)
        server.inject(faults.FAULTS["endless error, manifest"], models.SEED)
        usage = tool.measure("pull", f"{server.host}/{REPOSITORY}:v1", tmp_path / "out", log=tmp_path / "log")
    assert usage.code == tool.NETWORK and usage.rss_bytes <= 32 << 20, usage
