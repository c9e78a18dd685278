"""Bundles on the far side: into registries, layouts and directories; whole, or no name stands for anything."""
import os
import random
import signal
import subprocess
import time

import pytest

import bundles
import images
import models
import tool
import trees
from bundles import MIB
from copies import signed_layout, tags_of
from cutter import Cutter, at_random
from servers import Distribution, DockerRegistry


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A layout with v1 and v2; only read from."""
    return bundles.layout(tmp_path_factory.mktemp("bundled") / "layout")


@pytest.fixture(scope="module")
def carried(tmp_path_factory, source):
    """v1 whole (v1.tar) and in parts (v1s.tar), and v2 over v1 (delta.tar); only read from."""
    out = tmp_path_factory.mktemp("carried")
    bundles.create(f"oci:{source}:v1", to=out / "v1.tar")
    bundles.create(f"oci:{source}:v1", to=out / "v1s.tar", flags=["--split", "2Mi"])
    bundles.create(f"oci:{source}:v2", to=out / "delta.tar", flags=["--base", f"oci:{source}:v1"])
    return out


# where to


@pytest.mark.parametrize("name", ["v1.tar", "v1s.tar"])
@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_into_a_registry(source, carried, start, kind, name):
    server = start(kind, "there")
    result = tool.ok("load", carried / name, server.ref("b/n:v1"))
    assert result.line == f"{server.ref('b/n')}:v1@{trees.Layout(source).tagged('v1')}"
    bundles.assert_in_registry(source, server, "b/n")


@pytest.mark.parametrize("name", ["v1.tar", "v1s.tar"])
def test_into_a_layout_that_is_made(tmp_path, source, carried, name):
    tool.ok("bundle", "apply", carried / name, f"oci:{tmp_path}/there")
    bundles.assert_arrived(source, tmp_path / "there")


@pytest.mark.parametrize("name", ["v1.tar", "v1s.tar", "v1s.tar.part003"])
def test_into_a_directory(tmp_path, source, carried, name):
    tool.ok("pull", f"bundle:{carried}/{name}", tmp_path / "there")
    trees.assert_same(source.parent / "model-v1", tmp_path / "there")
    tool.ok("verify", tmp_path / "there")


@pytest.mark.parametrize("name", ["v1.tar", "v1s.tar"])
def test_every_verb_reads_it(tmp_path, source, carried, name, registry, repo):
    ref = f"bundle:{carried}/{name}"
    assert tool.ok("inspect", "--json", ref).json["digest"] == trees.Layout(source).tagged("v1")
    assert "part0.bin" in tool.ok("ls", ref).out
    tool.ok("verify", ref)
    tool.ok("diff", ref, f"oci:{source}:v1")
    tool.ok("cp", f"{ref}:v1", f"{repo}:v1")
    bundles.assert_in_registry(source, registry, repo.split("/", 1)[1])


def test_loaded_again_nothing_is_sent(carried, start):
    server = start(DockerRegistry, "there")
    tool.ok("load", carried / "v1.tar", server.ref("b/n"))
    before = len(server.requests("PATCH") + server.requests("PUT", "/blobs/"))
    report = tool.ok("load", carried / "v1s.tar", server.ref("b/n"), "--json").json
    assert report["bytesSent"] == 0 and report["bytesThere"] > sum(bundles.SIZES)
    assert len(server.requests("PATCH") + server.requests("PUT", "/blobs/")) == before


def test_a_dry_run_says_what_it_would_send_and_sends_nothing(tmp_path, carried, start):
    server = start(DockerRegistry, "there")
    report = tool.ok("load", carried / "v1.tar", server.ref("b/n"), "--dry-run", "--json").json
    assert report["bytesSent"] > sum(bundles.SIZES) and server.blobs() == {}
    tool.ok("load", carried / "v1.tar", f"oci:{tmp_path}/layout", "--dry-run")
    assert not (tmp_path / "layout").exists()


def test_a_tag_with_other_content_is_replaced_only_by_force(source, carried, start):
    server = start(DockerRegistry, "there")
    tool.ok("cp", f"oci:{source}:v2", server.ref("b/n:v1"))
    assert "--force" in tool.fails(tool.TAG_EXISTS, "load", carried / "v1.tar", server.ref("b/n:v1")).err
    assert server.get("b/n", "v1")[0] == trees.Layout(source).tagged("v2")
    tool.ok("load", carried / "v1.tar", server.ref("b/n:v1"), "--force")
    bundles.assert_in_registry(source, server, "b/n")


# names


NAMES = {"reg.example/team/m:v1": "one", "reg.example/team/m:v2": "two", "other.example:5000/x/n:v1": "three"}


@pytest.fixture
def several(tmp_path):
    layout = bundles.named(tmp_path / "named", NAMES)
    bundles.create(f"oci:{layout.root}", to=tmp_path / "several.tar")
    return tmp_path / "several.tar"


@pytest.mark.parametrize("maps, places", [
    ([], {"team/m:v1", "team/m:v2", "x/n:v1"}),
    (["--map", "team/=models/inside/"], {"models/inside/m:v1", "models/inside/m:v2", "x/n:v1"}),
    (["--map", "other.example:5000/=far/", "--map", "x/=never/"], {"team/m:v1", "team/m:v2", "far/x/n:v1"}),
], ids=["as-they-are", "by-path", "by-host"])
def test_to_a_host_alone_paths_stay_or_follow_the_first_rule(several, start, maps, places):
    server = start(DockerRegistry, "there")
    lines = tool.ok("load", several, server.host, *maps).out.splitlines()
    assert {line.split("@")[0].split("/", 1)[1] for line in lines} == places
    for place in places:
        assert server.has(*place.rsplit(":", 1))


def test_a_pipe_goes_to_several_repositories_as_well(several, start):
    server = start(DockerRegistry, "there")
    subprocess.run([tool.binary(), "load", "-q", "-", server.host], input=several.read_bytes(),
                   env=tool.clean_env(None), check=True)
    for name in NAMES:
        assert server.has(*name.split("/", 1)[1].rsplit(":", 1))


@pytest.mark.parametrize("target, rules", [("HOST/one", []), ("HOST/one:v1", []), ("HOST", ["--map", "no-rule"]),
                                           ("HOST", ["--map", "other.example:5000/x/n=team/m"]),
                                           ("HOST/one", ["--map", "a/=b/"]), ("HOST/m@sha256:" + "0" * 64, [])])
def test_images_that_would_run_into_each_other_are_refused_before_anything_is_sent(several, start, target, rules):
    server = start(DockerRegistry, "there")
    tool.fails(tool.USAGE, "load", several, target.replace("HOST", server.host), *rules)
    assert server.blobs() == {}


def test_an_image_without_a_name_cannot_go_to_a_host_alone(carried, registry):
    assert "HOST/REPO" in tool.fails(tool.USAGE, "load", carried / "v1.tar", registry.host).err


def test_only_a_registry_or_a_layout_is_a_destination(tmp_path, carried):
    tool.fails(tool.UNSUPPORTED, "load", carried / "v1.tar", f"oci-archive:{tmp_path}/x.tar")


def test_signatures_arrive_as_they_left(tmp_path, start):
    layout, server = signed_layout(tmp_path / "signed", deep=True), start(DockerRegistry, "there")
    bundles.create(layout.ref("v1"), to=tmp_path / "m.tar", flags=["--split", "16Ki"])
    tool.ok("load", tmp_path / "m.tar", server.ref("b/n:v7"))
    name = trees.Layout(layout.root).tagged("v1").replace(":", "-")
    assert {"v7", name, f"{name}.sig"} <= set(tags_of(server, "b/n"))
    assert server.has("b/n", trees.Layout(layout.root).tagged("keep-deep"))


def test_others_archives_are_loaded_as_they_are(tmp_path, skopeo, source):
    skopeo.copy(f"oci:{source}:v1", f"oci-archive:{tmp_path}/a.tar:v1", "--all", "--preserve-digests")
    tool.ok("load", tmp_path / "a.tar", f"oci:{tmp_path}/there")
    bundles.assert_arrived(source, tmp_path / "there")
    images.docker_save(tmp_path / "d.tar", "busybox:1", images.tar(images.member("models/a", b"a")))
    tool.ok("load", tmp_path / "d.tar", f"oci:{tmp_path}/docker")
    assert trees.Layout(tmp_path / "docker").tagged("1")


# deltas


def test_a_delta_completes_what_is_there(source, carried, start):
    server = start(DockerRegistry, "there")
    tool.ok("load", carried / "v1.tar", server.ref("b/n:v1"))
    report = tool.ok("load", carried / "delta.tar", server.ref("b/n:v2"), "--json").json
    assert report["bytesSent"] < bundles.SIZES[2] + 64 * 1024
    bundles.assert_in_registry(source, server, "b/n", "v2")


def missing_in(result) -> set[str]:
    return {line.split(": ")[2].split(",")[0] for line in result.err.splitlines() if "missing at the destination" in line}


def test_a_delta_without_its_base_names_every_missing_blob_and_writes_nothing(tmp_path, source, carried, start):
    server, was = start(DockerRegistry, "there"), trees.Layout(source)
    result = tool.fails(tool.NOT_FOUND, "load", carried / "delta.tar", server.ref("b/n:v2"))
    shared = {d["digest"] for d in was.layers("v1")} & {d["digest"] for d in was.layers("v2")}
    assert missing_in(result) == shared and all(digest in tool.error_lines(result)[0] for digest in shared)
    assert server.blobs() == {} and not server.has("b/n", "v2")
    tool.fails(tool.NOT_FOUND, "load", carried / "delta.tar", f"oci:{tmp_path}/layout")
    bundles.assert_absent(tmp_path / "layout")
    piped = subprocess.run([tool.binary(), "load", "-q", "-", server.ref("b/n:v2")], env=tool.clean_env(None),
                           input=(carried / "delta.tar").read_bytes(), capture_output=True)
    assert piped.returncode == tool.NOT_FOUND and server.blobs() == {}
    tool.fails(tool.NOT_FOUND, "pull", f"bundle:{carried}/delta.tar", tmp_path / "model")


def test_a_base_in_another_repository_of_the_registry_is_mounted(tmp_path, source, start):
    server = start(DockerRegistry, "there")
    for tag in ("v1", "v2"):
        tool.ok("cp", f"oci:{source}:{tag}", server.ref(f"a/{tag}:{tag}"))
    bundles.create(server.ref("a/v1:v1"), server.ref("a/v2:v2"), to=tmp_path / "m.tar",
                   flags=["--base", server.ref("a/v1:v1")])
    other = start(DockerRegistry, "other")
    tool.ok("cp", f"oci:{source}:v1", other.ref("a/v1:v1"))
    tool.ok("load", tmp_path / "m.tar", other.host)
    bundles.assert_in_registry(source, other, "a/v2", "v2")


# pipes


@pytest.mark.parametrize("names", [["v1.tar"], ["v1s.tar.part*"], ["v1s.tar.idx", "v1s.tar.part*"],
                                   ["v1s.tar.part*", "v1s.tar.idx"]], ids=["whole", "parts", "index-first", "index-last"])
def test_from_standard_input(tmp_path, source, carried, names):
    files = [str(p) for name in names for p in sorted(carried.glob(name))]
    with subprocess.Popen(["cat", *files], stdout=subprocess.PIPE) as cat:
        tool.ok("load", "-", f"oci:{tmp_path}/there", stdin=cat.stdout)
    bundles.assert_arrived(source, tmp_path / "there")


def test_from_a_named_pipe_into_a_registry(tmp_path, source, carried, start):
    server = start(Distribution, "there")
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(f"cat '{carried}'/v1s.tar.part* >'{tmp_path}/pipe'", shell=True):
        tool.ok("load", tmp_path / "pipe", server.ref("b/n"))
    bundles.assert_in_registry(source, server, "b/n")


# cut and killed


def test_over_connections_that_are_cut(tmp_path, source, carried, start):
    server = start(Distribution, "there")
    way = Cutter(server.port, at_random(models.SEED, 2 * MIB, 9 * MIB))
    try:
        tool.ok("load", carried / "v1s.tar", way.ref("b/n:v1"), "--state-dir", tmp_path / "state")
        assert way.cuts > 0
    finally:
        way.close()
    bundles.assert_in_registry(source, server, "b/n")


@pytest.mark.parametrize("name", ["v1.tar", "v1s.tar", "-"])
@pytest.mark.parametrize("point", [pytest.param(n, marks=pytest.mark.matrix(8)) for n in range(17)])
def test_killed_at_any_point_it_is_whole_or_not_there_and_the_next_run_ends(tmp_path, source, carried, name, point):
    there, args = tmp_path / "there", ["--state-dir", str(tmp_path / "state")]
    command = f"exec {tool.binary()} load -q {name if name == '-' else carried / name} oci:{there} {' '.join(args)}"
    command = f"cat {carried}/v1s.tar.part* | ({command})" if name == "-" else command
    run = subprocess.Popen(["bash", "-c", command], env=tool.clean_env(None), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, start_new_session=True)
    wanted = random.Random(models.SEED * 100 + point).randrange(sum(bundles.SIZES))
    while run.poll() is None and not ((there / "blobs/sha256").is_dir() and
                                      bundles.taken_bytes(there / "blobs/sha256") >= wanted):
        time.sleep(0.0005)
    os.killpg(run.pid, signal.SIGKILL) if run.poll() is None else None
    run.wait()
    if bundles.has_names(there):
        bundles.assert_arrived(source, there)
    tool.ok("load", carried / "v1s.tar", f"oci:{there}", *args)
    bundles.assert_arrived(source, there)
