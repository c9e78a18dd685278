"""What goes wrong with volumes and registries: the log ends with our line, the termination message has its code."""
import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

import pods as kube
import servers
import tool

NO_SPACE = 30


@pytest.fixture(scope="module")
def private(scratch, model):
    """A registry that wants a name and a password, with a model in it. -> the server and the reference."""
    server = servers.DockerRegistry(scratch / "private", users={"puller": "right"})
    auth = write_secret(scratch / "private-push", server.host, "puller", "right")
    ref = server.ref("team/m:v1")
    tool.ok("pack", "--authfile", auth / "config.json", model, ref)
    yield server, ref
    server.close()


def write_secret(root: Path, host: str, name: str, password: str) -> Path:
    """A mounted secret of type kubernetes.io/dockerconfigjson, under the name that the pods give it."""
    root.mkdir(parents=True)
    root.chmod(0o755)
    word = base64.b64encode(f"{name}:{password}".encode()).decode()
    (root / "config.json").write_text(json.dumps({"auths": {host: {"auth": word}}}))
    return root


def job(ref: str) -> dict:
    return kube.set_model(kube.template("populate/base", "Job"), ref)


def assert_fails(pod, code: int, reason: str, *words: str) -> str:
    assert pod.wait("pull") == code, pod.logs("pull")
    last = pod.logs("pull").strip().splitlines()[-1]
    message = pod.message()
    assert last == f"modelcar: {message['message']}"
    assert message["code"] == code and message["reason"] == reason
    for word in words:
        assert word in last, last
    return last


def test_a_reference_that_is_not_there(pods, registry):
    ref = registry.ref("nobody/has:this")
    assert_fails(pods.play(job(ref), {"models": pods.volume()}), tool.NOT_FOUND, "NotFound", "nobody/has")


def test_the_right_secret_does(pods, private, tmp_path):
    server, ref = private
    right = write_secret(tmp_path / "auth", server.host, "puller", "right")
    pod = pods.play(job(ref), {"models": pods.volume()}, secret=right)
    assert pod.wait("pull") == tool.OK, pod.logs("pull")


@pytest.mark.parametrize("how", ["wrong password", "no secret"])
def test_a_wrong_secret_and_none(pods, private, tmp_path, how):
    server, ref = private
    wrong = write_secret(tmp_path / "auth", server.host, "puller", "hunter2") if how == "wrong password" else None
    last = assert_fails(pods.play(job(ref), {"models": pods.volume()}, secret=wrong), tool.REFUSED, "AuthRefused")
    assert "hunter2" not in last


@pytest.mark.parametrize("text, mode, code, reason", [("not json {", 0o644, 14, "Malformed"), ("{}", 0o600, 31, "PermissionDenied")],
                         ids=["no-json", "unreadable"])
def test_a_secret_that_cannot_be_used_is_named(pods, private, tmp_path, text, mode, code, reason):
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "config.json").chmod(mode)
    tmp_path.chmod(0o755)
    pod = pods.play(job(private[1]), {"models": pods.volume()}, secret=tmp_path)
    assert_fails(pod, code, reason, "/auth/config.json")


def test_a_volume_that_is_mounted_read_only(pods, pushed):
    spec = job(pushed)
    spec["containers"][0]["volumeMounts"][0]["readOnly"] = True
    assert_fails(pods.play(spec, {"models": pods.volume()}), tool.READ_ONLY, "PermissionDenied", "/pvc/models")


def test_a_volume_that_is_too_small(pods, pushed, tmp_path):
    place = tmp_path / "volume"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "none", place], check=True)
    try:
        pod = pods.play(job(pushed), {"models": str(place)})
        assert_fails(pod, NO_SPACE, "NoSpace", "/pvc/models")
        pod.remove()
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_volume_of_another_user(pods, pushed, tmp_path):
    place = tmp_path / "volume"
    place.mkdir()
    os.chown(place, 1000, 1000)
    place.chmod(0o755)
    assert_fails(pods.play(job(pushed), {"models": str(place)}), tool.READ_ONLY, "PermissionDenied", "/pvc/models")
    assert not list(place.iterdir())


def test_a_volume_that_the_group_may_not_write(pods, pushed, tmp_path):
    """An arbitrary user of group 0, as OpenShift has them, and a volume without the group's permission."""
    place = tmp_path / "volume"
    place.mkdir(mode=0o755)
    spec = kube.set_model(kube.template("populate/openshift", "Job"), pushed)
    pod = pods.play(spec, {"models": str(place)}, runAsUser=123456, runAsGroup=0)
    assert_fails(pod, tool.READ_ONLY, "PermissionDenied", "/pvc/models")


def test_a_volume_that_holds_other_files(pods, pushed, tmp_path):
    place = tmp_path / "volume"
    (place / "qwen2").mkdir(parents=True)
    (place / "qwen2/notes.txt").write_text("mine")
    for path in (place, place / "qwen2"):
        path.chmod(0o777)
    assert_fails(pods.play(job(pushed), {"models": str(place)}), tool.NOT_OURS, "Occupied", "qwen2")
    assert (place / "qwen2/notes.txt").read_text() == "mine"


def damage_silently(path: Path) -> None:
    """As a disk does it: another byte, the same size and time."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_verify_job_names_the_damaged_file(pods, pushed):
    volume = pods.volume()
    assert pods.play(job(pushed), {"models": volume}).wait("pull") == tool.OK
    good = pods.play(kube.template("populate/verify", "Job"), {"models": volume})
    assert good.wait("verify") == tool.OK, good.logs("verify")
    damage_silently(pods.path_of(volume) / "qwen2/config.json")
    bad = pods.play(kube.template("populate/verify", "Job"), {"models": volume})
    assert bad.wait("verify") == tool.DAMAGED
    assert "config.json" in bad.logs("verify") and bad.message()["code"] == tool.DAMAGED
