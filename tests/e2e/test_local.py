"""A plain directory as what is pulled: what lands is the image that pack makes of it, and what cannot is refused."""
import json
import os
import shutil

import pytest

import models
import tool
import trees


def is_clean(out) -> bool:
    return not trees.leftovers(out.parent, {out.name})


# what lands


def test_the_directory_comes_byte_for_byte_as_the_image_that_pack_makes_of_it(tmp_path, model, out):
    report = tool.ok("pull", f"dir:{model}", out, "--json").json
    trees.assert_same(model, out)
    tool.ok("verify", "--full", out)
    assert is_clean(out)
    assert report["digest"] == tool.ok("pack", model, f"oci:{tmp_path}/l:v1").digest
    assert report["reference"] == f"dir:{model}@{report['digest']}" and report["mode"] == "fresh"
    assert report["bytesFetched"] >= report["bytes"] == sum(size for size, _ in trees.tree(model).values())
    assert "unchanged" in tool.ok("pull", f"oci:{tmp_path}/l:v1", out).err


def test_modes_are_those_of_a_pull_and_not_the_sources(own_model, out):
    (own_model / "config.json").chmod(0o600)
    (own_model / "README.md").chmod(0o777)
    tool.ok("pull", f"dir:{own_model}", out, umask=0o077)
    assert {mode for name, mode in trees.modes(out).items() if name != trees.RECORD} == {0o664}


def test_the_record_names_the_directory_from_the_root_on(tmp_path, own_model, out):
    tool.ok("pull", f"dir:{own_model.name}", out, cwd=own_model.parent)
    assert json.loads((out / trees.RECORD).read_text())["reference"] == f"dir:{own_model}"


def test_colons_and_ats_belong_to_the_path(tmp_path, out):
    tree = models.write(tmp_path / "a:b@c", {"x.bin": b"x"})
    first = tool.ok("pull", f"dir:{tree}", out).line
    assert first.startswith(f"dir:{tree}@sha256:")
    assert "unchanged" in tool.ok("pull", first, out).err


def test_include_and_exclude_are_looked_at_before_anything_is_read(own_model, out):
    (own_model / "secret.bin").symlink_to("/etc/passwd")
    (own_model / ".git").mkdir()
    models.write(own_model / ".git", {"HEAD": "x"})
    result = tool.ok("pull", f"dir:{own_model}", out, "--exclude", "secret*", "--exclude", "*.safetensors")
    assert ".git" in result.err
    assert set(trees.tree(out)) == {n for n in trees.tree(own_model) if not n.startswith((".git", "secret")) and
                                    not n.endswith(".safetensors")}
    args = ["pull", f"dir:{own_model}", out, "--exclude", "secret*", "--exclude", "*.safetensors"]
    assert "unchanged" in tool.ok(*args).err


def test_a_snapshot_of_a_hugging_face_cache_lands_as_files(tmp_path, out):
    snapshot = models.huggingface_cache(tmp_path / "hub")
    tool.ok("pull", f"dir:{snapshot}", out)
    trees.assert_same(snapshot, out)
    assert not [p for p in out.rglob("*") if p.is_symlink()]


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside.bin", "nowhere"])
def test_a_link_out_of_the_tree_is_refused_by_name(tmp_path, own_model, out, target):
    (tmp_path / "outside.bin").write_bytes(b"x")
    (own_model / "alias.bin").symlink_to(target)
    assert "alias.bin" in tool.fails(tool.SOURCE, "pull", f"dir:{own_model}", out).err
    assert not out.exists() and trees.leftovers(out.parent, set()) == set()


def test_a_model_that_is_not_whole_wants_force(own_model, out):
    next(own_model.glob("*.safetensors")).unlink()
    assert "--force" in tool.fails(tool.SOURCE, "pull", f"dir:{own_model}", out).err
    assert not out.exists()
    tool.ok("pull", "--force", f"dir:{own_model}", out)
    trees.assert_same(own_model, out)


def test_many_models_of_a_volume_come_from_directories_as_well(tmp_path, own_model):
    (tmp_path / "root").mkdir()
    (tmp_path / "models.yaml").write_text(f"models: [{{ref: 'dir:{own_model}', path: a/b}}]\n")
    tool.ok("pull", "-f", tmp_path / "models.yaml", tmp_path / "root")
    trees.assert_same(own_model, tmp_path / "root/a/b")


def test_another_file_system_is_no_obstacle(own_model, second_file_system):
    out = second_file_system / "local"
    tool.ok("pull", f"dir:{own_model}", out)
    trees.assert_same(own_model, out)
    shutil.rmtree(out)


# what is refused


def test_what_is_not_there_is_named_before_anything_is_made(tmp_path, own_model, out):
    for code, path in ((tool.NOT_FOUND, tmp_path / "none"), (tool.USAGE, own_model / "config.json")):
        assert str(path) in tool.fails(code, "pull", f"dir:{path}", out).err
    (tmp_path / "empty").mkdir()
    tool.fails(tool.SOURCE, "pull", f"dir:{tmp_path}/empty", out)
    tool.fails(tool.USAGE, "pull", "dir:", out)
    tool.fails(tool.USAGE, "pull", "--root", "/", f"dir:{own_model}", out)
    assert trees.leftovers(out.parent, set()) == set()


def test_a_place_in_the_directory_itself_is_refused(own_model):
    before = trees.tree(own_model)
    for place in (own_model / "below", own_model / "sub/../below", own_model.parent / "own-model/below"):
        (own_model / "sub").mkdir(exist_ok=True)
        assert "itself" in tool.fails(tool.USAGE, "pull", f"dir:{own_model}", place).err
    assert trees.tree(own_model) == before


def test_a_place_with_other_files_is_refused_before_the_directory_is_read(own_model, out):
    models.write(out, {"mine.txt": "x"})
    result = tool.fails(tool.NOT_OURS, "pull", f"dir:{own_model}", out)
    assert "mine.txt" in result.err and "hash" not in result.err
    tool.fails(tool.NOT_FOUND, "pull", f"dir:{own_model}", out / "no/parent")


def test_the_directory_itself_may_be_adopted_and_costs_no_byte(own_model):
    before = trees.tree(own_model)
    report = tool.ok("pull", "--adopt", "--json", f"dir:{own_model}", own_model).json
    assert report["bytesKept"] == report["bytes"] and report["bytesFetched"] == 0
    assert trees.tree(own_model) == before
    tool.ok("verify", own_model)
    assert "unchanged" in tool.ok("pull", f"dir:{own_model}", own_model).err


def test_other_verbs_say_what_reads_a_directory(tmp_path, own_model):
    for args in (["cp", f"dir:{own_model}", f"oci:{tmp_path}/l:v1"], ["inspect", f"dir:{own_model}"],
                 ["pack", own_model, f"dir:{tmp_path}/x"]):
        assert not tool.run(*args).code == 0 and not (tmp_path / "l").exists() and not (tmp_path / "x").exists()
    assert "pack makes an image" in tool.fails(tool.UNSUPPORTED, "inspect", f"dir:{own_model}").err


def test_permissions_on_either_side_are_named(tmp_path, unprivileged, scratch):
    place = scratch / "permissions"
    tree = models.write(place / "tree", {"a.bin": b"a", "b.bin": b"b"})
    (place / "closed").mkdir(mode=0o755)
    for path in (place, scratch):
        path.chmod(0o755)
    if unprivileged:
        (place / "open").mkdir()
        (place / "open").chmod(0o777)
    else:
        (place / "open").mkdir()
        (place / "closed").chmod(0o555)
    try:
        tool.fails(tool.READ_ONLY, "pull", f"dir:{tree}", place / "closed/out", **unprivileged)
        tool.ok("pull", f"dir:{tree}", place / "open/out", **unprivileged)
        (tree / "b.bin").chmod(0)
        assert "b.bin" in tool.fails(tool.SOURCE, "pull", f"dir:{tree}", place / "open/other", **unprivileged).err
        assert not (place / "open/other").exists()
    finally:
        (place / "closed").chmod(0o755)
        scratch.chmod(0o700)
