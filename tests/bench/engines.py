"""The peers that keep images in a storage of their own, and those that write layouts."""
import os
import sys
from importlib import metadata

import consumers
import machine
from cost import Command
from peers import Peer, same_tree, script

STORAGE = "to a storage of its own, layers unpacked"


class Podman(Peer):
    name = "podman"
    notes = {"pull": STORAGE}

    def __init__(self, root):
        super().__init__(root)
        self.tool = consumers.Podman(root)

    def version(self):
        return machine.first_line(self.tool.path, "--version")

    def clear(self, place):
        self.tool.run("rmi", "--all", "--force")

    def pull(self, image, side, place):
        env = {**self.tool.env, **({"SSL_CERT_FILE": str(side.ca)} if side.ca else {})}
        return Command(self.tool.command("pull", "-q", f"--tls-verify={'true' if side.ca else 'false'}",
                                         "--signature-policy", self.tool.root / "policy.json",
                                         side.ref(image)), env)

    def unpack(self, image, place):
        return Command(self.tool.command("pull", "-q", "--signature-policy", self.tool.root / "policy.json",
                                         image.local), self.tool.env)

    def pulled(self, image, place, out):
        name = out.split()[-1]
        mounted = self.tool.mount(name)
        try:
            same_tree(image, mounted / "models")
        finally:
            self.tool.unmount(name)

    def tree(self, place):
        return None

    def close(self):
        self.tool.close()


class Containerd(Peer):
    """ctr asks, the daemon unpacks: its processor time counts, and the larger memory of the two."""
    name = "containerd"
    notes = {"pull": STORAGE}

    def __init__(self, root):
        super().__init__(root)
        self.tool = consumers.Containerd(root)
        self.snapshotter = os.environ.get("CONTAINERD_SNAPSHOTTER") or self.working_snapshotter()

    def working_snapshotter(self) -> str:
        plugins = self.tool.run("plugins", "ls")
        good = any(line.split()[1:2] == ["overlayfs"] and line.split()[-1] == "ok" for line in plugins.splitlines())
        return "overlayfs" if good else "native"

    def version(self):
        return f"{machine.first_line(self.tool.path, '--version')} ({self.snapshotter})"

    def clear(self, place):
        names = self.tool.run("images", "ls", "-q").split()
        if names:
            self.tool.run("images", "rm", "--sync", *names)

    def pull(self, image, side, place):
        how = ["--hosts-dir", self.hosts(side)] if side.ca else ["--plain-http"]
        return Command(self.tool.command("images", "pull", "--snapshotter", self.snapshotter, *how,
                                         side.ref(image)),
                       servants=[self.tool.process.pid])

    def hosts(self, side):
        """Without a word about it, it would speak HTTP to this machine."""
        place = self.root / "hosts" / side.host
        place.mkdir(parents=True, exist_ok=True)
        url = f"https://{side.host}"
        (place / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\nca = "{side.ca}"\n')
        return place.parent

    def pulled(self, image, place, out):
        target = self.root / "mounted"
        target.mkdir(exist_ok=True)
        name = next(n for n in self.tool.run("images", "ls", "-q").split() if n.endswith(f"/{image.name}:{image.tag}"))
        self.tool.run("images", "mount", name, target, snapshotter=self.snapshotter)
        try:
            same_tree(image, target / "models")
        finally:
            self.tool.run("images", "unmount", "--rm", target, snapshotter=self.snapshotter)

    def tree(self, place):
        return None

    def close(self):
        self.tool.close()


class Buildah(Peer):
    name = "buildah"
    notes = {"pack": "from scratch, copy, commit, push without compression; one layer",
             "pack_layout": "from scratch, copy, commit, push without compression; one layer"}

    def __init__(self, root):
        super().__init__(root)
        self.tool = consumers.Buildah(root)

    def version(self):
        return machine.first_line(self.tool.path, "--version")

    def clear(self, place):
        super().clear(place)
        self.tool.run("rm", "--all")
        self.tool.run("rmi", "--all", "--force")

    def build(self, image, target, side=None):
        policy = ["--signature-policy", self.tool.root / "policy.json"]
        verify = [f"--tls-verify={'true' if side and side.ca else 'false'}"]
        env = {**self.tool.env, **({"SSL_CERT_FILE": str(side.ca)} if side and side.ca else {})}
        make = self.tool.command
        steps = [make("from", "--name", "bench", "scratch"),
                 make("copy", "-q", "bench", image.tree, "/models"),
                 make("commit", "-q", "--format", "oci", *policy, "bench", "built:latest"),
                 make("push", "-q", "--disable-compression", *policy, *verify, "built:latest", target)]
        return Command(script(*steps), env)

    def pack(self, image, side):
        return self.build(image, f"docker://{side.ref(image)}", side)

    def pack_layout(self, image, place):
        return self.build(image, f"oci:{place}/layout:{image.tag}")

    def close(self):
        self.tool.close()


class Umoci(Peer):
    name = "umoci"
    notes = {"pack_layout": "insert: one gzip layer, it has no other"}

    def __init__(self, root):
        super().__init__(root)
        self.tool = consumers.Umoci(root)

    def version(self):
        return machine.first_line(self.tool.path, "--version")

    def pack_layout(self, image, place):
        layout, ref = place / "layout", f"{place}/layout:{image.tag}"
        return Command(script([self.tool.path, "init", "--layout", layout], [self.tool.path, "new", "--image", ref],
                              [self.tool.path, "insert", *self.tool.rootless, "--image", ref, image.tree, "/models"]))

    def unpack(self, image, place):
        return Command([self.tool.path, "unpack", *self.tool.rootless, "--image", f"{image.layout}:{image.tag}",
                        place / "bundle"])

    def pulled(self, image, place, out):
        same_tree(image, place / "bundle/rootfs/models")

    def tree(self, place):
        return place / "bundle/rootfs/models"


class Olot(Peer):
    name = "olot"
    notes = {"pack_layout": "on an image with one small layer, which umoci makes first"}

    def __init__(self, root):
        super().__init__(root)
        self.tool, self.umoci = consumers.Olot(root), consumers.find("umoci")

    def version(self):
        return f"olot {metadata.version('olot')}"

    def pack_layout(self, image, place):
        layout, ref = place / "layout", f"{place}/layout:{image.tag}"
        add = [sys.executable, "-c", self.tool.CODE, "--root-dir", image.tree, layout, *image.weights()]
        return Command(script([self.umoci, "init", "--layout", layout], [self.umoci, "new", "--image", ref],
                              [self.umoci, "insert", "--image", ref, "/etc/os-release", "/etc/os-release"], add))
