"""storage-initializer: KServe's contract, as its webhook runs it."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import models
import servers
import tool
import trees

FAILED = 1  # every failure of this command


@pytest.fixture
def place(tmp_path):
    """As in the pod: a volume that is mounted at /mnt/models."""
    root = tmp_path / "mnt/models"
    root.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", root], capture_output=True).returncode:
        pytest.skip("absent: the right to mount")
    yield root
    subprocess.run(["umount", "-l", root], check=True)


def uri(ref: str) -> str:
    return f"oci://{ref}"


def initialize(*args, **options) -> tool.Result:
    return tool.ok("storage-initializer", *args, **options)


def test_an_image_lands_at_the_root_of_the_volume(place, pushed, model):
    result = initialize(uri(pushed), place)
    trees.assert_same(model, place)
    lines = result.err.splitlines()
    assert f"Successfully copied {uri(pushed)} to {place}" in lines
    assert any(line.startswith("Model downloaded in ") and line.endswith(" seconds.") for line in lines)
    assert result.out == ""


def test_again_is_quick_and_asks_for_no_blob(place, pushed, registry):
    initialize(uri(pushed), place)
    mark = len(registry.requests("GET", "/blobs/"))
    initialize(uri(pushed), place)
    assert registry.requests("GET", "/blobs/")[mark:] == []


def test_another_image_is_filled_in_place(place, pushed, own_model, repo):
    initialize(uri(pushed), place)
    (own_model / "config.json").write_text('{"model_type": "llama", "changed": true}')
    tool.ok("pack", own_model, f"{repo}:v2")
    inode = place.stat().st_ino
    initialize(uri(f"{repo}:v2"), place)
    trees.assert_same(own_model, place)
    assert place.stat().st_ino == inode


def test_it_goes_by_its_name(tmp_path, pushed, model):
    for name in ("storage-initializer", "initializer-entrypoint"):
        link = tmp_path / name
        link.symlink_to(tool.binary())
        result = subprocess.run([link, uri(pushed), tmp_path / f"by-{name}"], env=tool.clean_env(None),
                                capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        trees.assert_same(model, tmp_path / f"by-{name}")


def test_several_pairs_and_directories_that_are_not_there(tmp_path, pushed, model):
    initialize(uri(pushed), tmp_path / "a/b", "oci+fetch://" + pushed, tmp_path / "a/c/d")
    trees.assert_same(model, tmp_path / "a/b")
    trees.assert_same(model, tmp_path / "a/c/d")


def test_two_images_do_not_fill_one_directory(tmp_path, pushed):
    """The second would silently take the place of the first."""
    result = tool.fails(FAILED, "storage-initializer", uri(pushed), tmp_path / "m", uri(pushed), f"{tmp_path}/m/")
    assert f"{tmp_path}/m" in result.err and not (tmp_path / "m").exists()


def test_a_directory_below_another_is_left_alone(tmp_path, pushed, own_model, model, repo):
    """A base model with adapters in it, in whatever order, and again when the base has changed."""
    outer, inner = tmp_path / "m", tmp_path / "m/lora"
    initialize(uri(pushed), inner, uri(pushed), outer)
    (own_model / "config.json").write_text('{"model_type": "llama", "changed": true}')
    tool.ok("pack", own_model, f"{repo}:v2")
    initialize(uri(pushed), inner, uri(f"{repo}:v2"), outer)
    trees.assert_same(model, inner)
    assert (outer / "config.json").read_bytes() == (own_model / "config.json").read_bytes()


def test_files_of_others_are_adopted_where_that_is_asked_for(tmp_path, pushed, model):
    """A volume that KServe's own initializer has filled."""
    shutil.copytree(model, tmp_path / "m")
    (tmp_path / "m/config.json").write_text("half")
    assert "--adopt" in tool.fails(FAILED, "storage-initializer", uri(pushed), tmp_path / "m").err
    initialize(uri(pushed), tmp_path / "m", env={"MODELCAR_ADOPT": "true"})
    trees.assert_same(model, tmp_path / "m")


def test_a_directory_that_may_not_be_made_is_named_with_the_next_step(tmp_path, pushed, unprivileged):
    for parent in [*tmp_path.parents, tmp_path]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o055)
    (tmp_path / "closed").mkdir(mode=0o555)
    result = tool.fails(FAILED, "storage-initializer", uri(pushed), tmp_path / "closed/a/b", **unprivileged)
    assert f"'{tmp_path}/closed/a'" in result.err and "fsGroup" in result.err


def test_a_claim_is_a_destination(tmp_path, pushed, model):
    (tmp_path / "claims/data").mkdir(parents=True)
    initialize(uri(pushed), "pvc://data/m", "--pvc-root", tmp_path / "claims")
    trees.assert_same(model, tmp_path / "claims/data/m")
    tool.fails(FAILED, "storage-initializer", uri(pushed), "pvc://data/m", cwd=tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"claims"}


@pytest.mark.parametrize("args", [[], ["oci://r.example/m"], ["oci://r.example/m", "x", "oci://r.example/n"]])
def test_words_that_are_off_are_exit_1(args):
    tool.fails(FAILED, "storage-initializer", *args)


def test_a_failure_is_exit_1_and_the_termination_message_has_the_reason(tmp_path, registry):
    (tmp_path / "log").write_text("")
    result = tool.fails(FAILED, "storage-initializer", uri(registry.ref("no/such") + ":v1"), tmp_path / "out",
                        env={"MODELCAR_TERMINATION_LOG": str(tmp_path / "log")})
    message = json.loads((tmp_path / "log").read_text())
    assert message["code"] == tool.NOT_FOUND and message["reason"] == "NotFound"
    assert message["message"] in result.err


def test_success_is_in_the_termination_message_too(tmp_path, pushed):
    (tmp_path / "log").write_text("")
    initialize(uri(pushed), tmp_path / "out", env={"MODELCAR_TERMINATION_LOG": str(tmp_path / "log")})
    text = (tmp_path / "log").read_text()
    assert json.loads(text)["code"] == 0 and "Model downloaded" in text and len(text) <= 1024


@pytest.mark.parametrize("source", ["s3://bucket/m", "gs://bucket/m", "hf://org/m", "https://host.example/m.tar",
                                    "pvc://claim/m", "/mnt/pvc/m", "oci://n/ns/b/bucket/o/m"])
def test_other_schemes_are_refused_with_what_to_use(tmp_path, source):
    result = tool.fails(FAILED, "storage-initializer", source, tmp_path / "out")
    assert "MODELCAR_FALLBACK" in result.err and not (tmp_path / "out").exists()


def test_other_schemes_go_to_the_original_where_it_is(tmp_path, pushed, model):
    program = tmp_path / "original"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/seen\nexit 7\n')
    program.chmod(0o755)
    result = tool.run("storage-initializer", "s3://bucket/a", "/x", uri(pushed), tmp_path / "out", "hf://b/c", "/y",
                      env={"MODELCAR_FALLBACK": str(program)})
    assert result.code == 7, str(result)
    assert (tmp_path / "seen").read_text().splitlines() == ["s3://bucket/a", "/x", "hf://b/c", "/y"]
    trees.assert_same(model, tmp_path / "out")
    tool.fails(FAILED, "storage-initializer", "s3://bucket/a", "/x", env={"MODELCAR_FALLBACK": str(tmp_path / "none")})


def test_encrypted_models_are_the_original_s_where_it_takes_all(tmp_path, pushed):
    env = {"MODELCAR_FALLBACK": "/bin/echo", "CONFIDENTIAL_RESOURCE_ID": "default/key/1"}
    assert initialize("s3://bucket/a", "/x", env=env).line == "s3://bucket/a /x"
    tool.fails(FAILED, "storage-initializer", uri(pushed), tmp_path / "m", env=env)


@pytest.mark.parametrize("env,kept", [
    ({"STORAGE_ALLOW_PATTERNS": '["*.json", "nothing"]'}, lambda n: n.endswith(".json")),
    ({"STORAGE_IGNORE_PATTERNS": "*.safetensors, README*"},
     lambda n: not n.endswith(".safetensors") and not n.startswith("README")),
])
def test_patterns_choose_files(tmp_path, pushed, model, env, kept):
    initialize(uri(pushed), tmp_path / "out", env=env)
    assert set(trees.tree(tmp_path / "out")) == {n for n in trees.tree(model) if kept(n)}


def test_credentials_of_the_webhook(tmp_path, start, model):
    server = start(servers.DockerRegistry, "locked", users={"user": "word"})
    auth = servers.write_authfile(tmp_path / "config.json", server.host, "user", "word")
    tool.ok("pack", model, f"{server.host}/a/b:v1", "--authfile", auth)
    initialize(uri(f"{server.host}/a/b:v1"), tmp_path / "out", env={"KSERVE_OCI_DOCKER_CONFIG": str(auth)})
    trees.assert_same(model, tmp_path / "out")
    (tmp_path / "docker").mkdir()
    auth.rename(tmp_path / "docker/config.json")
    gone = {"KSERVE_OCI_DOCKER_CONFIG": str(auth)}
    initialize(uri(f"{server.host}/a/b:v1"), tmp_path / "two", env={**gone, "DOCKER_CONFIG": str(tmp_path / "docker")})
    tool.fails(FAILED, "storage-initializer", uri(f"{server.host}/a/b:v1"), tmp_path / "three", env=gone)


def test_a_bundle_of_authorities_and_a_registry_that_is_not_verified(tmp_path, start, model):
    authority = servers.Authority(tmp_path / "authority")
    server = start(servers.DockerRegistry, "secret", authority=authority)
    ref = uri(f"{server.host}/a/b:v1")
    tool.ok("pack", model, f"{server.host}/a/b:v1", "--ca-file", authority.certificate)
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/cabundle.crt").write_bytes(authority.certificate.read_bytes())
    initialize(ref, tmp_path / "one", env={"CA_BUNDLE_CONFIGMAP_NAME": "bundle",
                                           "CA_BUNDLE_VOLUME_MOUNT_POINT": str(tmp_path / "certs")})
    initialize(ref, tmp_path / "two", env={"KSERVE_OCI_INSECURE_REGISTRY": "true"})
    trees.assert_same(model, tmp_path / "two")


def test_an_insecure_registry_may_have_no_tls_at_all(tmp_path, pushed, model):
    initialize(uri(pushed), tmp_path / "out", env={"KSERVE_OCI_INSECURE_REGISTRY": "1"})
    trees.assert_same(model, tmp_path / "out")


def test_any_user_without_a_home_on_a_root_that_is_read_only(tmp_path, pushed, model):
    """As a restricted pod has it: only the destination may be written."""
    out = tmp_path / "models"
    out.mkdir()
    out.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)  # of /mnt
    inner = (f"mount --bind {out} {out} && mount -o remount,ro,bind / && "
             f"exec setpriv --reuid 1000650000 --regid 0 --clear-groups --no-new-privs "
             f"env -i {Path(tool.binary()).resolve()} storage-initializer {uri(pushed)} {out}")
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("absent: the right to a mount namespace")
    result = subprocess.run(["unshare", "-m", "sh", "-ec", inner], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    trees.assert_same(model, out)
    assert {p.stat().st_uid for p in out.rglob("*")} == {1000650000}


def test_triton_repositories_land_whole(tmp_path, repo):
    tree = models.triton(tmp_path / "repository")
    tool.ok("pack", tree, f"{repo}:v1")
    (tmp_path / "models").mkdir()
    initialize(uri(f"{repo}:v1"), tmp_path / "models")
    trees.assert_same(tree, tmp_path / "models")
