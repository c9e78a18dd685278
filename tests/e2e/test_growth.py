"""The measure of growth works: each point is what was asked for, is checked and leaves nothing. No figures."""
import json
import re
import subprocess
from pathlib import Path

import pytest

import tool
from benches import bench

MIB = 2**20


def growth(*args, **env) -> subprocess.CompletedProcess:
    return bench(*args, program="growth.py", **env)


@pytest.mark.heavy
def test_every_point_of_every_curve_is_measured_and_nothing_stays(tmp_path):
    (tmp_path / "empty").mkdir()
    out, tables = tmp_path / "r.json", tmp_path / "r.md"
    run = growth("--quick", "--rounds", 2, "--sizes", "2Mi,1Mi", "--files", "1,10", "--jobs", "1,4,64",
                 "--json", out, "--markdown", tables, TMPDIR=str(tmp_path / "empty"))
    assert run.returncode == 0, run.stderr[-4000:]
    points, walks = {"bytes": ["1 MiB", "2 MiB"], "files": ["1", "10"], "connections": ["1", "4", "64"]}, {}
    for cell in json.loads(out.read_text())["cells"]:
        walks.setdefault(cell["curve"], set()).add((cell["scenario"], cell["network"]))
        assert [p["name"] for p in cell["parties"]] == points[cell["curve"]]
        for party in cell["parties"]:
            assert len(party["runs"]) == 2 and party["failures"] == []
            assert party["unit_s"] > 0 and party["median"]["rss_bytes"] > 0 and party["median"]["cpu_s"] > 0
        assert cell["middle"] in ("2 MiB", "10", "4")
        middle = next(p for p in cell["parties"] if p["name"] == cell["middle"])
        assert middle["ratio"] == 1
        assert all(p["ratio"] * middle["unit_s"] == pytest.approx(p["unit_s"]) for p in cell["parties"])
        assert f"#### {cell['title']}, {cell['network']}, warm" in tables.read_text()
    works = {("pack", "http"), ("pull-buffered", "http"), ("pull-direct", "http"), ("verify", "local")}
    assert walks == {"bytes": works, "files": works,
                     "connections": {("pack", "http"), ("pull-buffered", "http"), ("pull-buffered", "20ms")}}
    assert list((tmp_path / "empty").iterdir()) == []


def wrapped(root: Path, script: str) -> str:
    """A modelcar after which a script runs, with the same arguments."""
    (root / "tools").mkdir(parents=True)
    real = Path(tool.release_binary()).resolve()
    (root / "tests").symlink_to(real.parents[1] / "tests")
    path = root / "tools/modelcar"
    path.write_text(f'#!/bin/sh\n{real} "$@" || exit\n{script}\n')
    path.chmod(0o755)
    return str(path)


def work(words: list[str]) -> str:
    """A letter for each command that is measured: pack, pull buffered or direct, verify."""
    return "D" if "--direct" in words else "B" if "--buffered" in words else words[0][0].upper()


@pytest.mark.heavy
def test_a_point_has_the_size_the_files_and_the_jobs_that_were_asked_for(tmp_path):
    log, disk, out, root = (tmp_path / name for name in ("log", "disk", "r.json", "modelcar-growth"))
    files = f"$(find {root}/models -type f | wc -l) $(find {root}/out -type f | wc -l)"
    binary = wrapped(tmp_path / "w", f'echo "$@" >>{log}; echo "$1 {files}" >>{disk}')
    run = growth("--quick", "--sizes", "1Mi,3Mi", "--files", "7", "--jobs", "2,5", "--rounds", 2, "--json", out,
                 "--work", tmp_path, MODELCAR_RELEASE=binary)
    assert run.returncode == 0, run.stderr[-4000:]
    firsts = {c["curve"]: c for c in reversed(json.loads(out.read_text())["cells"])}
    assert [p["bytes"] // MIB for p in firsts["bytes"]["parties"]] == [1, 3]
    assert [p["files"] for p in firsts["files"]["parties"]] == [7]
    said = [line for line in log.read_text().splitlines() if "--quiet" in line]
    jobs = {verb: re.findall(rf"^{verb} .*--jobs (\d+) ", "\n".join(said), re.M) for verb in ("pack", "pull")}
    assert jobs == {"pack": ["2", "5", "5", "2"], "pull": ["2", "2", "5", "5", "5", "5", "2", "2"]}
    works = "".join(work(line.split()) for line in said if "--jobs" not in line)
    assert works == 2 * "PBDV" + 2 * "PVDB" + "PBDV" + "PVDB", "each second round comes back"
    for verb, made, pulled in (line.split() for line in disk.read_text().splitlines() if not line.startswith("-")):
        assert (made == "0") == (verb != "pack"), "the source stays until it is packed"
        assert (pulled == "0") == (verb == "pack"), "what was pulled goes before the next point"


@pytest.mark.heavy
@pytest.mark.parametrize("script, series, said", [
    pytest.param('case "$1 $*" in pull*--direct*) echo x >>"$3/config.json"; esac', "pull-direct",
                 "1 files are not what was packed: ['config.json']", id="tree"),
    pytest.param('case "$1" in verify) exit 40; esac', "verify", "exit 40", id="exit"),
    pytest.param('case "$1" in pack) find {} -name data -path "*blobs*" | while read f; do echo >>"$f"; done; esac',
                 "pack", "blobs are not what their names say", id="blobs")])
def test_growth_finds_what_is_wrong_and_cleans_up(tmp_path, script, series, said):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mine").write_text("x")
    out = tmp_path / "r.json"
    run = growth("--quick", "--only", "bytes", "--sizes", "1Mi", "--work", tmp_path / "work", "--json", out,
                 MODELCAR_RELEASE=wrapped(tmp_path / "w", script.replace("{}", str(tmp_path / "work"))))
    assert run.returncode == 1
    failures = {c["scenario"]: p["failures"] for c in json.loads(out.read_text())["cells"] for p in c["parties"]}
    assert said in failures[series][0]
    assert "| 1 MiB | failed |" in run.stdout and "FAILED" in run.stderr
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["mine"]


@pytest.mark.parametrize("args, said", [
    (["--only", "nothing"], "there are: bytes, files, connections"), (["--sizes", "1k"], "'1k'"),
    (["--files", "0,1"], "'0,1'"), (["--jobs", "many"], "'many'"), (["--sizes", "9000000Gi"], "GiB are needed")])
def test_growth_refuses_what_it_cannot_measure(args, said):
    run = growth(*args)
    assert run.returncode in (1, 2) and said in run.stderr and run.stdout == ""
