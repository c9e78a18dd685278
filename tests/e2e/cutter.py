"""A TCP proxy on loopback that counts, delays, holds and cuts what a client sends."""
import random
import select
import signal
import socket
import subprocess
import threading
import time

import tool

PIECE = 2**16
DEADLINE = 120


class Cutter:
    """Forwards to 127.0.0.1:`port`, each connection on two threads.

    `cut_after()` gives, for each new connection, how many of the client's bytes
    may pass before it is cut; None lets it live. `rate` is bytes a second for
    each connection, and `seconds` the life of one. `received` counts the
    client's bytes that arrived here, `cuts` the connections that were cut.
    With `answers` all of that is about the server's bytes instead: a pull.

    hold() stops bytes at a point that the test chooses, and settle() waits until
    what is on its way has arrived: only then are `received` and the server's
    storage the last word about a client that was killed.
    """

    def __init__(self, port: int, cut_after=lambda: None, rate: float = 0, seconds: float = 0, answers=False):
        self.upstream, self.cut_after, self.rate, self.seconds = port, cut_after, rate, seconds
        self.received, self.cuts, self.answers = 0, 0, answers
        self.must_hold, self.held, self.released = lambda _: False, threading.Event(), threading.Event()
        self.changed = threading.Condition()  # guards the counts
        self.open = 0  # connections that are not over at both ends
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def ref(self, name: str) -> str:
        return f"{self.host}/{name}"

    def close(self) -> None:
        self.release()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def hold(self, must_hold) -> None:
        """Connections for which `must_hold(bytes that passed there)` stand still until release()."""
        self.held.clear()
        self.released.clear()
        self.must_hold = must_hold

    def release(self) -> None:
        self.must_hold = lambda _: False
        self.released.set()

    def waiting(self) -> bool:
        """A connection that nobody has taken yet."""
        return bool(select.select([self.listener], [], [], 0)[0])

    def settle(self) -> None:
        """Returns when every connection is over, and the server has closed its end: it has done what it will do."""
        with self.changed:
            quiet = self.changed.wait_for(lambda: self.open == 0 and not self.waiting(), DEADLINE)
        assert quiet, f"{self.open} connections are still open"

    def accept(self) -> None:
        while True:
            select.select([self.listener], [], [])
            with self.changed:  # so that settle() sees it either waiting or open
                try:
                    client, _ = self.listener.accept()
                except OSError:
                    return
                self.open += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream))
        except OSError:
            server = None
        if server:
            source, target = (server, client) if self.answers else (client, server)
            back = Back(target, source)
            measuring = threading.Thread(target=self.measure, args=(source, target, back), daemon=True)
            measuring.start()
            back.run()
            measuring.join()
            server.close()
        client.close()
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def measure(self, source: socket.socket, target: socket.socket, back: "Back") -> None:
        """The bytes that count, on their way from one end to the other; the thread that cuts."""
        limit, passed, begin = self.cut_after(), 0, time.monotonic()
        try:
            while data := source.recv(PIECE):
                self.count(len(data))
                target.sendall(data)
                passed += len(data)
                if self.must_hold(passed):
                    self.held.set()
                    self.released.wait()
                if self.rate:
                    time.sleep(max(0.0, begin + passed / self.rate - time.monotonic()))
                late = self.seconds and time.monotonic() - begin >= self.seconds
                if late or (limit is not None and passed >= limit):
                    self.cut(source, target, back)
                    return
        except OSError:
            pass
        end(target, socket.SHUT_WR)  # what arrived here arrives there

    def count(self, size: int) -> None:
        with self.changed:
            self.received += size

    def cut(self, source: socket.socket, target: socket.socket, back: "Back") -> None:
        """What arrived here arrives there, and a server is done with it before the client hears that it is over."""
        with self.changed:
            self.cuts += 1
        back.muted = True
        end(target, socket.SHUT_RDWR if self.answers else socket.SHUT_WR)
        if not self.answers:
            back.over.wait(DEADLINE)
        reset(source)


class Back:
    """The other way of a connection, which is not measured."""

    def __init__(self, source: socket.socket, target: socket.socket):
        self.source, self.target = source, target
        self.muted, self.over = False, threading.Event()

    def run(self) -> None:
        try:
            while data := self.source.recv(PIECE):
                self.hand_on(data)
        except OSError:
            pass
        end(self.source, socket.SHUT_RDWR)
        if not self.muted:
            end(self.target, socket.SHUT_RDWR)
        self.over.set()

    def hand_on(self, data: bytes) -> None:
        """Read to its end even when nobody takes it any more: that end says that the other side is done."""
        try:
            if not self.muted:
                self.target.sendall(data)
        except OSError:
            self.muted = True


def end(one: socket.socket, how: int) -> None:
    try:
        one.shutdown(how)
    except OSError:
        pass


def reset(one: socket.socket) -> None:
    """Ends a connection at once: what lies in buffers is lost."""
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    except OSError:
        pass
    end(one, socket.SHUT_RDWR)


def at_random(seed: int, low: int, high: int):
    """Cuts each connection after `low` to `high` bytes."""
    chance = random.Random(seed)
    return lambda: chance.randint(low, high)


def end_at(way: Cutter, bytes_: float, number: signal.Signals, *args) -> tuple[int, str]:
    """Runs until so many bytes have come in all, then signals."""
    way.hold(lambda _: way.received >= bytes_)
    process = subprocess.Popen([tool.binary(), *map(str, args)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True, env=tool.clean_env(None))
    assert way.held.wait(timeout=60), process.communicate()
    time.sleep(0.3)  # what has come is written
    process.send_signal(number)
    begin = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert number != signal.SIGTERM or time.monotonic() - begin < 10
    way.release()
    way.settle()
    return process.returncode, err
