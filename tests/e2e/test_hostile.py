"""Whatever a layer, a manifest or a layout says: nothing outside is touched, nothing stays, one line tells why."""
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

import hostile
import hostile_images
import hostile_tars
import tool
import trees
from backends import Memory
from fault import Server
from images import LAYER, ImageLayout

MIB = 1 << 20
RSS_MAX, SECONDS_MAX = 64 * MIB, 60
DOCUMENTED = {tool.OK, tool.NOT_FOUND, tool.MISMATCH, tool.MALFORMED, tool.UNSUPPORTED, hostile.NO_SPACE,
              hostile_images.IO}
NOWHERE = "/nowhere"  # names of cases do not depend on where the canary lives
PLACES = ["layout", "archive", "registry"]

pytestmark = pytest.mark.matrix(4)


def snapshot(root: Path) -> dict[str, tuple]:
    """All that an attack could change about a tree."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        st = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(st.st_mode) else ""
        content = os.readlink(path) if stat.S_ISLNK(st.st_mode) else content
        found[path.relative_to(root).as_posix()] = (st.st_mode, st.st_size, st.st_mtime_ns, st.st_nlink, content)
    return found


@dataclass
class World:
    """A place to pull into, and around it what must stay as it is: a canary, the working directory, the home."""
    root: Path

    def __post_init__(self):
        self.outside, self.here, self.home = (self.root / n for n in ("outside", "cwd", "home"))
        for path in (self.outside / "directory", self.here, self.home, self.root / "place"):
            path.mkdir(parents=True)
        (self.outside / "secret").write_text("secret")
        (self.outside / "link").symlink_to("secret")
        os.mkfifo(self.outside / "pipe")
        (self.here / "here").write_text("mine")
        self.dest = self.root / "place/out"

    def run(self, *args, **options) -> tool.Result:
        before = {p: snapshot(p) for p in (self.outside, self.here, self.home)}
        result = tool.run(*args, cwd=self.here, env={"HOME": str(self.home)}, timeout=SECONDS_MAX, **options)
        for path, was in before.items():
            assert snapshot(path) == was, f"{path} has changed\n{result}"
        shown = result.out + result.err
        assert "\x1b" not in shown and "secret" not in shown, str(result)
        if result.code:
            assert len(tool.error_lines(result)) == 1, str(result)
        return result

    def pull(self, ref: str, codes: tuple[int, ...], *flags, **options) -> tool.Result:
        result = self.run("pull", ref, self.dest, *flags, **options)
        assert result.code in codes, f"one of {codes} was expected\n{result}"
        expected = {"out"} if result.code == 0 else set()
        assert not trees.leftovers(self.dest.parent, expected), str(result)
        return result

    def look(self, ref: str) -> None:
        """The verbs that only read may accept or refuse it; they do no harm."""
        for verb in ("ls", "verify", "inspect"):
            result = self.run(verb, ref)
            assert result.code in DOCUMENTED, str(result)


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "world")


@pytest.fixture(scope="module")
def memory():
    """A registry that takes what it is given for granted."""
    with Server(Memory()) as server:
        yield server


def place(image: ImageLayout, where: str, memory) -> str:
    """The layout as it is, as an archive, or behind a registry."""
    if where == "layout":
        return image.ref("v1")
    if where == "archive":
        return f"oci-archive:{hostile_images.archive(image.root, lambda member, _: member)}:v1"
    memory.backend.load(image.root, "test/hostile")
    return f"{memory.host}/test/hostile:v1"


def landed(root: Path) -> dict[str, bytes]:
    return {name: (root / name).read_bytes() for name in trees.tree(root)}


def assert_links_stay_within(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_symlink() and path.exists():
            assert path.resolve().is_relative_to(root.resolve()), f"{path} leads to {path.resolve()}"


def build(image: ImageLayout, case: hostile.Case) -> None:
    image.image("v1", *(image.layer(plain) for plain in case.layers))


@pytest.mark.parametrize("module,name", [(m, n) for m in (hostile, hostile_tars) for n in m.layers(NOWHERE)],
                         ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_a_hostile_layer_is_refused_or_contained(world, foreign, module, name):
    case = module.layers(str(world.outside))[name]
    build(foreign, case)
    result = world.pull(foreign.ref("v1"), case.codes, *case.flags)
    world.look(foreign.ref("v1"))
    if result.code == 0:
        assert landed(world.dest) == case.lands
        assert_links_stay_within(world.dest)
        modes = {stat.S_IMODE(p.lstat().st_mode) for p in world.dest.rglob("*") if p.is_file() and not p.is_symlink()}
        assert modes <= {0o664, 0o775, 0o644}


@pytest.mark.parametrize("where", ["archive", "registry"])
@pytest.mark.parametrize("name", ["name models/../x", "link within, then a file through it", "hard link to canary",
                                  "chain of links out", "member of type 3"])
def test_a_hostile_layer_is_the_same_from_everywhere(world, foreign, memory, where, name):
    case = hostile.layers(str(world.outside))[name]
    build(foreign, case)
    world.pull(place(foreign, where, memory), case.codes)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", hostile_images.manifests())
def test_a_hostile_manifest_is_refused(world, foreign, memory, name, where):
    make, codes = hostile_images.manifests()[name]
    make(foreign)
    ref = place(foreign, where, memory)
    world.pull(ref, codes)
    world.look(ref)


@pytest.mark.parametrize("name", hostile_images.annotations())
def test_a_hostile_annotation_is_refused(world, foreign, name):
    make, codes = hostile_images.annotations()[name]
    make(foreign)
    result = world.pull(foreign.ref("v1"), codes)
    world.look(foreign.ref("v1"))
    if result.code == 0:
        assert landed(world.dest) == {"x": b"x"}


@pytest.mark.parametrize("name", hostile_images.WRECKED)
def test_a_hostile_layout_is_refused(world, own_layout, name):
    wreck, codes = hostile_images.WRECKED[name]
    wreck(own_layout)
    world.pull(f"oci:{own_layout}:v1", codes)
    world.look(f"oci:{own_layout}:v1")


@pytest.mark.parametrize("name", hostile_images.ARCHIVED)
def test_a_hostile_archive_is_refused(world, own_layout, name):
    change, codes = hostile_images.ARCHIVED[name]
    ref = f"oci-archive:{hostile_images.archive(own_layout, change)}:v1"
    world.pull(ref, codes)
    world.look(ref)


@pytest.mark.parametrize("name", hostile_tars.BOMBS)
def test_a_bomb_stays_within_memory_and_time(tmp_path, world, foreign, name):
    bomb = hostile_tars.BOMBS[name]()
    foreign.image("v1", (foreign.blob(bomb.blob, f"{LAYER}+{bomb.kind}"), bomb.diff_id))
    for step in (["pull", foreign.ref("v1"), world.dest], ["ls", foreign.ref("v1")]):
        usage = tool.measure(*step, log=tmp_path / "log")
        assert usage.code in (bomb.codes if step[0] == "pull" else DOCUMENTED), usage.out
        assert usage.rss_bytes <= RSS_MAX, f"{step[0]}: {usage.rss_bytes / MIB:.1f} MiB"
        assert usage.seconds <= SECONDS_MAX
    assert trees.leftovers(world.dest.parent, set()) == ({"out"} if 0 in bomb.codes else set())
