"""The programs that read what we write, each with its state below a directory of the test."""
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1000:1000"]
netns = "host"
[engine]
runtime = "{runtime}"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""
CAT = """#include <stdio.h>
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "rb");
		if (!file)
			return perror(argv[i]), 1;
		for (int c; (c = getc(file)) != EOF;)
			putchar(c);
		fclose(file);
	}
	return 0;
}
"""
CONTAINERD_CONF = """version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{root}/sock"
[ttrpc]
address = "{root}/sock.ttrpc"
"""


class Absent(Exception):
    """A consumer that is not on this machine; its name is the text."""


def cache() -> Path:
    """Where ci/deps.sh puts what is no package."""
    return Path(os.environ.get("MODELCAR_CACHE") or
                Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelcar")


def find(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=str(cache() / "bin"))
    if not path:
        raise Absent(name)
    return path


def call(*command, env: dict | None = None, **options) -> str:
    """Runs to a good end and returns stdout; what it said is in the error otherwise."""
    run = subprocess.run([str(c) for c in command], env={**os.environ, **(env or {})}, capture_output=True,
                         text=True, errors="replace", timeout=options.pop("timeout", 600), **options)
    assert run.returncode == 0, f"{' '.join(map(str, command))}: exit {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run.stdout


class Skopeo:
    name = "skopeo"

    def __init__(self, root: Path):
        self.path, self.root = find("skopeo"), root
        root.mkdir(parents=True, exist_ok=True)
        (root / "policy.json").write_text(POLICY)

    def command(self, *args) -> list:
        return [self.path, "--policy", self.root / "policy.json", "--tmpdir", self.root, *args]

    def run(self, *args) -> str:
        return call(*self.command(*args))

    def copy(self, source: str, target: str, *args) -> str:
        """Registries on loopback only: neither side is asked for TLS."""
        flags = [flag for flag, ref in (("--src-tls-verify=false", source), ("--dest-tls-verify=false", target))
                 if ref.startswith("docker:")]
        return self.run("copy", "-q", *flags, *args, source, target)


class Containers:
    """What podman and buildah share: containers.conf, storage and policy of their own."""

    def __init__(self, root: Path):
        self.path, self.root = find(self.name), root
        for part in ("storage", "run", "tmp", "home"):
            (root / part).mkdir(parents=True, exist_ok=True)
        runtime = "runc" if shutil.which("runc") else "crun"
        (root / "containers.conf").write_text(CONTAINERS_CONF.format(runtime=runtime))
        (root / "policy.json").write_text(POLICY)
        (root / "registries.conf").write_text("unqualified-search-registries = []\n")
        (root / "storage.conf").write_text(f'[storage]\ndriver = "{self.driver()}"\n'
                                           f'graphroot = "{root}/storage"\nrunroot = "{root}/run"\n')
        self.env = {"CONTAINERS_CONF": str(root / "containers.conf"), "TMPDIR": str(root / "tmp"),
                    "CONTAINERS_STORAGE_CONF": str(root / "storage.conf"), "HOME": str(root / "home"),
                    "CONTAINERS_REGISTRIES_CONF": str(root / "registries.conf"), "XDG_RUNTIME_DIR": str(root / "run")}

    @staticmethod
    def driver() -> str:
        return os.environ.get("MODELCAR_TEST_STORAGE_DRIVER", "overlay" if os.geteuid() == 0 else "vfs")

    def command(self, *args) -> list:
        return [self.path, "--root", self.root / "storage", "--runroot", self.root / "run",
                "--storage-driver", self.driver(), *args]

    def run(self, *args) -> str:
        return call(*self.command(*args), env=self.env)


class Podman(Containers):
    name = "podman"

    def pull(self, ref: str) -> str:
        return self.run("pull", "-q", "--tls-verify=false", "--signature-policy", self.root / "policy.json",
                        ref).strip()

    def mount(self, image: str) -> Path:
        return Path(self.run("image", "mount", image).strip())

    def unmount(self, image: str) -> None:
        self.run("image", "unmount", image)

    def run_mounted(self, base: str, image: str, *command) -> str:
        """Runs a command of `base` in a container that sees `image` at /m, as a pod with an image volume does."""
        return self.run("run", "--rm", "--network=host", "--mount", f"type=image,src={image},dst=/m", base, *command)

    def base(self) -> str:
        """An image of one static program, `/cat`: a base that needs no network."""
        source, program = self.root / "cat.c", self.root / "cat"
        source.write_text(CAT)
        call("gcc", "-O1", "-static", "-o", program, source)
        call("tar", "-C", self.root, "-cf", self.root / "cat.tar", "cat")
        return self.run("import", "-q", self.root / "cat.tar", "localhost/cat:latest").strip()

    def close(self) -> None:
        subprocess.run(self.command("image", "unmount", "--all", "--force"), env={**os.environ, **self.env},
                       capture_output=True)
        leave_mounts(self.root)


class Buildah(Containers):
    name = "buildah"

    def build_from_scratch(self, tree: Path, layout: Path, tag: str) -> None:
        """A `FROM scratch` image with `tree` at /models, written as an OCI layout with gzip layers."""
        container = self.run("from", "scratch").strip()
        self.run("copy", "-q", container, tree, "/models")
        image = self.run("commit", "-q", "--format", "oci", "--signature-policy", self.root / "policy.json",
                         container, "built:latest").strip()
        self.run("push", "-q", "--signature-policy", self.root / "policy.json", image, f"oci:{layout}:{tag}")
        self.run("rm", container)

    def close(self) -> None:
        leave_mounts(self.root)


def leave_mounts(root: Path) -> None:
    """Unmounts what a container tool left mounted below `root`, the deepest first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True)


class Umoci:
    name = "umoci"

    def __init__(self, root: Path):
        self.path = find("umoci")
        self.rootless = [] if os.geteuid() == 0 else ["--rootless"]

    def run(self, *args) -> str:
        return call(self.path, *args)

    def start(self, layout: Path, tag: str) -> None:
        """An image without layers, to add to."""
        self.run("init", "--layout", layout)
        self.run("new", "--image", f"{layout}:{tag}")

    def unpack(self, layout: Path, tag: str, bundle: Path) -> Path:
        """Returns the root file system that comes of it."""
        self.run("unpack", *self.rootless, "--image", f"{layout}:{tag}", bundle)
        return bundle / "rootfs"


class Crane:
    name = "crane"

    def __init__(self, root: Path):
        self.path, self.root = find("crane"), root
        root.mkdir(parents=True, exist_ok=True)

    def run(self, *args, **options) -> str:
        return call(self.path, *args, "--insecure", env={"DOCKER_CONFIG": str(self.root)}, **options)

    def export(self, ref: str, target: Path) -> Path:
        """Unpacks the flattened file system of an image into `target`."""
        self.run("export", ref, self.root / "export.tar", "--platform", "linux/amd64")
        target.mkdir(parents=True)
        call("tar", "-xf", self.root / "export.tar", "-C", target)
        (self.root / "export.tar").unlink()
        return target


class Containerd:
    """containerd with its socket, root and state in a short directory of its own; wants root."""
    name = "containerd"

    def __init__(self, root: Path):
        self.path, self.ctr, self.root = find("containerd"), find("ctr"), root
        if os.geteuid() != 0:
            raise Absent("containerd (wants root)")
        root.mkdir(parents=True, exist_ok=True)
        (root / "config.toml").write_text(CONTAINERD_CONF.format(root=root))
        with open(root / "log", "wb") as log:
            self.process = subprocess.Popen([self.path, "--config", str(root / "config.toml")],
                                            stdout=log, stderr=subprocess.STDOUT)
        self.wait_live()

    def wait_live(self) -> None:
        deadline = time.monotonic() + 30
        while subprocess.run([self.ctr, "-a", f"{self.root}/sock", "version"], capture_output=True).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("containerd does not start:\n" + (self.root / "log").read_text()[-3000:])
            time.sleep(0.1)

    def command(self, *args) -> list:
        return [self.ctr, "-a", self.root / "sock", *args]

    def run(self, *args, snapshotter: str = "native") -> str:
        return call(*self.command(*args), env={"CONTAINERD_SNAPSHOTTER": snapshotter})

    def pull(self, ref: str) -> None:
        self.run("images", "pull", "--plain-http", ref)

    def mount(self, ref: str, target: Path) -> Path:
        target.mkdir(parents=True)
        self.run("images", "mount", ref, target)
        return target

    def unmount(self, target: Path) -> None:
        self.run("images", "unmount", "--rm", target)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        leave_mounts(self.root)


class KServe:
    """KServe's own puller, in a process of its own since it keeps state in its module."""
    name = "kserve-storage"
    CODE = "import sys; from kserve_storage import Storage; print(Storage.download(sys.argv[1], sys.argv[2]))"

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if not importlib.util.find_spec("kserve_storage"):
            raise Absent(self.name)

    def download(self, ref: str, target: Path) -> Path:
        call(sys.executable, "-c", self.CODE, f"oci://{ref}", target,
             env={"KSERVE_OCI_INSECURE_REGISTRY": "true", "HOME": str(self.root)})
        return target


class Olot:
    name = "olot"
    CODE = "from olot.cli import cli; cli()"

    def __init__(self, root: Path):
        self.root = root
        if not importlib.util.find_spec("olot"):
            raise Absent(self.name)

    def add(self, layout: Path, tree: Path) -> None:
        """One layer a file on top of what the layout holds, below /models."""
        files = sorted(str(p) for p in tree.rglob("*") if p.is_file())
        call(sys.executable, "-c", self.CODE, "--root-dir", tree, layout, *files)
