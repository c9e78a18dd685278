"""Pushes that are cut, killed and run again: what is sent twice, and what never is."""
import os
import random
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

import consumers
import models
import tool
import trees
from cutter import Cutter, at_random
from servers import DockerRegistry

MIB = 2**20
SIZES = (40 * MIB, 24 * MIB, 12 * MIB)
TOTAL = sum(SIZES)


class Distribution(DockerRegistry):
    """The third version, which keeps an upload that is cut inside a request."""

    def __init__(self, root):
        try:
            self.program = consumers.find("registry")
        except consumers.Absent as absent:
            pytest.skip(f"absent: {absent} (distribution 3)")
        super().__init__(root)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Three files that compress to nothing less, one layer each."""
    root, chance = tmp_path_factory.mktemp("weights"), random.Random(models.SEED)
    for number, size in enumerate(SIZES):
        (root / f"part{number}.bin").write_bytes(chance.randbytes(size))
    return root


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
        env = {"MODELCAR_STATE_DIR": str(state)}

        def begin(self, ref: str, *flags) -> subprocess.Popen:
            return subprocess.Popen([tool.binary(), "pack", str(weights), ref, *map(str, flags)],
                                    env=tool.clean_env(self.env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

        def ok(self, ref: str, *flags) -> tool.Result:
            return tool.ok("pack", weights, ref, *flags, env=self.env)

        def leftovers(self) -> list[str]:
            return sorted(os.listdir(state)) if state.is_dir() else []

    return Push()


def interrupt_at(push, cutter: Cutter, bytes_: float, number: signal.Signals, name="a/m:v1") -> int:
    """Runs until so many bytes were sent in all, then signals; returns the exit status."""
    process = push.begin(cutter.ref(name))
    while cutter.received < bytes_ and process.poll() is None:
        time.sleep(0.002)
    if process.poll() is None:
        process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


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
    server = start(Distribution, "registry")
    way, chance = Cutter(server.port, rate=200 * MIB), random.Random(models.SEED)
    try:
        for point in sorted(chance.uniform(0.02, 0.98) * TOTAL for _ in range(10)):
            interrupt_at(push, way, point, signal.SIGKILL)
        push.ok(way.ref("a/m:v1"))
        assert way.received <= 1.1 * TOTAL
    finally:
        way.close()
    assert push.leftovers() == []
    check_content(tmp_path, weights, server.ref("a/m:v1"))


def test_a_finished_blob_is_never_sent_again(server, cutter, push):
    way = cutter(rate=100 * MIB)
    interrupt_at(push, way, TOTAL - 8 * MIB, signal.SIGKILL)
    before, finished = way.received, [size for size in server.blobs().values() if size >= SIZES[-1]]
    assert finished
    push.ok(way.ref("a/m:v1"))
    assert way.received - before <= TOTAL - sum(finished) + MIB


def test_a_signal_ends_the_request_and_then_stops(cutter, push):
    way = cutter(rate=30 * MIB)
    assert interrupt_at(push, way, 10 * MIB, signal.SIGTERM) == 128 + signal.SIGTERM
    push.ok(way.ref("a/m:v1"))
    assert way.received <= 1.02 * TOTAL
    assert push.leftovers() == []


def test_the_state_of_an_upload_is_its_owners_alone(cutter, push):
    way = cutter(rate=20 * MIB)
    interrupt_at(push, way, 8 * MIB, signal.SIGKILL)
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


def test_it_gives_up_when_nothing_moves_for_the_time_allowed(weights, server, cutter, push):
    way = cutter(rate=40 * MIB)
    process = push.begin(way.ref("a/m:v1"), "--retry-for", "2s")
    while way.received < 8 * MIB and process.poll() is None:
        time.sleep(0.01)
    server.close()
    _, said = process.communicate(timeout=60)
    assert process.returncode == tool.NETWORK, said.decode()
    assert b"sent" in said.splitlines()[-1]


def lose_a_blob(server) -> bool:
    """Deletes one large blob, if there is one already."""
    for digest in [d for d, size in server.blobs().items() if size >= SIZES[-1]]:
        request = urllib.request.Request(f"{server.base}/v2/a/m/blobs/{digest}", method="DELETE")
        try:
            urllib.request.urlopen(request, timeout=20).close()
            return True
        except urllib.error.HTTPError:
            pass  # stored, but not yet in the repository
    return False


def test_a_blob_that_the_registry_lost_meanwhile_is_sent_again(tmp_path, weights, server, cutter, push):
    way = cutter(rate=20 * MIB)
    process = push.begin(way.ref("a/m:v1"))
    while not lose_a_blob(server) and process.poll() is None:
        time.sleep(0.01)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0 and b"has lost 1 blob" in said, said.decode()
    check_content(tmp_path, weights, server.ref("a/m:v1"))


def test_a_checkpoint_tag_never_replaces_a_tag_of_somebody(weights, server, push):
    push.ok(server.ref("a/m:other"), "--single")
    before = server.get("a/m", "other")
    tool.fails(tool.TAG_EXISTS, "pack", weights, server.ref("a/m:v1"), "--checkpoint-tag", "other")
    assert server.get("a/m", "other") == before


def test_a_checkpoint_tag_needs_a_registry_and_another_name(tmp_path, weights):
    tool.fails(tool.USAGE, "pack", weights, f"oci:{tmp_path}/layout:v1", "--checkpoint-tag", "keep")
    tool.fails(tool.USAGE, "pack", weights, "127.0.0.1:1/a/m:v1", "--checkpoint-tag", "v1")
