"""A server of our own in front of a registry: it watches, adds, refuses, and can be the user's http proxy."""
import base64
import http.client
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive", "proxy-authorization", "proxy-connection"}


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


class Front:
    """Hands requests on to `target` ("127.0.0.1:5000"; "": to nobody, 404).

    `rule` may answer instead: it takes what was Seen and returns None or (status, headers, body). `extra` headers
    go on every answer. With `login` ("name:word") it is a proxy that wants that login, for any host.
    """

    def __init__(self, root: Path, target: str = "", rule: Callable | None = None,
                 extra: dict[str, str] | None = None, login: str = ""):
        self.target, self.rule, self.extra, self.login = target, rule, extra or {}, login
        self.seen: list[Seen] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def paths(self, part: str) -> list[str]:
        return [s.path for s in self.seen if part in s.path]

    def answer_itself(self, seen: Seen):
        expected = "Basic " + base64.b64encode(self.login.encode()).decode()
        if self.login and seen.headers.get("Proxy-Authorization") != expected:
            return 407, {"Proxy-Authenticate": 'Basic realm="proxy"'}, b""
        made = self.rule(seen) if self.rule else None
        return made or (None if self.target else (404, {}, b""))

    def hand_on(self, seen: Seen, body: bytes):
        url = urllib.parse.urlsplit(seen.path)
        path = url.path + (f"?{url.query}" if url.query else "")
        headers = {k: v for k, v in seen.headers.items() if k.lower() not in HOP_HEADERS}
        connection = http.client.HTTPConnection(self.target, timeout=60)
        try:
            connection.request(seen.method, path, body or None, headers)
            answer = connection.getresponse()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in HOP_HEADERS}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def handler(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, self.path, dict(self.headers))
                outer.seen.append(seen)
                status, headers, data = outer.answer_itself(seen) or outer.hand_on(seen, body)
                self.send_response(status)
                for name, value in {**headers, **outer.extra}.items():
                    self.send_header(name, value)
                if not any(name.lower() == "content-length" for name in headers):
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do_CONNECT = serve

        return Handler
