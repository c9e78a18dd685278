"""What a fault does with an exchange: cut it, delay it, or answer something else."""
import gzip
import re
import time
from collections.abc import Callable
from dataclasses import replace

from backends import Answer
from fault import Exchange

MIB = 1 << 20
Act = Callable[[Exchange], None]


def steps(*acts: Act) -> Act:
    """The first time this, the second time that; the last from then on."""
    return lambda x: acts[min(x.server.fired, len(acts)) - 1](x)


# Connections


def cut(where: str) -> Act:
    """The registry does the work; its answer comes as far as `where`, then RST."""
    def act(x: Exchange) -> None:
        answer = x.proceed()
        head, size = x.head(answer), len(answer.body)
        sent = {"before its first byte": 0, "after a byte": 1, "within its head": len(head) // 2,
                "behind its head": len(head), "within its body": len(head) + edge(x, size),
                "before its last byte": len(head) + size - 1}[where]
        x.raw((head + answer.body)[:sent])
        time.sleep(0.05)  # RST overtakes what the client has not read yet
        x.reset()
    return act


def edge(x: Exchange, size: int) -> int:
    """A byte next to a multiple of 64 KiB, or any, in a body of this size."""
    near = x.server.random.randrange(size // 65536 + 1) * 65536 + x.server.random.choice((-1, 0, 1))
    return min(max(near, 1), max(size - 1, 0))


def drop(x: Exchange) -> None:
    """Nothing is done: RST, after a part of the request's body."""
    x.read(x.left // 2)
    x.reset()


def close_cleanly(x: Exchange) -> None:
    answer = x.proceed()
    x.raw((x.head(answer) + answer.body)[:-1000])
    x.hang_up()


def close_after(x: Exchange) -> None:
    x.send(x.proceed(), Connection="close")
    x.hang_up()


def no_keep_alive(x: Exchange) -> None:
    """The connection ends behind a whole answer that promised to keep it."""
    x.send(x.proceed())
    x.reset()


def alone(x: Exchange) -> None:
    """Who comes while another is served is turned away."""
    if not x.server.door.acquire(blocking=False):
        return x.reset()
    try:
        x.send(x.proceed())
    finally:
        x.server.door.release()


def stall_first(seconds: float) -> Act:
    return lambda x: (x.stall(seconds), x.send(x.proceed()))


def stall_within(seconds: float) -> Act:
    def act(x: Exchange) -> None:
        answer = x.proceed()
        x.raw(x.head(answer) + answer.body[:len(answer.body) // 2])
        x.stall(seconds)
        x.hang_up()
    return act


def trickle(x: Exchange) -> None:
    """A byte now and then, until the client goes or the test ends: never silent, never done."""
    answer = x.proceed()
    x.raw(x.head(answer))
    for i in range(len(answer.body)):
        x.raw(answer.body[i:i + 1])
        if x.handler.close_connection or x.stall(0.25):
            break
    x.hang_up()


# Answers


def status(code: int, name: str = "UNKNOWN", **headers: str) -> Act:
    return lambda x: x.send(Answer.error(code, name, **headers))


def changed(change: Callable[[Answer], Answer]) -> Act:
    return lambda x: x.send(change(x.proceed()))


def header(**headers: str | None) -> Act:
    return lambda x: x.send(x.proceed(), **headers)


def flip(answer: Answer) -> Answer:
    middle = len(answer.body) // 2
    body = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1:]
    return replace(answer, body=body)


def zipped(answer: Answer) -> Answer:
    return replace(answer, body=gzip.compress(answer.body, 1), headers={**answer.headers, "Content-Encoding": "gzip"})


def encoded(x: Exchange) -> None:
    """A CDN that compresses unless it is told not to."""
    answer = x.proceed()
    if "identity" not in x.headers.get("Accept-Encoding", ""):
        answer = zipped(answer)
    x.send(answer)


def encoded_anyway(x: Exchange) -> None:
    x.send(zipped(x.proceed()))


def whole(x: Exchange) -> None:
    """200 with all of it, whatever range was asked for."""
    if "Range" in x.headers:
        del x.headers["Range"]
    x.send(x.proceed())


def other_range(by: int, longer_by: int) -> Act:
    """A Content-Range that begins elsewhere, or is of another whole."""
    def act(x: Exchange) -> None:
        answer = x.proceed()
        named = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
        if named:
            first, last, size = map(int, named.groups())
            answer.headers["Content-Range"] = f"bytes {first + by}-{last + by}/{size + longer_by}"
        x.send(answer)
    return act


def multipart(x: Exchange) -> None:
    x.send(replace(x.proceed(), headers={"Content-Type": "multipart/byteranges; boundary=b"}))


def endless_error(x: Exchange) -> None:
    x.raw(x.head(Answer(500), length=1 << 30))
    for _ in range(64):
        x.raw(b"x" * MIB)
    x.reset()


def wide_head(x: Exchange) -> None:
    x.send(x.proceed(), X_Wide="x" * 4 * MIB)


def big_manifest(x: Exchange) -> None:
    answer = x.proceed()
    x.send(replace(answer, body=b" " * (4 * MIB) + answer.body))


def repoint(x: Exchange) -> None:
    """The tag means something else as soon as it was resolved."""
    x.send(x.proceed())
    x.server.backend.manifests[x.repo, "v1"] = ("text/plain", b"another")


# Redirects; "localhost" is another origin than 127.0.0.1


def redirect(x: Exchange) -> None:
    port = x.server.host.split(":")[1]
    x.send(Answer(307, {"Location": f"http://localhost:{port}/elsewhere/{x.name}?X-Signature=canary-signature"}))


def redirect_chain(hops: int) -> Act:
    def act(x: Exchange) -> None:
        left = int(x.query.get("hops", hops))
        x.send(Answer(302, {"Location": f"{x.path}?hops={left - 1}"}) if left else x.proceed())
    return act


def elsewhere(then: Act) -> Act:
    """Blobs lie elsewhere, and there it is that something happens, once."""
    def act(x: Exchange) -> None:
        if x.kind == "blob":
            return redirect(x)
        return then(x) if x.server.elsewhere == 1 else x.send(x.proceed())
    return act


def is_read(x: Exchange) -> bool:
    return x.method == "GET" and x.kind in ("blob", "elsewhere")


def only_login(x: Exchange) -> None:
    """Every token is refused, good ones too."""
    backend = x.server.backend
    if x.server.fired == 1:
        x.server.tokens_before = backend.tokens_asked
    assert backend.tokens_asked <= x.server.tokens_before + 2, "token after token is fetched"
    x.send(backend.challenge(x))


def forget_tokens(x: Exchange) -> None:
    x.server.backend.tokens.clear()
    x.send(x.proceed())


# Uploads


def lost_session(x: Exchange) -> None:
    x.server.backend.uploads.pop(x.name, None)
    x.send(x.proceed())


def behind(x: Exchange) -> None:
    """Half of the chunk was kept; the answer to the next one says where it goes on."""
    upload = x.server.backend.uploads[x.name]
    upload += x.read(x.left // 2)
    x.raw(x.head(Answer(416, {"Location": x.path, "Range": f"0-{len(upload) - 1}"})))
    x.hang_up()


def forgetful(x: Exchange) -> None:
    """All of the chunk is taken, and none is kept."""
    x.body()
    x.send(x.server.backend.at_session(x, x.name, 202))


def gone_after_commit(x: Exchange) -> None:
    x.proceed()
    x.reset()


def late_after_commit(seconds: float) -> Act:
    return lambda x: (x.proceed(), x.stall(seconds), x.reset())


def mounted_nothing(x: Exchange) -> None:
    """The registry says that the blob is mounted, and it is not there."""
    x.send(Answer(201, {"Location": f"/v2/{x.repo}/blobs/{x.query['mount']}"}))


def not_mounted(x: Exchange) -> None:
    """An upload begins where a mount was asked for."""
    del x.query["mount"]
    x.send(x.proceed())


def location(place: str) -> Act:
    def act(x: Exchange) -> None:
        answer = x.proceed()
        x.send(answer, Location=place.format(host=x.server.host, path=answer.headers["Location"]))
    return act


def without_blob(x: Exchange) -> None:
    """A blob that was there is gone when the manifest comes."""
    backend = x.server.backend
    backend.blobs.pop(max(backend.blobs, key=lambda d: len(backend.blobs[d])))
    x.send(x.proceed())
