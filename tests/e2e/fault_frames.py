"""Acts that tell the client in other ways, or wrongly, where an answer begins and ends."""
from dataclasses import replace

from backends import Answer
from fault import Exchange
from fault_acts import Act


def chunked(x: Exchange) -> None:
    answer = x.proceed()
    x.raw(x.head(answer, Content_Length=None, Transfer_Encoding="chunked"))
    for i in range(0, len(answer.body), 100_000):
        part = answer.body[i:i + 100_000]
        x.raw(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    x.raw(b"0\r\n\r\n")


def open_ended(x: Exchange) -> None:
    """The end of the connection is the end of the answer."""
    answer = x.proceed()
    x.raw(x.head(answer, Content_Length=None) + answer.body)
    x.hang_up()


def talkative(x: Exchange) -> None:
    """More than one interim answer, and one of them together with the answer."""
    answer = x.proceed()
    x.raw(b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n")
    x.raw(b"HTTP/1.1 102 Processing\r\n\r\n" + x.head(answer) + (b"" if x.method == "HEAD" else answer.body))


def with_trailers(code: int) -> Act:
    """The last chunk has lines behind it, and the connection stays."""
    def act(x: Exchange) -> None:
        answer = Answer.error(code)
        x.body()
        x.raw(x.head(answer, Content_Length=None, Transfer_Encoding="chunked"))
        x.raw(f"{len(answer.body):x}\r\n".encode() + answer.body + b"\r\n0\r\nChecked: yes\r\n\r\n")

    return act


def asked_and_refused(code: int) -> Act:
    """The server wants the body, and in the same breath it does not."""
    return lambda x: (x.raw(b"HTTP/1.1 100 Continue\r\n\r\n" + x.head(Answer.error(code), length=0)), x.hang_up())


def content_too_soon(x: Exchange) -> None:
    """202 to bytes that were never read."""
    x.send(Answer(202, {"Location": x.path}))
    x.hang_up()


def of_yesterday(x: Exchange) -> None:
    """HTTP/1.0, which knows no chunks and keeps no connection."""
    answer = x.proceed()
    x.raw(x.head(answer).replace(b"HTTP/1.1", b"HTTP/1.0", 1) + (b"" if x.method == "HEAD" else answer.body))
    x.hang_up()


def no_expectations(x: Exchange) -> None:
    """A server that knows no Expect; it is unread when the connection ends."""
    answer = Answer.error(417) if x.waits else x.proceed()
    x.send(answer)


def refused_within(code: int) -> Act:
    """The answer comes while the request's body does, which nobody reads any more."""
    return lambda x: (x.read(x.left // 2), x.send(Answer.error(code)), x.hang_up())


def longer(x: Exchange) -> None:
    answer = x.proceed()
    x.raw(x.head(answer, length=len(answer.body) + 1000) + answer.body)
    x.hang_up()


def shorter(x: Exchange) -> None:
    answer = x.proceed()
    x.send(replace(answer, body=answer.body[:-1000]))
