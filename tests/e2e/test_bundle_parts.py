"""Parts that are damaged, missing, or come disk by disk: what is wrong is named, what came stays."""
import shutil
import subprocess

import pytest

import bundles
import tool
import trees
from bundles import MIB, MORE_PARTS
from servers import DockerRegistry


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return bundles.layout(tmp_path_factory.mktemp("bundled") / "layout")


@pytest.fixture(scope="module")
def made(tmp_path_factory, source):
    """v1 in parts of 2 MiB; only read from."""
    stem = tmp_path_factory.mktemp("made") / "m.tar"
    bundles.create(f"oci:{source}:v1", to=stem, flags=["--split", "2Mi"])
    return stem


@pytest.fixture
def stem(tmp_path, made):
    """A copy to spoil."""
    shutil.copytree(made.parent, tmp_path / "media")
    return tmp_path / "media/m.tar"


@pytest.fixture
def state(tmp_path):
    return ["--state-dir", tmp_path / "state"]


def parts_of(stem) -> list:
    return sorted(stem.parent.glob(f"{stem.name}.part*"))


def cut(path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1000)


def emptied(path) -> None:
    path.write_bytes(b"")


def spoil(at: str):
    """Flips a byte: in the head, the slice or the sum of a part."""
    def act(path) -> None:
        seen = bundles.members(path)
        offset, size = seen[{"head": "part.json", "map": "bundle.json", "slice": "data", "sum": "sha256"}[at]]
        bundles.flip(path, offset + size // 2)
    act.__name__ = f"flipped-{at}"
    return act


DAMAGES = [cut, emptied, spoil("head"), spoil("map"), spoil("slice"), spoil("sum")]


@pytest.mark.parametrize("act", DAMAGES, ids=lambda act: act.__name__)
@pytest.mark.parametrize("number", [1, 2, 5, -1])
def test_a_damaged_part_is_named_and_sending_it_again_ends_the_job(tmp_path, source, stem, made, state, act, number):
    parts, there = parts_of(stem), f"oci:{tmp_path}/there"
    part = parts[number - 1 if number > 0 else number]
    act(part)
    result = tool.fails(tool.MISMATCH, "load", stem, there, *state)
    assert part.name in result.err
    bundles.assert_absent(tmp_path / "there")
    shutil.copy(made.parent / part.name, part)
    # Without the manifests of part 1 nothing could be taken.
    again = [part] if number != 1 else parts
    tool.ok("load", *again, there, *state)
    bundles.assert_arrived(source, tmp_path / "there")
    assert list((tmp_path / "state").glob("load-*")) == []


@pytest.mark.parametrize("act", DAMAGES, ids=lambda act: act.__name__)
def test_a_damaged_part_is_named_by_every_reader(tmp_path, stem, act):
    part = parts_of(stem)[4]
    act(part)
    found = tool.run("bundle", "info", "--check", stem)
    assert found.code == tool.MISMATCH and part.name in found.err
    assert tool.run("pull", f"bundle:{stem}", tmp_path / "there").code == tool.MISMATCH
    assert not (tmp_path / "there").exists()
    with subprocess.Popen(["cat", *map(str, parts_of(stem))], stdout=subprocess.PIPE) as cat:
        piped = tool.run("load", "-", f"oci:{tmp_path}/piped", stdin=cat.stdout)
        cat.stdout.close()
    bundles.assert_absent(tmp_path / "piped")
    # What is cut out of a pipe has no borders: the part is missing as well as damaged.
    assert piped.code in ((tool.MISMATCH, MORE_PARTS) if act is emptied else (tool.MISMATCH,)) and "part 5" in piped.err


def test_two_damaged_parts_are_both_named(tmp_path, source, stem, made, state):
    for number in (3, 6):
        spoil("slice")(parts_of(stem)[number])
    result = tool.run("load", stem, f"oci:{tmp_path}/there", *state)
    assert result.code == tool.MISMATCH and "part 4 of" in result.err and "part 7 of" in result.err
    for number in (3, 6):
        shutil.copy(made.parent / parts_of(stem)[number].name, parts_of(stem)[number])
    tool.ok("load", parts_of(stem)[3], parts_of(stem)[6], f"oci:{tmp_path}/there", *state)
    bundles.assert_arrived(source, tmp_path / "there")


@pytest.mark.parametrize("number", [1, 2, 6, -1])
def test_a_missing_part_is_named_and_alone_ends_the_job(tmp_path, source, stem, made, state, number):
    parts = parts_of(stem)
    part = parts[number - 1 if number > 0 else number]
    part.unlink()
    wanted = number if number > 0 else len(parts)
    result = tool.fails(MORE_PARTS, "load", stem, f"oci:{tmp_path}/there", *state)
    assert f"insert the one with part {wanted}" in result.err
    assert f"part {wanted} of {len(parts)} is missing" in tool.fails(MORE_PARTS, "inspect", f"bundle:{stem}").err
    assert tool.ok("bundle", "info", stem, "--json").json["missing"] == str(wanted)
    assert f"part {wanted} of {len(parts)} is missing" in tool.fails(MORE_PARTS, "bundle", "info", "--check", stem).err
    bundles.assert_absent(tmp_path / "there")
    shutil.copy(made.parent / part.name, part)
    tool.ok("load", *([part] if number != 1 else parts), f"oci:{tmp_path}/there", *state)
    bundles.assert_arrived(source, tmp_path / "there")


@pytest.mark.parametrize("where", ["registry", "layout"])
def test_disk_by_disk(tmp_path, source, made, state, start, where):
    server = start(DockerRegistry, "registry") if where == "registry" else None
    there = server.ref("b/n:v1") if server else f"oci:{tmp_path}/there"
    parts = parts_of(made)
    disks = [parts[at:at + 4] for at in range(0, len(parts), 4)]
    for number, disk in enumerate(disks[:-1], 1):
        result = tool.fails(MORE_PARTS, "load", *disk, there, *state)
        assert f"parts 1-{4 * number} of {len(parts)} taken; insert the one with part {4 * number + 1}" in result.err
        assert not server or not server.has("b/n", "v1")
    kept = sum(p.stat().st_size for p in (tmp_path / "state").rglob("sha256-*"))
    assert kept < sum(bundles.SIZES) / 2, "what is whole is at the destination, not here"
    tool.ok("load", *disks[-1], there, *state)
    if server:
        bundles.assert_in_registry(source, server, "b/n")
    else:
        bundles.assert_arrived(source, tmp_path / "there")
    assert list((tmp_path / "state").glob("load-*")) == []


def test_disks_may_come_in_any_order_once_the_first_is_known(tmp_path, source, made, state):
    parts, there = parts_of(made), f"oci:{tmp_path}/there"
    assert "part 1" in tool.fails(MORE_PARTS, "load", *parts[4:8], there, *state).err
    for disk in (parts[:1], parts[8:], parts[4:8], parts[2:4]):
        tool.fails(MORE_PARTS, "load", *disk, there, *state)
        bundles.assert_absent(tmp_path / "there")
    tool.ok("load", parts[1], there, *state)
    bundles.assert_arrived(source, tmp_path / "there")


def test_a_disk_given_twice_does_no_harm(tmp_path, source, made, state):
    parts, there = parts_of(made), f"oci:{tmp_path}/there"
    for _ in range(2):
        tool.fails(MORE_PARTS, "load", *parts[:4], there, *state)
    tool.ok("load", *parts, *parts[:2], there, *state)
    bundles.assert_arrived(source, tmp_path / "there")


def test_what_was_kept_and_then_spoiled_is_asked_for_again(tmp_path, source, made, state):
    parts, there = parts_of(made), f"oci:{tmp_path}/there"
    tool.fails(MORE_PARTS, "load", *parts[:4], there, *state)
    kept = max((tmp_path / "state").rglob("sha256-*"), key=lambda p: p.stat().st_size)
    bundles.flip(kept, MIB)
    result = tool.fails(MORE_PARTS, "load", *parts[4:], there, *state)
    assert "insert the one with part 1" in result.err
    bundles.assert_absent(tmp_path / "there")
    tool.ok("load", *parts[:4], there, *state)
    bundles.assert_arrived(source, tmp_path / "there")


def test_parts_go_into_a_registry_in_any_order_without_being_joined(tmp_path, source, made, start):
    server, parts = start(DockerRegistry, "registry"), parts_of(made)
    tool.ok("load", *reversed(parts), server.ref("b/n:v1"), "--state-dir", tmp_path / "state")
    bundles.assert_in_registry(source, server, "b/n")
    assert not list((tmp_path / "state").rglob("sha256-*"))


def test_a_part_under_another_name_is_known_by_what_it_says(tmp_path, source, stem):
    parts = parts_of(stem)
    swapped = [p.read_bytes() for p in (parts[2], parts[5])]
    for path, data in zip((parts[5], parts[2]), swapped, strict=True):
        path.write_bytes(data)
    tool.ok("load", stem, f"oci:{tmp_path}/there")
    bundles.assert_arrived(source, tmp_path / "there")


@pytest.mark.parametrize("order, words", [
    (lambda p: p[1:], "part 2 of 11 came where part 1 was expected"),
    (lambda p: p[:3] + p[4:], "part 5 of 11 came where part 4 was expected"),
    (lambda p: [*p[:3], p[4], p[3], *p[5:]], "part 5 of 11 came where part 4 was expected"),
    (lambda p: p[:6], "part 7 of 11 is missing"),
    (lambda p: [*p, p[-1]], "part 11 came twice"),
], ids=["without-first", "without-one", "out-of-order", "ends-early", "last-twice"])
def test_a_pipe_whose_parts_are_not_in_order_is_named_and_nothing_gets_a_name(tmp_path, made, order, words):
    files = order(parts_of(made))
    with subprocess.Popen(["cat", *map(str, files)], stdout=subprocess.PIPE) as cat:
        result = tool.run("load", "-", f"oci:{tmp_path}/there", stdin=cat.stdout)
        cat.stdout.close()
    assert result.code == (tool.MALFORMED if "twice" in words else MORE_PARTS) and words in result.err, str(result)
    bundles.assert_absent(tmp_path / "there")


def test_parts_of_two_bundles_are_not_mixed(tmp_path, source, stem):
    other = stem.with_name("other.tar")
    bundles.create(f"oci:{source}:v2", to=other, flags=["--split", "2Mi"])
    files = [*parts_of(stem)[:3], *parts_of(other)[3:]]
    assert "another bundle" in tool.fails(tool.MALFORMED, "load", *files, f"oci:{tmp_path}/there").err
    with subprocess.Popen(["cat", *map(str, files)], stdout=subprocess.PIPE) as cat:
        assert tool.run("load", "-", f"oci:{tmp_path}/there", stdin=cat.stdout).code == tool.MALFORMED
        cat.stdout.close()
    bundles.assert_absent(tmp_path / "there")


def test_a_pipe_is_loaded_alone(made, tmp_path):
    tool.fails(tool.USAGE, "load", "-", made, f"oci:{tmp_path}/there")


def test_with_nowhere_to_keep_it_that_is_said(tmp_path, made):
    result = tool.run("load", *parts_of(made)[:4], f"oci:{tmp_path}/there", "--state-dir", "/proc/none")
    assert result.code in (tool.NOT_FOUND, tool.READ_ONLY, MORE_PARTS, 32) and tool.error_lines(result)
    bundles.assert_absent(tmp_path / "there")


def test_a_damaged_index_is_a_warning_and_no_more(tmp_path, source, stem):
    bundles.flip(stem.with_name("m.tar.idx"), stem.with_name("m.tar.idx").stat().st_size - 2000)
    result = tool.ok("load", stem, f"oci:{tmp_path}/there")
    assert "m.tar.idx" in result.err
    bundles.assert_arrived(source, tmp_path / "there")


def test_memory_stays_small(tmp_path, made):
    usage = tool.measure("load", made, f"oci:{tmp_path}/there", log=tmp_path / "log")
    assert usage.code == tool.OK, usage.out
    assert trees.Layout(tmp_path / "there").tagged("v1")
    if tool.release_binary() != tool.binary():
        assert usage.rss_bytes <= 48 * MIB
