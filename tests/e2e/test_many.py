"""pull --file: many models into one volume, each with its record, and without what the list has no more."""
import json
import os
import shutil

import pytest

import crashes
import models
import tool
import trees

PARTIAL = 50


@pytest.fixture
def store(tmp_path):
    """Two models in a layout, and an empty volume."""
    for name, seed in (("one", 1), ("two", 2)):
        tree = models.single(tmp_path / name, seed=seed)
        tool.ok("pack", tree, f"oci:{tmp_path}/l:{name}")
    (tmp_path / "volume").mkdir()
    return tmp_path


def write_list(store, *entries: dict | str):
    path = store / "models.yaml"
    path.write_text(json.dumps({"models": list(entries)}))  # JSON is YAML
    return path


def entry(store, name: str, **more) -> dict:
    return {"ref": f"oci:{store}/l:{name}", "path": name, **more}


def pull(store, listed, *args) -> list[list[str]]:
    return [line.split()[:2] for line in tool.ok("pull", "-f", listed, *args, store / "volume").out.splitlines()]


def test_each_has_its_place_and_its_record(store):
    listed = write_list(store, entry(store, "one"), entry(store, "two", path="team/b"))
    assert pull(store, listed) == [["pulled", "one"], ["pulled", "team/b"]]
    trees.assert_same(store / "one", store / "volume/one")
    trees.assert_same(store / "two", store / "volume/team/b")
    assert (store / "volume/one" / trees.RECORD).exists() and (store / "volume/team/b" / trees.RECORD).exists()
    assert pull(store, listed) == [["unchanged", "one"], ["unchanged", "team/b"]]


def test_a_registry_s_repository_is_the_path(store, pushed, model):
    report = tool.ok("pull", "--json", "-f", write_list(store, pushed), store / "volume").json
    assert report["models"][0]["path"] == "tiny" and report["models"][0]["reference"].startswith(pushed.removesuffix(":v1") + "@sha256:")
    trees.assert_same(model, store / "volume/tiny")


def test_standard_input_and_entries_of_their_own(store):
    text = json.dumps({"models": [entry(store, "one", include=["config.json"], publish="version")]})
    tool.ok("pull", "-f", "-", store / "volume", input=text)
    assert set(trees.tree(store / "volume/one/current/")) == {"config.json"}


def test_one_that_fails_does_not_stop_the_others_and_nothing_is_removed(store):
    pull(store, write_list(store, entry(store, "one")))
    listed = write_list(store, {"ref": f"oci:{store}/l:none", "path": "none"}, entry(store, "two"))
    result = tool.run("pull", "-f", listed, "--prune", "--json", store / "volume")
    assert result.code == PARTIAL and len(tool.error_lines(result)) == 1, str(result)
    assert [m["state"] for m in result.json["models"]] == ["failed", "pulled"]
    assert result.json["models"][0]["code"] == tool.NOT_FOUND
    trees.assert_same(store / "one", store / "volume/one")
    trees.assert_same(store / "two", store / "volume/two")


def test_a_list_that_is_off_is_refused_before_anything_is_pulled(store):
    listed = write_list(store, entry(store, "one"), entry(store, "two", publish="swapp"))
    assert "model 2" in tool.fails(tool.USAGE, "pull", "-f", listed, store / "volume").err
    assert list((store / "volume").iterdir()) == []


def test_a_sole_failure_is_its_own(store):
    tool.fails(tool.NOT_FOUND, "pull", "-f", write_list(store, {"ref": f"oci:{store}/l:none", "path": "x"}),
               store / "volume")


def test_prune_takes_trees_of_pulls_and_nothing_else(store):
    pull(store, write_list(store, entry(store, "one"), entry(store, "two", publish="version")))
    models.write(store / "volume/mine", {"notes": "mine"})
    listed = write_list(store, entry(store, "one"))
    assert pull(store, listed) == [["unchanged", "one"]]
    removed = [path for state, path in pull(store, listed, "--prune") if state == "removed"]
    assert len(removed) == 1 and removed[0].startswith("two/sha256-")
    assert {p.name for p in (store / "volume").iterdir()} == {"one", "mine"}
    assert (store / "volume/mine/notes").read_text() == "mine"


def test_prune_leaves_a_model_that_has_moved_below_another(store):
    """And what a user has put into a tree that goes."""
    pull(store, write_list(store, entry(store, "one")))
    (store / "volume/one/mine").write_text("precious")
    result = tool.ok("pull", "-f", write_list(store, entry(store, "two", path="one/two")), "--prune", store / "volume")
    assert [line.split()[:2] for line in result.out.splitlines()] == [["pulled", "one/two"], ["removed", "one"]]
    assert "'mine'" in result.err
    trees.assert_same(store / "two", store / "volume/one/two")
    assert {p.name for p in (store / "volume/one").iterdir()} == {"two", "mine"}


def test_prune_leaves_what_a_volume_holds_by_itself(store, unprivileged):
    """lost+found of ext4, which only root may read, snapshots of NFS, a directory of another user."""
    for parent in [*store.parents, store]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    (store / "volume").chmod(0o777)
    wanted = tool.ok("pull", "-f", write_list(store, entry(store, "one"), entry(store, "two")), store / "volume", **unprivileged)
    assert len(wanted.out.splitlines()) == 2
    shutil.copytree(store / "volume/one", store / "volume/.snapshot/then/one")
    for name in ("lost+found", "private"):
        (store / "volume" / name).mkdir(mode=0)
    try:
        result = tool.ok("pull", "-f", write_list(store, entry(store, "one")), "--prune", store / "volume", **unprivileged)
    finally:
        for name in ("lost+found", "private"):
            (store / "volume" / name).chmod(0o700)
    assert [line.split()[:2] for line in result.out.splitlines()] == [["unchanged", "one"], ["removed", "two"]]
    assert {p.name for p in (store / "volume").iterdir()} == {"one", ".snapshot", "lost+found", "private"}
    trees.assert_same(store / "one", store / "volume/.snapshot/then/one")


def test_prune_in_a_triton_repository_takes_the_record_beside_the_model(store):
    repository = models.triton(store / "repository")
    for name in ("encoder", "decoder"):
        tool.ok("pack", repository / name, f"oci:{store}/l:{name}")
    pull(store, write_list(store, entry(store, "encoder"), entry(store, "decoder")))
    assert (store / "volume/.modelcar.decoder.json").exists()
    pull(store, write_list(store, entry(store, "encoder")), "--prune")
    assert {p.name for p in (store / "volume").iterdir()} == {"encoder", ".modelcar.encoder.json"}
    trees.assert_same(repository / "encoder", store / "volume/encoder")


def test_prune_that_was_killed_in_a_triton_repository_is_ended_by_the_next(store):
    tool.ok("pack", models.triton(store / "repository", models=("encoder",)) / "encoder", f"oci:{store}/l:encoder")
    both, one = [entry(store, "one"), entry(store, "encoder")], entry(store, "one")
    for at in range(1, 100):
        pull(store, write_list(store, *both))
        prune = ("pull", "-f", write_list(store, one), "--prune", store / "volume")
        if crashes.run(*prune, root=store, kinds="unlink", act="kill-after", at=at).result.code == tool.OK:
            break
        tool.ok(*prune)
        left = {path.name for path in (store / "volume").rglob("*") if not path.is_relative_to(store / "volume/one")}
        left = {name for name in left if not name.endswith(".lease.part")}  # gc knows it
        assert left in (set(), {"encoder"}), f"killed after {at}: {left}"  # an empty directory at most
    assert at > 4


def test_a_claim_is_a_root_and_a_destination(store):
    (store / "claims/models/a").mkdir(parents=True)
    tool.ok("pull", "-f", write_list(store, entry(store, "one")), "pvc://models/a", "--pvc-root", store / "claims")
    trees.assert_same(store / "one", store / "claims/models/a/one")
    (store / "claims/models/a/out").symlink_to(store / "volume")
    listed = write_list(store, entry(store, "one", path="out/one"))
    tool.fails(tool.USAGE, "pull", "-f", listed, "pvc://models/a/", "--pvc-root", store / "claims")
    assert list((store / "volume").iterdir()) == []
    tool.ok("pull", f"oci:{store}/l:two", "pvc://models/b", env={"MODELCAR_PVC_ROOT": str(store / "claims")})
    trees.assert_same(store / "two", store / "claims/models/b")
    tool.ok("verify", "pvc://models/b", "--pvc-root", store / "claims")
    tool.fails(tool.USAGE, "pull", f"oci:{store}/l:two", "pvc://models/../b", "--pvc-root", store / "claims")
    tool.fails(tool.USAGE, "pull", f"oci:{store}/l:two", "pvc://models/b")


def test_usage(store):
    listed = write_list(store, entry(store, "one"))
    tool.fails(tool.USAGE, "pull", "-f", listed, f"oci:{store}/l:one", store / "x")
    tool.fails(tool.USAGE, "pull", f"oci:{store}/l:one")
    tool.fails(tool.USAGE, "pull", "--prune", f"oci:{store}/l:one", store / "x")
    tool.fails(tool.NOT_FOUND, "pull", "-f", store / "none.yaml", store / "volume")
    tool.fails(tool.NOT_FOUND, "pull", "-f", listed, store / "none")
    tool.fails(tool.USAGE, "pull", "-f", write_list(store), store / "volume")
    tool.fails(tool.USAGE, "pull", "-f", write_list(store, entry(store, "one", publish="somehow")), store / "volume")
