"""deploy/'s pods run: they fill volumes, find them unchanged, gate servers, and go on where they were killed."""
import json
import os
import time
from pathlib import Path

import pytest

import models
import pods as kube
import tool
import trees

MIB = 2**20


@pytest.fixture(scope="module")
def large(tmp_path_factory, registry):
    """32 MiB in two shards: some blocks of 4 MiB each. -> its directory and reference."""
    tree = models.huggingface(tmp_path_factory.mktemp("large") / "m", shards=2, rows=8 * 1024)
    ref = registry.ref("pods/large:v1")
    tool.ok("pack", tree, ref)
    return tree, ref


def pull_pod(ref: str, *extra: str, root: str = "populate/base", kind: str = "Job") -> dict:
    return kube.set_model(kube.template(root, kind), ref, *extra)


def verify_instead(spec: dict, directory: str) -> dict:
    """A stand-in for the server: it reads every byte of the model, and fails where one is missing."""
    server = spec["containers"][0]
    spec["containers"] = [{"name": server["name"], "image": "reg.example/tools/modelcar:0", "args": ["verify", "--full", directory],
                           "volumeMounts": [m for m in server["volumeMounts"] if m["name"] == "models"]}]
    spec["volumes"] = [v for v in spec["volumes"] if v["name"] != "shm"]
    return spec


def test_the_job_fills_a_volume_and_the_second_run_finds_it_unchanged(pods, model, pushed):
    volume = pods.volume()
    first = pods.play(pull_pod(pushed), {"models": volume})
    assert first.wait("pull") == tool.OK, first.logs("pull")
    trees.assert_same(model, pods.path_of(volume) / "qwen2")
    second = pods.play(pull_pod(pushed), {"models": volume})
    assert second.wait("pull") == tool.OK and "unchanged" in second.logs("pull")
    box = second.inspect("pull")
    assert box["HostConfig"]["ReadonlyRootfs"] and box["HostConfig"]["Memory"] == 128 * MIB
    assert not box["EffectiveCaps"] and box["Config"]["User"] == "65534:65534"


def test_the_cron_job_publishes_versions_and_does_nothing_when_nothing_is_new(pods, own_model, registry):
    ref, volume = registry.ref("pods/cron:latest"), pods.volume()
    tool.ok("pack", own_model, ref)
    assert pods.play(pull_pod(ref, root="populate/cron", kind="CronJob"), {"models": volume}).wait("pull") == tool.OK
    place = pods.path_of(volume) / "qwen2"
    before = (place / "current").readlink()
    blobs = len(registry.requests("GET", "/v2/pods/cron/blobs/"))
    again = pods.play(pull_pod(ref, root="populate/cron", kind="CronJob"), {"models": volume})
    assert again.wait("pull") == tool.OK and "unchanged" in again.logs("pull")
    assert len(registry.requests("GET", "/v2/pods/cron/blobs/")) == blobs
    (own_model / "generation_config.json").write_text("{}")
    tool.ok("pack", "--force", own_model, ref)
    assert pods.play(pull_pod(ref, root="populate/cron", kind="CronJob"), {"models": volume}).wait("pull") == tool.OK
    assert (place / "current").readlink() != before and (place / before).is_dir()
    trees.assert_same(own_model, place / "current")


def test_a_pod_killed_in_the_middle_is_gone_on_with_by_the_next(pods, large):
    tree, ref = large
    volume = pods.volume()
    total = sum(p.stat().st_size for p in tree.iterdir())
    killed = pods.play(pull_pod(ref, "--limit-rate=6M", "--jobs=1"), {"models": volume})
    journal_has_blocks(pods.path_of(volume), at_least=2)
    killed.kill("pull")
    assert killed.wait("pull") == 137
    assert not (pods.path_of(volume) / "qwen2").exists()
    after = pods.play(pull_pod(ref, "--json"), {"models": volume})
    assert after.wait("pull") == tool.OK, after.logs("pull")
    fetched = json.loads(after.out("pull"))["bytesFetched"]
    assert fetched <= total - 4 * MIB, f"{fetched} of {total} bytes were fetched again"
    trees.assert_same(tree, pods.path_of(volume) / "qwen2")


def journal_has_blocks(volume: Path, at_least: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        journals = [p for p in volume.glob(".modelcar.*.part/journal")]
        if journals and journals[0].read_bytes()[512:].count(b"1") >= at_least:
            return
        time.sleep(0.05)
    raise AssertionError(f"no journal grew below {volume}")


def test_a_pod_that_is_drained_says_so_and_the_next_goes_on(pods, large):
    tree, ref = large
    volume = pods.volume()
    drained = pods.play(pull_pod(ref, "--limit-rate=6M", "--jobs=1"), {"models": volume})
    journal_has_blocks(pods.path_of(volume), at_least=1)
    drained.kill("pull", "TERM")
    assert drained.wait("pull") == 143
    assert drained.message()["code"] == 143 and "goes on" in drained.message()["message"]
    after = pods.play(pull_pod(ref, "--json"), {"models": volume})
    assert after.wait("pull") == tool.OK and json.loads(after.out("pull"))["bytesReused"] > 0
    trees.assert_same(tree, pods.path_of(volume) / "qwen2")


@pytest.mark.parametrize("user, group", [(1000, 1000), (123456, 0)], ids=["uid-1000", "arbitrary-uid-gid-0"])
def test_any_user_does(pods, pushed, model, tmp_path, user, group):
    """As OpenShift does it: a user of the project's range, group 0, and a volume that the group may write."""
    place = tmp_path / "volume"
    place.mkdir()
    place.chmod(0o2775)
    os.chown(place, 0, group)
    pod = pods.play(pull_pod(pushed, root="populate/openshift"), {"models": str(place)}, runAsUser=user, runAsGroup=group)
    assert pod.wait("pull") == tool.OK, pod.logs("pull")
    trees.assert_same(model, place / "qwen2")
    assert (place / "qwen2/config.json").stat().st_gid == group


def test_a_triton_pod_has_the_model_before_its_server_starts(pods, tmp_path, registry):
    tree, ref = models.triton(tmp_path / "repo", models=("encoder",)) / "encoder", registry.ref("pods/encoder:3")
    tool.ok("pack", tree, ref)
    spec = verify_instead(kube.set_model(kube.template("serving/triton", "Deployment"), ref), "/models/encoder")
    pod = pods.play(spec)
    assert pod.wait("triton") == tool.OK, pod.logs("model") + pod.logs("triton")
    assert pod.state("model") == "absent"  # podman removes an init container once it has ended well


@pytest.mark.parametrize("root, server", [("serving/vllm", "vllm"), ("serving/sglang", "sglang")])
def test_a_server_on_a_volume_is_held_back_until_the_model_is_whole(pods, pushed, root, server):
    volume = pods.volume()
    gated = pods.play(verify_instead(kube.template(root, "Deployment"), "/models/qwen2"), {"models": volume})
    deadline = time.monotonic() + 60
    while gated.state("model") != "running":
        assert time.monotonic() < deadline, gated.logs("model")
        time.sleep(0.1)
    assert gated.state(server) in ("absent", "created", "configured")
    filler = pods.play(pull_pod(pushed), {"models": volume})
    assert filler.wait("pull") == tool.OK, filler.logs("pull")
    assert gated.wait(server) == tool.OK, gated.logs("model") + gated.logs(server)


def test_a_server_on_versions_is_held_back_until_one_is_current_and_old_ones_are_collected(pods, own_model, registry):
    ref, volume = registry.ref("pods/versions:latest"), pods.volume()
    tool.ok("pack", own_model, ref)
    server = verify_instead(kube.template("serving/vllm-versions", "Deployment"), "/models/qwen2/current")
    gated = pods.play(server, {"models": volume})
    for text in ("{}", '{"a": 1}', '{"a": 2}'):
        (own_model / "generation_config.json").write_text(text)
        tool.ok("pack", "--force", own_model, ref)
        pulled = pods.play(pull_pod(ref, root="populate/cron", kind="CronJob"), {"models": volume})
        assert pulled.wait("pull") == tool.OK, pulled.logs("pull")
    assert gated.wait("vllm") == tool.OK, gated.logs("model") + gated.logs("vllm")
    place = pods.path_of(volume) / "qwen2"
    assert len(list(place.glob("sha256-*"))) == 3
    spec = kube.template("populate/gc", "CronJob")
    spec["containers"][0]["args"][1:1] = ["--min-age=0s"]
    collected = pods.play(spec, {"models": volume})
    assert collected.wait("gc") == tool.OK, collected.logs("gc")
    assert len(list(place.glob("sha256-*"))) == 2
    trees.assert_same(own_model, place / "current")


def test_kserve_gets_its_init_container(pods, pushed, model):
    """As its webhook makes it of the ClusterStorageContainer: the source, then /mnt/models, on an emptyDir."""
    documents = {d["kind"]: d for d in kube.kustomize.build(kube.DEPLOY / "serving/kserve/storage-container")}
    container = documents["ClusterStorageContainer"]["spec"]["container"]
    mount = {"name": "kserve-provision-location", "mountPath": "/mnt/models"}
    init = {**container, "args": [f"oci-artifact://{pushed}", "/mnt/models"],
            "volumeMounts": [mount, *container["volumeMounts"]]}
    server = {"name": "kserve-container", "image": "reg.example/tools/modelcar:0", "args": ["verify", "/mnt/models"],
              "volumeMounts": [{**mount, "readOnly": True}]}
    pod = pods.play({"initContainers": [init], "containers": [server],
                     "volumes": [{"name": "kserve-provision-location", "emptyDir": {}},
                                 *documents["InferenceService"]["spec"]["predictor"]["volumes"]]}, runAsUser=1000, runAsGroup=1000)
    assert pod.wait("kserve-container") == tool.OK, pod.logs("storage-initializer") + pod.logs("kserve-container")


@pytest.mark.long
def test_a_model_larger_than_the_memory_limit_lands(pods, tmp_path, registry):
    tree, ref = models.huggingface(tmp_path / "m", shards=2, rows=100 * 1024), registry.ref("pods/big:v1")
    tool.ok("pack", tree, ref)
    volume = pods.volume()
    pod = pods.play(pull_pod(ref), {"models": volume})
    assert pod.wait("pull", 600) == tool.OK, pod.logs("pull")
    assert not pod.inspect("pull")["State"]["OOMKilled"]
    trees.assert_same(tree, pods.path_of(volume) / "qwen2")
