"""deploy/: every manifest is what Kubernetes and the others expect; what runs stands in test_pods.py."""
import json
import re
import subprocess
import sys
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
    for root in (DEPLOY / "populate/openshift", DEPLOY / "populate/cron-openshift"):
        for spec in (s for d in kustomize.build(root) for s in pod_specs(d)):
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
    assert "exec-pull" in (tmp_path / "publish-model.yaml").read_text()
