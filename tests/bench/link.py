"""A network between a client and a server on this machine: a round trip that takes time, and a rate that each
connection has to itself.

    python link.py HOST:PORT ROUND_TRIP_MS BYTES_PER_SECOND    prints the port that leads there

One thread and edge-triggered epoll: what passes is copied in and out and not looked at. Not in it: loss, slow start,
and a rate for all connections together.
"""
import heapq
import itertools
import select
import socket
import sys
import time
from collections import deque

PIECE = 256 << 10
BURST_S = 0.01  # so far ahead of the rate a connection is read, so that the clock need not be looked at for each piece
WINDOW = 4 << 20  # held beyond what the delay alone needs


class Lane:
    """Bytes on their way in one direction. Knows when which of them arrive; the caller has the clock."""

    def __init__(self, one_way_s: float, rate: float, start: float):
        self.one_way_s, self.rate, self.free_at = one_way_s, rate, start
        self.limit = int(rate * one_way_s) + WINDOW
        self.queue: deque[tuple[float, memoryview | None]] = deque()
        self.held, self.ended = 0, False

    def is_open(self, now: float) -> bool:
        """May more be taken from the sender?"""
        return not self.ended and self.held < self.limit and self.free_at - now < BURST_S

    def take(self, data: memoryview | None, now: float) -> None:
        """What the sender wrote, or None at its end."""
        self.free_at = max(self.free_at, now) + (len(data) / self.rate if data else 0)
        self.queue.append((self.free_at + self.one_way_s, data))
        self.held += len(data) if data else 0
        self.ended = data is None

    def due(self, now: float) -> bool:
        return bool(self.queue) and self.queue[0][0] <= now

    def give(self, sent: int) -> memoryview | None:
        """So many bytes of the first piece have reached the receiver; returns the piece when that was all of it."""
        when, data = self.queue.popleft()
        self.held -= sent
        if data is not None and sent < len(data):
            self.queue.appendleft((when, data[sent:]))
            return None
        return data

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


class Connection:
    def __init__(self, client: socket.socket, server: socket.socket, round_trip_s: float, rate: float, now: float):
        self.client, self.server = End(client), End(server)
        # The handshake is over at once here; a real one takes a round trip before the first byte is sent.
        up, down = Lane(round_trip_s / 2, rate, now + round_trip_s), Lane(round_trip_s / 2, rate, now)
        self.lanes = [(self.client, up, self.server), (self.server, down, self.client)]
        self.finished, self.wake = 0, float("inf")

    def pump(self, now: float, pool: list[bytearray]) -> bool:
        """Moves what can be moved; False when the connection is over."""
        try:
            for source, lane, target in self.lanes:
                self.deliver(lane, target, now, pool)
                self.collect(source, lane, now, pool)
        except OSError:
            return False
        return self.finished < 2

    def deliver(self, lane: Lane, target: End, now: float, pool: list[bytearray]) -> None:
        while target.writable and lane.due(now):
            data = lane.queue[0][1]
            if data is None:
                target.sock.shutdown(socket.SHUT_WR)
                self.finished += 1
                lane.give(0)
                continue
            try:
                done = lane.give(target.sock.send(data))
            except BlockingIOError:
                target.writable = False
            else:
                pool += [done.obj] if done else []

    def collect(self, source: End, lane: Lane, now: float, pool: list[bytearray]) -> None:
        while source.readable and lane.is_open(now):
            buffer = pool.pop() if pool else bytearray(PIECE)
            try:
                size = source.sock.recv_into(buffer)
            except BlockingIOError:
                source.readable = False
                pool.append(buffer)
                return
            lane.take(memoryview(buffer)[:size] if size else None, now)


class Link:
    def __init__(self, target: tuple[str, int], round_trip_s: float, rate: float):
        self.target, self.round_trip_s, self.rate = target, round_trip_s, rate
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.epoll, self.ends, self.timers, self.pool = select.epoll(), {}, [], []
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
            end.sock.close()

    def pump(self, connection: Connection, now: float) -> None:
        if connection.client.sock.fileno() < 0:
            return
        if not connection.pump(now, self.pool):
            return self.close(connection)
        wake = min(lane.wakes_at(now) for _, lane, _ in connection.lanes)
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
    link = Link((host, int(port)), float(sys.argv[2]) / 1000, float(sys.argv[3]))
    print(link.port, flush=True)
    while True:
        link.step()


if __name__ == "__main__":
    main()
