"""Pods of deploy/ under `podman kube play`, from a registry on loopback: no cluster, but real containers."""
import copy
import json
import os
import secrets
import subprocess
import time
from pathlib import Path

import pytest

import consumers
import kustomize
import tool

DEPLOY = tool.ROOT / "deploy"
OURS = "localhost/modelcar:test"
BUILD_S = 3600  # from nothing, on a machine that has other work
SLEEPER = "localhost/modelcar-base:test"


def template(root: str, kind: str, name: str | None = None) -> dict:
    """The pod of a workload in deploy/, as a controller would make it."""
    document = next(d for d in kustomize.build(DEPLOY / root)
                    if d["kind"] == kind and name in (None, d["metadata"]["name"]))
    spec = document["spec"]
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return copy.deepcopy(spec["template"]["spec"])


def set_model(spec: dict, ref: str, *extra: str) -> dict:
    """Another reference in place of the one of the settings, and more options."""
    for container in spec.get("initContainers", []) + spec["containers"]:
        if container["image"].startswith("reg.example/tools/modelcar:"):
            container["args"] = [ref if a.startswith("reg.example/") else a for a in container.get("args", [])]
            container["args"][1:1] = extra if container["args"][0] == "pull" else []
    return spec


class Pod:
    """One that was played; it is looked at by its containers' names and removed at the end."""

    def __init__(self, pods: "Pods", name: str, process: subprocess.Popen, message: Path):
        self.pods, self.name, self.process, self.message_file = pods, name, process, message

    def inspect(self, container: str) -> dict | None:
        run = self.pods.try_run("inspect", f"{self.name}-{container}")
        return json.loads(run.stdout)[0] if run.returncode == 0 else None

    def state(self, container: str) -> str:
        seen = self.inspect(container)
        return seen["State"]["Status"] if seen else "absent"

    def wait(self, container: str, seconds: float = 120) -> int:
        """The exit code, once the container has ended."""
        deadline = time.monotonic() + seconds
        while self.state(container) not in ("exited", "stopped"):
            assert time.monotonic() < deadline, f"{container} is {self.state(container)}\n{self.logs(container)}"
            time.sleep(0.1)
        self.process.communicate(timeout=60)
        return self.inspect(container)["State"]["ExitCode"]

    def logs(self, container: str) -> str:
        run = self.pods.try_run("logs", f"{self.name}-{container}")
        return run.stdout + run.stderr

    def out(self, container: str) -> str:
        return self.pods.try_run("logs", f"{self.name}-{container}").stdout

    def kill(self, container: str, signal: str = "KILL") -> None:
        self.pods.podman.run("kill", "--signal", signal, f"{self.name}-{container}")

    def message(self) -> dict:
        return json.loads(self.message_file.read_text())

    def remove(self) -> None:
        self.pods.try_run("pod", "rm", "--force", "--time", "0", self.name)
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Pods:
    def __init__(self, podman, root: Path):
        self.podman, self.root, self.played, self.volumes = podman, root, [], []

    def try_run(self, *args) -> subprocess.CompletedProcess:
        return subprocess.run([str(a) for a in self.command(*args)], env={**os.environ, **self.podman.env},
                              capture_output=True, text=True, errors="replace", timeout=120)

    def command(self, *args) -> list:
        p = self.podman
        return [p.path, "--root", p.root / "storage", "--runroot", p.root / "run", "--storage-driver", p.driver(), *args]

    def volume(self, *options: str) -> str:
        name = f"v{secrets.token_hex(4)}"
        self.podman.run("volume", "create", *options, name)
        self.volumes.append(name)
        return name

    def path_of(self, volume: str) -> Path:
        return Path(self.podman.run("volume", "inspect", "--format", "{{.Mountpoint}}", volume).strip())

    def play(self, spec: dict, claims: dict[str, str] | None = None, secret: Path | None = None, **changes) -> Pod:
        """Claims by name -> a volume of podman or a directory; `changes` go into the pod's security context."""
        name = f"p{secrets.token_hex(4)}"
        message = self.root / f"{name}.message"
        message.touch()
        message.chmod(0o666)
        spec = self.adapt(copy.deepcopy(spec), claims or {}, secret, message)
        spec["securityContext"] = {**spec.get("securityContext", {}), **changes}
        path = self.root / f"{name}.yaml"
        path.write_text(kustomize.dump([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}]))
        process = subprocess.Popen([str(a) for a in self.command("kube", "play", path)], text=True, stdin=subprocess.DEVNULL,
                                   env={**os.environ, **self.podman.env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.played.append(Pod(self, name, process, message))
        return self.played[-1]

    def adapt(self, spec: dict, claims: dict, secret: Path | None, message: Path) -> dict:
        """What a kubelet does and podman 4.3 does not: claims, secrets, the termination message, images at hand."""
        spec |= {"hostNetwork": True, "restartPolicy": "Never"}
        for container in spec.get("initContainers", []) + spec["containers"]:
            ours = container["image"].startswith("reg.example/tools/modelcar:")
            container["image"] = OURS if ours else container["image"]
            container["imagePullPolicy"] = "Never"
            if ours:
                container["volumeMounts"].append({"name": "message", "mountPath": "/dev/termination-log"})
        for volume in spec["volumes"]:
            if "persistentVolumeClaim" in volume:
                place = claims[volume["persistentVolumeClaim"]["claimName"]]
                volume.pop("persistentVolumeClaim")
                volume |= {"hostPath": {"path": place, "type": "Directory"}} if place.startswith("/") else \
                    {"persistentVolumeClaim": {"claimName": place}}
            elif "secret" in volume or "configMap" in volume:
                volume.pop("secret", None)
                volume["hostPath"] = {"path": str(secret or self.empty()), "type": "Directory"}
        spec["volumes"].append({"name": "message", "hostPath": {"path": str(message), "type": "File"}})
        return spec

    def empty(self) -> Path:
        path = self.root / "no-secret"
        path.mkdir(exist_ok=True)
        return path

    def close(self) -> None:
        for pod in self.played:
            pod.remove()
        for volume in self.volumes:
            self.try_run("volume", "rm", "--force", volume)


def load_images(podman, layout: Path) -> None:
    for tag, name in (("modelcar", OURS), ("base", SLEEPER)):
        image = podman.run("pull", "-q", "--signature-policy", podman.root / "policy.json", f"oci:{layout}:{tag}").strip()
        podman.run("tag", image, name)


def build_images(layout: Path) -> None:
    """The images as deploy/image makes them; its build directory stays, so the next run is quick."""
    if not Path("/bin/busybox").exists():
        pytest.skip("absent: busybox-static")
    consumers.call("python3", DEPLOY / "image/build.py", layout, timeout=BUILD_S)
