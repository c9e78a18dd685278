"""Real servers on loopback: docker-registry, and the token service it trusts."""
import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import consumers

CONFIG = """version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http:
  addr: "{host}"
  secret: {secret}
"""
TLS = """  tls:
    certificate: {certificate}
    key: {key}
"""
CLIENT_CA = "    clientcas: [{ca}]\n"
HTPASSWD = """auth:
  htpasswd: {{realm: test, path: {path}}}
"""
TOKEN = """auth:
  token:
    realm: {realm}
    service: test-registry
    issuer: test-issuer
    rootcertbundle: {certificate}
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def openssl(*args, data: bytes | None = None) -> bytes:
    return subprocess.run(["openssl", *map(str, args)], input=data, check=True, capture_output=True).stdout


class Authority:
    """A certificate authority of our own, and what it signs."""

    def __init__(self, root: Path):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.certificate = root / "ca.crt"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", "/CN=test authority",
                "-keyout", root / "ca.key", "-out", self.certificate)

    def issue(self, name: str, usage: str = "serverAuth", days: int = 2,
              hosts: str = "IP:127.0.0.1,IP:::1,DNS:localhost") -> tuple[Path, Path]:
        """A certificate and its key, for a server on loopback unless said otherwise."""
        key, request, certificate, extra = (self.root / f"{name}.{e}" for e in ("key", "csr", "crt", "ext"))
        extra.write_text(f"subjectAltName={hosts}\nextendedKeyUsage={usage}\n")
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.root / "ca.key",
                "-CAcreateserial", "-days", days, "-extfile", extra, "-out", certificate)
        return certificate, key


class DockerRegistry:
    """docker-registry on a free port, with its storage in `root`; `close` ends it by its process id."""

    program = "docker-registry"

    def __init__(self, root: Path, authority: Authority | None = None, client_ca: Path | None = None,
                 users: dict[str, str] | None = None, token: "TokenServer | None" = None,
                 pair: tuple[Path, Path] | None = None, address: str = "127.0.0.1"):
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.port, self.address, self.authority = root, free_port(), address, authority
        self.host = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self.base = f"{'https' if authority else 'http'}://{self.host}"
        text = CONFIG.format(root=root / "data", host=self.host, secret=secrets.token_hex(8))
        if authority:
            certificate, key = pair or authority.issue("registry")
            text += TLS.format(certificate=certificate, key=key)
            text += CLIENT_CA.format(ca=client_ca) if client_ca else ""
        if users:
            text += HTPASSWD.format(path=self.write_users(users))
        if token:
            text += TOKEN.format(realm=token.realm, certificate=token.certificate)
        (root / "config.yml").write_text(text)
        self.start()

    def write_users(self, users: dict[str, str]) -> Path:
        path = self.root / "htpasswd"
        lines = [subprocess.run(["htpasswd", "-Bbn", name, word], check=True, capture_output=True, text=True).stdout
                 for name, word in users.items()]
        path.write_text("".join(line.strip() + "\n" for line in lines))
        return path

    def start(self) -> None:
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen([self.program, "serve", str(self.root / "config.yml")],
                                            stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("docker-registry does not start:\n" + self.log()[-3000:])
            time.sleep(0.05)

    def answers(self) -> bool:
        """Something speaks at the port; whom it lets in is another matter."""
        try:
            socket.create_connection((self.address, self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self) -> str:
        return (self.root / "log").read_text(errors="replace")

    def requests(self, method: str, part: str = "") -> list[str]:
        """The lines of the access log with this method and this text in the path."""
        return [line for line in self.log().splitlines() if f'"{method} ' in line and part in line]

    def blobs(self) -> dict[str, int]:
        """Every blob in the storage, manifests too: digest -> size."""
        data = (self.root / "data/docker/registry/v2/blobs").glob("*/*/*/data")
        return {f"{p.parts[-4]}:{p.parts[-2]}": p.stat().st_size for p in data}

    def blob_path(self, digest: str) -> Path:
        algorithm, value = digest.split(":")
        return self.root / "data/docker/registry/v2/blobs" / algorithm / value[:2] / value / "data"

    def ref(self, name: str) -> str:
        return f"{self.host}/{name}"

    def get(self, repository: str, reference: str) -> tuple[str, bytes]:
        """A manifest over plain http: its digest as the server names it, and its bytes."""
        accept = ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
                  "application/vnd.docker.distribution.manifest.v2+json",
                  "application/vnd.docker.distribution.manifest.list.v2+json")
        request = urllib.request.Request(f"{self.base}/v2/{repository}/manifests/{reference}",
                                         headers={"Accept": ", ".join(accept)})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.headers["Docker-Content-Digest"], answer.read()

    def has(self, repository: str, reference: str) -> bool:
        try:
            self.get(repository, reference)
            return True
        except urllib.error.HTTPError as error:
            assert error.code == 404, error
            return False


class Distribution(DockerRegistry):
    """The third version, which keeps an upload that is cut inside a request."""

    def __init__(self, root: Path, **how):
        try:
            self.program = consumers.find("registry")
        except consumers.Absent as absent:
            pytest.skip(f"absent: {absent} (distribution 3)")
        super().__init__(root, **how)


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def libtrust_id(public_der: bytes) -> str:
    """The key id that docker-registry derives from a certificate's key."""
    text = base64.b32encode(hashlib.sha256(public_der).digest()[:30]).decode()
    return ":".join(text[i:i + 4] for i in range(0, len(text), 4))


class TokenServer:
    """Hands out RS256 tokens for the scopes asked for, to whom it knows by name and password.

    Anybody may pull when `anonymous_pull`; what was asked is kept in `asked`. Identity tokens are asked for
    by POST; there `identities` has the name that belongs to each.
    """

    def __init__(self, root: Path, users: dict[str, str], anonymous_pull: bool = False, seconds: int = 300,
                 identities: dict[str, str] | None = None):
        authority = Authority(root)
        self.certificate, self.key = authority.certificate, root / "ca.key"
        self.kid = libtrust_id(openssl("rsa", "-in", self.key, "-pubout", "-outform", "DER"))
        self.users, self.anonymous_pull, self.seconds = users, anonymous_pull, seconds
        self.identities = identities or {}
        self.asked: list[dict] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.realm = f"http://127.0.0.1:{self.server.server_port}/token"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def user_of(self, header: str) -> str | None:
        """The user whom a Basic header proves; "" for nobody, None for a wrong password."""
        if not header:
            return ""
        name, _, word = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        return name if self.users.get(name) == word else None

    def access(self, scopes: list[str], user: str) -> list[dict]:
        granted = []
        for scope in (s for line in scopes for s in line.split()):
            kind, name, actions = scope.split(":")
            allowed = [a for a in actions.split(",") if user or (a == "pull" and self.anonymous_pull)]
            granted.append({"type": kind, "name": name, "actions": allowed})
        return granted

    def token(self, user: str, scopes: list[str]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "kid": self.kid}
        claims = {"iss": "test-issuer", "sub": user, "aud": "test-registry", "exp": now + self.seconds,
                  "nbf": now - 10, "iat": now, "jti": secrets.token_hex(8), "access": self.access(scopes, user)}
        body = ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))
        return body + "." + b64url(openssl("dgst", "-sha256", "-sign", self.key, data=body.encode()))

    def handler(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                self.answer(outer.user_of(self.headers.get("Authorization", "")), query.get("scope", []))

            def do_POST(self):
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.answer(outer.identities.get(form.get("refresh_token", [""])[0]), form.get("scope", []))

            def answer(self, user, scopes):
                outer.asked.append({"user": user, "scope": scopes, "method": self.command})
                answer = b"{}"
                if user is not None:
                    answer = json.dumps({"token": outer.token(user, scopes), "expires_in": outer.seconds}).encode()
                self.send_response(401 if user is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        return Handler


def write_authfile(path: Path, host: str, user: str, word: str) -> Path:
    """A docker config.json with one Basic entry, readable by its owner only."""
    auth = base64.b64encode(f"{user}:{word}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    os.chmod(path, 0o600)
    return path
