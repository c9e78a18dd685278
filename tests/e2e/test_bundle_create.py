"""Bundles as they are made: what is in them, that it is always the same, and what is left out."""
import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

import bundles
import models
import tool
import trees
from bundles import MIB
from copies import TAGS, five_tags, signed_layout
from servers import DockerRegistry


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A layout with v1 and v2; only read from."""
    return bundles.layout(tmp_path_factory.mktemp("bundled") / "layout")


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out/m.tar"


def test_a_bundle_is_a_tar_of_a_layout_with_all_that_an_image_leads_to(tmp_path, source, out):
    assert bundles.create(f"oci:{source}:v1", to=out) == [out]
    members = list(bundles.members(out))
    assert members[:3] == ["oci-layout", "index.json", "bundle.json"]
    assert {"sha256:" + m.rsplit("/", 1)[1] for m in members[3:]} == bundles.blobs_of(source, "v1")
    (tmp_path / "untarred").mkdir()
    subprocess.run(["tar", "-xf", out, "-C", tmp_path / "untarred"], check=True)
    bundles.assert_arrived(source, tmp_path / "untarred")


@pytest.mark.parametrize("flags", [[], ["--split", "2Mi"]], ids=["whole", "split"])
def test_the_same_images_give_the_same_bytes(source, out, flags):
    bundles.create(f"oci:{source}:v1", f"oci:{source}:v2", to=out, flags=[*flags, "--jobs", 1])
    first = bundles.files_of(out)
    for path in out.parent.iterdir():
        path.unlink()
    bundles.create(f"oci:{source}:v1", f"oci:{source}:v2", to=out, flags=[*flags, "--jobs", 7])
    assert bundles.files_of(out) == first


def test_from_a_registry_it_has_the_same_blobs_and_the_full_name(source, out, registry, repo):
    tool.ok("cp", f"oci:{source}:v1", f"{repo}:v1")
    bundles.create(f"{repo}:v1", to=out)
    seen = tool.ok("bundle", "info", out, "--json").json
    assert seen["images"] == [f"{repo}:v1@{trees.Layout(source).tagged('v1')}"]
    assert seen["blobs"] == len(bundles.blobs_of(source, "v1")) and seen["parts"] == 1


def test_the_inventory_and_the_sums_need_no_tool_of_ours(source, out):
    files = bundles.create(f"oci:{source}:v1", to=out, flags=["--split", "2Mi"])
    assert len(files) > 8 and bundles.sums_hold(out)
    rows = bundles.inventory(out)
    listed = {r["name"]: (int(r["bytes"]), r["sha256"]) for r in rows if r["kind"] == "file"}
    assert set(listed) == {p.name for p in files} | {f"{out.name}.idx"}
    assert all(listed[p.name] == (p.stat().st_size, trees.sha256(p)) for p in files)
    blobs = {r["name"]: r for r in rows if r["kind"] == "blob"}
    assert set(blobs) == bundles.blobs_of(source, "v1")
    assert any("-" in r["parts"] for r in blobs.values()), "some blob is cut by the end of a part"
    bundles.flip(files[3], files[3].stat().st_size // 2)
    assert not bundles.sums_hold(out)


def test_parts_are_no_larger_than_asked_for_and_are_tars_that_name_each_other(source, out):
    files = bundles.create(f"oci:{source}:v1", to=out, flags=["--split", "2M"])
    assert all(p.stat().st_size <= 2_000_000 for p in files)
    assert all(p.stat().st_size == 2_000_000 // 512 * 512 for p in files[:-1]), "no part wastes room"
    stream = b""
    for number, path in enumerate([out.with_name("m.tar.idx"), *files]):
        seen = bundles.members(path)
        assert list(seen)[:3] == ["part.json", "bundle.json", "data"] and list(seen)[-1] == "sha256"
        data = path.read_bytes()
        assert json.loads(data[seen["part.json"][0]:][:512])["part"] == number
        stream += data[seen["data"][0]:][:seen["data"][1]]
    assert "parts.sha256" in bundles.members(files[-1]) and "parts.sha256" in bundles.members(out.with_name("m.tar.idx"))
    whole = out.with_name("whole.tar")
    bundles.create(f"oci:{source}:v1", to=whole)
    assert stream == whole.read_bytes(), "joined, the slices are the whole bundle"


@pytest.mark.parametrize("size, largest", [("4G", 4 * 10**9), ("25Gi", 25 * 2**30), ("fat32", 2**32 - 1),
                                           ("bd25", 24_900_000_000)])
def test_sizes_are_those_of_the_medium(source, out, size, largest):
    bundles.create(f"oci:{source}:v1", to=out, flags=["--split", size])
    assert tool.ok("bundle", "info", out, "--json").json["partSize"] == largest


@pytest.mark.parametrize("size", ["0", "4 GB", "dvd", "1", "2Ki", "-1"])
def test_sizes_that_are_none_are_refused_before_anything_is_written(source, out, size):
    assert tool.fails(tool.USAGE, "bundle", "create", f"oci:{source}:v1", "-o", out, f"--split={size}").err
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("args", [["create", "REF"], ["create", "-o", "x"], ["have"], ["info"], ["apply", "x"], ["weigh"]])
def test_what_is_missing_on_the_command_line_is_said(source, args):
    tool.fails(tool.USAGE, "bundle", *[a.replace("REF", f"oci:{source}:v1") for a in args])


# several images


def test_all_tags_of_a_layout_and_signatures_travel(tmp_path, out):
    layout = signed_layout(tmp_path / "signed", deep=True)
    bundles.create(f"oci:{layout.root}:v1", to=out)
    tool.ok("load", out, f"oci:{tmp_path}/there")
    there, was = trees.Layout(tmp_path / "there"), trees.Layout(layout.root)
    name = was.tagged("v1").replace(":", "-")
    assert there.tagged(f"{name}.sig") == was.tagged(f"{name}.sig")
    assert was.tagged("keep-deep") in there.blobs() and there.tagged(name)
    bundles.create(f"oci:{layout.root}:v1", to=out.with_name("bare.tar"), flags=["--referrers=false"])
    assert len(bundles.members(out.with_name("bare.tar"))) == 3 + len(bundles.blobs_of(layout.root, "v1"))


def test_a_layout_without_a_tag_stands_for_all_of_its_tags(tmp_path, out):
    layout = five_tags(tmp_path / "five")
    bundles.create(f"oci:{layout.root}", to=out)
    assert len(tool.ok("bundle", "info", out, "--json").json["images"]) == 5
    tool.ok("pull", f"bundle:{out}:v1.2.0", tmp_path / "model")
    assert set(tool.ok("tags", f"bundle:{out}").out.split()) == set(TAGS)


def test_two_images_of_one_tag_are_told_apart_by_their_names(tmp_path, out, registry, repo):
    for name, text in (("a", 0), ("b", 1)):
        tool.ok("pack", models.write(tmp_path / name, {"x.bin": f"{text}"}), f"{repo}/{name}:v1")
    bundles.create(f"{repo}/a:v1", f"{repo}/b:v1", to=out)
    images = tool.ok("bundle", "info", out, "--json").json["images"]
    assert [i.split("@")[0] for i in images] == [f"{repo}/a:v1", f"{repo}/b:v1"]
    tool.ok("pull", f"bundle:{out}:{repo}/b:v1", tmp_path / "there")
    assert (tmp_path / "there/x.bin").read_text() == "1"


def test_what_is_not_there_is_named_and_nothing_is_written(source, out):
    assert "v9" in tool.fails(tool.NOT_FOUND, "bundle", "create", f"oci:{source}:v9", "-o", out).err
    assert list(out.parent.iterdir()) == []


# what is there already


def test_another_file_of_the_name_stays_unless_forced(source, out):
    out.write_text("mine")
    assert "--force" in tool.fails(tool.TAG_EXISTS, "bundle", "create", f"oci:{source}:v1", "-o", out).err
    assert out.read_text() == "mine"
    bundles.create(f"oci:{source}:v1", to=out, flags=["--force"])
    assert bundles.sums_hold(out)


def test_a_bundle_is_no_target_of_other_verbs(tmp_path, source, out):
    bundles.create(f"oci:{source}:v1", to=out)
    before = bundles.files_of(out)
    for verb in (["cp", f"oci:{source}:v2"], ["pack", tmp_path / "model"]):
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model/a.bin").write_bytes(b"a")
        for name in (out, out.with_name("new.tar")):
            assert "bundle create" in tool.fails(tool.UNSUPPORTED, *verb, f"bundle:{name}:v2").err
    assert bundles.files_of(out) == before and not out.with_name("new.tar").exists()


def test_of_several_images_none_is_guessed_and_some_are_named(tmp_path, source, out):
    bundles.create(f"oci:{source}", to=out)
    for place in (f"bundle:{out}", f"oci:{source}", f"oci:{source}:v9"):
        result = tool.fails(tool.NOT_FOUND, "pull", place, tmp_path / "tree")
        assert "'v1', 'v2'" in result.err
    assert not (tmp_path / "tree").exists()


def test_made_again_it_is_checked_and_healed(source, out):
    bundles.create(f"oci:{source}:v1", to=out)
    before = out.read_bytes()
    bundles.flip(out, len(before) // 2)
    report = tool.ok("bundle", "create", f"oci:{source}:v1", "-o", out, "--json").json
    assert 0 < report["keptBytes"] < report["blobBytes"]
    assert out.read_bytes() == before


def test_a_dry_run_says_what_it_would_be_and_writes_nothing(source, out):
    report = tool.ok("bundle", "create", f"oci:{source}:v1", "-o", out, "--dry-run", "--json").json
    assert report["blobBytes"] > sum(bundles.SIZES) and list(out.parent.iterdir()) == []


def test_what_a_run_left_that_was_killed_while_it_wrote_a_list_goes(source, out):
    half = out.parent / ".modelcar.0123456789abcdef.part"
    half.write_text("kind,name")
    os.utime(half, (1, 1))
    tool.ok("bundle", "create", f"oci:{source}:v1", "-o", out)
    assert sorted(path.name for path in out.parent.iterdir()) == ["m.tar", "m.tar.SHA256SUMS", "m.tar.csv"]


def test_wrong_bytes_at_the_source_never_get_a_name(tmp_path, source, out):
    shutil.copytree(source, tmp_path / "bad")
    largest = max((tmp_path / "bad/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
    bundles.flip(largest, largest.stat().st_size // 2)
    assert largest.name in tool.fails(tool.MISMATCH, "bundle", "create", f"oci:{tmp_path}/bad:v1", "-o", out).err
    assert not out.exists()


# deltas


def bases(tmp_path, source, server) -> dict[str, list]:
    tool.ok("cp", f"oci:{source}:v1", server.ref("a/m:v1"))
    (tmp_path / "have").write_text(tool.ok("bundle", "have", server.ref("a/m")).out)
    bundles.create(f"oci:{source}:v1", to=tmp_path / "v1.tar")
    bundles.create(f"oci:{source}:v1", to=tmp_path / "v1s.tar", flags=["--split", "3Mi"])
    return {"registry": ["--base", server.ref("a/m:v1")], "repository": ["--base", server.ref("a/m")],
            "layout": ["--base", f"oci:{source}:v1"], "bundle": ["--base", f"bundle:{tmp_path}/v1.tar"],
            "parts": ["--base", f"bundle:{tmp_path}/v1s.tar"], "list": ["--have", tmp_path / "have"]}


def test_a_delta_has_the_changed_file_alone_whatever_says_what_the_far_side_has(tmp_path, source, out, start):
    server, seen = start(DockerRegistry, "there"), {}
    for name, flags in bases(tmp_path, source, server).items():
        seen[name] = bundles.create(f"oci:{source}:v2", to=out.with_name(name), flags=flags)[0].read_bytes()
    assert len(set(seen.values())) == 1, "all of these say the same"
    info = tool.ok("bundle", "info", out.with_name("registry"), "--json").json
    assert info["neededBytes"] > sum(bundles.SIZES[:2])
    assert len(seen["list"]) < bundles.SIZES[2] + 64 * 1024


def test_a_list_that_is_none_is_refused_with_its_line(tmp_path, source, out):
    (tmp_path / "have").write_text(f"# a comment\n\nsha256:{'0' * 64} 12\nsha256:123 4\n")
    assert "line 4" in tool.fails(tool.MALFORMED, "bundle", "create", f"oci:{source}:v2", "-o", out, "--have",
                                  tmp_path / "have").err


# killed


@pytest.mark.parametrize("flags", [[], ["--split", "2Mi"]], ids=["whole", "split"])
@pytest.mark.parametrize("point", [pytest.param(n, marks=pytest.mark.matrix(8)) for n in range(25)])
def test_killed_at_any_point_the_next_run_keeps_what_is_written_and_ends_the_same(source, out, flags, point):
    args = ["bundle", "create", f"oci:{source}:v1", f"oci:{source}:v2", "-o", str(out), *flags]
    run = subprocess.Popen([tool.binary(), *args, "--quiet"], env=tool.clean_env(None), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    written, wanted = 0, random.Random(models.SEED * 100 + point).randrange(30 * MIB)
    while written < wanted and run.poll() is None:
        written = bundles.taken_bytes(out.parent)
        time.sleep(0.0005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    for path in out.parent.glob("m.tar*"):
        assert path.suffix in (".csv", ".SHA256SUMS") or tool.run("bundle", "info", "--check", path).code == tool.OK
    tool.ok(*args)
    bundles.create(*args[2:4], to=out.with_name("fresh"), flags=flags)
    named = {name.replace("m.tar", "fresh"): data for name, data in bundles.files_of(out).items()
             if not name.endswith((".csv", ".SHA256SUMS"))}
    assert named == {n: d for n, d in bundles.files_of(out.with_name("fresh")).items() if n in named}
    assert bundles.sums_hold(out) and not list(out.parent.glob(".*"))
