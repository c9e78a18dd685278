"""What registries and networks do wrong: one entry a behaviour, with what has to come of it.

`outcome` 0: the command recovers and the bytes are right; else the exit code. The client is told to lose its
patience soon, PATIENCE, so that what lasts "for ever" here is a matter of seconds.
"""
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from backends import PASSWORD, TOKEN, Answer
from fault import Exchange
from fault_acts import (Act, alone, behind, big_manifest, changed, close_after, close_cleanly, cut, drop, elsewhere,
                        encoded, encoded_anyway, endless_error, flip, forget_tokens, forgetful, gone_after_commit,
                        header, is_read, late_after_commit, location, lost_session, mounted_nothing, multipart,
                        no_keep_alive, not_mounted, only_login, other_range, redirect, redirect_chain, repoint,
                        stall_first, stall_within, status, steps, trickle, whole, wide_head, without_blob)
from fault_frames import (asked_and_refused, chunked, content_too_soon, longer, no_expectations, of_yesterday,
                          open_ended, refused_within, shorter, talkative, with_trailers)

ALWAYS = 1 << 30
PATIENCE = 2  # seconds without a byte; an answer may take twice that (--stall-timeout)
MIB = 1 << 20
NOT_FOUND, REFUSED, MISMATCH, MALFORMED, UNSUPPORTED = 10, 11, 13, 14, 15
NETWORK, RATE, NO_SPACE, READ_ONLY = 20, 21, 30, 31

TARGETS: dict[str, tuple[str, Callable[[Exchange], bool]]] = {
    "blob": ("pull", lambda x: x.method == "GET" and x.kind == "blob"),
    "manifest": ("pull", lambda x: x.method == "GET" and x.kind == "manifest"),
    "probe": ("push", lambda x: x.method == "HEAD" and x.kind == "blob"),
    "start": ("push", lambda x: x.method == "POST" and x.kind == "start"),
    "mount": ("push", lambda x: x.method == "POST" and x.kind == "start" and "mount" in x.query),
    "chunk": ("push", lambda x: x.method == "PATCH"),
    "commit": ("push", lambda x: x.method == "PUT" and x.kind == "session"),
    "name": ("push", lambda x: x.method == "PUT" and x.kind == "manifest"),
    "token": ("pull", lambda x: x.kind == "token"),
}
PULL, PUSH = ("blob", "manifest"), ("probe", "start", "chunk", "commit", "name")
MANY = {"blob": 4, "chunk": 2, "commit": 3, "start": 3, "probe": 3}  # requests of the kind that a small model makes


@dataclass(frozen=True)
class Fault:
    name: str
    where: str                       # "pull" or "push"
    when: Callable[[Exchange], bool]
    act: Act
    outcome: int | tuple[int, ...] = 0
    times: int = 1
    spread: int = 1                  # the first is one of so many
    guarded: bool = False            # behind a login
    real: bool = False               # also as a proxy in front of docker-registry

    @property
    def codes(self) -> tuple[int, ...]:
        return self.outcome if isinstance(self.outcome, tuple) else (self.outcome,)


def at(target: str, name: str, act: Act, outcome: int | tuple[int, ...] = 0, times: int = 1, **more) -> Fault:
    where, when = TARGETS[target]
    spread = 1 if times == ALWAYS else MANY.get(target, 1)
    return Fault(f"{name}, {target}", where, when, act, outcome, times, **{"spread": spread, **more})


def wait_two_seconds(x: Exchange) -> None:
    status(429, Retry_After=formatdate(time.time() + 2, usegmt=True))(x)


HEAD_CUTS = ("before its first byte", "after a byte", "within its head", "behind its head")
CUTS = [at(t, f"cut {w}", cut(w), real=t in ("blob", "chunk", "commit")) for w in HEAD_CUTS for t in (*PULL, *PUSH)]
CUTS += [at("blob", f"cut {w}", cut(w), real=True) for w in ("within its body", "before its last byte")]
CUTS += [at(t, "dropped", drop, real=True) for t in (*PULL, *PUSH)]
CUTS += [at(t, "closed after each answer", close_after, times=ALWAYS) for t in (*PULL, *PUSH)]
CUTS += [at(t, "kept open, but not", no_keep_alive) for t in (*PULL, *PUSH)]
CUTS += [at("blob", "ended early", close_cleanly)]
CUTS += [at(t, "a byte now and then", trickle) for t in PULL]
CUTS += [at(t, "no answer", stall_first(3 * PATIENCE)) for t in (*PULL, *PUSH)]
CUTS += [at("blob", "no byte any more", stall_within(3 * PATIENCE))]
CUTS += [at("blob", "one connection at a time", alone, times=ALWAYS), at("chunk", "one connection at a time", alone,
                                                                        times=ALWAYS)]
CUTS += [at(t, "100 ms late", stall_first(0.1), times=ALWAYS) for t in ("blob", "chunk", "commit")]

STATUSES = [at(t, f"{code} once", status(code), real=code == 503)
            for code in (408, 429, 500, 502, 503, 504) for t in (*PULL, *PUSH)]
STATUSES += [at(t, "503 thrice", status(503), times=3, spread=1) for t in (*PULL, *PUSH)]
STATUSES += [at(t, "503 always", status(503), NETWORK, ALWAYS) for t in (*PULL, *PUSH)]
STATUSES += [at(t, f"{code} {often}", status(code), outcome, times, spread=1) for code in (500, 502, 504)
             for often, outcome, times in (("thrice", 0, 3), ("always", NETWORK, ALWAYS)) for t in ("blob", "chunk")]
STATUSES += [at(t, "429 always", status(429), RATE, ALWAYS) for t in ("blob", "start")]
STATUSES += [at("blob", "429 for a second", status(429, Retry_After="1")),
             at("chunk", "429 for a second", status(429, Retry_After="1")),
             at("blob", "429 until a date", wait_two_seconds),
             at("blob", "429 for an age", status(429, Retry_After="1000000000"))]
STATUSES += [at(t, "403 always", status(403, "DENIED"), REFUSED, ALWAYS) for t in (*PULL, "start", "name")]
STATUSES += [at(t, "404 always", status(404, "BLOB_UNKNOWN"), NOT_FOUND, ALWAYS) for t in PULL]
STATUSES += [at("start", "read-only", status(405, "UNSUPPORTED"), READ_ONLY, ALWAYS),
             at("name", "read-only", status(405, "UNSUPPORTED"), READ_ONLY, ALWAYS),
             at("start", "no room", status(507, "DENIED"), NO_SPACE, ALWAYS)]

BODIES = [
    at("blob", "Content-Length too large", longer, (0, MISMATCH)),
    at("blob", "Content-Length too small", shorter, (0, MISMATCH)),
    at("blob", "no Content-Length", chunked, times=ALWAYS),
    at("manifest", "no Content-Length", chunked, times=ALWAYS),
    *(at(t, name, act, times=ALWAYS) for t in ("chunk", "commit") for name, act in (
        ("no Content-Length", chunked), ("open-ended", open_ended))),
    *(at(t, name, act, times=ALWAYS) for t in ("blob", "chunk", "commit") for name, act in (
        ("interim answers", talkative), ("HTTP/1.0", of_yesterday))),
    at("chunk", "417 to Expect", no_expectations, times=ALWAYS),
    at("chunk", "417 to Expect, late", lambda x: (x.waits and x.stall(1.5), no_expectations(x)), times=ALWAYS),
    at("chunk", "403 with trailers", with_trailers(403), REFUSED, ALWAYS),
    at("chunk", "100 and 403 at once", asked_and_refused(403), REFUSED, ALWAYS),
    at("chunk", "202 too soon", content_too_soon, NETWORK, ALWAYS),
    *(at("chunk", f"{code} in mid request", refused_within(code)) for code in (413, 500, 503)),
    at("blob", "a bit flipped once", changed(flip)),
    at("blob", "a bit flipped always", changed(flip), MISMATCH, ALWAYS),
    at("manifest", "a bit flipped always", changed(flip), MISMATCH, ALWAYS),
    at("blob", "cut, then all of it", steps(cut("within its body"), whole), times=2, spread=1),
    at("blob", "cut, then another start", steps(cut("within its body"), other_range(1, 0)), times=2, spread=1),
    at("blob", "cut, then another size", steps(cut("within its body"), other_range(0, 1)), times=2, spread=1),
    at("blob", "cut, then no Content-Range", steps(cut("within its body"), header(Content_Range=None)), times=2,
       spread=1),
    at("blob", "cut, then many ranges", steps(cut("within its body"), multipart), times=2, spread=1),
    at("blob", "cut, then 416", steps(cut("within its body"), status(416)), times=2, spread=1),
    at("blob", "another ETag each time", lambda x: x.send(x.proceed(), ETag=f'"{x.server.fired}"'), times=ALWAYS),
    at("blob", "compressed by a CDN", encoded, times=ALWAYS),
    at("blob", "compressed anyway", encoded_anyway, UNSUPPORTED, ALWAYS),
    at("manifest", "a digest that lies", header(Docker_Content_Digest="sha256:" + "0" * 64), MISMATCH, ALWAYS),
    at("manifest", "no digest", header(Docker_Content_Digest=None), times=ALWAYS),
    at("manifest", "over 4 MiB", big_manifest, MALFORMED, ALWAYS),
    at("manifest", "endless error", endless_error, NETWORK, ALWAYS),
    at("manifest", "4 MiB of header", wide_head, MALFORMED, ALWAYS),
    at("manifest", "tag moved", repoint),
]

REDIRECTS = [
    Fault("redirected, then cut", "pull", is_read, elsewhere(cut("within its body")), times=ALWAYS, guarded=True),
    Fault("redirected, then expired", "pull", is_read, elsewhere(status(403)), times=ALWAYS, guarded=True),
    Fault("redirected to a login", "pull", is_read, lambda x: (redirect if x.kind == "blob" else status(
        401, WWW_Authenticate='Basic realm="x"'))(x), REFUSED, ALWAYS, guarded=True),
    at("blob", "10 redirects", redirect_chain(10), times=ALWAYS),
    at("blob", "11 redirects", redirect_chain(11), NETWORK, ALWAYS),
    at("blob", "redirect to itself", lambda x: x.send(Answer(302, {"Location": x.path})), NETWORK, ALWAYS),
    at("blob", "redirect to a file", lambda x: x.send(Answer(302, {"Location": "file:///etc/passwd"})), MALFORMED,
       ALWAYS),
    at("blob", "redirect to nowhere", lambda x: x.send(Answer(302)), MALFORMED, ALWAYS),
]

LOGINS = [
    at("blob", "token expired", forget_tokens, guarded=True),
    at("manifest", "token expired", forget_tokens, guarded=True),
    at("chunk", "token expired", forget_tokens, guarded=True),
    at("commit", "token expired", forget_tokens, guarded=True),
    at("token", "500 once", status(500), guarded=True),
    at("token", "500 always", status(500), NETWORK, ALWAYS, guarded=True),
    at("blob", "401 always", only_login, REFUSED, ALWAYS, guarded=True),
    at("start", "401 always", only_login, REFUSED, ALWAYS, guarded=True),
]

UPLOADS = [
    at("chunk", "half kept", behind), at("chunk", "nothing kept", forgetful, NETWORK, ALWAYS),
    at("chunk", "session lost", lost_session), at("commit", "session lost", lost_session),
    at("commit", "stored, answer lost", gone_after_commit), at("chunk", "413 once", status(413)),
    at("name", "413 always", status(413), UNSUPPORTED, ALWAYS),
    at("start", "chunks of 64 MiB at least", header(OCI_Chunk_Min_Length=str(64 * MIB)), times=ALWAYS),
    at("start", "chunks of 1 EiB at least", header(OCI_Chunk_Min_Length=str(1 << 60)), times=ALWAYS),
    at("start", "absolute Location", location("http://{host}{path}"), times=ALWAYS),
    at("start", "Location elsewhere", location("http://localhost:9{path}"), MALFORMED, ALWAYS),
    at("start", "Location of another scheme", location("https://{host}{path}"), MALFORMED, ALWAYS),
    at("start", "no Location", header(Location=None), MALFORMED, ALWAYS),
    at("name", "a blob is gone", without_blob),
    at("commit", "stored, answer late", late_after_commit(3 * PATIENCE)),
]
FAULTS = {f.name: f for group in (CUTS, STATUSES, BODIES, REDIRECTS, LOGINS, UPLOADS) for f in group}
MOUNTS = [at("mount", "202 instead", not_mounted), at("mount", "401", status(401)), at("mount", "404", status(404)),
          at("mount", "500", status(500)), at("mount", "dropped", drop),
          at("mount", "201 for nothing", mounted_nothing)]
SECRETS = (PASSWORD, TOKEN, "canary-signature")
