"""deploy/: every manifest is what Kubernetes and the others expect; what runs stands in test_pods.py."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import consumers
import kustomize
import tool

DEPLOY = tool.ROOT / "deploy"
ROOTS = sorted(p.parent for p in DEPLOY.rglob("kustomization.yaml") if p.parent.name != "settings")
SCHEMAS = {p.stem: json.loads(p.read_text()) for p in (tool.ROOT / "tests/assets/schemas").glob("*.json")}
PLAIN = [DEPLOY / p for p in ("air-gap/zarf/zarf.yaml", "air-gap/zarf/uds-bundle.yaml", "pipelines/argo-cd/application.yaml")]
KUBERNETES = "1.35"  # image volumes are on by default
PERMANENT = {2, 10, 11, 12, 13, 14, 15, 22, 30, 31, 34}
PATIENCE = {20, 21, 32, 33, 71}


def name_of(root: Path) -> str:
    return str(root.relative_to(DEPLOY))


def pod_specs(value):
    """Every pod template in a document, however deep."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for item in value.values():
            yield from pod_specs(item)
    elif isinstance(value, list):
        for item in value:
            yield from pod_specs(item)


def containers_of(spec: dict) -> list[dict]:
    return spec.get("initContainers", []) + spec["containers"]


def ours(spec: dict) -> list[dict]:
    return [c for c in containers_of(spec) if c["image"].startswith("reg.example/tools/modelcar:")]


def validate(document: dict) -> None:
    if document["kind"] in SCHEMAS:
        jsonschema = pytest.importorskip("jsonschema", reason="absent: jsonschema (kubernetes-validate)")
        jsonschema.validate(document, SCHEMAS[document["kind"]])
        return
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="absent: kubernetes-validate")
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize("root", ROOTS, ids=name_of)
def test_every_manifest_has_the_shape_that_its_server_expects(root):
    documents = kustomize.build(root)
    assert documents
    for document in documents:
        validate(document)


@pytest.mark.parametrize("path", PLAIN, ids=name_of)
def test_files_that_are_no_kustomization_have_their_shape_too(path):
    for document in kustomize.load_all(path):
        validate(document)


def test_a_wrong_field_is_seen():
    """The checks above can fail."""
    job = next(d for d in kustomize.build(DEPLOY / "populate/base") if d["kind"] == "Job")
    job["spec"]["template"]["spec"]["restartPolice"] = "Never"
    with pytest.raises(Exception, match="restartPolice"):
        validate(job)
    zarf = kustomize.load_all(PLAIN[0])[0]
    zarf["components"][0]["imagery"] = []
    with pytest.raises(Exception, match="imagery"):
        validate(zarf)


@pytest.mark.parametrize("root", ROOTS, ids=name_of)
def test_kustomize_itself_builds_the_same(root):
    try:
        program = consumers.find("kustomize")
    except consumers.Absent as absent:
        pytest.skip(f"absent: {absent}")
    theirs = [d for d in yaml.safe_load_all(consumers.call(program, "build", root)) if d]
    key = (lambda d: (d["kind"], d["metadata"]["name"]))
    assert sorted(theirs, key=key) == sorted(kustomize.build(root), key=key)


def test_nothing_of_deploy_is_forgotten():
    """Every YAML file is named by a kustomization, or checked by itself, or is another system's own file."""
    named = {(k.parent / r).resolve() for k in DEPLOY.rglob("kustomization.yaml")
             for key in ("resources", "configurations") for r in kustomize.load_all(k)[0].get(key, [])}
    other = {DEPLOY / "pipelines/github/pack-model.yml", DEPLOY / "pipelines/gitlab/.gitlab-ci.yml"}
    for path in sorted(p for p in DEPLOY.rglob("*") if p.suffix in (".yaml", ".yml")):
        assert path.name == "kustomization.yaml" or path in named | other | set(PLAIN), path
    assert all(p.exists() for p in named | other)


def test_images_and_digests_stand_in_one_place():
    """A tag or digest of an image that runs is written in deploy/settings alone; Zarf and CI files have their own."""
    settings = kustomize.load_all(DEPLOY / "settings/kustomization.yaml")[0]["images"]
    for path in DEPLOY.rglob("*.yaml"):
        if path.parent.name != "settings":
            for image in re.findall(r"^\s*(?:- )?image: ([^\s{]\S*)", path.read_text(), re.M):
                assert image in {i["name"] for i in settings}, f"{path}: {image}"
    for root in ROOTS:
        for spec in (s for d in kustomize.build(root) for s in pod_specs(d)):
            for container in containers_of(spec):
                assert re.search(r":[\w.-]+$|@sha256:", container["image"]), f"{name_of(root)}: {container['image']}"


def test_no_placeholder_is_left():
    for root in ROOTS:
        text = kustomize.dump(kustomize.build(root))
        assert '"MODEL"' not in text and '"VOLUME"' not in text and "://MODEL" not in text, name_of(root)


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


def test_github_packs_repositories_of_any_case(tmp_path):
    """The step as its runner starts it, with a stand-in for docker that says what it was given."""
    steps = yaml.safe_load((DEPLOY / "pipelines/github/pack-model.yml").read_text())["jobs"]["pack"]["steps"]
    (tmp_path / "docker").write_text('#!/bin/sh\nfor last; do :; done\necho "$last"\n')
    (tmp_path / "docker").chmod(0o755)
    run = next(s["run"] for s in steps if s.get("name") == "pack")
    subprocess.run(["bash", "-e", "-c", run], check=True, cwd=tmp_path,
                   env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "GITHUB_REPOSITORY": "My-Org/Models",
                        "GITHUB_REF_NAME": "v1", "MODELCAR_IMAGE": "reg.example/tools/modelcar:0.1.0"})
    assert (tmp_path / "image.txt").read_text() == "ghcr.io/my-org/models/model:v1\n"


def test_every_exit_code_is_in_the_troubleshooting_table():
    codes = set(re.findall(r"^\| (\d+) \|", (tool.ROOT / "spec/exit-codes.md").read_text(), re.M)) - {"0"}
    table = (DEPLOY / "README.md").read_text().split("## When it does not work")[1]
    assert len(codes) > 20 and codes <= set(re.findall(r"^\| (\d+)", table, re.M))


def test_lists_of_all_exit_codes_are_whole():
    """That of the specification, of the README and of the manual are one."""
    spec = set(re.findall(r"^\| (\d+\S*) \|", (tool.ROOT / "spec/exit-codes.md").read_text(), re.M))
    section = (tool.ROOT / "README.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    readme = set(re.findall(r"(?:^|· |·\n)(\d\S*) ", section, re.M))
    manual = tool.ok("help", "--man").out.split(".SH EXIT STATUS")[1]
    assert readme == spec == set(re.findall(r"^\\fB(\S+)\\fR$", manual, re.M))
    assert "\n  33 " in tool.ok("pull", "--help").out  # a takeover ends so


def seconds(text: str) -> float:
    number, unit = re.match(r"([\d.]+) (s|min|h)\b", text).groups()
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


def test_the_arithmetic_of_the_scale_out_is_right():
    """140 GB a node, a line of 25 Gb/s; the registry's and the mirrors' 100 Gb/s; 20 nodes a rack."""
    rows = re.findall(r"^\| ([\d,]+) \| ([\d.]+) (GB|TB) \| ([^|]+) \| ([^|]+) \|", (DEPLOY / "README.md").read_text(), re.M)
    assert [row[0] for row in rows] == ["1", "20", "100", "1,000"]
    for nodes, total, unit, alone, racks in rows:
        count = int(nodes.replace(",", ""))
        assert float(total) * {"GB": 1, "TB": 1000}[unit] == 140 * count
        assert seconds(alone) == pytest.approx(max(count * 140 / 12.5, 140 / 3.125), rel=0.03)
        if count > 1:
            to_racks, to_nodes = re.search(r"([\d.]+ (?:s|min))( to the rack)?, then (.*?) *$", racks).group(1, 3)
            assert seconds(to_racks) == pytest.approx(count / 20 * 140 / 12.5, rel=0.03)
            assert seconds(to_nodes) == pytest.approx(20 * 140 / 12.5, rel=0.03)


def test_the_kubeflow_steps_read_what_is_mounted():
    text = (DEPLOY / "pipelines/kubeflow/pipeline.py").read_text()
    directory, destination = (re.search(rf'{name}: str = "([^"]+)"', text)[1] for name in ("directory", "destination"))
    claims = re.search(r'\("(\w+)", "\1", "(\w+)"\), \("(/[^"]+)", "\3", "(/[^"]+)"\)', text)
    assert directory.startswith(claims[3] + "/") and destination.startswith(claims[4] + "/")


def test_other_files_parse():
    for path in (DEPLOY / "pipelines/github/pack-model.yml", DEPLOY / "pipelines/gitlab/.gitlab-ci.yml"):
        assert yaml.safe_load(path.read_text())
    for path in DEPLOY.rglob("*.json"):
        json.loads(path.read_text())
    for path in DEPLOY.rglob("*.py"):
        compile(path.read_text(), path, "exec")
    for path in DEPLOY.rglob("*.sh"):
        subprocess.run(["sh", "-n", path], check=True)


def test_the_kubeflow_pipeline_compiles(tmp_path):
    for package in ("kfp", "kfp.kubernetes"):
        pytest.importorskip(package, reason=f"absent: {package}")
    subprocess.run([sys.executable, DEPLOY / "pipelines/kubeflow/pipeline.py"], cwd=tmp_path, check=True)
    pipeline = next(yaml.safe_load_all((tmp_path / "publish-model.yaml").read_text()))
    pull = pipeline["root"]["dag"]["tasks"]["pull"]["inputs"]["parameters"]["reference"]
    assert pull["taskOutputParameter"] == {"outputParameterKey": "image", "producerTask": "pack"}
