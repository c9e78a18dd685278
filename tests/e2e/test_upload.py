"""Pushes that are cut, killed and run again: what is sent twice, and what never is."""
import json
import os
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import images
import models
import tool
import trees
from cutter import Cutter, at_random
from front import Front
from servers import Distribution, DockerRegistry

MIB = 2**20
SIZES = (40 * MIB, 24 * MIB, 12 * MIB)
TOTAL = sum(SIZES)
LIGHT = (6 * MIB, 4 * MIB, 2 * MIB)


def write_files(root, sizes):
    """Files that compress to nothing less, one layer each."""
    chance = random.Random(models.SEED)
    for number, size in enumerate(sizes):
        (root / f"part{number}.bin").write_bytes(chance.randbytes(size))
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("weights"), SIZES)


@pytest.fixture(params=[DockerRegistry, Distribution], ids=["docker-registry", "distribution-3"])
def server(request, start):
    return start(request.param, "registry")


@pytest.fixture
def cutter(server):
    """A way to `server` that the test arranges."""
    made = []

    def make(**how) -> Cutter:
        made.append(Cutter(server.port, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def push(tmp_path, weights):
    """Runs `pack` with a state directory; begin() leaves it running."""
    state = tmp_path / "state"

    class Push:
        state_dir = state
        env = {"MODELCAR_STATE_DIR": str(state), "XDG_CACHE_HOME": str(tmp_path / "cache")}

        tree = weights

        def begin(self, ref: str, *flags) -> subprocess.Popen:
            return subprocess.Popen([tool.binary(), "pack", str(self.tree), ref, *map(str, flags)],
                                    env=tool.clean_env(self.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def ok(self, ref: str, *flags) -> tool.Result:
            return tool.ok("pack", self.tree, ref, *flags, env=self.env)

        def leftovers(self) -> list[str]:
            """What is no temporary of a killed run, which a later one sweeps."""
            names = os.listdir(state) if state.is_dir() else []
            return sorted(name for name in names if not name.endswith(".part"))

    return Push()


def wait_for(condition, process: subprocess.Popen) -> None:
    """Until it is true; the process must still be at it then."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.002)


def interrupt(process: subprocess.Popen, way: Cutter, number: signal.Signals) -> int:
    """Signals a process that is held; returns its exit status when all that it sent has come to an end."""
    process.send_signal(number)
    if number == signal.SIGKILL:
        process.wait(60)
    way.release()
    process.communicate(timeout=120)
    way.settle()
    return process.returncode


def interrupt_at(push, way: Cutter, bytes_: float, number: signal.Signals, *flags, name="a/m:v1") -> int:
    """Runs until so many bytes were sent in all, then signals."""
    way.hold(lambda _: way.received >= bytes_)
    process = push.begin(way.ref(name), *flags)
    wait_for(way.held.is_set, process)
    return interrupt(process, way, number)


def check_content(tmp_path, weights, ref: str) -> None:
    tool.ok("pull", ref, tmp_path / "pulled")
    trees.assert_same(weights, tmp_path / "pulled")


def test_a_push_over_connections_cut_at_random_ends_well(tmp_path, weights, server, cutter, push):
    way = cutter(cut_after=at_random(models.SEED, 6 * MIB, 30 * MIB))
    push.ok(way.ref("a/m:v1"))
    assert way.cuts > 0
    if isinstance(server, Distribution):
        assert way.received <= 1.05 * TOTAL
    assert push.leftovers() == []
    check_content(tmp_path, weights, server.ref("a/m:v1"))


def test_killed_at_ten_points_hardly_a_byte_is_sent_twice(tmp_path, weights, start, push):
    server, kills = start(Distribution, "registry"), 10
    way, chance = Cutter(server.port), random.Random(models.SEED)
    try:
        for point in sorted(chance.uniform(0.02, 0.98) * TOTAL for _ in range(kills)):
            interrupt_at(push, way, point, signal.SIGKILL)
        push.ok(way.ref("a/m:v1"))
        # A busy server may be asked how far it is while some still waits in its socket.
        assert way.received <= TOTAL + kills * 2 * MIB
    finally:
        way.close()
    assert push.leftovers() == []
    check_content(tmp_path, weights, server.ref("a/m:v1"))


def test_an_upload_is_found_by_who_learnt_the_digest_meanwhile(tmp_path, start, push):
    server = start(Distribution, "registry")
    way = Cutter(server.port)
    try:
        interrupt_at(push, way, TOTAL / 2, signal.SIGKILL)
        tool.ok("pack", push.tree, f"oci:{tmp_path}/layout:v1", env=push.env)  # remembers what it hashes
        push.ok(way.ref("a/m:v1"))
        assert way.received <= TOTAL + 2 * MIB
    finally:
        way.close()
    assert push.leftovers() == []


def finished(server) -> list[int]:
    """The sizes of the large blobs that the repository has, not merely the storage."""
    return [size for digest, size in server.blobs().items() if size >= SIZES[-1] and in_repository(server, digest)]


def in_repository(server, digest: str, method="HEAD") -> bool:
    """With DELETE: and it has it no more."""
    request = urllib.request.Request(f"{server.base}/v2/a/m/blobs/{digest}", method=method)
    try:
        urllib.request.urlopen(request, timeout=60).close()
        return True
    except urllib.error.HTTPError:
        return False


def hold_the_largest(push, way: Cutter) -> subprocess.Popen:
    """Begins a push that cannot end before release(): only the largest blob has so many bytes."""
    way.hold(lambda passed: passed > SIZES[1] + MIB)
    return push.begin(way.ref("a/m:v1"))


@pytest.fixture(params=["with a cache", "with a cache that cannot be written"])
def pushing(request, push, small_volume):
    """A push, also where what is hashed cannot be remembered."""
    if "cannot" in request.param:
        cache = small_volume(MIB)
        (cache / "modelcar/layers").mkdir(parents=True)
        subprocess.run(["mount", "-o", "remount,ro", cache], check=True)
        push.env = push.env | {"XDG_CACHE_HOME": str(cache)}
    return push


def test_a_finished_blob_is_never_sent_again(server, cutter, pushing):
    way, push = cutter(), pushing
    process = hold_the_largest(push, way)
    wait_for(lambda: finished(server), process)
    interrupt(process, way, signal.SIGKILL)
    before, there = way.received, finished(server)
    push.ok(way.ref("a/m:v1"))
    assert way.received - before <= TOTAL - sum(there) + MIB


def test_a_signal_ends_the_request_and_then_stops(tmp_path_factory, cutter, push):
    push.tree = write_files(tmp_path_factory.mktemp("light"), LIGHT)
    way = cutter()
    assert interrupt_at(push, way, 3 * MIB, signal.SIGTERM) == 128 + signal.SIGTERM
    push.ok(way.ref("a/m:v1"))
    assert way.received <= 1.02 * sum(LIGHT)
    assert push.leftovers() == []


def test_the_state_of_an_upload_is_its_owners_alone(cutter, push):
    interrupt_at(push, cutter(), 8 * MIB, signal.SIGKILL)
    files = list(push.state_dir.iterdir())
    assert [f for f in files if f.suffix == ".json"]
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in files)


def test_without_a_place_for_state_a_push_still_ends_well(tmp_path, weights, server):
    (tmp_path / "file").write_text("")
    tool.ok("pack", weights, server.ref("a/m:v1"), "--state-dir", tmp_path / "file/below")


def test_a_server_that_ends_every_request_after_seconds_gets_all(tmp_path, weights, server, cutter, push):
    way = cutter(rate=20 * MIB, seconds=1)
    push.ok(way.ref("a/m:v1"))
    check_content(tmp_path, weights, server.ref("a/m:v1"))


def test_a_small_blob_that_is_too_large_for_one_request_goes_in_pieces(tmp_path, start, registry, repo):
    (tmp_path / "tree").mkdir()
    tree = write_files(tmp_path / "tree", (MIB // 2,))
    front = start(Front, "front", target=registry.host, rule=lambda seen: (
        (413, {}, b"") if int(seen.headers.get("Content-Length", 0)) > MIB // 4 else None))
    tool.ok("pack", tree, f"{repo.replace(registry.host, front.host)}:v1")
    check_content(tmp_path, tree, f"{repo}:v1")


def test_it_gives_up_when_nothing_moves_for_the_time_allowed(server, cutter, push):
    way = cutter()
    way.hold(lambda _: way.received >= 8 * MIB)
    process = push.begin(way.ref("a/m:v1"), "--retry-for", "2s")
    wait_for(way.held.is_set, process)
    server.close()
    way.release()
    _, said = process.communicate(timeout=300)
    assert process.returncode == tool.NETWORK, said.decode()
    assert b"sent" in said.splitlines()[-1]


def lose_a_blob(server) -> bool:
    """Deletes one large blob, if the repository has one already."""
    return any(in_repository(server, digest, "DELETE") for digest, size in server.blobs().items()
               if size >= SIZES[-1])


def test_a_blob_that_the_registry_lost_meanwhile_is_sent_again(tmp_path, weights, server, cutter, push):
    way = cutter()
    process = hold_the_largest(push, way)
    wait_for(lambda: lose_a_blob(server), process)
    way.release()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0 and b"has lost 1 blob" in said, said.decode()
    check_content(tmp_path, weights, server.ref("a/m:v1"))


def test_a_checkpoint_tag_never_replaces_a_tag_of_somebody(weights, server, push):
    push.ok(server.ref("a/m:other"), "--single")
    before = server.get("a/m", "other")
    tool.fails(tool.TAG_EXISTS, "pack", weights, server.ref("a/m:v1"), "--checkpoint-tag", "other")
    assert server.get("a/m", "other") == before


def test_a_checkpoint_tag_that_a_killed_run_has_left_goes_though_nothing_is_new(tmp_path, weights, server, push):
    layout = images.ImageLayout(tmp_path / "keep")
    layout.manifest("v1", layout.blob(b"{}", images.EMPTY), [], artifactType="application/vnd.modelcar.checkpoint.v1")
    push.ok(server.ref("a/m:v1"))
    tool.ok("cp", layout.ref("v1"), server.ref("a/m:keep"))
    push.ok(server.ref("a/m:v1"), "--checkpoint-tag", "keep", "--dry-run")
    assert server.has("a/m", "keep")
    assert "unchanged" in push.ok(server.ref("a/m:v1"), "--checkpoint-tag", "keep").err
    assert server.has("a/m", "v1") and not server.has("a/m", "keep")


def test_a_checkpoint_keeps_what_the_one_of_an_earlier_run_kept(tmp_path, start, push, monkeypatch):
    monkeypatch.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "false")  # so that the tag stays for us to see
    server, layout, push.tree = start(DockerRegistry, "registry"), images.ImageLayout(tmp_path / "keep"), tmp_path / "large"
    before = layout.blob(b"sent by a run before", images.LAYER)
    layout.manifest("v1", layout.blob(b"{}", images.EMPTY), [before], artifactType="application/vnd.modelcar.checkpoint.v1")
    tool.ok("cp", layout.ref("v1"), server.ref("a/m:keep"))
    models.write(push.tree, {"w.bin": b""})
    os.truncate(push.tree / "w.bin", 1024 * MIB)
    assert "stays" in push.ok(server.ref("a/m:v1"), "--checkpoint-tag", "keep").err
    kept = json.loads(server.get("a/m", "keep")[1])["layers"]
    assert before["digest"] in {layer["digest"] for layer in kept} and max(layer["size"] for layer in kept) > 1024 * MIB


def test_a_checkpoint_tag_needs_a_registry_and_another_name(tmp_path, weights):
    tool.fails(tool.USAGE, "pack", weights, f"oci:{tmp_path}/layout:v1", "--checkpoint-tag", "keep")
    tool.fails(tool.USAGE, "pack", weights, "127.0.0.1:1/a/m:v1", "--checkpoint-tag", "v1")
