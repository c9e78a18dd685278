"""deploy/README.md: its commands, its log, its tables and its arithmetic."""
import json
import os
import re
import shlex
import subprocess

import pytest
import yaml

import tool
from manifests import DEPLOY, ROOTS, validate


def readme() -> str:
    return (DEPLOY / "README.md").read_text()


def test_every_example_is_in_the_readme_and_every_link_leads_somewhere():
    links = {(DEPLOY / target).resolve() for target in re.findall(r"\]\(([^)#:]+)\)", readme())}
    assert all(path.exists() for path in links), [p for p in links if not p.exists()]
    assert set(ROOTS) <= links | {DEPLOY / "air-gap/zarf/populate"}


def commands() -> list[list[str]]:
    """Those of modelcar in the blocks for a shell."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", readme(), re.S)).replace("\\\n", " ").splitlines()
    return [shlex.split(part, comments=True)[1:] for line in lines for part in re.split(r" \| | && ", line)
            if part.startswith("modelcar ")]


def test_the_commands_of_the_readme_are_ones_that_the_tool_has():
    assert len(commands()) > 5
    for words in commands():
        text = tool.ok("help", words[0]).out
        for option in (w.split("=")[0] for w in words if w.startswith("-")):
            assert re.search(rf"{re.escape(option)}[=, ]", text), (words, option)


def test_the_task_of_the_readme_is_started_with_what_it_has():
    task = yaml.safe_load((DEPLOY / "pipelines/tekton/task.yaml").read_text())["spec"]
    command = re.search(r"^tkn .*?(?=#)", readme(), re.S | re.M)[0]
    assert set(re.findall(r"-p (\w+)=", command)) == {p["name"] for p in task["params"]}
    assert set(re.findall(r"-w name=(\w+),", command)) == {w["name"] for w in task["workspaces"]}


def test_the_jobs_of_the_readme_are_valid():
    jobs = [words for words in commands() if words[0] == "job"]
    assert len(jobs) > 1
    for words in jobs:
        document = yaml.safe_load(tool.ok(*words, env={"MODELCAR_IMAGE": "reg.example/tools/modelcar:0.1.0"}).out)
        validate(document)
        assert document["metadata"]["namespace"] == "models"


def shape(line: str) -> str:
    """Without what differs from run to run."""
    for pattern, instead in ((r"'[^']+'", "PATH"), (r"[\d.]+ (B|KiB|MiB|GiB)", "SIZE"), (r"[\d.]+ s\b", "TIME"), (r"\d+", "N")):
        line = re.sub(pattern, instead, line)
    return line


def test_the_log_that_the_readme_shows_is_what_the_tool_writes(tmp_path, packed):
    image, volume = f"oci:{packed}:v1", ["--pvc-root", tmp_path / "pvc"]
    (tmp_path / "pvc/models").mkdir(parents=True)
    first, again = (tool.ok("pull", *volume, image, "pvc://models/qwen2").err for _ in range(2))
    verified = tool.ok("verify", "--full", *volume, "pvc://models/qwen2").out
    tool.ok("pull", "--publish=version", *volume, image, "pvc://models/versions")
    collected = tool.ok("gc", *volume, "pvc://models/versions").err
    waited = tool.ok("wait", tmp_path / "pvc/models/qwen2").err
    lasts = [text.strip().splitlines()[-1] for text in (first, again, verified, collected, waited)]
    shown = re.search(r"```\n(16 files.*?)```", readme(), re.S)[1].splitlines()
    assert list(map(shape, shown)) == list(map(shape, lasts))


def test_kserve_gets_our_image_by_the_command_of_the_readme(tmp_path):
    """With a stand-in for kubectl; what else its ConfigMap says stays."""
    command = re.search(r"```sh\n(kubectl -n kserve .*?)```", readme(), re.S)[1]
    before = {"data": {"storageInitializer": '{\n "image": "kserve/storage-initializer:v0.20.0",\n "cpuLimit": "1"\n}', "deploy": "{}"}}
    (tmp_path / "before.json").write_text(json.dumps(before))
    (tmp_path / "kubectl").write_text('#!/bin/sh\n[ "$1" = -n ] && exec cat before.json\necho "$@" >args\nexec cat >after.json\n')
    (tmp_path / "kubectl").chmod(0o755)
    subprocess.run(["sh", "-e", "-c", command], check=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    after = json.loads((tmp_path / "after.json").read_text())
    assert (tmp_path / "args").read_text() == "replace -f -\n" and after["data"]["deploy"] == "{}"
    assert json.loads(after["data"]["storageInitializer"]) == {"image": "reg.example/tools/modelcar-kserve:0.1.0", "cpuLimit": "1"}


def test_every_exit_code_is_in_the_troubleshooting_table():
    codes = set(re.findall(r"^\| (\d+) \|", (tool.ROOT / "spec/exit-codes.md").read_text(), re.M)) - {"0"}
    table = (DEPLOY / "README.md").read_text().split("## When it does not work")[1]
    assert len(codes) > 20 and codes <= set(re.findall(r"^\| (\d+)", table, re.M))


def sources() -> str:
    """What the library and the tool can say, with what the compiler joins joined."""
    text = "\n".join(p.read_text() for d in ("liboci", "tools") for p in sorted((tool.ROOT / d).rglob("*.c")))
    return re.sub(r'"\s*\n\s*"', "", text)


def test_the_troubleshooting_table_has_the_reasons_and_the_words_of_the_tool():
    names = dict(re.findall(r"^\s(OCI_E_\w+) = (\d+),", (tool.ROOT / "liboci/base/error.h").read_text(), re.M))
    reasons = re.findall(r'\{(OCI_E_\w+), "(\w+)"', (tool.ROOT / "tools/exits.c").read_text())
    known = {names[name]: reason for name, reason in reasons if name in names}
    rows = re.findall(r"^\| (\d[\d, ]*) \| (\w+) \| ([^|]+) \|", readme().split("## When it does not work")[1], re.M)
    said = sources()
    assert {code: reason for code, reason, _ in rows} == \
        {code if int(code) < 128 else "130, 143": reason for code, reason in known.items()}
    for code, _, words in rows:
        for phrase in re.findall(r"`([^`]+)`", words):
            assert phrase in said, f"{code}: no message has '{phrase}'"


def test_lists_of_all_exit_codes_are_whole():
    """That of the specification, of the README and of the manual are one."""
    spec = set(re.findall(r"^\| (\d+\S*) \|", (tool.ROOT / "spec/exit-codes.md").read_text(), re.M))
    section = (tool.ROOT / "README.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    readme = set(re.findall(r"(?:^|· |·\n)(\d\S*) ", section, re.M))
    manual = tool.ok("help", "--man").out.split(".SH EXIT STATUS")[1]
    assert readme == spec == set(re.findall(r"^\\fB(\S+)\\fR$", manual, re.M))
    assert "\n  33 " in tool.ok("pull", "--help").out  # a takeover ends so


def seconds(text: str) -> float:
    number, unit = re.match(r"([\d.]+) (s|min|h)\b", text).groups()
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


def test_the_arithmetic_of_the_scale_out_is_right():
    """140 GB a node, a line of 25 Gb/s; the registry's and the mirrors' 100 Gb/s; 20 nodes a rack."""
    rows = re.findall(r"^\| ([\d,]+) \| ([\d.]+) (GB|TB) \| ([^|]+) \| ([^|]+) \|", (DEPLOY / "README.md").read_text(), re.M)
    assert [row[0] for row in rows] == ["1", "20", "100", "1,000"]
    for nodes, total, unit, alone, racks in rows:
        count = int(nodes.replace(",", ""))
        assert float(total) * {"GB": 1, "TB": 1000}[unit] == 140 * count
        assert seconds(alone) == pytest.approx(max(count * 140 / 12.5, 140 / 3.125), rel=0.03)
        if count > 1:
            to_racks, to_nodes = re.search(r"([\d.]+ (?:s|min))( to the rack)?, then (.*?) *$", racks).group(1, 3)
            assert seconds(to_racks) == pytest.approx(count / 20 * 140 / 12.5, rel=0.03)
            assert seconds(to_nodes) == pytest.approx(20 * 140 / 12.5, rel=0.03)
