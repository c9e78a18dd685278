"""Images as a Zarf cluster expects them in its registry: the path of the source, its tag, and the agent's tag."""
import zlib

import pytest

import images
import tool
import trees
from copies import TAGS, five_tags, image, mirror, push, states, tags_of
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
