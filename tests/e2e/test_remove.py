"""Tags that go: alone where that can be, never with what another tag needs."""
import pytest

import images
import tool
import trees
from copies import TAGS, Corner, five_tags, image, mirror, push, refer, signed_layout, states, tags_of
from servers import Distribution, DockerRegistry

POLICY, PARTIAL = 12, 50


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return five_tags(tmp_path_factory.mktemp("weights") / "layout")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """What removes manifests only, and what removes tags."""
    found = {kind: kind(tmp_path_factory.mktemp(kind.__name__)) for kind in (DockerRegistry, Distribution)}
    yield found
    for server in found.values():
        server.close()


@pytest.fixture
def server(request, servers):
    return Corner(servers[Distribution], request.node.name)


@pytest.fixture(params=[DockerRegistry, Distribution], ids=["2.8", "3"])
def either(request, servers):
    return Corner(servers[request.param], request.node.name)


def test_rm_takes_a_tag_and_never_what_another_needs(either, packed):
    server = either
    tool.ok("cp", f"oci:{packed}:v1", server.ref("b/n:v1"), "-t", "same")
    child = trees.Layout(packed).document(trees.Layout(packed).tagged("v1"))["manifests"][0]["digest"]
    tool.ok("cp", f"oci:{packed}@{child}", server.ref("b/n:child"))
    alone = isinstance(server.server, Distribution)  # it can remove a tag alone
    for tag, needed_by in (("same", "v1"), ("child", "v1")):
        result = tool.run("rm", server.ref(f"b/n:{tag}"))
        assert result.code == (0 if alone else tool.UNSUPPORTED), str(result)
        assert alone or needed_by in result.err or "same" in result.err
    assert server.has("b/n", "v1") and server.has("b/n", child)
    tool.ok("rm", server.ref("b/n:v1"), *([] if alone else [server.ref("b/n:same")]))
    assert not server.has("b/n", "v1") and not server.has("b/n", "same")


def test_signatures_go_with_their_image(tmp_path, either):
    server, layout = either, signed_layout(tmp_path / "signed")
    other = image(layout, "other", "other")
    refer(layout, other, layout.manifest("keep-other", layout.blob(b"{}", images.EMPTY),
                                         [layout.blob(b"o", "text/plain")], subject=other))
    for tag in ("v1", "other"):
        tool.ok("cp", "--referrers", layout.ref(tag), server.ref(f"b/n:{tag}"))
    lines = tool.ok("rm", server.ref("b/n:v1")).out.splitlines()
    assert len(lines) == 3 and all(line.startswith("removed") for line in lines)
    assert tags_of(server, "b/n") == {"other", other["digest"].replace(":", "-")}


def test_rm_says_what_was_not_there_and_goes_on(server, weights):
    push(weights, server, "b/n")
    tool.fails(tool.NOT_FOUND, "rm", server.ref("b/n:none"))
    result = tool.run("rm", server.ref("b/n:v1.0.0"), server.ref("b/none:v1"), "--json")
    assert result.code == PARTIAL and not server.has("b/n", "v1.0.0")
    digest = server.get("b/n", "latest")[0]
    assert "latest" in tool.ok("rm", "--dry-run", server.ref("b/n:latest")).out and server.has("b/n", "latest")
    tool.ok("rm", f"{server.ref('b/n')}@{digest}")
    assert not server.has("b/n", "latest")
    tool.fails(tool.USAGE, "rm", server.ref("b/n"))


def test_prune_keeps_the_newest_and_what_matches(server, weights):
    push(weights, server, "b/n")
    dry = tool.ok("prune", "--keep", "1", "--keep-regex", "latest|v1[.]0[.].*", "--dry-run", server.ref("b/n"))
    assert dry.out.count("kept") == 3 and dry.out.count("removed") == 2 and tags_of(server, "b/n") == set(TAGS)
    report = tool.ok("prune", "--keep", "1", "--keep-regex", "latest|v1[.]0[.].*", "--json", server.ref("b/n")).json
    assert [t["state"] for t in report["repositories"][0]["tags"]] == ["removed", "removed"]
    assert tags_of(server, "b/n") == {"v2.0.0-rc.1", "latest", "v1.0.0"}
    tool.fails(POLICY, "prune", "--keep-regex", "none", server.ref("b/n"))
    tool.fails(tool.USAGE, "prune", server.ref("b/n"))
    assert len(tags_of(server, "b/n")) == 3


def test_tags_of_a_layout_go_as_well(tmp_path, own_layout):
    tool.ok("cp", f"oci:{own_layout}:v1", f"oci:{own_layout}:v2")
    tool.ok("rm", f"oci:{own_layout}:v1")
    assert tool.ok("tags", f"oci:{own_layout}").out == "v2\n"
    tool.fails(tool.NOT_FOUND, "rm", f"oci:{tmp_path}/none:v1")
    assert not (tmp_path / "none").exists()


# pruning of a mirror


def test_pruning_removes_what_the_source_has_no_more(tmp_path, weights, either):
    server, layout = either, images.ImageLayout(tmp_path / "layout")
    push(weights, server, "b/n")
    for tag in TAGS[1:]:
        image(layout, tag, tag, 2**20)
    report = mirror("--prune", f"oci:{layout.root}", server.ref("b/n"))
    assert states(report)[TAGS[0]] == "removed" and report["unchanged"] == 4
    assert tags_of(server, "b/n") == set(TAGS[1:])
    assert mirror(f"oci:{layout.root}", server.ref("b/n"))["unchanged"] == 4


def test_pruning_stops_at_the_guard(tmp_path, weights, server):
    mirror(f"oci:{weights.root}", server.ref("b/n"))
    report = mirror("--prune", "--newest", "3", f"oci:{weights.root}", server.ref("b/n"), code=PARTIAL)
    assert "2 of 5" in next(e["error"] for e in report["entries"] if e["state"] == "failed")
    assert tags_of(server, "b/n") == set(TAGS)
    assert tool.run("mirror", "--prune", "--tags", "none*", f"oci:{weights.root}", server.ref("b/n")).code == 0
    images.ImageLayout(tmp_path / "empty").tag("other", {"mediaType": images.MANIFEST, "digest": "sha256:" + "0" * 64,
                                                         "size": 2})
    assert tool.run("mirror", "--prune", "--tags", "v*", f"oci:{tmp_path}/empty", server.ref("b/n")).code == POLICY
    assert tags_of(server, "b/n") == set(TAGS)
    dry = mirror("--prune", "--prune-max", "40", "--newest", "3", "--dry-run", f"oci:{weights.root}", server.ref("b/n"))
    assert dry["removed"] == 2 and tags_of(server, "b/n") == set(TAGS)
    mirror("--prune", "--force", "--newest", "1", f"oci:{weights.root}", server.ref("b/n"))
    assert tags_of(server, "b/n") == {"v2.0.0-rc.1"}
