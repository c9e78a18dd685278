"""What a run tells: progress as JSON, figures for Prometheus, and the message for Kubernetes."""
import json
import re

import pytest

import tool

KEYS = {"phase", "totalBytes", "completedBytes", "totalFiles", "completedFiles", "bytesPerSecond"}


def test_progress_is_json_on_stderr_and_the_result_is_not(tmp_path, pushed):
    result = tool.ok("pull", "--progress", "json", pushed, tmp_path / "out")
    lines = [json.loads(line) for line in result.err.splitlines()]
    phases = [line for line in lines if "phase" in line]
    assert phases and all(set(line) == KEYS for line in phases)
    ends = {line["phase"]: line for line in phases}
    assert ends["pull"]["completedBytes"] == ends["pull"]["totalBytes"] > 0
    assert any("verified and published" in line.get("note", "") for line in lines)
    assert result.line.startswith(pushed.rsplit(":", 1)[0])


def test_progress_can_be_plain_or_none_beside_a_result_in_json(tmp_path, packed):
    plain = tool.ok("pull", "--json", "--progress", "plain", f"oci:{packed}:v1", tmp_path / "a")
    assert plain.json["files"] > 0 and "verified and published" in plain.err and "{" not in plain.err
    assert tool.ok("pull", "--progress", "none", f"oci:{packed}:v1", tmp_path / "b").err == ""


def figures(path) -> dict[str, float]:
    """Every line is a comment or a sample, as the text format has it."""
    found = {}
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP modelcar_\w+ .+|TYPE modelcar_\w+ gauge)", line), line
            continue
        match = re.fullmatch(r'(modelcar_\w+\{command="[\w-]+"(,phase="[^"]*")?\}) (\S+)', line)
        assert match, line
        found[match[1]] = float(match[3])
    return found


def test_figures_of_a_run_that_is_done(tmp_path, pushed):
    path = tmp_path / "run.prom"
    report = tool.ok("pull", "--json", "--metrics-file", path, pushed, tmp_path / "out").json
    found = figures(path)
    assert found['modelcar_exit_code{command="pull"}'] == 0
    assert found['modelcar_phase_bytes{command="pull",phase="pull"}'] >= report["bytes"]
    assert list(tmp_path.glob(".modelcar*")) == []


def test_figures_of_a_run_that_failed_replace_them(tmp_path, packed):
    path = tmp_path / "run.prom"
    path.write_text("old\n")
    tool.fails(tool.NOT_FOUND, "pull", f"oci:{packed}:none", tmp_path / "out", env={"MODELCAR_METRICS_FILE": str(path)})
    assert figures(path)['modelcar_exit_code{command="pull"}'] == tool.NOT_FOUND


def test_figures_that_cannot_be_written_fail_no_run(tmp_path, packed):
    result = tool.ok("pull", "--metrics-file", tmp_path / "no/run.prom", f"oci:{packed}:v1", tmp_path / "out")
    assert "warning" in result.err


@pytest.mark.parametrize("command", ["pull", "wait", "gc"])
def test_the_last_word_of_a_run_is_its_termination_message(tmp_path, packed, command):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "out")
    (tmp_path / "log").write_text("old")
    args = [f"oci:{packed}:v1", tmp_path / "out"] if command == "pull" else [tmp_path / "out"]
    tool.ok(command, *args, env={"MODELCAR_TERMINATION_LOG": str(tmp_path / "log")})
    message = json.loads((tmp_path / "log").read_text())
    assert message["code"] == 0 and message["reason"] == "Completed" and message["message"]
