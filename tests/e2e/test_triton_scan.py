"""What a Triton server that polls its repository sees while a pull fills and changes it."""
import os
import shutil
import threading
from pathlib import Path

import pytest

import crashes
import images
import models
import tool
import trees


class Scan:
    """Triton's way of looking: each directory of the root is a model, each numeric one in it a version.

    Looks all the time, in a thread of its own, and keeps every state that it saw.
    """

    def __init__(self, root: Path):
        self.root, self.states, self.ended = root, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def run(self) -> None:
        last, ended = None, False
        while not ended:
            ended = self.ended.is_set()  # and one more look at what is there in the end
            state = {d.name: self.model(Path(d.path)) for d in os.scandir(self.root) if d.is_dir()}
            if state != last:
                self.states.append(state)
            last = state

    @staticmethod
    def model(root: Path) -> dict[str, int]:
        """Paths of the files in a model with their sizes; what goes away meanwhile is not there."""
        found = {}
        for folder, _, files in os.walk(root):
            for name in files:
                path = Path(folder) / name
                try:
                    found[path.relative_to(root).as_posix()] = path.stat().st_size
                except FileNotFoundError:
                    pass
        return found

    def models(self) -> set[str]:
        return {name for state in self.states for name in state}


def check_order(scan: Scan, name: str, whole: dict[str, int]) -> None:
    """A file has its whole size from the first, and config.pbtxt comes when all the rest is there."""
    for state in scan.states:
        seen = state.get(name, {})
        assert not [path for path in seen if ".modelcar" in path]
        assert all(whole.get(path, size) == size for path, size in seen.items()), seen
        if "config.pbtxt" in seen:
            assert seen.keys() >= whole.keys(), f"config.pbtxt before {whole.keys() - seen.keys()}"


def sizes(root: Path) -> dict[str, int]:
    return {path: size for path, (size, _) in trees.tree(root).items()}


@pytest.fixture
def repository(tmp_path) -> Path:
    """A Triton repository that holds a model already."""
    models.triton(tmp_path / "repository", models=("other",))
    return tmp_path / "repository"


def one_model(root: Path, version: int, seed: int) -> Path:
    models.write(root, {"config.pbtxt": models.triton_config("encoder"), "labels.txt": "cat\n"})
    return models.write(root, {f"{version}/model.onnx": b"\x08\x08" + models.weights(4_000_000, seed)})


def test_a_fresh_model_appears_whole_and_nothing_of_ours_is_a_directory(tmp_path, repository):
    model = one_model(tmp_path / "model", 1, 1)
    tool.ok("pack", model, f"oci:{tmp_path}/l:v1")
    with Scan(repository) as scan:
        tool.ok("pull", f"oci:{tmp_path}/l:v1", repository / "encoder")
    assert scan.models() == {"other", "encoder"}
    check_order(scan, "encoder", sizes(model))
    trees.assert_same(model, repository / "encoder")
    assert {p.name for p in repository.iterdir()} == {"other", "encoder", ".modelcar.encoder.json"}
    tool.ok("verify", "--full", repository / "encoder")
    assert "unchanged" in tool.ok("pull", f"oci:{tmp_path}/l:v1", repository / "encoder").err


def check_encoder(scan: Scan, repository: Path, tree: Path, fresh: bool) -> None:
    """What was seen while it came, and what is there now, with its record beside it."""
    assert scan.models() <= {"other", "encoder"}
    assert not fresh or not check_order(scan, "encoder", sizes(tree))
    assert not [path for state in scan.states for path in state.get("encoder", {}) if ".modelcar" in path]
    trees.assert_same(tree, repository / "encoder")
    assert {p.name for p in repository.iterdir()} == {"other", "encoder", ".modelcar.encoder.json"}
    tool.ok("verify", "--full", repository / "encoder")


@pytest.mark.parametrize("kind", ["", "gzip"])
def test_a_model_that_another_tool_has_packed_comes_in_the_same_way(tmp_path, repository, foreign, kind):
    """What it is shows only when all of it is there."""
    one, two = one_model(tmp_path / "one", 1, 1), one_model(tmp_path / "two", 2, 2)
    for tag, tree in (("v1", one), ("v2", two)):
        foreign.image(tag, foreign.layer(images.tar(*images.files_of(tree)), kind))
    files: list[os.stat_result] = []
    for tag, tree in (("v1", one), ("v2", two)):
        with Scan(repository) as scan:
            tool.ok("pull", foreign.ref(tag), repository / "encoder")
        check_encoder(scan, repository, tree, fresh=tag == "v1")
        last, files = files, [(repository / "encoder" / name).stat() for name in ("config.pbtxt", "labels.txt")]
        assert tag == "v1" or [(f.st_ino, f.st_mtime_ns) for f in files] == [(f.st_ino, f.st_mtime_ns) for f in last]
        assert "unchanged" in tool.ok("pull", foreign.ref(tag), repository / "encoder").err


@pytest.fixture(params=["empty", "in-place", "adopted"])
def there(request, repository) -> tuple[str, ...]:
    """Ways to a model that is filled where it is, from the first: -> options of the pull."""
    if request.param != "in-place":
        (repository / "encoder").mkdir()
    if request.param != "adopted":
        return ("--publish", "in-place") if request.param == "in-place" else ()
    models.write(repository / "encoder", {"labels.txt": "cat\n"})
    return ("--adopt",)


def test_a_model_of_another_tool_fills_a_directory_that_is_there(tmp_path, repository, foreign, there):
    """Its record and all that is staged lie beside it, as with a model of ours."""
    one, two = one_model(tmp_path / "one", 1, 1), one_model(tmp_path / "two", 2, 2)
    for tag, tree in (("v1", one), ("v2", two)):
        foreign.image(tag, foreign.layer(images.tar(*images.files_of(tree))))
    for tag, tree in (("v1", one), ("v2", two)):
        with Scan(repository) as scan:
            tool.ok("pull", *there, foreign.ref(tag), repository / "encoder")
        check_encoder(scan, repository, tree, fresh=tag == "v1")
        assert "unchanged" in tool.ok("pull", *there, foreign.ref(tag), repository / "encoder").err


@pytest.mark.parametrize("kill_at", ["write", "rename"])
def test_a_model_of_another_tool_goes_on_in_a_directory_that_is_there(tmp_path, repository, foreign, there, kill_at):
    model = one_model(tmp_path / "model", 1, 1)
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(model))))
    start = Path(shutil.copytree(repository, tmp_path / "start"))
    pull = ["pull", *there, "--json", foreign.ref("v1"), repository / "encoder"]
    calls = crashes.run(*pull, root=tmp_path).calls
    points = [n for n, call in enumerate(calls, 1) if kill_at in call]
    assert len(points) > 2
    for at in points:
        shutil.rmtree(repository)
        shutil.copytree(start, repository)
        with Scan(repository) as scan:
            crashes.run(*pull, root=tmp_path, act="kill-after", at=at)
            crashes.age(repository)
            tool.ok(*pull)
        assert scan.models() <= {"other", "encoder"}
        assert not [path for state in scan.states for path in state.get("encoder", {}) if ".modelcar" in path]
        trees.assert_same(model, repository / "encoder")
        assert {p.name for p in repository.iterdir()} == {"other", "encoder", ".modelcar.encoder.json"}


def test_what_another_tool_has_packed_and_is_no_model_has_its_record_in_the_directory_that_is_there(tmp_path, foreign):
    tree = models.write(tmp_path / "tree", {"a.txt": "a", "sub/b.txt": "b"})
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(tree))))
    (tmp_path / "place/m").mkdir(parents=True)
    tool.ok("pull", foreign.ref("v1"), tmp_path / "place/m")
    assert {p.name for p in (tmp_path / "place").iterdir()} == {"m"}
    assert {p.name for p in (tmp_path / "place/m").iterdir()} == {"a.txt", "sub", trees.RECORD}


def test_where_nothing_can_be_written_beside_it_a_model_of_another_tool_is_staged_in_it(tmp_path, foreign, unprivileged):
    for parent in [*tmp_path.parents, tmp_path]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    model = one_model(tmp_path / "model", 1, 1)
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(model))))
    dest = tmp_path / "closed/encoder"
    dest.mkdir(parents=True)
    dest.chmod(0o777)
    dest.parent.chmod(0o555)
    tool.ok("pull", foreign.ref("v1"), dest, **unprivileged)
    trees.assert_same(model, dest)
    assert {p.name for p in dest.iterdir()} == {"1", "config.pbtxt", "labels.txt", trees.RECORD}
    dest.parent.chmod(0o755)


def test_what_moves_into_a_directory_that_gives_its_group_gets_it(tmp_path, foreign):
    group = next((g for g in (4242, *os.getgroups()) if os.geteuid() == 0 or g != os.getegid()), None)
    if group is None:
        pytest.skip("absent: a second group")
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(one_model(tmp_path / "model", 1, 1)))))
    (tmp_path / "models/encoder").mkdir(parents=True)
    os.chown(tmp_path / "models/encoder", -1, group)
    (tmp_path / "models/encoder").chmod(0o2775)
    tool.ok("pull", foreign.ref("v1"), tmp_path / "models/encoder")
    assert {p.stat().st_gid for p in (tmp_path / "models/encoder").rglob("*")} == {group}


def test_a_repository_that_another_tool_has_packed_is_filled_in_place(tmp_path, foreign):
    tree = models.triton(tmp_path / "tree")
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(tree))))
    (tmp_path / "models").mkdir()
    with Scan(tmp_path / "models") as scan:
        tool.ok("pull", foreign.ref("v1"), tmp_path / "models")
    assert scan.models() == {"encoder", "decoder"}
    assert not [path for state in scan.states for files in state.values() for path in files if ".modelcar" in path]
    trees.assert_same(tree, tmp_path / "models")


def test_a_model_of_another_tool_goes_on_where_it_was_ended(tmp_path, repository, foreign, registry, repo, way):
    """Killed while it is fetched, and while its files move to their places."""
    model = one_model(tmp_path / "model", 1, 1)
    foreign.image("v1", foreign.layer(images.tar(*images.files_of(model))))
    tool.ok("cp", foreign.ref("v1"), f"{repo}:v1")
    pull = ["pull", "--json", f"{repo}:v1", repository / "encoder"]
    calls = crashes.run(*pull, root=tmp_path).calls
    renames = [n for n, call in enumerate(calls, 1) if "rename" in call and "modelcar" not in call]
    assert len(renames) >= 3
    for at in renames:
        shutil.rmtree(repository / "encoder")
        (repository / ".modelcar.encoder.json").unlink()
        with Scan(repository) as scan:
            crashes.run(*pull, root=tmp_path, act="kill-after", at=at)
            assert tool.ok(*pull).json["bytesFetched"] == 0
        assert scan.models() <= {"other", "encoder"}
        check_order(scan, "encoder", sizes(model))
        trees.assert_same(model, repository / "encoder")
        assert {p.name for p in repository.iterdir()} == {"other", "encoder", ".modelcar.encoder.json"}


def test_a_new_version_of_a_model_comes_without_a_change_to_the_old_files(tmp_path, repository):
    one = one_model(tmp_path / "one", 1, 1)
    two = Path(shutil.copytree(one, tmp_path / "two"))
    models.write(two, {"2/model.onnx": b"\x08\x08" + models.weights(4_000_000, 2)})
    tool.ok("pack", one, f"oci:{tmp_path}/l:v1")
    tool.ok("pack", two, f"oci:{tmp_path}/l:v2")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", repository / "encoder")
    before = (repository / "encoder/1/model.onnx").stat()
    with Scan(repository) as scan:
        tool.ok("pull", f"oci:{tmp_path}/l:v2", repository / "encoder")
    after = (repository / "encoder/1/model.onnx").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert scan.models() == {"other", "encoder"}
    assert all(state["encoder"].get("2/model.onnx", 8_000_002) == 8_000_002 for state in scan.states)
    trees.assert_same(two, repository / "encoder")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", repository / "encoder")
    trees.assert_same(one, repository / "encoder")
    assert {p.name for p in (repository / "encoder").iterdir()} == {"1", "config.pbtxt", "labels.txt"}


def test_a_whole_repository_is_filled_in_place(tmp_path):
    tree = models.triton(tmp_path / "tree")
    changed = models.triton(tmp_path / "changed", versions=(1, 3))
    tool.ok("pack", tree, f"oci:{tmp_path}/l:v1")
    tool.ok("pack", changed, f"oci:{tmp_path}/l:v2")
    (tmp_path / "models").mkdir()
    with Scan(tmp_path / "models") as scan:
        tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "models")
        trees.assert_same(tree, tmp_path / "models")
        tool.ok("pull", "--publish", "in-place", f"oci:{tmp_path}/l:v2", tmp_path / "models")
    assert scan.models() == {"encoder", "decoder"}
    for name in ("encoder", "decoder"):
        assert not [path for state in scan.states for path in state.get(name, {}) if ".modelcar" in path]
    trees.assert_same(changed, tmp_path / "models")
    assert {p.name for p in (tmp_path / "models/encoder").iterdir()} == {"1", "3", "config.pbtxt", "labels.txt"}
