"""Repositories kept the same: which tags, what it costs, what goes, and what a failure leaves."""
import json
import random
import signal
import subprocess
import time

import pytest

import images
import models
import tool
import trees
from copies import (BOTH_WAYS, KILLS, TAGS, Corner, five_tags, guarded, image, mirror, push, signed_layout, states,
                    tags_of)
from cutter import Cutter
from servers import Distribution, DockerRegistry

MIB, PARTIAL = 2**20, 50


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return five_tags(tmp_path_factory.mktemp("weights") / "layout")


@pytest.fixture(scope="module")
def source(tmp_path_factory, weights):
    """A registry with them in two repositories; only read from."""
    server = DockerRegistry(tmp_path_factory.mktemp("source"))
    for repository in ("models/llm", "models/small", "other/thing"):
        push(weights, server, repository)
    yield server
    server.close()


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory):
    server = Distribution(tmp_path_factory.mktemp("to"))
    yield server
    server.close()


@pytest.fixture
def server(request, whole_server):
    return Corner(whole_server, request.node.name)


def document(tmp_path, text: str):
    path = tmp_path / "mirror.yaml"
    path.write_text(text)
    return path


def test_all_tags_arrive_and_the_second_run_asks_once_for_each(weights, source, server):
    report = mirror(source.ref("models/llm"), server.ref("b/llm"))
    assert report["copied"] == len(TAGS) and tags_of(server, "b/llm") == set(TAGS)
    for tag in TAGS:
        assert server.get("b/llm", tag)[0] == trees.Layout(weights.root).tagged(tag)
    before = [len(end.requests(method)) for end in (source, server) for method in ("HEAD", "GET")]
    report = mirror("--referrers=false", source.ref("models/llm"), server.ref("b/llm"))
    after = [len(end.requests(method)) for end in (source, server) for method in ("HEAD", "GET")]
    assert report["unchanged"] == len(TAGS) and report["bytesSent"] == 0
    assert [b - a for a, b in zip(before, after, strict=True)] == [len(TAGS), 1, len(TAGS), 0]


def test_a_tag_that_moved_is_moved(tmp_path, start, server):
    layout, other = images.ImageLayout(tmp_path / "layout"), images.ImageLayout(tmp_path / "other")
    image(layout, "v1", "old"), image(layout, "v2", "same")
    mirror(f"oci:{layout.root}", server.ref("b/n"))
    new = image(other, "v1", "new")
    assert states(mirror(f"oci:{other.root}", server.ref("b/n"))) == {"v1": "copied"}
    assert server.get("b/n", "v1")[0] == new["digest"]
    assert tags_of(server, "b/n") == {"v1", "v2"}


@pytest.mark.parametrize("flags, wanted", [
    (["--tags", "v1.*", "--exclude-tags", "*.10.*"], {"v1.0.0", "v1.2.0"}),
    (["--regex", "v[0-9.]+"], {"v1.0.0", "v1.2.0", "v1.10.0"}),
    (["--semver", ">=1.2", "--newest", "1"], {"v1.10.0"}),
    (["--newest", "2"], {"v2.0.0-rc.1", "v1.10.0"}),
])
def test_tags_are_chosen_by_glob_expression_version_and_number(source, server, flags, wanted):
    mirror(*flags, source.ref("models/llm"), server.ref("b/n"))
    assert tags_of(server, "b/n") == wanted


def test_one_tag_may_get_another_name(source, server):
    assert states(mirror(source.ref("models/llm:latest"), server.ref("b/n:stable"))) == {"stable": "copied"}
    assert tags_of(server, "b/n") == {"stable"}


def test_repositories_are_found_by_glob_below_a_host_or_a_prefix(source, server):
    report = mirror("--repository", "models/*", "--exclude-repository", "*small", "--tags", "latest", source.host,
                    server.ref("kept"))
    assert [e["destination"] for e in report["entries"]] == [server.ref("kept/models/llm:latest")]
    report = mirror("--repository", "**", "--tags", "latest", source.ref("models"), server.ref("short"))
    assert {e["destination"] for e in report["entries"]} == {server.ref("short/llm:latest"), server.ref("short/small:latest")}


def test_repositories_that_are_named_need_no_catalogue(source, server):
    before = len(source.requests("GET", "_catalog"))
    mirror("--repository", "models/llm", "--tags", "latest", source.host, server.ref("kept"))
    assert tags_of(server, "kept/models/llm") == {"latest"}
    assert len(source.requests("GET", "_catalog")) == before


def test_a_file_says_it_all(tmp_path, source, server):
    text = f"""
limitRate: 1Gi
jobs: 2
mirrors:
  - name: releases
    source: {source.host}
    destination: {server.ref("kept")}
    repositories: [models/*]
    excludeRepositories: models/small
    tags: {{semver: ">=1.0", newest: 2, exclude: ["*-rc*"]}}
  - source: {source.ref("other/thing")}
    destination: {server.ref("thing")}
    tags: [latest, v1.0.0]
    referrers: false
    prune: {{maxPercent: 50}}
"""
    report = mirror("-f", document(tmp_path, text), "--audit", tmp_path / "audit")
    assert report["copied"] == 4 and report["failed"] == 0
    assert tags_of(server, "kept/models/llm") == {"v1.10.0", "v1.2.0"}
    assert tags_of(server, "thing") == {"latest", "v1.0.0"}
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert {line["rule"] for line in lines} == {"releases", source.ref("other/thing")}
    assert all(line["sourceDigest"] == line["destinationDigest"] for line in lines)
    assert sum(line["bytes"] for line in lines if line["state"] == "sent") == report["bytesSent"]
    assert {line["kind"] for line in lines} == {"tag", "manifest", "config", "layer"}
    result = tool.run("mirror", "-f", "-", input=text)
    assert result.code == 0 and result.out.count("unchanged") == 4, str(result)


@pytest.mark.parametrize("text, said", [
    ("mirrors: []", "no rules"), ("", "no rules"), ("mirrors: 3", "list"), ("mirrors: [{source: a.b/c, to: x}]", "'to'"),
    ("mirrors: [{source: a.b/c}]", "destination"), ("mirrors:\n\t- x", "line 2"), ("jobs: many", "jobs"),
    ("mirrors: [{source: a.b/c, destination: d.e/f, tags: {semver: '>='}}]", ">="),
    ("mirrors: [{source: a.b/c, destination: d.e/f, tags: {regex: '('}}]", "expression"),
    ("mirrors: [{source: a.b/c, destination: 'oci-archive:/x.tar'}]", "whole"),
    ("mirrors: [{source: a.b/c, destination: 'd.e/f:v1'}]", "tag"),
    ("mirrors: [{source: 'oci:/x', destination: d.e/f, repositories: ['*']}]", "registry"),
    ("mirrors: [{source: a.b/c, destination: d.e/f, platform: none}]", "none"),
    ("mirrors: [{source: a.b/c, destination: d.e/f, referrers: maybe}]", "referrers"),
])
def test_a_file_with_a_mistake_is_refused_before_anything_is_asked(tmp_path, text, said):
    result = tool.run("mirror", "-f", document(tmp_path, text))
    assert result.code in (tool.USAGE, tool.MALFORMED) and said in result.err and result.out == "", str(result)


def test_one_that_fails_does_not_stop_the_others(tmp_path, start, server):
    layout = images.ImageLayout(tmp_path / "layout")
    for tag in ("v1", "v2", "v3"):
        image(layout, tag, tag)
    config = trees.Layout(layout.root).manifest("v2")["config"]["digest"]
    trees.Layout(layout.root).blob_path(config).unlink()
    report = mirror(f"oci:{layout.root}", server.ref("b/n"), code=PARTIAL)
    assert states(report) == {"v1": "copied", "v2": "failed", "v3": "copied"}
    bad = next(e for e in report["entries"] if e["state"] == "failed")
    assert config in bad["error"] and bad["code"] == tool.NOT_FOUND
    assert tags_of(server, "b/n") == {"v1", "v3"}
    result = tool.run("mirror", f"oci:{layout.root}", server.ref("b/n"))
    assert result.code == PARTIAL and "1 of 3 failed" in result.err and result.out.count("unchanged") == 2


def test_a_repository_that_is_not_there_is_that_failure(tmp_path, source, server):
    assert tool.run("mirror", source.ref("no/such"), server.ref("b/n")).code == tool.NOT_FOUND
    text = f"mirrors: [{{source: {source.ref('no/such')}, destination: {server.ref('a/b')}}}, " \
           f"{{source: '{source.ref('models/llm:latest')}', destination: {server.ref('a/c')}}}]"
    report = mirror("-f", document(tmp_path, text), code=PARTIAL)
    assert [e["state"] for e in report["entries"]] == ["failed", "copied"]


def test_a_dry_run_changes_nothing(tmp_path, source, start):
    server = start(Distribution, "to")
    report = mirror("--dry-run", source.ref("models/llm"), server.ref("b/n"))
    assert report["copied"] == len(TAGS) and report["bytesSent"] > MIB and server.blobs() == {}
    mirror("--dry-run", source.ref("models/llm"), f"oci:{tmp_path}/none")
    assert not (tmp_path / "none").exists()


def test_a_platform_is_compared_by_its_own_manifest(packed, server):
    layout = trees.Layout(packed)
    wanted = next(d["digest"] for d in layout.document(layout.tagged("v1"))["manifests"]
                  if d["platform"]["architecture"] == "arm64")
    assert mirror("--platform", "linux/arm64", f"oci:{packed}", server.ref("b/n"))["copied"] == 1
    assert server.get("b/n", "v1")[0] == wanted
    assert mirror("--platform", "linux/arm64", f"oci:{packed}", server.ref("b/n"))["unchanged"] == 1


def test_into_a_layout_for_each_repository(tmp_path, weights, source):
    mirror("--repository", "models/*", source.host, f"oci:{tmp_path}/tree")
    assert trees.Layout(tmp_path / "tree/models/llm").blobs() == trees.Layout(weights.root).blobs()
    assert (tmp_path / "tree/models/small/index.json").is_file()


# signatures that come later


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_what_was_signed_after_the_first_run_comes_with_the_next(tmp_path, start, kind):
    plain, server, upstream = images.ImageLayout(tmp_path / "plain"), start(kind, "to"), start(kind, "from")
    image_ = plain.image("v1", plain.layer(images.tar(images.member("models/a", b"a"))))
    mirror(f"oci:{plain.root}", upstream.ref("a/m"))
    mirror(upstream.ref("a/m"), server.ref("b/n"))
    signed = signed_layout(tmp_path / "signed")
    tool.ok("cp", "--referrers", signed.ref("v1"), upstream.ref("a/m:v1"))
    name = image_["digest"].replace(":", "-")
    assert states(mirror(upstream.ref("a/m"), server.ref("b/n"))) == {
        "v1": "unchanged", name: "copied", f"{name}.sig": "copied"}
    assert tags_of(server, "b/n") == {"v1", name, f"{name}.sig"}
    assert server.get("b/n", name)[1] == upstream.get("a/m", name)[1]
    assert states(mirror(upstream.ref("a/m"), server.ref("b/n"))) == {"v1": "unchanged"}
    mirror("--referrers=false", upstream.ref("a/m"), server.ref("b/bare"))
    assert tags_of(server, "b/bare") == {"v1"}


# kills


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_killed_at_any_point_every_tag_is_whole_and_the_next_run_copies_the_rest(tmp_path, weights, source, start, kind):
    server, chance = start(kind, "to"), random.Random(models.SEED)
    for _ in range(KILLS):
        way = Cutter(source.port, rate=20 * MIB, answers=True)
        run = subprocess.Popen([tool.binary(), "mirror", way.ref("models/llm"), server.ref("b/n")],
                               env=tool.clean_env(None), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        point = chance.randrange(3 * MIB)
        while way.received < point and run.poll() is None:
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
        run.wait()
        way.close()
        listed = tool.run("tags", server.ref("b/n"))
        for tag in listed.out.split() if listed.code == 0 else []:
            tool.ok("cp", server.ref(f"b/n:{tag}"), f"oci:{tmp_path}/check:{tag}")
    report = mirror(source.ref("models/llm"), server.ref("b/n"))
    assert report["copied"] + report["unchanged"] == len(TAGS)
    for tag in TAGS:
        assert server.get("b/n", tag)[0] == trees.Layout(weights.root).tagged(tag)


def test_it_watches_until_a_signal(tmp_path, start, server):
    layout = images.ImageLayout(tmp_path / "layout")
    image(layout, "v1", "one")
    run = subprocess.Popen([tool.binary(), "mirror", "--watch", "1s", f"oci:{layout.root}", server.ref("b/n")],
                           env=tool.clean_env(None), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert run.stdout.readline().startswith("copied")
        image(layout, "v2", "two")
        deadline = time.monotonic() + 60
        while not server.has("b/n", "v2"):
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.1)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
        assert run.returncode == 128 + signal.SIGTERM
    finally:
        run.kill()
        run.wait()


@BOTH_WAYS
def test_both_ends_ask_for_a_name_and_a_certificate(tmp_path, weights, start, kinds):
    ends, flags, first = guarded(tmp_path, start, kinds)
    mirror(f"oci:{weights.root}", ends[0].ref("a/m"), *first, "--tags", "v1.*")
    assert mirror("--repository", "a/*", ends[0].host, ends[1].ref("b"), *flags)["copied"] == 3
    assert mirror("--repository", "a/*", ends[0].host, ends[1].ref("b"), *flags)["unchanged"] == 3
    one = [ends[0].ref("a/m:v1.0.0"), ends[1].ref("b/n:v2")]
    tool.fails(tool.TLS, "mirror", *one, *flags[:4])
    for command in ("mirror", "cp"):
        assert ends[1].host in tool.fails(tool.REFUSED, command, *one, *flags[:6]).err
    tool.ok("cp", *one, *flags)
