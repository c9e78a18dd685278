"""What deploy/ has: its kustomizations, the pods in them, and the schemas of what a cluster takes."""
import json
from pathlib import Path

import pytest

import tool

DEPLOY = tool.ROOT / "deploy"
ROOTS = sorted(p.parent for p in DEPLOY.rglob("kustomization.yaml") if p.parent.name != "settings")
SCHEMAS = {p.stem: json.loads(p.read_text()) for p in (tool.ROOT / "tests/assets/schemas").glob("*.json")}
# The oldest has podFailurePolicy by index and image volumes with a path in them; of some fields only the older schemas say
# that they are required.
KUBERNETES = ("1.33", "1.35", "1.37")


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
    for version in KUBERNETES:
        kubernetes_validate.validate(document, version, strict=True)
