"""A TCP proxy on loopback that counts, delays and cuts what a client sends."""
import random
import socket
import threading
import time

PIECE = 2**16


class Cutter:
    """Forwards to 127.0.0.1:`port`, each connection on two threads.

    `cut_after()` gives, for each new connection, how many of the client's bytes
    may pass before it is cut; None lets it live. `rate` is bytes a second for
    each connection, and `seconds` the life of one. `received` counts the
    client's bytes that arrived here, `cuts` the connections that were cut.
    With `answers` all of that is about the server's bytes instead: a pull.
    """

    def __init__(self, port: int, cut_after=lambda: None, rate: float = 0, seconds: float = 0, answers=False):
        self.upstream, self.cut_after, self.rate, self.seconds = port, cut_after, rate, seconds
        self.received, self.cuts, self.answers = 0, 0, answers
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def ref(self, name: str) -> str:
        return f"{self.host}/{name}"

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                client.close()
                continue
            ways = ((client, server), (server, client))
            measured, other = reversed(ways) if self.answers else ways
            threading.Thread(target=self.measure, args=measured, daemon=True).start()
            threading.Thread(target=self.forward, args=other, daemon=True).start()

    def measure(self, client: socket.socket, server: socket.socket) -> None:
        """The bytes that count, on their way from one end to the other; the thread that cuts."""
        limit, passed, begin = self.cut_after(), 0, time.monotonic()
        try:
            while data := client.recv(PIECE):
                with self.lock:
                    self.received += len(data)
                server.sendall(data)
                passed += len(data)
                if self.rate:
                    time.sleep(max(0.0, begin + passed / self.rate - time.monotonic()))
                late = self.seconds and time.monotonic() - begin >= self.seconds
                if late or (limit is not None and passed >= limit):
                    self.cut(client, server)
                    return
            server.shutdown(socket.SHUT_WR)
        except OSError:
            reset(server)

    def cut(self, client: socket.socket, server: socket.socket) -> None:
        """What arrived here arrives there; the client is told nothing but that it is over."""
        with self.lock:
            self.cuts += 1
        server.shutdown(socket.SHUT_RDWR)
        reset(client)

    def forward(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(PIECE):
                client.sendall(data)
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def reset(end: socket.socket) -> None:
    """Ends a connection at once: what lies in buffers is lost."""
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        end.shutdown(socket.SHUT_RDWR)
        end.close()
    except OSError:
        pass


def at_random(seed: int, low: int, high: int):
    """Cuts each connection after `low` to `high` bytes."""
    chance = random.Random(seed)
    return lambda: chance.randint(low, high)
