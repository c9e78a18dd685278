#!/usr/bin/env python3
"""Unpacks what build.py needs of Debian for another architecture; no root, and nothing of this machine is changed.

    deploy/image/sysroot.py [--arch arm64] SYSROOT

apt, with this machine's sources and keys but with a state of its own, fetches the packages (30 MiB); dpkg-query
--admindir=SYSROOT/var/lib/dpkg answers for them as it does for those that are installed. Nothing in SYSROOT is run.
SYSROOT/sysroot.ini says to Meson where it is:

    meson setup --cross-file SYSROOT/sysroot.ini --cross-file deploy/image/arm64.ini build-arm64
"""
import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

LIBRARIES = ("libc6-dev libcurl4-openssl-dev libarchive-dev libssl-dev libjansson-dev libzstd-dev zlib1g-dev libyaml-dev "
             "libcmocka-dev").split()
ALONE = ("busybox-static", "ca-certificates")  # what these want besides is not run here
CERTIFICATES = "usr/share/ca-certificates"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"


def run(*command, **more) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def fetch(place: Path, arch: str) -> list[Path]:
    """The packages and all that they need, as if nothing were installed."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (place / part).mkdir(parents=True)
    (place / "status").touch()
    settings = {"APT::Architecture": arch, "APT::Architectures": arch, "Dir::State": place / "state",
                "Dir::State::status": place / "status", "Dir::Cache": place / "cache", "APT::Sandbox::User": "root",
                "APT::Install-Recommends": "false"}
    (place / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    how = {"cwd": place / "cache/archives", "env": {**os.environ, "APT_CONFIG": str(place / "apt.conf")}}
    run("apt-get", "-q", "update", **how)
    run("apt-get", "-q", "-y", "--download-only", "-o", "Debug::NoLocking=true", "install", *LIBRARIES, **how)
    run("apt-get", "-q", "download", *ALONE, **how)
    return sorted((place / "cache/archives").glob("*.deb"))


def unpack(package: Path, root: Path) -> None:
    """Its files, and what dpkg would have written down about them."""
    run("dpkg-deb", "--extract", package, root)
    control = run("dpkg-deb", "--field", package)
    fields = dict(line.split(": ", 1) for line in control.splitlines() if ": " in line and line[0] != " ")
    name = fields["Package"]
    if fields.get("Multi-Arch") == "same":
        name += f":{fields['Architecture']}"
    listing = run("tar", "-t", stdin=subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE).stdout)
    paths = [line.removeprefix(".").rstrip("/") or "/." for line in listing.splitlines()]
    (root / f"var/lib/dpkg/info/{name}.list").write_text("".join(f"{p}\n" for p in paths))
    first, rest = control.split("\n", 1)
    with open(root / "var/lib/dpkg/status", "a") as status:
        status.write(f"{first}\nStatus: install ok installed\n{rest.rstrip()}\n\n")


def bundle_certificates(root: Path) -> None:
    """As update-ca-certificates does it where nobody has chosen."""
    texts = [path.read_text() for path in sorted((root / CERTIFICATES).rglob("*.crt"))]
    (root / BUNDLE).parent.mkdir(parents=True, exist_ok=True)
    (root / BUNDLE).write_text("".join(text if text.endswith("\n") else text + "\n" for text in texts))


def make(root: Path, arch: str) -> None:
    """Whole or absent."""
    unfinished = root.with_name(f"{root.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    info = unfinished / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "format").write_text("1\n")
    for package in fetch(unfinished / "apt", arch):
        unpack(package, unfinished)
    shutil.rmtree(unfinished / "apt")
    bundle_certificates(unfinished)
    (unfinished / "sysroot.ini").write_text(f"[constants]\nsysroot = '{root}'\n")
    unfinished.rename(root)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sysroot", type=Path)
    parser.add_argument("--arch", default="arm64")
    args = parser.parse_args()
    root = args.sysroot.resolve()
    if root.exists():
        raise SystemExit(f"{root} exists; remove it, or name another")
    root.parent.mkdir(parents=True, exist_ok=True)
    make(root, args.arch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
