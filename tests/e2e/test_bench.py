"""The benchmark works: it measures everything, finds what is wrong, and its network is slow as told. No figures."""
import json
import os
import socket
import subprocess
import sys
import threading
import xml.dom.minidom
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tool
from benches import BENCH, bench

sys.path.append(str(BENCH))

import link

MIB = 2**20


def listed() -> dict[str, list[str]]:
    """What --list names, by paragraph."""
    blocks = [b.splitlines() for b in bench("--list").stdout.strip().split("\n\n")]
    return {"scenarios": [line.split()[0] for line in blocks[0]],
            "networks": [line.split()[0] for line in blocks[1][1:]],
            "parties": [line.strip() for line in blocks[2][1:]]}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """One round of everything: the process, and the directory with its files."""
    root = tmp_path_factory.mktemp("bench")
    run = bench("--quick", "--json", root / "r.json", "--markdown", root / "r.md", "--svg", root / "r.svg")
    return run, root


@pytest.mark.heavy
def test_every_scenario_is_measured_and_nothing_fails(quick):
    run, root = quick
    assert run.returncode == 0, run.stderr[-4000:]
    result, known = json.loads((root / "r.json").read_text()), listed()
    assert {c["scenario"] for c in result["cells"]} == set(known["scenarios"])
    assert set(known["networks"]) < {c["network"] for c in result["cells"]}
    assert [p["failures"] for c in result["cells"] for p in c["parties"] if p["failures"]] == []
    took_part = {p["name"] for c in result["cells"] for p in c["parties"] if p["median"]}
    assert took_part | set(result["absent"]) == set(known["parties"])
    assert all(any(p["name"] == "modelcar" for p in c["parties"]) for c in result["cells"])


@pytest.mark.heavy
def test_every_run_has_its_figures(quick):
    result = json.loads((quick[1] / "r.json").read_text())
    for party in (p for c in result["cells"] for p in c["parties"]):
        for run in party["runs"]:
            assert run["wall_s"] > 0 and run["rss_bytes"] > 0 and run["cpu_s"] >= 0, party


@pytest.mark.heavy
def test_table_and_plot_show_everybody_and_come_again_from_the_results(quick):
    _, root = quick
    result, text = json.loads((root / "r.json").read_text()), (root / "r.md").read_text()
    drawing = xml.dom.minidom.parse(str(root / "r.svg"))
    words = [t.firstChild.data for t in drawing.getElementsByTagName("text")]
    for cell in result["cells"]:
        assert f"#### {cell['title']}, {cell['network']}, {cell['cache']}" in text
        for party in cell["parties"]:
            assert f"{party['name']}*" in text or f"| {party['name']} |" in text
            assert party["name"] in words
        assert f"| {cell['title']}, {cell['network']}, {cell['cache']} page cache | " in text, "not in the overview"
    assert bench("--from", root / "r.json").stdout == text
    part = bench("--from", root / "r.json", "--only", "verify").stdout
    assert part.count("####") == 1 and "#### every byte" in part


def fake(directory: Path, name: str, script: str) -> str:
    """A PATH on which a program of this name comes first."""
    directory.mkdir()
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


@pytest.mark.heavy
@pytest.mark.parametrize("script, said", [
    pytest.param("echo it is broken >&2; exit 7", "it is broken", id="fails"),
    pytest.param("tar -cf - -T /dev/null", "models", id="gives nothing"),
    pytest.param("mkdir -p models; tar -cf - models", "are not what was packed", id="something else")])
def test_a_peer_that_fails_or_lies_is_reported(tmp_path, script, said):
    path = fake(tmp_path / "bin", "crane", f"cd {tmp_path}; {script}")
    out = tmp_path / "r.json"
    run = bench("--quick", "--only", "pull-one", "--peer", "modelcar,crane", "--json", out, PATH=path)
    assert run.returncode == 1
    parties = {p["name"]: p for p in json.loads(out.read_text())["cells"][0]["parties"]}
    assert said in parties["crane"]["failures"][0] and parties["crane"]["median"] == {}
    assert parties["modelcar"]["failures"] == [] and parties["modelcar"]["median"]
    assert "| crane | failed |" in run.stdout and "crane FAILED" in run.stdout


@pytest.mark.heavy
def test_who_is_absent_is_named(tmp_path):
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    run = bench("--quick", "--only", "verify", "--peer", "modelcar,crane", PATH=path, MODELCAR_CACHE=str(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "Not installed: crane." in run.stdout


@pytest.mark.heavy
def test_a_directory_to_work_in_keeps_what_it_had_and_the_models(tmp_path):
    (tmp_path / "mine").write_text("x")
    for _ in range(2):
        run = bench("--quick", "--only", "verify", "--peer", "modelcar", "--work", tmp_path)
        assert run.returncode == 0, run.stderr
        assert {p.name for p in tmp_path.iterdir()} == {"mine", "modelcar-bench"}
        assert {p.name for p in (tmp_path / "modelcar-bench").iterdir()} == {"models"}


@pytest.mark.parametrize("args", [["--only", "nothing"], ["--network", "pigeon"], ["--cache", "lukewarm"]])
def test_names_that_are_not_known_are_refused(args):
    run = bench(*args, "--quick")
    assert run.returncode == 1 and "there are:" in run.stderr and args[1] in run.stderr


def test_every_name_can_be_chosen():
    assert not [name for names in listed().values() for name in names if "," in name]


def test_a_binary_that_is_not_there_is_named(tmp_path):
    run = bench("--quick", MODELCAR_RELEASE=str(tmp_path / "nothing"))
    assert run.returncode == 1 and str(tmp_path / "nothing") in run.stderr


def test_a_lane_holds_back_by_delay_and_rate():
    """A clock of our own: 1000 bytes a second, a second to arrive."""
    lane = link.Lane(1.0, 1000.0, start=50.0)
    lane.take(500, 50.0)
    lane.take(500, 50.0)
    assert not lane.is_open(50.0) and lane.is_open(51.0)
    assert lane.due(51.4) is None and lane.due(51.5) == 500
    lane.give(200)
    assert lane.due(51.5) == 300
    lane.give(300)
    assert lane.due(51.9) is None and lane.due(52.0) == 500
    lane.give(500)
    lane.take(0, 60.0)
    assert not lane.is_open(99.0) and lane.due(60.9) is None and lane.due(61.0) == 0


def test_a_lane_holds_no_more_than_its_window():
    lane = link.Lane(0.0, 1e12, start=0.0)
    while lane.is_open(0.0):
        lane.take(MIB, 0.0)
    assert link.WINDOW <= lane.held <= link.WINDOW + MIB
    lane.give(MIB)
    lane.give(MIB)
    assert lane.is_open(0.0)


@pytest.fixture
def echo():
    """A server that sends back what comes, until the end of it: its address."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield "127.0.0.1:%d" % server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def through(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        back = b"".join(iter(lambda: connection.recv(65536), b""))
        sender.join()
    return back


def test_a_link_hands_on_every_byte_both_ways(echo):
    process = subprocess.Popen([sys.executable, BENCH / "link.py", echo, "10", str(10**9)], stdout=subprocess.PIPE,
                               text=True)
    try:
        port = int(process.stdout.readline())
        parts = [os.urandom(n) for n in (0, 1, 3 * MIB + 7, 9 * MIB)]
        with ThreadPoolExecutor(len(parts)) as pool:
            assert list(pool.map(lambda part: through(port, part), parts)) == parts
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
