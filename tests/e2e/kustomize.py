"""As much of kustomize as deploy/ uses, so that its manifests can be looked at where kustomize is not."""
import copy
import json
from pathlib import Path

import yaml

LOCAL = "config.kubernetes.io/local-config"
KNOWN = {"apiVersion", "kind", "resources", "components", "images", "configurations", "replacements", "patches"}


def load_all(path: Path) -> list[dict]:
    return [d for d in yaml.safe_load_all(path.read_text()) if d]


def build(root: Path) -> list[dict]:
    """What `kustomize build ROOT` prints, as documents."""
    return [d for d in accumulate(root.resolve()) if LOCAL not in d["metadata"].get("annotations", {})]


def accumulate(root: Path, resources: list[dict] | None = None) -> list[dict]:
    config = load_all(root / "kustomization.yaml")[0]
    assert not set(config) - KNOWN, f"{root}: {set(config) - KNOWN} is not in tests/e2e/kustomize.py"
    found = resources if resources is not None else []
    for name in config.get("resources", []):
        path = root / name
        found += accumulate(path.resolve()) if path.is_dir() else load_all(path)
    for name in config.get("components", []):
        accumulate((root / name).resolve(), found)
    for patch in config.get("patches", []):
        patch_all(found, patch)
    fields = [f for name in config.get("configurations", []) for f in load_all(root / name)[0]["images"]]
    for document in found:
        rename(document, {i["name"]: i for i in config.get("images", [])})
        for field in (f for f in fields if f["kind"] == document["kind"]):
            rename_at(document, field["path"].split("/"), {i["name"]: i for i in config.get("images", [])})
    for replacement in config.get("replacements", []):
        replace(found, replacement)
    return found


def full_name(image: dict) -> str:
    return image["newName"] + (f"@{image['digest']}" if "digest" in image else f":{image['newTag']}")


def rename(value, images: dict) -> None:
    """In every list of containers, however deep."""
    if isinstance(value, list):
        for item in value:
            rename(item, images)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("containers", "initContainers") and isinstance(item, list):
                for container in item:
                    rename_at(container, ["image"], images)
            rename(item, images)


def rename_at(value, path: list[str], images: dict) -> None:
    if isinstance(value, list):
        for item in value:
            rename_at(item, path, images)
    elif path[0] in value and len(path) > 1:
        rename_at(value[path[0]], path[1:], images)
    elif value.get(path[0]) in images:
        value[path[0]] = full_name(images[value[path[0]]])


def selected(documents: list[dict], want: dict) -> list[dict]:
    return [d for d in documents if want.get("kind", d["kind"]) == d["kind"] and
            want.get("name", d["metadata"]["name"]) == d["metadata"]["name"]]


def step(value, key: str):
    """Where one part of a path leads: a key, a number, or [name=x]."""
    if key.startswith("["):
        field, _, wanted = key[1:-1].partition("=")
        return next(i for i, item in enumerate(value) if item[field] == wanted)
    return int(key) if isinstance(value, list) else key


def replace(documents: list[dict], replacement: dict) -> None:
    source = replacement["source"]
    value = selected(documents, source)[0]
    for key in source["fieldPath"].split("."):
        value = value[key]
    for target in replacement["targets"]:
        hits = selected(documents, target["select"])
        assert hits, f"nothing is selected by {target['select']}"
        for document in hits:
            for path in target["fieldPaths"]:
                write(document, path.split("."), value, target.get("options"))


def write(document: dict, path: list[str], value: str, options: dict | None) -> None:
    at = document
    for key in path[:-1]:
        at = at[step(at, key)]
    last = step(at, path[-1])
    if options:
        parts = at[last].split(options["delimiter"])
        parts[options["index"]] = value
        value = options["delimiter"].join(parts)
    assert last in at if isinstance(at, dict) else last < len(at), f"no field {path}"
    at[last] = value


def patch_all(documents: list[dict], patch: dict) -> None:
    hits = selected(documents, patch["target"])
    assert hits, f"nothing is patched by {patch['target']}"
    for document in hits:
        for operation in yaml.safe_load(patch["patch"]):
            patch_one(document, copy.deepcopy(operation))


def patch_one(document: dict, operation: dict) -> None:
    """RFC 6902, as far as add, replace and remove go."""
    *way, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
    at = document
    for key in way:
        at = at[step(at, key)]
    if isinstance(at, list):
        place = len(at) if last == "-" else int(last)
        if operation["op"] != "add":
            del at[place]
        if operation["op"] != "remove":
            at.insert(place, operation["value"])
    elif operation["op"] == "remove":
        del at[last]
    else:
        assert operation["op"] == "add" or last in at, f"nothing to replace at {operation['path']}"
        at[last] = operation["value"]


def dump(documents: list[dict]) -> str:
    return "---\n".join(json.dumps(d, indent=1) + "\n" for d in documents)
