"""The two registries, and the networks by which they are reached."""
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import consumers
import servers
from inputs import Image

HERE = Path(__file__).resolve().parent
NETWORKS = {"http": "plain HTTP on loopback", "tls": "TLS on loopback",
            "20ms": "plain HTTP, a round trip of 20 ms", "80ms": "plain HTTP, a round trip of 80 ms"}
KINDS = {"docker-registry": servers.DockerRegistry, "registry": servers.Distribution}


@dataclass(frozen=True)
class Side:
    """A registry as one network shows it."""
    host: str
    ca: Path | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.ca else "http"

    def ref(self, image: Image) -> str:
        return f"{self.host}/{image.name}:{image.tag}"


class Link:
    """A process of link.py in front of a server."""

    def __init__(self, host: str, round_trip_ms: int, rate: int):
        self.process = subprocess.Popen([sys.executable, str(HERE / "link.py"), host, str(round_trip_ms), str(rate)],
                                        stdout=subprocess.PIPE, text=True)
        self.host = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


class Registry:
    """One storage, served in plain and by TLS, near and far: what has been asked for is running."""

    def __init__(self, root: Path, kind: str, authority: servers.Authority, rate: int):
        self.root, self.rate, self.kind, self.authority = root, rate, KINDS[kind], authority
        self.plain = self.kind(root / "plain")
        self.others: dict[str, object] = {}

    @property
    def storage(self) -> Path:
        return self.root / "plain/data"

    @property
    def blobs(self) -> Path:
        return self.storage / "docker/registry/v2/blobs"

    def side(self, network: str) -> Side:
        if network == "http":
            return Side(self.plain.host)
        if network not in self.others:
            self.others[network] = self.tls() if network == "tls" else \
                Link(self.plain.host, int(network.removesuffix("ms")), self.rate)
        ca = self.authority.certificate if network == "tls" else None
        return Side(self.others[network].host, ca)

    def tls(self) -> servers.DockerRegistry:
        (self.root / "tls").mkdir(exist_ok=True)
        self.storage.mkdir(exist_ok=True)
        if not (self.root / "tls/data").is_symlink():
            (self.root / "tls/data").symlink_to(self.storage)
        return self.kind(self.root / "tls", authority=self.authority)

    def processes(self) -> list[int]:
        return [s.process.pid for s in (self.plain, *self.others.values())]

    def blob_files(self, digests) -> list[Path]:
        return [self.plain.blob_path(d) for d in digests]

    def clear(self) -> None:
        """As on the first day. Neither server keeps anything in memory."""
        for part in ("blobs", "repositories"):
            shutil.rmtree(self.storage / "docker/registry/v2" / part, ignore_errors=True)

    def close(self) -> None:
        for server in (*self.others.values(), self.plain):
            server.close()


def kinds_here() -> list[str]:
    """The registries that are installed."""
    found = []
    for name in KINDS:
        try:
            consumers.find(name)
            found.append(name)
        except consumers.Absent:
            pass
    return found
