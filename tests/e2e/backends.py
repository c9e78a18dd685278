"""What answers behind a faulty server: a registry in memory, or a real one.

    backend.answer(exchange) -> Answer
"""
import base64
import hashlib
import http.client
import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD, TOKEN = "joe", "canary-password-4711", "canary-token-0815"


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def error(cls, status: int, code: str = "UNKNOWN", **headers: str) -> "Answer":
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return cls(status, {"Content-Type": "application/json", **named}, body)


def children(data: bytes) -> dict[str, str]:
    """digest -> type of what an index lists; nothing for anything else."""
    try:
        return {d["digest"]: d["mediaType"] for d in json.loads(data)["manifests"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}


class Memory:
    """The distribution spec, the parts that clients use; with a login when `guarded`."""

    def __init__(self, guarded: bool = False):
        self.blobs: dict[str, bytes] = {}
        self.linked: set[tuple[str, str]] = set()  # which repository has which blob
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.guarded, self.tokens, self.tokens_asked = guarded, set(), 0
        self.compares = True  # what it got with its digest

    def load(self, root: Path, repo: str) -> None:
        """Serve an OCI layout: every blob, under its digest, may be asked for as a manifest, too."""
        types = {}
        for path in sorted((root / "blobs/sha256").iterdir()):
            self.blobs[f"sha256:{path.name}"] = data = path.read_bytes()
            self.linked.add((repo, f"sha256:{path.name}"))
            types |= children(data)
        for entry in json.loads((root / "index.json").read_text())["manifests"]:
            tag = entry.get("annotations", {}).get("org.opencontainers.image.ref.name")
            types[entry["digest"]] = entry["mediaType"]
            self.manifests[repo, tag] = entry["mediaType"], self.blobs[entry["digest"]]
        for digest, media_type in types.items():
            if digest in self.blobs:
                self.manifests[repo, digest] = media_type, self.blobs[digest]

    def answer(self, x) -> Answer:
        if x.kind == "token":
            return self.token(x)
        if self.guarded and x.kind != "elsewhere" and x.headers.get("Authorization", "") not in self.tokens:
            return self.challenge(x)
        known = getattr(self, f"{x.method.lower()}_{x.kind}", None)
        return known(x) if known else Answer.error(404, "UNSUPPORTED")

    def challenge(self, x) -> Answer:
        realm = f'Bearer realm="http://{x.server.host}/token",service="test",scope="repository:{x.repo}:pull,push"'
        return Answer.error(401, "UNAUTHORIZED", WWW_Authenticate=realm)

    def token(self, x) -> Answer:
        self.tokens_asked += 1
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if x.headers.get("Authorization") != wanted:
            return Answer.error(401, "UNAUTHORIZED")
        value = f"{TOKEN}-{self.tokens_asked}"
        self.tokens.add("Bearer " + value)
        body = json.dumps({"token": value, "expires_in": 300}).encode()
        return Answer(200, {"Content-Type": "application/json"}, body)

    def get_manifest(self, x) -> Answer:
        found = self.manifests.get((x.repo, x.name))
        if not found:
            return Answer.error(404, "MANIFEST_UNKNOWN")
        return Answer(200, {"Content-Type": found[0], "Docker-Content-Digest": digest_of(found[1])}, found[1])

    head_manifest = get_manifest

    def put_manifest(self, x) -> Answer:
        data = x.body()
        needed = [d["digest"] for d in [*json.loads(data).get("layers", []), json.loads(data).get("config")] if d]
        if any(d not in self.blobs or (x.repo, d) not in self.linked for d in needed):
            return Answer.error(404, "MANIFEST_BLOB_UNKNOWN")
        for name in (x.name, digest_of(data)):
            self.manifests[x.repo, name] = x.headers["Content-Type"], data
        return Answer(201, {"Location": x.path, "Docker-Content-Digest": digest_of(data)})

    def get_blob(self, x) -> Answer:
        data = self.blobs.get(x.name)
        if data is None or (x.kind == "blob" and (x.repo, x.name) not in self.linked):
            return Answer.error(404, "BLOB_UNKNOWN")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", x.headers.get("Range", ""))
        if not wanted or x.method == "HEAD":
            return Answer(200, {"Content-Type": "application/octet-stream"}, data)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
        if first > last:
            return Answer.error(416, "RANGE", Content_Range=f"bytes */{len(data)}")
        return Answer(206, {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first:last + 1])

    head_blob = get_blob

    def get_elsewhere(self, x) -> Answer:
        """Where a redirect leads: the same blobs, but no registry."""
        return self.get_blob(x)

    def at_session(self, x, name: str, status: int) -> Answer:
        place = {"Location": f"/v2/{x.repo}/blobs/uploads/{name}", "Docker-Upload-UUID": name}
        return Answer(status, place | {"Range": f"0-{max(len(self.uploads[name]), 1) - 1}"})

    def post_start(self, x) -> Answer:
        if (x.query.get("from"), x.query.get("mount")) in self.linked:
            self.linked.add((x.repo, x.query["mount"]))
            return Answer(201, {"Location": f"/v2/{x.repo}/blobs/{x.query['mount']}"})
        name = f"{random.getrandbits(64):016x}"
        self.uploads[name] = bytearray()
        return self.at_session(x, name, 202)

    def get_session(self, x) -> Answer:
        return self.at_session(x, x.name, 204) if x.name in self.uploads else Answer.error(404, "BLOB_UPLOAD_UNKNOWN")

    def patch_session(self, x) -> Answer:
        upload = self.uploads.get(x.name)
        if upload is None:
            return Answer.error(404, "BLOB_UPLOAD_UNKNOWN")
        start = x.headers.get("Content-Range", f"{len(upload)}-").split("-")[0]
        if int(start) != len(upload):
            return Answer(416, self.at_session(x, x.name, 416).headers)
        upload += x.body()
        return self.at_session(x, x.name, 202)

    def put_session(self, x) -> Answer:
        upload = self.uploads.get(x.name)
        if upload is None:
            return Answer.error(404, "BLOB_UPLOAD_UNKNOWN")
        data = bytes(upload) + x.body()
        digest = x.query.get("digest")
        if self.compares and digest_of(data) != digest:
            return Answer.error(400, "DIGEST_INVALID")
        del self.uploads[x.name]
        self.blobs[digest] = data
        self.linked.add((x.repo, digest))
        return Answer(201, {"Location": f"/v2/{x.repo}/blobs/{digest}"})

    def delete_session(self, x) -> Answer:
        return Answer(204) if self.uploads.pop(x.name, None) is not None else Answer.error(404, "BLOB_UPLOAD_UNKNOWN")

    def get_ping(self, _) -> Answer:
        return Answer(200)


class Upstream:
    """A real registry: requests go to it, its answers come back."""

    def __init__(self, host: str):
        self.host = host

    def answer(self, x) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        headers = {k: v for k, v in x.headers.items() if k.lower() not in ("expect", "connection")}
        connection.request(x.method, x.handler.path, x.body() or None, headers)  # Host stays: Location is ours
        response = connection.getresponse()
        body = response.read()
        connection.close()
        kept = {k: v for k, v in response.getheaders()
                if x.method == "HEAD" or k.lower() not in ("content-length", "connection")}
        return Answer(response.status, kept, body)
