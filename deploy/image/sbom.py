"""An SPDX 2.3 document from what dpkg knows of the files in an image."""
import hashlib
import json
import re
from pathlib import Path

from debian import Debian

FIELDS = "${Package}\n${Version}\n${Architecture}\n${source:Package}\n${source:Version}\n${Maintainer}\n${Homepage}"


def spdx_id(*parts: str) -> str:
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", "-".join(parts))


def described_package(debian: Debian, name: str) -> dict:
    values = debian.fields(name, FIELDS)
    package, version, arch, source, source_version, maintainer = values[:6]
    homepage = values[6] if len(values) > 6 and values[6] else "NOASSERTION"
    return {"SPDXID": spdx_id("Package", package), "name": package, "versionInfo": version,
            "supplier": f"Organization: {re.sub(r' *<.*', '', maintainer)}", "homepage": homepage,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
            "sourceInfo": f"built from {source} {source_version}",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{package}@{version.replace('+', '%2B')}"
                                                  f"?arch={arch}&distro=debian-12"}]}


def described_file(where: str, data: bytes, licence: str) -> dict:
    return {"SPDXID": spdx_id("File", where), "fileName": f"./{where}", "licenseConcluded": licence,
            "copyrightText": "NOASSERTION",
            "checksums": [{"algorithm": a.upper(), "checksumValue": getattr(hashlib, a)(data).hexdigest()}
                          for a in ("sha1", "sha256")]}


def related(what: str, how: str, other: str) -> dict:
    return {"spdxElementId": what, "relationshipType": how, "relatedSpdxElement": other}


def write(out: Path, name: str, version: str, created: str, debian: Debian, origins: list[tuple[str, Path]],
          program: tuple[str, Path] | None = None) -> None:
    """`origins`: where a file lies in the image, and the file of Debian that it is; `program`: the one we built."""
    owners = {where: debian.package_of(path) for where, path in origins}
    packages = [described_package(debian, p) for p in sorted(set(owners.values()))]
    files = [described_file(where, path.read_bytes(), "NOASSERTION") for where, path in sorted(origins)]
    image = {"SPDXID": spdx_id("Image", name), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
             "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "Apache-2.0",
             "copyrightText": "NOASSERTION", "primaryPackagePurpose": "CONTAINER"}
    links = [related("SPDXRef-DOCUMENT", "DESCRIBES", image["SPDXID"])]
    links += [related(image["SPDXID"], "CONTAINS", p["SPDXID"]) for p in packages]
    links += [related(spdx_id("Package", owner.split(":")[0]), "CONTAINS", spdx_id("File", where))
              for where, owner in sorted(owners.items())]
    if program:
        files.append(described_file(program[0], program[1].read_bytes(), "Apache-2.0"))
        links.append(related(image["SPDXID"], "CONTAINS", files[-1]["SPDXID"]))
    unique = hashlib.sha256(json.dumps([packages, files], sort_keys=True).encode()).hexdigest()
    out.write_text(json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{version}-{unique[:32]}",
        "creationInfo": {"created": created, "creators": ["Tool: modelcar-deploy-image"]},
        "packages": [image, *packages], "files": files, "relationships": links}, indent=1, sort_keys=True) + "\n")
