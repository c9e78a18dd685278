"""A Kubeflow pipeline: check a model directory, pack and push it, pull it onto a volume.

    pip install kfp kfp-kubernetes
    MODELCAR_IMAGE=reg.example/tools/modelcar:0.1.0 python pipeline.py    # writes publish-model.yaml

Claims "work" (the directory to pack) and "models" (where it goes), secret "registry-credentials" of type
kubernetes.io/dockerconfigjson. The image has no shell, so each step is one command of modelcar. What was packed is pulled,
by digest, whatever the tag means by then.
"""
import os

from kfp import compiler, dsl, kubernetes

IMAGE = os.environ.get("MODELCAR_IMAGE", "reg.example/tools/modelcar:0.1.0")
AUTH = "--authfile=/auth/.dockerconfigjson"


@dsl.container_component
def check(directory: str):
    """Is it a model, and is it whole?"""
    return dsl.ContainerSpec(image=IMAGE, command=["modelcar"], args=["check", directory])


@dsl.container_component
def pack(directory: str, reference: str, image: dsl.OutputPath(str)):
    """One image a model; what the registry has is not sent again. What it made, by digest, is its output."""
    return dsl.ContainerSpec(image=IMAGE, command=["modelcar"],
                             args=["pack", AUTH, "--state-dir=/tmp/state", "--image-refs", image, directory, reference])


@dsl.container_component
def pull(reference: str, destination: str):
    """Onto the volume: whole or not at all; unchanged takes one request."""
    return dsl.ContainerSpec(image=IMAGE, command=["modelcar"], args=["pull", AUTH, reference, destination])


@dsl.pipeline(name="publish-model")
def publish_model(directory: str = "/source/model", reference: str = "reg.example/models/qwen2:0.5b",
                  destination: str = "/models/qwen2"):
    packed = pack(directory=directory, reference=reference)
    steps = [check(directory=directory), packed, pull(reference=packed.outputs["image"], destination=destination)]
    for before, step in zip(steps, steps[1:]):
        step.after(before)
    for step, claim, path in zip(steps, ("work", "work", "models"), ("/source", "/source", "/models")):
        step.set_caching_options(False)
        kubernetes.mount_pvc(step, pvc_name=claim, mount_path=path)
        kubernetes.use_secret_as_volume(step, secret_name="registry-credentials", mount_path="/auth")


if __name__ == "__main__":
    compiler.Compiler().compile(publish_model, "publish-model.yaml")
