"""A network between a client and a server on this machine: a round trip that takes time, and a rate that each
connection has to itself.

    python link.py HOST:PORT ROUND_TRIP_MS BYTES_PER_SECOND    prints the port that leads there

One thread, edge-triggered epoll and splice: what passes waits in a pipe and is not copied here, so that little of the
machine goes into it. Not in it: loss, slow start, and a rate for all connections together.
"""
import fcntl
import heapq
import itertools
import os
import select
import socket
import sys
import time
from collections import deque

PIECE = 256 << 10
PIPE_SIZES = (16 << 20, 1 << 20)  # what root may have, and everybody
PRIORITY = -10  # a network does not wait for the programs that use it
BURST_S = 0.01  # so far ahead of the rate a connection is read, so that the clock need not be looked at for each piece
WINDOW = 4 << 20  # held beyond what the delay alone needs


class Lane:
    """Bytes on their way in one direction. Knows when which of them arrive; the caller has the clock."""

    def __init__(self, one_way_s: float, rate: float, start: float):
        self.one_way_s, self.rate, self.free_at = one_way_s, rate, start
        self.limit = int(rate * one_way_s) + WINDOW
        self.queue: deque[tuple[float, int]] = deque()
        self.held, self.ended = 0, False

    def is_open(self, now: float) -> bool:
        """May more be taken from the sender?"""
        return not self.ended and self.held < self.limit and self.free_at - now < BURST_S

    def take(self, size: int, now: float) -> None:
        """So many bytes have come from the sender; none at its end."""
        self.free_at = max(self.free_at, now) + size / self.rate
        self.queue.append((self.free_at + self.one_way_s, size))
        self.held += size
        self.ended = size == 0

    def due(self, now: float) -> int | None:
        """How many bytes may go to the receiver: 0 is the end, None is to wait."""
        return self.queue[0][1] if self.queue and self.queue[0][0] <= now else None

    def give(self, sent: int) -> None:
        """So many of those that are due have gone."""
        when, size = self.queue.popleft()
        self.held -= sent
        if sent < size:
            self.queue.appendleft((when, size - sent))

    def wakes_at(self, now: float) -> float:
        """When something changes by time alone."""
        times = [self.queue[0][0]] if self.queue else []
        if not self.ended and self.held < self.limit:
            times.append(self.free_at - BURST_S)
        return min((t for t in times if t > now), default=float("inf"))


class End:
    """One of the two sockets of a connection, and what the kernel said of it last."""

    def __init__(self, sock: socket.socket):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.readable, self.writable = sock, False, False


class Way:
    """A lane from one end to the other, and the pipe in which its bytes wait."""

    def __init__(self, source: End, lane: Lane, target: End):
        self.source, self.lane, self.target, self.full = source, lane, target, False
        self.out, self.into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for size in PIPE_SIZES:
            try:
                fcntl.fcntl(self.into, fcntl.F_SETPIPE_SZ, size)
                break
            except PermissionError:
                continue

    def deliver(self, now: float) -> None:
        while self.target.writable and (size := self.lane.due(now)) is not None:
            if size == 0:
                self.target.sock.shutdown(socket.SHUT_WR)
                self.lane.give(0)
                continue
            try:
                self.lane.give(os.splice(self.out, self.target.sock.fileno(), size, flags=os.SPLICE_F_NONBLOCK))
                self.full = False
            except BlockingIOError:
                self.target.writable = False

    def collect(self, now: float) -> None:
        while self.source.readable and not self.full and self.lane.is_open(now):
            try:
                self.lane.take(os.splice(self.source.sock.fileno(), self.into, PIECE, flags=os.SPLICE_F_NONBLOCK), now)
            except BlockingIOError:
                # The sender has nothing, or the pipe has no room: only an empty pipe tells which.
                self.full = self.lane.held > 0
                self.source.readable = self.full

    def is_over(self) -> bool:
        return self.lane.ended and not self.lane.queue

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


class Connection:
    def __init__(self, client: socket.socket, server: socket.socket, round_trip_s: float, rate: float, now: float):
        self.client, self.server = End(client), End(server)
        # The handshake is over at once here; a real one takes a round trip before the first byte is sent.
        up, down = Lane(round_trip_s / 2, rate, now + round_trip_s), Lane(round_trip_s / 2, rate, now)
        self.ways = [Way(self.client, up, self.server), Way(self.server, down, self.client)]
        self.wake = float("inf")

    def pump(self, now: float) -> bool:
        """Moves what can be moved; False when the connection is over."""
        try:
            for way in self.ways:
                way.deliver(now)
                way.collect(now)
        except OSError:
            return False
        return not all(way.is_over() for way in self.ways)

    def wakes_at(self, now: float) -> float:
        return min(way.lane.wakes_at(now) for way in self.ways)

    def close(self) -> None:
        for end in (self.client, self.server):
            end.sock.close()
        for way in self.ways:
            way.close()


class Link:
    def __init__(self, target: tuple[str, int], round_trip_s: float, rate: float):
        self.target, self.round_trip_s, self.rate = target, round_trip_s, rate
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.epoll, self.ends, self.timers = select.epoll(), {}, []
        self.order = itertools.count()
        self.epoll.register(self.listener, select.EPOLLIN)

    def accept(self) -> None:
        client, _ = self.listener.accept()
        try:
            server = socket.create_connection(self.target, 5)
        except OSError:
            client.close()
            return
        connection = Connection(client, server, self.round_trip_s, self.rate, time.monotonic())
        for end in (connection.client, connection.server):
            self.ends[end.sock.fileno()] = (end, connection)
            self.epoll.register(end.sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def close(self, connection: Connection) -> None:
        for end in (connection.client, connection.server):
            self.ends.pop(end.sock.fileno(), None)
        connection.close()

    def pump(self, connection: Connection, now: float) -> None:
        if connection.client.sock.fileno() < 0:
            return
        if not connection.pump(now):
            return self.close(connection)
        wake = connection.wakes_at(now)
        if wake < connection.wake or connection.wake <= now:
            connection.wake = wake
        if wake == connection.wake < float("inf"):
            heapq.heappush(self.timers, (wake, next(self.order), connection))

    def step(self) -> None:
        """Waits for the next thing to happen, and does what is due."""
        now = time.monotonic()
        ready = {}
        for fd, events in self.epoll.poll(max(0.0, self.timers[0][0] - now) if self.timers else -1):
            if fd == self.listener.fileno():
                self.accept()
            elif fd in self.ends:
                end, connection = self.ends[fd]
                end.readable |= bool(events & ~select.EPOLLOUT)
                end.writable |= bool(events & ~select.EPOLLIN)
                ready[id(connection)] = connection
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            connection = heapq.heappop(self.timers)[2]
            ready[id(connection)] = connection
        for connection in ready.values():
            self.pump(connection, now)


def main() -> None:
    host, port = sys.argv[1].rsplit(":", 1)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except PermissionError:
        pass  # then it has to share like everybody
    link = Link((host, int(port)), float(sys.argv[2]) / 1000, float(sys.argv[3]))
    print(link.port, flush=True)
    while True:
        link.step()


if __name__ == "__main__":
    main()
