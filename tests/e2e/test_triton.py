"""--triton-load: a server that keeps Triton's repository API is told, and waited for."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import models
import servers
import tool
import trees


class Triton:
    """The two calls of Triton's http port that matter, and what was asked."""

    def __init__(self, refuse: dict[str, tuple[int, str]] | None = None, ready_after: int = 0):
        self.asked: list[str] = []
        self.refuse, self.left, self.loaded = refuse or {}, ready_after, set()
        triton = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, status: int, document: dict):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                triton.asked.append(f"POST {self.path}")
                name = self.path.split("/")[-2]
                if "Authorization" in self.headers:
                    self.answer(500, {"error": "a secret was sent"})
                elif name in triton.refuse:
                    status, error = triton.refuse[name]
                    self.answer(status, {"error": error})
                else:
                    triton.loaded.add(name)
                    self.answer(200, {})

            def do_GET(self):
                triton.asked.append(f"GET {self.path}")
                ready = self.path.split("/")[-2] in triton.loaded and triton.left <= 0
                triton.left -= 1
                self.answer(200 if ready else 400, {} if ready else {"error": "not ready"})

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.host = f"127.0.0.1:{self.server.server_port}"

    def posts(self) -> list[str]:
        return [line for line in self.asked if line.startswith("POST")]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def triton():
    running = []

    def begin(**options) -> Triton:
        running.append(Triton(**options))
        return running[-1]

    yield begin
    for server in running:
        server.close()


@pytest.fixture
def repository(tmp_path):
    tree = models.triton(tmp_path / "source")
    tool.ok("pack", tree, f"oci:{tmp_path}/l:all")
    tool.ok("pack", tree / "encoder", f"oci:{tmp_path}/l:encoder")
    (tmp_path / "models").mkdir()
    return tmp_path


def test_a_model_is_loaded_and_its_endpoint_told(repository, triton):
    server = triton(ready_after=2)
    result = tool.ok("pull", "--json", "--progress", "plain", "--triton-load", server.host, f"oci:{repository}/l:encoder",
                     repository / "models/encoder")
    assert server.posts() == ["POST /v2/repository/models/encoder/load"]
    assert server.asked.count("GET /v2/models/encoder/ready") >= 3
    endpoint = f"http://{server.host}/v2/models/encoder/infer"
    assert result.json["endpoints"] == [endpoint] and endpoint in result.err


def test_every_model_of_a_repository_is_loaded(repository, triton):
    server = triton()
    tool.ok("pull", "--triton-load", f"http://{server.host}/", f"oci:{repository}/l:all", repository / "models")
    assert server.posts() == [f"POST /v2/repository/models/{name}/load" for name in ("decoder", "encoder")]


def test_an_unchanged_model_that_is_ready_is_left_alone(repository, triton):
    server = triton()
    args = ("pull", "--triton-load", server.host, f"oci:{repository}/l:encoder", repository / "models/encoder")
    tool.ok(*args)
    tool.ok(*args)
    assert len(server.posts()) == 1
    server.loaded.clear()
    tool.ok(*args)
    assert len(server.posts()) == 2


@pytest.mark.parametrize("status,error,advice", [
    (400, "failed to load 'encoder', no version is available", "no version is available"),
    (503, "explicit model load / unload is not allowed if polling is enabled", "--model-control-mode=explicit"),
])
def test_a_refusal_has_triton_s_words_and_the_tree_stays(repository, triton, status, error, advice):
    server = triton(refuse={"encoder": (status, error)})
    result = tool.run("pull", "--triton-load", server.host, f"oci:{repository}/l:encoder", repository / "models/encoder")
    assert result.code == tool.UNSUPPORTED and advice in result.err, str(result)
    trees.assert_same(repository / "source/encoder", repository / "models/encoder")


def test_a_server_that_never_comes_is_a_timeout(repository):
    result = tool.run("pull", "--triton-load", f"127.0.0.1:{servers.free_port()}", "--triton-timeout", "1s",
                      f"oci:{repository}/l:encoder", repository / "models/encoder")
    assert result.code == 41 and "is published" in result.err, str(result)


def test_a_tree_that_is_none_of_triton_s(tmp_path, packed, triton):
    tool.fails(tool.UNSUPPORTED, "pull", "--triton-load", triton().host, f"oci:{packed}:v1", tmp_path / "out")


def test_a_list_loads_each(repository, triton):
    server = triton()
    listed = repository / "models.yaml"
    listed.write_text(json.dumps({"models": [{"ref": f"oci:{repository}/l:encoder", "path": "encoder"}]}))
    report = tool.ok("pull", "--json", "--triton-load", server.host, "-f", listed, repository / "models").json
    assert report["models"][0]["endpoints"] == [f"http://{server.host}/v2/models/encoder/infer"]
