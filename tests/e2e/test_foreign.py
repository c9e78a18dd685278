"""Images that others made: compressed layers, whiteouts, odd members, hostile members."""
import gzip
import shutil
import tarfile

import pytest

import consumers
import images
import models
import tool
import trees
from images import files_of, member, tar


def pull(ref: str, target, *flags):
    return tool.ok("pull", ref, target, *flags)


@pytest.mark.parametrize("kind", ["", "gzip", "zstd"])
def test_layers_are_read_in_every_compression(tmp_path, foreign, model, kind):
    foreign.image("v1", foreign.layer(tar(*files_of(model)), kind))
    pull(foreign.ref("v1"), tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_layers_are_read_in_every_tar_dialect(tmp_path, foreign, format):
    tree = models.write(tmp_path / "tree", {"a" * 90 + "/" + "b" * 90: b"long", "é.txt": b"u"})
    foreign.image("v1", foreign.layer(tar(*files_of(tree), format=format), "gzip"))
    pull(foreign.ref("v1"), tmp_path / "out")
    trees.assert_same(tree, tmp_path / "out")


def test_upper_layers_replace_files_and_whiteouts_remove_them(tmp_path, foreign):
    lower = tar(member("models"), member("models/keep", b"1"), member("models/old", b"1"), member("models/new", b"1"),
                member("models/dir"), member("models/dir/a", b"1"), member("models/dir/b", b"1"))
    upper = tar(member("models/new", b"2"), member("models/.wh.old", b""), member("models/dir/.wh..wh..opq", b""),
                member("models/dir/c", b"2"))
    foreign.image("v1", foreign.layer(lower, "gzip"), foreign.layer(upper))
    pull(foreign.ref("v1"), tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes()
             for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != trees.RECORD}
    assert found == {"keep": b"1", "new": b"2", "dir/c": b"2"}


def test_names_may_begin_with_a_dot_or_a_slash(tmp_path, foreign):
    foreign.image("v1", foreign.layer(tar(member("./models/a", b"1"), member("/models/b", b"2"))))
    pull(foreign.ref("v1"), tmp_path / "out")
    assert set(trees.tree(tmp_path / "out")) == {"a", "b"}


def test_hard_links_within_the_model_become_files(tmp_path, foreign):
    link = member("models/b", b"", type=tarfile.LNKTYPE, linkname="models/a")
    foreign.image("v1", foreign.layer(tar(member("models/a", b"same"), link), "gzip"))
    pull(foreign.ref("v1"), tmp_path / "out")
    assert (tmp_path / "out/b").read_bytes() == b"same"


def test_root_takes_another_part_of_the_image(tmp_path, foreign):
    foreign.image("v1", foreign.layer(tar(member("opt/model/x.bin", b"x"), member("etc/passwd", b"p"))))
    result = tool.fails(tool.UNSUPPORTED, "pull", foreign.ref("v1"), tmp_path / "none")
    assert "opt" in result.err and "etc" in result.err
    pull(foreign.ref("v1"), tmp_path / "part", "--root", "/opt/model")
    assert set(trees.tree(tmp_path / "part")) == {"x.bin"}
    pull(foreign.ref("v1"), tmp_path / "all", "--root", "/")
    assert set(trees.tree(tmp_path / "all")) == {"opt/model/x.bin", "etc/passwd"}


HOSTILE = {
    "climbs": [member("models/../../evil", b"x")],
    "climbs by a link": [member("models/l", b"", type=tarfile.SYMTYPE, linkname="/"), member("models/l/evil", b"x")],
    "hard link out": [member("models/l", b"", type=tarfile.LNKTYPE, linkname="../../evil")],
    "device": [member("models/d", b"", type=tarfile.CHRTYPE)],
    "fifo": [member("models/f", b"", type=tarfile.FIFOTYPE)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_layer_lands_nothing_outside_and_leaves_nothing(tmp_path, foreign, what):
    foreign.image("v1", foreign.layer(tar(member("models"), member("models/a", b"1"), *HOSTILE[what])))
    (tmp_path / "place").mkdir()
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "place/out")
    assert result.code in (tool.OK, tool.MALFORMED, tool.UNSUPPORTED), str(result)
    assert not list(tmp_path.rglob("evil")) and not (tmp_path / "evil").exists()
    if result.code:
        assert not trees.leftovers(tmp_path / "place", set())


@pytest.mark.parametrize("kind", ["", "gzip", "zstd"])
def test_a_layer_that_is_cut_short_is_refused(tmp_path, foreign, model, kind):
    data = images.compress(tar(*files_of(model)), kind)
    whole = foreign.layer(tar(*files_of(model)), kind)
    cut = foreign.blob(data[:len(data) // 2], whole[0]["mediaType"])
    foreign.image("v1", (cut, whole[1]))
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "out")
    assert result.code in (tool.MISMATCH, tool.MALFORMED), str(result)
    assert not (tmp_path / "out").exists()


def test_a_compressed_layer_that_is_not_its_diff_id_is_refused(tmp_path, foreign):
    layer, _ = foreign.layer(tar(member("models/a", b"1")), "gzip")
    foreign.image("v1", (layer, "sha256:" + "0" * 64))
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "out")
    assert result.code == tool.MISMATCH, str(result)


def test_what_olot_makes_is_read(tmp_path, foreign, model, olot):
    images.base(foreign, "v1")
    olot.add(foreign.root, model)
    pull(foreign.ref("v1"), tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_what_umoci_inserts_is_read(tmp_path, model, umoci):
    """Its tar ends with the last byte of the last file: no padding, no end blocks."""
    umoci.start(tmp_path / "l", "v1")
    umoci.run("insert", *umoci.rootless, "--image", f"{tmp_path}/l:v1", model, "/models")
    pull(f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_what_umoci_repacks_is_read(tmp_path, model, umoci):
    umoci.start(tmp_path / "l", "v1")
    shutil.copytree(model, umoci.unpack(tmp_path / "l", "v1", tmp_path / "bundle") / "models")
    umoci.run("repack", "--image", f"{tmp_path}/l:v1", tmp_path / "bundle")
    pull(f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_what_buildah_makes_is_read(tmp_path, model, buildah):
    buildah.build_from_scratch(model, tmp_path / "l", "v1")
    pull(f"oci:{tmp_path}/l:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_what_crane_append_makes_is_read(tmp_path, model, crane, repo):
    (tmp_path / "layer.tar").write_bytes(tar(*files_of(model)))
    crane.run("append", "--new_layer", tmp_path / "layer.tar", "--new_tag", f"{repo}:v1")
    pull(f"{repo}:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


def test_an_archive_as_docker_save_writes_it_is_read(tmp_path, foreign, model):
    """Since version 25: an OCI layout with manifest.json beside it, in one tar."""
    layer = foreign.layer(tar(*files_of(model)))
    foreign.image("v1", layer)
    (foreign.root / "manifest.json").write_text('[{"Config":"","RepoTags":["x:v1"],"Layers":[]}]')
    consumers.call("tar", "-C", foreign.root, "-cf", tmp_path / "saved.tar", ".")
    pull(f"oci-archive:{tmp_path}/saved.tar:v1", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


@pytest.mark.parametrize("name", ["docker-archive:{}", "docker-archive:{}:v1", "docker-archive:{}:x:v1",
                                  "docker-archive:{}:docker.io/library/x:v1", "oci-archive:{}", "oci-archive:{}:v1"])
def test_an_archive_as_older_docker_save_writes_it_is_read(tmp_path, model, name):
    saved = images.docker_save(tmp_path / "saved.tar", "x:v1", tar(*files_of(model)))
    pull(name.format(saved), tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


@pytest.mark.parametrize("name", ["v2", "x:v2", "r.io/x:v1"])
def test_a_name_that_an_archive_of_docker_does_not_have_is_not_found(tmp_path, model, name):
    saved = images.docker_save(tmp_path / "saved.tar", "x:v1", tar(*files_of(model)))
    tool.fails(tool.NOT_FOUND, "pull", f"docker-archive:{saved}:{name}", tmp_path / "out")


def test_a_layer_of_an_archive_of_docker_that_is_not_its_diff_id_is_refused(tmp_path):
    saved = images.docker_save(tmp_path / "saved.tar", "x:v1", tar(member("models/a", b"inside")))
    saved.write_bytes(saved.read_bytes().replace(b"inside", b"INSIDE"))
    tool.fails(tool.MISMATCH, "pull", f"docker-archive:{saved}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_of_docker_is_not_written(tmp_path, model):
    result = tool.fails(tool.UNSUPPORTED, "pack", model, f"docker-archive:{tmp_path}/model.tar:v1")
    assert "oci-archive:" in result.err and not list(tmp_path.glob("*.tar"))


def test_what_podman_saves_is_read(tmp_path, model, podman, repo):
    """Its default is Docker's older form: layers unpacked, under the name with the registry's host."""
    tool.ok("pack", model, f"{repo}:v1")
    podman.run("save", "-q", "-o", tmp_path / "saved.tar", podman.pull(f"{repo}:v1"), f"{repo}:v1")
    assert tool.ok("tags", f"docker-archive:{tmp_path}/saved.tar").line == f"{repo}:v1"
    for i, name in enumerate(("", ":v1", f":{repo}:v1")):
        pull(f"docker-archive:{tmp_path}/saved.tar{name}", tmp_path / f"out{i}")
        trees.assert_same(model, tmp_path / f"out{i}")


@pytest.mark.parametrize("kind", ["", "gzip"])
def test_what_skopeo_writes_to_an_archive_of_docker_is_read(tmp_path, foreign, model, skopeo, kind):
    base = tar(member("models"), member("models/config.json", b"an older one"))
    foreign.image("v1", foreign.layer(base, kind), foreign.layer(tar(*files_of(model)), kind))
    skopeo.copy(foreign.ref("v1"), f"docker-archive:{tmp_path}/saved.tar:localhost/team/m:v1")
    for i, name in enumerate(("", ":v1", ":localhost/team/m:v1")):
        pull(f"docker-archive:{tmp_path}/saved.tar{name}", tmp_path / f"out{i}")
        trees.assert_same(model, tmp_path / f"out{i}")


def test_an_image_that_skopeo_has_gzipped_is_still_read(tmp_path, model, packed, skopeo, repo):
    skopeo.copy(f"oci:{packed}:v1", f"docker://{repo}:gz", "--dest-compress-format", "gzip")
    pull(f"{repo}:gz", tmp_path / "out")
    trees.assert_same(model, tmp_path / "out")


@pytest.mark.parametrize("annotations", [{}, {"io.deis.oras.content.unpack": "true"}], ids=["library", "cli"])
def test_a_directory_that_oras_has_packed_lands_as_a_directory(tmp_path, foreign, model, annotations):
    foreign.packed_dir("v1", "tiny", tar(*files_of(model, "tiny/")), **annotations)
    pull(foreign.ref("v1"), tmp_path / "out")
    trees.assert_same(model, tmp_path / "out" / "tiny")


def test_an_archive_that_an_artifact_holds_as_a_file_stays_one(tmp_path, foreign):
    plain = tar(member("a", b"1"))
    foreign.packed_dir("v1", "model.tar.gz", plain)
    pull(foreign.ref("v1"), tmp_path / "out")
    assert gzip.decompress((tmp_path / "out" / "model.tar.gz").read_bytes()) == plain
