"""Fixtures: a model, a registry, and every consumer, which is skipped by name where it is absent."""
import os
import random
import secrets
import shutil
import signal
import subprocess
import tempfile
import zlib
from pathlib import Path

import pytest

import consumers
import crashes
import images
import logins
import models
import pods as kube
import servers
import tool
from cutter import Cutter

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: what we start would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header():
    return f"binary: {tool.binary()}, MODELCAR_SEED={models.SEED}"


def is_drawn(item) -> bool:
    """Long matrices run a sample that the seed decides: other days, other parts."""
    matrix = item.get_closest_marker("matrix")
    if item.get_closest_marker("long"):
        return False
    return not matrix or zlib.crc32(f"{models.SEED}{item.nodeid}".encode()) % matrix.args[0] == 0


def pytest_collection_modifyitems(config, items):
    if os.environ.get("MODELCAR_FULL") == "1":
        return
    left = [item for item in items if not is_drawn(item)]
    items[:] = [item for item in items if is_drawn(item)]
    config.hook.pytest_deselected(items=left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of each server that it used."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, servers.DockerRegistry):
                report.sections.append((f"log of {name}", value.log()[-3000:]))
    return report


@pytest.fixture(scope="session")
def scratch():
    """A short path of our own: sockets have 108 bytes for theirs."""
    path = Path(tempfile.gettempdir()) / f"modelcar-{secrets.token_hex(4)}"  # podman takes it for a name
    path.mkdir(mode=0o700)
    yield path
    consumers.leave_mounts(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A Hugging Face model of four shards; shared, so never changed."""
    return models.huggingface(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def own_model(tmp_path) -> Path:
    """One that the test may change."""
    return models.huggingface(tmp_path / "own-model")


@pytest.fixture(scope="session")
def registry(scratch):
    server = servers.DockerRegistry(scratch / "registry")
    yield server
    server.close()


@pytest.fixture
def start(tmp_path):
    """Starts what is given and has a close(), and ends it with the test: start(Class, "name", …)."""
    running = []

    def begin(kind, name, *args, **kwargs):
        running.append(kind(tmp_path / name, *args, **kwargs))
        return running[-1]

    yield begin
    for server in reversed(running):
        server.close()


@pytest.fixture(scope="session")
def basic(scratch):
    """A registry for one user."""
    server = servers.DockerRegistry(scratch / "basic", users=logins.USERS)
    yield server
    server.close()


@pytest.fixture
def home(tmp_path):
    """The environment of a user with an empty home."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


@pytest.fixture
def way(registry):
    """A proxy before the registry, which counts and holds what it answers."""
    cutter = Cutter(registry.port, answers=True)
    yield cutter
    cutter.close()


@pytest.fixture
def repo(request, registry) -> str:
    """A repository of this test alone in the shared registry; tests of two files may have one name."""
    name = f"{request.module.__name__}/{request.node.name.split('[')[0]}"
    return registry.ref(name.replace("_", "-").lower())


@pytest.fixture(scope="session")
def packed(tmp_path_factory, model) -> Path:
    """An OCI layout that holds `model` under the tag v1; shared, so never changed."""
    layout = tmp_path_factory.mktemp("packed") / "layout"
    tool.ok("pack", model, f"oci:{layout}:v1")
    return layout


@pytest.fixture
def own_layout(tmp_path, packed) -> Path:
    """A copy of `packed` to damage."""
    return Path(shutil.copytree(packed, tmp_path / "own-layout"))


@pytest.fixture
def foreign(tmp_path) -> images.ImageLayout:
    return images.ImageLayout(tmp_path / "foreign")


@pytest.fixture(scope="session")
def pushed(registry, model) -> str:
    """`model` in the registry, as a reference with a tag."""
    ref = registry.ref("shared/tiny:v1")
    tool.ok("pack", model, ref)
    return ref


def fixture_for(kind):
    @pytest.fixture(scope="session", name=kind.__name__.lower())
    def consumer(scratch):
        try:
            made = kind(scratch / kind.__name__.lower())
        except consumers.Absent as absent:
            pytest.skip(f"absent: {absent}")
        yield made
        if hasattr(made, "close"):
            made.close()

    return consumer


skopeo, podman, buildah, umoci, crane, containerd, kserve, olot = map(fixture_for, (
    consumers.Skopeo, consumers.Podman, consumers.Buildah, consumers.Umoci, consumers.Crane,
    consumers.Containerd, consumers.KServe, consumers.Olot))


@pytest.fixture(scope="session")
def container_images(scratch) -> Path:
    """An OCI layout with the images of deploy/image: modelcar and base."""
    layout = scratch / "images"
    kube.build_images(layout)
    return layout


@pytest.fixture(scope="session")
def pod_podman(container_images, podman):
    if os.geteuid() != 0:
        pytest.skip("absent: root, for pods with volumes")
    kube.load_images(podman, container_images)
    return podman


@pytest.fixture
def pods(pod_podman, tmp_path_factory):
    """Plays pods of deploy/, and removes them and their volumes."""
    made = kube.Pods(pod_podman, tmp_path_factory.mktemp("pods"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def second_file_system():
    """A directory on another file system than the tests' own."""
    here = Path(tempfile.gettempdir())
    for place in (Path("/dev/shm"), Path("/run"), Path("/var/tmp")):
        if place.is_dir() and place.stat().st_dev != here.stat().st_dev and shutil.disk_usage(place).free > 2**26:
            path = Path(tempfile.mkdtemp(prefix="modelcar-", dir=place))
            yield path
            shutil.rmtree(path)
            return
    pytest.skip("absent: a second file system")


@pytest.fixture
def small_volume(tmp_path):
    """Mounts a file system of so many bytes."""
    volume = tmp_path / "volume"
    volume.mkdir()

    def mount(size: int) -> Path:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", volume], capture_output=True).returncode:
            pytest.skip("absent: the right to mount")
        return volume

    yield mount
    subprocess.run(["umount", volume], capture_output=True)


@pytest.fixture
def unprivileged():
    """Runs the tool as a user to whom permissions apply, or says that it cannot: -> options for tool.run."""
    if os.geteuid() != 0:
        return {}
    probe = subprocess.run([tool.binary(), "--version"], user=65534, group=65534, capture_output=True)
    if probe.returncode:
        pytest.skip("absent: a binary that another user may run")
    return {"user": 65534, "group": 65534, "extra_groups": []}


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory):
    return crashes.make_versions(tmp_path_factory.mktemp("versions"))


@pytest.fixture(scope="session")
def two_refs(tmp_path_factory, two_versions) -> tuple[str, str]:
    """Both in a layout."""
    return crashes.pack_versions(two_versions, f"oci:{tmp_path_factory.mktemp('refs')}/l")


@pytest.fixture(scope="session")
def two_foreign_refs(tmp_path_factory, two_versions) -> tuple[str, str]:
    """Both in a layout, as another tool writes them."""
    return crashes.write_versions(two_versions, images.ImageLayout(tmp_path_factory.mktemp("refs") / "foreign"))


@pytest.fixture
def memory_place(second_file_system):
    """A directory of the test alone, on another file system than its own."""
    path = Path(tempfile.mkdtemp(dir=second_file_system))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def out(tmp_path):
    """A place with nothing beside it."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place/out"


@pytest.fixture
def shards(tmp_path):
    """Two weight files of several blocks, and a small one; the test's own."""
    draw, block = random.Random(models.SEED), 4 * crashes.MIB
    return models.write(tmp_path / "shards", {"a.bin": draw.randbytes(3 * block + 7), "b.bin": draw.randbytes(2 * block),
                                              "config.json": "{}"})
