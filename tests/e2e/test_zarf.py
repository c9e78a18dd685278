"""Images as a Zarf cluster expects them in its registry: the path of the source, its tag, and the agent's tag."""
import os
import subprocess
import zlib

import pytest

import bundles
import images
import kustomize
import tool
import trees
from copies import TAGS, five_tags, image, mirror, push, signed_layout, states, tags_of
from servers import Distribution, DockerRegistry


def agent_tag(name: str, tag: str) -> str:
    return f"{tag}-zarf-{zlib.crc32(name.encode())}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return five_tags(tmp_path_factory.mktemp("weights") / "layout")


@pytest.fixture(scope="module")
def source(tmp_path_factory, weights):
    server = DockerRegistry(tmp_path_factory.mktemp("source"))
    push(weights, server, "models/llm")
    yield server
    server.close()


def test_the_path_is_kept_below_the_address_and_both_tags_are_one_image(source, weights, start):
    server, name = start(Distribution, "zarf"), source.ref("models/llm")
    result = tool.ok("cp", "--via-zarf", f"{name}:v1.2.0", server.host)
    wanted = trees.Layout(weights.root).tagged("v1.2.0")
    assert result.line == f"{server.ref('models/llm')}@{wanted}"
    assert tags_of(server, "models/llm") == {"v1.2.0", agent_tag(name, "v1.2.0")}
    assert server.get("models/llm", agent_tag(name, "v1.2.0"))[0] == wanted
    assert tool.ok("cp", "--via-zarf", "--json", f"{name}:v1.2.0", server.host).json["unchanged"]
    tool.ok("cp", "--via-zarf", f"{name}:latest", f"{server.host}/below")
    assert tags_of(server, "below/models/llm") == {"latest", agent_tag(name, "latest")}


def test_a_destination_with_a_tag_is_taken_as_it_stands(source, start):
    server, name = start(Distribution, "zarf"), source.ref("models/llm")
    tool.ok("cp", "--via-zarf", "-t", "stable", f"{name}:v1.2.0", server.ref("other/llm:v9"))
    assert tags_of(server, "other/llm") == {"v9", "stable", agent_tag(name, "v9"), agent_tag(name, "stable")}


def test_an_image_without_a_name_of_its_own_needs_one(weights, start):
    server = start(Distribution, "zarf")
    assert "--image-name" in tool.fails(tool.USAGE, "cp", "--via-zarf", weights.ref("latest"), server.host).err
    tool.ok("cp", "--via-zarf", "--image-name", "docker.io/nginx", weights.ref("latest"), server.host)
    assert tags_of(server, "library/nginx") == {"latest", "latest-zarf-3793515731"}
    tool.fails(tool.USAGE, "cp", "--image-name", "docker.io/nginx", weights.ref("latest"), server.ref("a/b:v1"))


def test_the_name_that_an_archive_gives_counts(tmp_path, start):
    server = start(Distribution, "zarf")
    archive = images.docker_save(tmp_path / "d.tar", "ghcr.io/team/m:v1", images.tar(images.member("models/a", b"a")))
    tool.ok("cp", "--via-zarf", f"docker-archive:{archive}:ghcr.io/team/m:v1", server.host)
    assert tags_of(server, "team/m") == {"v1", agent_tag("ghcr.io/team/m", "v1")}


def test_a_mirror_writes_both_tags_and_asks_for_both(source, start):
    server, name = start(Distribution, "zarf"), source.ref("models/llm")
    args = ["--via-zarf", "--repository", "**", source.host, server.host]
    assert mirror(*args)["copied"] == len(TAGS)
    assert tags_of(server, "models/llm") == {*TAGS, *(agent_tag(name, tag) for tag in TAGS)}
    assert mirror(*args)["unchanged"] == len(TAGS)
    tool.ok("rm", server.ref(f"models/llm:{agent_tag(name, 'latest')}"))
    assert states(mirror(*args))["latest"] == "copied"
    assert agent_tag(name, "latest") in tags_of(server, "models/llm")


def test_pruning_takes_both_tags_and_leaves_those_of_what_stays(tmp_path, start):
    source, server = start(DockerRegistry, "from"), start(Distribution, "zarf")
    layout, name = images.ImageLayout(tmp_path / "layout"), source.ref("a/m")
    image(layout, "v1", "one"), image(layout, "v2", "two")
    push(layout, source, "a/m")
    mirror("--via-zarf", name, server.ref("a/m"))
    tool.ok("rm", f"{name}:v1")
    report = mirror("--via-zarf", "--prune", name, server.ref("a/m"))
    assert report["removed"] == 2
    assert tags_of(server, "a/m") == {"v2", agent_tag(name, "v2")}


def test_a_mirror_of_what_has_no_host_is_refused(weights):
    tool.fails(tool.USAGE, "mirror", "--via-zarf", f"oci:{weights.root}", "127.0.0.1:1/a/b")


# bundles

NAMES = {"ghcr.io/team/m:v1": "one", "ghcr.io/team/m:v2": "two", "other.example:5000/x/n:v1": "three"}


@pytest.fixture(scope="module")
def carried(tmp_path_factory):
    """Three images under two names; only read from."""
    out = tmp_path_factory.mktemp("carried")
    layout = bundles.named(out / "layout", NAMES)
    bundles.create(f"oci:{layout.root}", to=out / "several.tar")
    return out / "several.tar"


def agents(repository: str, *tags: str) -> set[str]:
    return {*tags, *(agent_tag(repository, tag) for tag in tags)}


def listed(result: tool.Result) -> set[str]:
    """PATH:TAG of the lines that a load prints."""
    return {line.split("@")[0].split("/", 1)[1] for line in result.out.splitlines()}


@pytest.mark.parametrize("kind", [DockerRegistry, Distribution], ids=["2.8", "3"])
def test_a_bundle_is_loaded_with_both_tags(carried, start, kind):
    server = start(kind, "zarf")
    report = tool.ok("load", "--via-zarf", "--json", carried, server.host).json
    assert tags_of(server, "team/m") == agents("ghcr.io/team/m", "v1", "v2")
    assert tags_of(server, "x/n") == agents("other.example:5000/x/n", "v1")
    for tag in ("v1", "v2"):
        assert server.get("team/m", agent_tag("ghcr.io/team/m", tag))[0] == server.get("team/m", tag)[0]
    assert len(report["images"]) == len(report["zarfImages"]) == len(NAMES)
    again = tool.ok("load", "--via-zarf", "--json", carried, server.host).json
    assert again["bytesSent"] == 0 and again["zarfImages"] == report["zarfImages"]


def test_without_the_option_no_agent_tag_is_written(carried, start):
    server = start(Distribution, "zarf")
    assert "zarfImages" not in tool.ok("load", "--json", carried, server.host).json
    assert tags_of(server, "team/m") == {"v1", "v2"}


def test_rules_change_the_path_and_the_tag_stays_that_of_the_name(carried, start):
    server = start(Distribution, "zarf")
    result = tool.ok("load", "--via-zarf", "--map", "ghcr.io/team/=below/", carried, server.host)
    assert tags_of(server, "below/m") == agents("ghcr.io/team/m", "v1", "v2")
    assert listed(result) == {*(f"below/m:{tag}" for tag in agents("ghcr.io/team/m", "v1", "v2")),
                              *(f"x/n:{tag}" for tag in agents("other.example:5000/x/n", "v1"))}


def test_a_dry_run_names_both_tags_where_the_rules_put_them_and_writes_nothing(carried, start):
    server = start(Distribution, "zarf")
    args = ["load", "--via-zarf", "--map", "team/=below/", carried, server.host]
    dry = tool.ok(*args, "--dry-run")
    assert server.blobs() == {} and not server.has("below/m", "v1")
    assert listed(dry) == listed(tool.ok(*args))
    assert agent_tag("ghcr.io/team/m", "v2") in tags_of(server, "below/m")


def test_a_pipe_and_parts_get_both_tags_as_well(tmp_path, carried, start):
    server = start(Distribution, "zarf")
    subprocess.run([tool.binary(), "load", "-q", "--via-zarf", "-", server.host], input=carried.read_bytes(),
                   env=tool.clean_env(None), check=True)
    assert tags_of(server, "team/m") == agents("ghcr.io/team/m", "v1", "v2")
    layout = bundles.named(tmp_path / "layout", {"ghcr.io/team/p:v1": "parts"})
    bundles.create(f"oci:{layout.root}", to=tmp_path / "p.tar", flags=["--split", "1Mi"])
    tool.ok("bundle", "apply", "--via-zarf", tmp_path / "p.tar", server.host)
    assert tags_of(server, "team/p") == agents("ghcr.io/team/p", "v1")


def test_a_destination_with_a_tag_gets_the_agents_tag_of_that(tmp_path, start):
    server, layout = start(Distribution, "zarf"), bundles.named(tmp_path / "layout", {"ghcr.io/team/m:v1": "one"})
    bundles.create(f"oci:{layout.root}", to=tmp_path / "m.tar")
    tool.ok("load", "--via-zarf", tmp_path / "m.tar", server.ref("far/m:stable"))
    assert tags_of(server, "far/m") == agents("ghcr.io/team/m", "stable")


def test_an_agents_tag_that_stands_for_something_else_is_not_replaced_unasked(tmp_path, carried, start):
    server = start(Distribution, "zarf")
    other = images.ImageLayout(tmp_path / "other")
    image(other, "x", "something else")
    taken = server.ref(f"team/m:{agent_tag('ghcr.io/team/m', 'v1')}")
    tool.ok("cp", other.ref("x"), taken)
    tool.fails(tool.TAG_EXISTS, "load", "--via-zarf", carried, server.host)
    assert not server.has("team/m", "v1")
    tool.ok("load", "--via-zarf", "--force", carried, server.host)
    assert server.get("team/m", taken.rsplit(":", 1)[1])[0] == server.get("team/m", "v1")[0]


def test_a_bundle_without_names_is_refused_before_anything_is_sent(tmp_path, weights, start):
    server = start(Distribution, "zarf")
    bundles.create(weights.ref("latest"), to=tmp_path / "m.tar")
    result = tool.fails(tool.USAGE, "load", "--via-zarf", tmp_path / "m.tar", server.ref("a/b"))
    assert "--image-name" in result.err and server.blobs() == {}


def test_signatures_keep_the_tags_that_they_are_looked_up_by(tmp_path, start):
    server, middle = start(Distribution, "zarf"), start(DockerRegistry, "middle")
    layout = signed_layout(tmp_path / "layout")
    push(layout, middle, "team/s")
    bundles.create(middle.ref("team/s:v1"), to=tmp_path / "s.tar")
    tool.ok("load", "--via-zarf", tmp_path / "s.tar", server.host)
    signatures = {tag for tag in tags_of(server, "team/s") if tag.endswith(".sig")}
    assert len(signatures) == 1
    assert not [tag for tag in tags_of(server, "team/s") if tag.startswith("sha256-") and "-zarf-" in tag]
    assert agents(middle.ref("team/s"), "v1") <= tags_of(server, "team/s")


ZARF = """#!/bin/sh
case "$1" in
connect) echo $$ >tunnel; exec sleep 3600 ;;
tools) echo push-secret ;;
esac
"""


def test_the_package_loads_its_bundle_through_a_tunnel_that_it_closes(tmp_path, start):
    """The action of deploy/'s package as Zarf runs it, with a stand-in for zarf, which it calls by its own path."""
    server = start(DockerRegistry, "registry", users={"zarf-push": "push-secret"})
    layout = bundles.named(tmp_path / "layout", {"reg.example/models/qwen2:0.5b": "one"})
    bundles.create(f"oci:{layout.root}", to=tmp_path / "model.tar")
    (tmp_path / "zarf").write_text(ZARF)
    (tmp_path / "zarf").chmod(0o755)
    (tmp_path / "modelcar").symlink_to(tool.binary())
    component = next(c for c in kustomize.load_all(tool.ROOT / "deploy/air-gap/zarf/zarf.yaml")[0]["components"]
                     if c["name"] == "model")
    load = component["actions"]["onDeploy"]["after"][0]
    assert all(entry.startswith("REGISTRY=127.0.0.1:") for entry in load["env"])

    def deploy() -> subprocess.CompletedProcess:
        return subprocess.run(["sh", "-e", "-c", load["cmd"]], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                              env={**tool.clean_env(None), "HOME": str(tmp_path), "REGISTRY": server.host})

    run = deploy()
    assert run.returncode == 0, run.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "tunnel").read_text()), 0)
    result = tool.ok("tags", server.ref("models/qwen2"), "--authfile", tmp_path / ".docker/config.json", "--plain-http")
    assert set(result.out.split()) == agents("reg.example/models/qwen2", "0.5b")
    (tmp_path / "zarf").write_text(ZARF.replace("push-secret", "old-secret"))
    assert deploy().returncode == tool.REFUSED
