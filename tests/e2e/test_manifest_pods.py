"""The pods that deploy/ makes: what they may, what they mount, and when they end."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

import kustomize
import tool
from manifests import DEPLOY, ROOTS, containers_of, name_of, ours, pod_specs

PERMANENT = {2, 10, 11, 12, 13, 14, 15, 22, 30, 31, 34}
PATIENCE = {20, 21, 32, 33, 71}


@pytest.mark.parametrize("root", ROOTS, ids=name_of)
def test_our_containers_are_restricted_and_small(root):
    for document in kustomize.build(root):
        for spec in pod_specs(document):
            for container in ours(spec):
                context = container["securityContext"]
                assert not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"], name_of(root)
                assert context["capabilities"] == {"drop": ["ALL"]}
                assert {**spec.get("securityContext", {}), **context}["runAsNonRoot"]
                if container.get("resources"):
                    assert container["resources"]["limits"]["memory"] == "128Mi"


def is_restricted(spec: dict) -> bool:
    """Pod Security's level restricted, as far as our pods have the fields that it looks at."""
    pod = spec.get("securityContext", {})
    contexts = [{**pod, **c.get("securityContext", {})} for c in containers_of(spec)]
    return all(c.get("runAsNonRoot") and c.get("allowPrivilegeEscalation") is False and c.get("capabilities") == {"drop": ["ALL"]}
               and c.get("seccompProfile") == {"type": "RuntimeDefault"} and c.get("runAsUser", 1) != 0 for c in contexts) \
        and not any("hostPath" in v for v in spec.get("volumes", [])) and not any(spec.get(f"host{k}") for k in ("Network", "PID"))


def test_the_levels_of_pod_security_are_those_of_the_readme():
    servers = {f"serving/{n}" for n in ("vllm", "vllm-versions", "sglang", "triton", "triton-volume", "llama-cpp")}
    pullers = {"scale/daemonset", "scale/indexed", "scale/dragonfly"}
    for root in ROOTS:
        specs = [s for d in kustomize.build(root) if d["kind"] in ("Pod", "Job", "CronJob", "Deployment", "StatefulSet", "DaemonSet")
                 for s in pod_specs(d)]
        assert all(map(is_restricted, specs)) or name_of(root) in servers | pullers, name_of(root)
        assert any("hostPath" in v for s in specs for v in s.get("volumes", [])) == (name_of(root) in pullers), name_of(root)
        assert all(s["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"} for s in specs), name_of(root)


def test_openshift_variants_leave_the_user_to_the_project():
    roots = [root for root in ROOTS if root.name.endswith("openshift")]
    assert {root.name for root in roots} == {"openshift", "cron-openshift", "gc-openshift", "verify-openshift"}
    for root in roots:
        for spec in (s for d in kustomize.build(root) for s in pod_specs(d)):
            assert spec["securityContext"]["runAsNonRoot"]
            assert not {"runAsUser", "runAsGroup", "fsGroup", "fsGroupChangePolicy"} & set(spec["securityContext"])


def test_a_job_ends_at_once_where_another_try_is_no_help():
    jobs = [d for root in ROOTS for d in kustomize.build(root) if "podFailurePolicy" in json.dumps(d)]
    assert len(jobs) > 5
    for job in jobs:
        rules = re.findall(r'"values": \[([\d, ]+)\]', json.dumps(job))
        codes = {int(c) for rule in rules for c in rule.split(",")}
        assert codes == PERMANENT and not codes & PATIENCE, job["metadata"]["name"]


def test_every_argument_of_ours_is_one_that_the_tool_has():
    for root in ROOTS:
        for spec in (s for d in kustomize.build(root) for s in pod_specs(d)):
            for container in ours(spec):
                words = container.get("command", [])[1:] + container.get("args", [])
                if words and container.get("command", ["modelcar"])[0].endswith("modelcar"):
                    text = tool.ok("help", words[0]).out
                    for option in (w.split("=")[0] for w in words if w.startswith("--")):
                        assert f"{option}=" in text or f"{option} " in text, f"{name_of(root)}: {option}"


def test_a_service_account_that_a_pod_wants_is_there():
    for root in ROOTS:
        documents = kustomize.build(root)
        there = {d["metadata"]["name"] for d in documents if d["kind"] == "ServiceAccount"}
        for spec in (s for d in documents for s in pod_specs(d)):
            assert spec.get("serviceAccountName") in {None, *there}, name_of(root)


def test_what_a_pod_mounts_is_there():
    """Each mount has its volume and each volume its mount; a ConfigMap is applied with the pod, a secret may be missing."""
    for root in ROOTS:
        documents = kustomize.build(root)
        maps = {d["metadata"]["name"] for d in documents if d["kind"] == "ConfigMap"}
        claims = {c["metadata"]["name"] for d in documents for c in d.get("spec", {}).get("volumeClaimTemplates", [])}
        for spec in (s for d in documents for s in pod_specs(d) if d["kind"] != "InferenceService"):
            mounts = {m["name"] for c in containers_of(spec) for m in c.get("volumeMounts", [])}
            assert mounts == {v["name"] for v in spec.get("volumes", [])} | claims, name_of(root)
            for volume in spec.get("volumes", []):
                assert volume.get("configMap", {"name": None})["name"] in {None, *maps}, name_of(root)
                assert volume.get("secret", {"optional": True})["optional"], name_of(root)


def test_what_pulls_from_a_registry_has_its_credentials():
    """Where the kubelet pulls the model it is the pod's secret for images; where modelcar does, a mounted one."""
    for root in ROOTS:
        documents = kustomize.build(root)
        for document in documents:
            uri = document.get("spec", {}).get("predictor", {}).get("model", {}).get("storageUri", "")
            images = [v for s in pod_specs(document) for v in s.get("volumes", []) if "image" in v]
            if images or uri.startswith(("oci://", "oci+")):
                assert json.dumps(document).count('"imagePullSecrets": [{"name": "registry-credentials"}]') == 1, name_of(root)
            for spec in pod_specs(document):
                for container in (c for c in ours(spec) if c.get("args", [""])[0] == "pull"):
                    auth = next(m for m in container["volumeMounts"] if m["name"] == "auth")
                    assert {"name": "DOCKER_CONFIG", "value": auth["mountPath"]} in container["env"], name_of(root)


def test_kserves_init_container_mounts_what_its_inference_service_has():
    documents = {d["kind"]: d["spec"] for d in kustomize.build(DEPLOY / "serving/kserve/storage-container")}
    container = documents["ClusterStorageContainer"]["container"]
    mount, = container["volumeMounts"]
    volume, = documents["InferenceService"]["predictor"]["volumes"]
    assert mount["name"] == volume["name"] and volume["secret"]["optional"]
    config = f"{mount['mountPath']}/{volume['secret']['items'][0]['path']}"
    assert {"name": "KSERVE_OCI_DOCKER_CONFIG", "value": config} in container["env"]


def test_omes_agent_is_given_a_file_of_settings():
    """It ends at once without --config, and the file of its image is another agent's."""
    documents = kustomize.build(DEPLOY / "serving/ome")
    spec = next(d for d in documents if d["kind"] == "Job")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    place, name = next(a for a in container["args"] if a.startswith("--config=")).removeprefix("--config=").rsplit("/", 1)
    mount = next(m["name"] for m in container["volumeMounts"] if m["mountPath"] == place)
    source = next(v for v in spec["volumes"] if v["name"] == mount)["configMap"]["name"]
    settings = next(d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"] == source)
    assert yaml.safe_load(settings["data"][name]) == {"cluster_scoped": False}


def test_a_server_is_not_confused_by_the_variables_of_services():
    """A Service "vllm" sets VLLM_PORT to tcp://…, on which vLLM ends."""
    servers = [(root, d) for root in ROOTS for d in kustomize.build(root) if d["kind"] in ("Deployment", "StatefulSet")]
    assert len(servers) > 5
    for root, server in servers:
        assert server["spec"]["template"]["spec"]["enableServiceLinks"] is False, name_of(root)


def test_a_server_on_a_volume_for_one_node_is_replaced_only_when_it_has_ended():
    for deployment in (d for root in ROOTS for d in kustomize.build(root) if d["kind"] == "Deployment"):
        on_claim = "persistentVolumeClaim" in json.dumps(deployment)
        assert deployment["spec"].get("strategy") == ({"type": "Recreate"} if on_claim else None), deployment["metadata"]["name"]


def test_the_pull_that_goes_on_beside_a_server_prefers_its_node():
    documents = {d["kind"]: d["spec"] for d in kustomize.build(DEPLOY / "serving/triton-volume")}
    pod = documents["CronJob"]["jobTemplate"]["spec"]["template"]["spec"]
    preferred, = pod["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = preferred["podAffinityTerm"]["labelSelector"]["matchLabels"]
    assert labels.items() <= documents["Deployment"]["template"]["metadata"]["labels"].items()


def test_pullers_on_gpu_nodes_tolerate_their_taint():
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    for name in ("scale/daemonset", "scale/dragonfly", "scale/indexed", "populate/hostpath"):
        specs = [s for d in kustomize.build(DEPLOY / name) for s in pod_specs(d)]
        assert specs and all(s["tolerations"] == [taint] for s in specs), name


def test_the_sleeper_of_the_daemon_set_ends_when_it_is_told(tmp_path):
    """As process 1 of its pod, where no signal ends what has no handler for it."""
    spec = kustomize.build(DEPLOY / "scale/daemonset")[0]["spec"]["template"]["spec"]
    if not Path("/bin/busybox").exists():
        pytest.skip("absent: busybox-static")
    started = tmp_path / "started"
    command = [a.replace("sleep infinity", f": >{started}; sleep infinity") for a in spec["containers"][0]["args"]]
    inside = subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "/bin/busybox", *command])
    try:
        while not started.exists():
            assert inside.poll() is None
            time.sleep(0.05)
        child = Path(f"/proc/{inside.pid}/task/{inside.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGTERM)
        assert inside.wait(timeout=60) == 0
    finally:
        inside.kill()
        inside.wait()


def test_dragonfly_is_asked_at_the_address_of_the_node():
    """A pod's own 127.0.0.1 is not where the node's daemon listens."""
    puller = kustomize.build(DEPLOY / "scale/dragonfly")[0]["spec"]["template"]["spec"]["initContainers"][0]
    assert {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}} in puller["env"]
    assert "--endpoint=reg.example=http://$(HOST_IP):4001" in puller["args"]
    assert [a.rsplit("=", 1)[1].split(":")[0] for a in puller["args"] if a.startswith("--endpoint-header=")] == \
        ["X-Dragonfly-Registry", "X-Dragonfly-Use-P2P"]


def test_argo_cd_never_deletes_a_volume():
    """As a hook, whatever its policy, a claim would go with what is on it; and as a resource, when git forgets it."""
    claim = next(d for d in kustomize.build(DEPLOY / "pipelines/argo-cd/on-demand") if d["kind"] == "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"argocd.argoproj.io/sync-options": "Prune=false,Delete=false"}
    documents = kustomize.build(DEPLOY / "pipelines/argo-cd/presync")
    assert {d["kind"] for d in documents} == {"Job"}
    for root in ROOTS:
        for document in kustomize.build(root):
            hook = "argocd.argoproj.io/hook" in document["metadata"].get("annotations", {})
            assert not hook or document["kind"] == "Job", name_of(root)


def test_what_argo_cd_applies_is_pinned_by_digest():
    for name in ("presync", "on-demand"):
        container, = (c for d in kustomize.build(DEPLOY / "pipelines/argo-cd" / name) for s in pod_specs(d) for c in ours(s))
        assert re.fullmatch(r"reg\.example/models/qwen2@sha256:[0-9a-f]{64}", container["args"][-2]), name


def test_the_pods_of_the_indexed_job_are_all_alive_at_once():
    """The scheduler keeps apart what is alive; those that come later would land where the first have been."""
    spec = kustomize.build(DEPLOY / "scale/indexed")[0]["spec"]
    assert spec["parallelism"] == spec["completions"]
    spread = spec["template"]["spec"]["topologySpreadConstraints"][0]
    assert spread["whenUnsatisfiable"] == "DoNotSchedule" and spread["maxSkew"] == 1


def test_a_volume_is_verified_byte_for_byte():
    job = kustomize.build(DEPLOY / "populate/verify")[0]
    assert "--full" in job["spec"]["template"]["spec"]["containers"][0]["args"]


def test_servers_on_versions_read_the_newest():
    deployment = next(d for d in kustomize.build(DEPLOY / "serving/vllm-versions") if d["kind"] == "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    assert spec["initContainers"][0]["args"][-1] == "/models/qwen2/current"
    assert spec["containers"][0]["args"][0] == "/models/qwen2/current"
