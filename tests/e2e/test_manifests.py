"""deploy/: every manifest is what Kubernetes and the others expect; what runs stands in test_pods.py."""
import json
import re
import subprocess
import sys

import pytest
import yaml

import consumers
import kustomize
from manifests import DEPLOY, ROOTS, containers_of, name_of, pod_specs, validate

PLAIN = [DEPLOY / p for p in ("air-gap/zarf/zarf.yaml", "air-gap/zarf/uds-bundle.yaml", "pipelines/argo-cd/application.yaml")]


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


def test_files_that_are_not_kustomizes_name_the_image_of_the_settings():
    settings = {i["name"]: i for i in kustomize.load_all(DEPLOY / "settings/kustomization.yaml")[0]["images"]}
    known = {f"{i['newName']}:{i['newTag']}" for i in settings.values()}
    for path in ("air-gap/zarf/zarf.yaml", "pipelines/github/pack-model.yml", "pipelines/kubeflow/pipeline.py",
                 "image/kserve/Containerfile", "image/ci/Containerfile", "README.md"):
        named = set(re.findall(r"reg\.example/tools/(?!modelcar-ci)[\w-]+:[\w.]+", (DEPLOY / path).read_text()))
        assert named and named <= known, path


def test_no_placeholder_is_left():
    for root in ROOTS:
        text = kustomize.dump(kustomize.build(root))
        assert '"MODEL"' not in text and '"VOLUME"' not in text and "://MODEL" not in text, name_of(root)


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
