"""What bounds everybody: the same bytes moved, hashed or copied by the plainest program, on the same machine in the
same run."""
import os
import shlex

import consumers
import machine
from cost import Command
from peers import Crane, Peer, same_tree, script


CONNECTIONS = 64


def trust(side) -> list:
    return ["--cacert", side.ca] if side.ca else []


def url(side, image, digest: str) -> str:
    return f"{side.scheme}://{side.host}/v2/{image.name}/blobs/{digest}"


class Limit(Peer):
    kind, program = "limit", ""

    def __init__(self, root):
        super().__init__(root)
        self.path = consumers.find(self.program)

    def version(self):
        return machine.first_line(self.path, "--version").split(" (")[0]

    def tree(self, place):
        return None


class Curl(Limit):
    """One process, all blobs at once, nothing kept."""
    name, program = "curl -Z to /dev/null", "curl"

    def pull(self, image, side, place):
        return Command(self.fetch(image, side, place, lambda digest: "/dev/null"))

    def fetch(self, image, side, place, target) -> list:
        config = place / "config"
        config.write_text("".join(f'url = "{url(side, image, d)}"\noutput = "{target(d)}"\n' for d in image.blobs))
        return [self.path, "-Z", "--parallel-immediate", "--parallel-max", str(CONNECTIONS), "--fail", "-s", "-S",
                "--no-progress-meter", "-w", "%{size_download}\\n", *trust(side), "-K", config]

    def pulled(self, image, place, out):
        """What came has the right sizes; nobody looked at the bytes."""
        assert sorted(map(int, out.split())) == sorted(image.blobs.values())


class CurlFiles(Curl):
    """The blobs on disk, through the page cache and durable; nobody looks at them, nothing is unpacked."""
    name = "curl -Z to files and sync"

    def pull(self, image, side, place):
        tree = self.tree(place)
        tree.mkdir()
        return Command(script(self.fetch(image, side, place, lambda digest: tree / digest), ["sync", "-f", tree]))

    def tree(self, place):
        return place / "blobs"


class CurlDirect(CurlFiles):
    """The same around the page cache."""
    name = "curl piped to dd with O_DIRECT"
    line = 'curl --fail -sS "${@:3}" "$1" | dd of="$2" oflag=direct iflag=fullblock bs=1M status=none'

    def pull(self, image, side, place):
        line = f"set -- \"$@\" {shlex.join(map(str, trust(side)))}; {self.line}"
        return self.for_each_blob(place, {digest: url(side, image, digest) for digest in image.blobs}, line)

    def for_each_blob(self, place, sources: dict, line: str) -> Command:
        """`line` with the source of each as $1 and its file as $2, many at once."""
        tree = self.tree(place)
        tree.mkdir()
        (place / "pairs").write_text("".join(f"{source}\n{tree / digest}\n" for digest, source in sources.items()))
        return Command(["xargs", "-a", place / "pairs", "-n", "2", "-P", str(CONNECTIONS), "bash", "-o", "pipefail", "-c",
                        line, "bash"])

    def pulled(self, image, place, out):
        assert {p.name: p.stat().st_size for p in self.tree(place).iterdir()} == image.blobs


class Disk(CurlDirect):
    """As many bytes around the page cache as a pull writes, from nowhere."""
    name, program = "dd from /dev/zero with O_DIRECT", "dd"
    line = 'dd if=/dev/zero of="$2" count="$1" iflag=count_bytes,fullblock oflag=direct bs=4M status=none'

    def pull(self, image, side, place):
        return self.for_each_blob(place, image.blobs, self.line)


class Curls(Curl):
    """A process for each blob, since one has one core for TLS."""
    name = "many curl to /dev/null"

    def pull(self, image, side, place):
        if not side.ca:
            return None
        (place / "urls").write_text("".join(f"{url(side, image, d)}\n" for d in image.blobs))
        fetch = [self.path, "--fail", "-s", "-S", "-o", "/dev/null", "-w", "%{size_download}\\n", "--cacert", side.ca]
        return Command(["xargs", "-a", place / "urls", "-n", "1", "-P", str(2 * os.cpu_count()), *fetch])


class OpenSSL(Limit):
    name, program = "openssl dgst for each core", "openssl"
    cores = os.cpu_count()

    def version(self):
        return machine.first_line(self.path, "version").split(" (")[0]

    def verify(self, image, place):
        names = place / "names"
        names.write_text("".join(f"{place}/tree/{n}\n" for n in image.files))
        each = 1 if len(image.files) <= 64 else len(image.files) // (4 * self.cores) + 1
        digest = [self.path, "dgst", "-sha256", "-r"]
        return Command(["xargs", "-a", names, "-n", str(each), "-P", str(self.cores), *digest])

    def verified(self, image, out):
        assert sorted(line.split()[0] for line in out.splitlines()) == sorted(d for _, d in image.files.values())


class Copy(Limit):
    name, program = "cp and sync", "cp"

    def pack_layout(self, image, place):
        return Command(script(["cp", "-r", image.tree, place / "copy"], ["sync", "-f", place / "copy"]))

    unpack = pack_layout

    def laid_out(self, image, place):
        same_tree(image, place / "copy")

    def pulled(self, image, place, out):
        self.laid_out(image, place)


class CranePacked(Crane):
    """What is left of packing once it has been done."""
    name, kind = "crane push of a packed layout", "limit"

    def can(self, work):
        return work == "pack"

    def pack(self, image, side):
        return super().push(image, side)
