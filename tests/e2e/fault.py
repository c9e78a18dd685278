"""A registry that misbehaves to order.

    with Server(Memory()) as server:
        server.inject(fault, seed=1)      faults.py has them
        ...
        assert server.fired

A fault sees an `Exchange`: it may have the registry answer, change that answer,
write other bytes or cut the connection.
"""
import http.client
import random
import re
import socket
import struct
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from backends import Answer

PATHS = {"manifest": r"/v2/(?P<repo>.+)/manifests/(?P<name>[^/]+)",
         "blob": r"/v2/(?P<repo>.+)/blobs/(?P<name>[^/]+:[^/]+)",
         "start": r"/v2/(?P<repo>.+)/blobs/uploads/", "session": r"/v2/(?P<repo>.+)/blobs/uploads/(?P<name>[^/]+)",
         "tags": r"/v2/(?P<repo>.+)/tags/list", "referrers": r"/v2/(?P<repo>.+)/referrers/(?P<name>.+)",
         "token": r"/token", "elsewhere": r"/elsewhere/(?P<name>.+)", "ping": r"/v2/"}


class Exchange:
    """One request, and what is written back."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: "Server"):
        self.handler, self.server, self.headers, self.method = handler, server, handler.headers, handler.command
        url = urllib.parse.urlsplit(handler.path)
        self.path, self.query = url.path, dict(urllib.parse.parse_qsl(url.query))
        self.kind, self.repo, self.name = "other", "", ""
        for kind, pattern in PATHS.items():
            if found := re.fullmatch(pattern, self.path):
                self.kind, self.repo, self.name = kind, *(found.groupdict().get(k, "") for k in ("repo", "name"))
                break
        self.left = int(self.headers.get("Content-Length") or 0)
        self.content: bytes | None = None
        self.waits = self.headers.get("Expect", "").lower() == "100-continue"

    def read(self, size: int) -> bytes:
        """Some bytes of the request's body; the first call asks for them where the client waits for that."""
        if self.waits:
            self.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waits = False
        data = self.handler.rfile.read(min(size, self.left))
        self.left -= len(data)
        return data

    def body(self) -> bytes:
        if self.content is None:
            self.content = self.read(self.left)
        return self.content

    def proceed(self) -> Answer:
        """What the registry itself says; it does the work."""
        return self.server.backend.answer(self)

    def head(self, answer: Answer, length: int | None = None, **headers: str | None) -> bytes:
        length = len(answer.body) if length is None else length
        changes = {k.replace("_", "-"): v for k, v in headers.items()}
        fields = {"Content-Length": str(length), **answer.headers, **changes}
        lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, 'Status')}",
                 *(f"{k}: {v}" for k, v in fields.items() if v is not None)]
        return "\r\n".join(lines).encode("latin1") + b"\r\n\r\n"

    def send(self, answer: Answer, **headers: str | None) -> None:
        if self.left or self.waits:  # what was not read would be taken for the next request
            self.handler.close_connection = True
            headers.setdefault("Connection", "close")
        self.raw(self.head(answer, **headers) + (b"" if self.method == "HEAD" else answer.body))

    def raw(self, data: bytes) -> None:
        try:
            self.handler.connection.sendall(data)
        except OSError:
            self.handler.close_connection = True

    def hang_up(self) -> None:
        self.handler.close_connection = True

    def reset(self) -> None:
        """RST instead of FIN; what was written before arrives when the client has read it by then."""
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.handler.close_connection = True

    def stall(self, seconds: float) -> bool:
        """True: the server is ending."""
        return self.server.closing.wait(seconds)


class Server:
    """Serves on loopback until the end of its `with`; `log` has (method, path, status or name of the fault)."""

    def __init__(self, backend):
        self.backend, self.closing, self.lock = backend, threading.Event(), threading.Lock()
        self.tokens_before = 0  # the fault, of a fault that refuses them
        self.door = threading.Lock()  # one at a time, where a fault wants that
        self.log: list[tuple[str, str, str]] = []
        self.fault, self.skip, self.left, self.fired = None, 0, 0, 0
        self.elsewhere, self.leaked = 0, []  # requests behind a redirect, and the credentials that came along
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.http.daemon_threads = True
        self.host = f"127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> "Server":
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def inject(self, fault, seed: int) -> None:
        """Fire on the requests that the fault names, `fault.times` times from one that the seed chooses."""
        self.random = random.Random(seed)
        self.fault, self.skip, self.left, self.fired = fault, self.random.randrange(fault.spread), fault.times, 0

    def is_due(self, x: Exchange) -> bool:
        with self.lock:
            if not self.fault or not self.left or not self.fault.when(x):
                return False
            if self.skip:
                self.skip -= 1
                return False
            self.left -= 1
            self.fired += 1
            return True

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        x = Exchange(handler, self)
        if x.kind == "elsewhere":
            self.elsewhere += 1
            self.leaked += x.headers.get_all("Authorization", [])
        if self.is_due(x):
            self.log.append((x.method, x.path, self.fault.name))
            self.fault.act(x)
        else:
            answer = x.proceed()
            self.log.append((x.method, x.path, str(answer.status)))
            x.send(answer)

    def handler(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 120

            def log_message(self, *_):
                pass

            def handle_expect_100(self) -> bool:
                return True  # Exchange.read() says it, when the body is wanted

            def serve(self) -> None:
                outer.serve(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = serve

        return Handler
