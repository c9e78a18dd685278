"""What dpkg and ELF headers say of a Debian: this machine's own, or one that sysroot.py unpacked."""
import functools
import re
import subprocess
from pathlib import Path

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def output(*command) -> str:
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


class Debian:
    def __init__(self, arch: str, root: Path = Path("/")):
        self.arch, self.root, self.triplet = arch, root.resolve(), TRIPLETS[arch]

    @functools.cached_property
    def owners(self) -> dict[str, str]:
        """Every file below a lib or bin directory that dpkg knows -> its package."""
        run = subprocess.run(self.query("-S", "*/lib*/*.so*", "*/bin/busybox"), capture_output=True, text=True)
        lines = (line.rsplit(": ", 1) for line in run.stdout.splitlines())
        return {path: packages.split(",")[0].strip() for packages, path in (l for l in lines if len(l) == 2)}

    def query(self, *args: str) -> list[str]:
        return ["dpkg-query", f"--admindir={self.root / 'var/lib/dpkg'}", *args]

    def names_of(self, path: Path) -> set[str]:
        """Since /usr was merged, dpkg may know a file by either name."""
        names = {f"/{p.relative_to(self.root)}" for p in (path, path.resolve())}
        return names | {n.removeprefix("/usr") for n in names if n.startswith("/usr/")}

    def package_of(self, path: Path) -> str:
        if path.name == "ca-certificates.crt":  # made from the package's files when it is installed
            return "ca-certificates"
        for name in sorted(self.names_of(path)):
            if name in self.owners:
                return self.owners[name]
        raise SystemExit(f"no Debian package has '{path}'")

    def fields(self, package: str, wanted: str) -> list[str]:
        """One line each."""
        return output(*self.query("-W", "-f", wanted, package)).splitlines()

    def copyright_of(self, package: str) -> bytes:
        return (self.root / "usr/share/doc" / package / "copyright").read_bytes()

    def interpreter_of(self, program: Path) -> str:
        """Its path without the slash; empty of a static program."""
        found = re.search(r"interpreter: /(\S+?)\]", output("readelf", "-lW", program))
        return found[1] if found else ""

    def library(self, name: str) -> Path:
        places = [self.root / above / self.triplet / name for above in ("lib", "usr/lib")]
        found = next((p for p in places if p.exists()), None)
        if not found:
            raise SystemExit(f"no {name} of {self.arch} below {self.root}")
        return found

    def shared_objects(self, program: Path) -> dict[str, Path]:
        """What it and its libraries ask for, by name, without the interpreter; nothing is run for that."""
        interpreter, found, left = Path(self.interpreter_of(program)).name, {}, [program]
        while left:
            for name in re.findall(r"\(NEEDED\).*\[(\S+)\]", output("readelf", "-dW", left.pop())):
                if name not in found and name != interpreter:
                    found[name] = self.library(name)
                    left.append(found[name])
        return found
