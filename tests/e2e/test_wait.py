"""wait is a gate: it opens when a whole tree is there, of the image that is wanted, and says what is missing."""
import os
import subprocess
import threading
import time

import pytest

import models
import tool
from trees import RECORD, Layout

DEADLINE = 41


@pytest.fixture
def tree(tmp_path, packed):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "model")
    return tmp_path / "model"


def test_a_whole_tree_opens_it_at_once(tree, packed):
    digest = Layout(packed).tagged("v1")
    result = tool.ok("wait", tree)
    assert result.digest == digest and "is whole" in result.err
    report = tool.ok("wait", "--json", "--for", f"anything@{digest}", tree).json
    assert report["digest"] == digest and report["path"] == str(tree) and report["files"] > 4


def test_it_opens_for_the_manifest_that_was_chosen_as_well(tree, packed):
    manifest = Layout(packed).document(Layout(packed).tagged("v1"))["manifests"][0]["digest"]
    tool.ok("wait", "--timeout", "0", "--for", manifest, tree)


@pytest.mark.parametrize("damage", ["absent", "empty", "parts", "missing", "changed", "foreign", "unreadable"])
def test_what_is_not_whole_keeps_it_shut_and_the_message_says_why(tmp_path, tree, damage):
    where, words = tree, {"absent": "does not exist", "empty": "is empty", "parts": "parts", "missing": "'config.json'",
                          "changed": "'config.json'", "foreign": "other entries", "unreadable": "record"}[damage]
    if damage == "absent":
        where = tmp_path / "none"
    elif damage in ("empty", "parts"):
        where = tmp_path / "empty"
        where.mkdir()
        if damage == "parts":
            (where / ".modelcar.0123abcd.0123456789ab.0.part").write_bytes(b"half")
    elif damage == "missing":
        (tree / "config.json").unlink()
    elif damage == "changed":
        os.utime(tree / "config.json", (1, 1))
    elif damage == "foreign":
        (tree / RECORD).unlink()
    else:
        (tree / RECORD).write_text("{")
    result = tool.fails(DEADLINE, "wait", "--timeout", "0", where)
    assert words in result.err, str(result)


def test_another_image_is_not_waited_for(tree):
    result = tool.fails(DEADLINE, "wait", "--timeout", "0", "--for", "sha256:" + "0" * 64, tree)
    assert "another image" in result.err


def test_what_is_no_digest_is_usage(tree):
    tool.fails(tool.USAGE, "wait", "--for", "v1", tree)


def start_waiting(*args) -> subprocess.Popen:
    return subprocess.Popen([tool.binary(), "wait", "--interval", "100ms", "--timeout", "60s", *map(str, args)],
                            env=tool.clean_env(None), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def read_until(process: subprocess.Popen, words: str) -> None:
    """It has looked and found nothing: what comes now, comes later than its first look."""
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"'{words}' was never said")


def test_it_opens_when_a_pull_comes_to_its_end(tmp_path, packed):
    waiting = start_waiting(tmp_path / "deep/model")
    read_until(waiting, "does not exist")
    (tmp_path / "deep").mkdir()
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "deep/model")
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert Layout(packed).tagged("v1") in out


def test_it_follows_a_link_that_changes(tmp_path, tree, own_model):
    (own_model / "config.json").write_text('{"model_type": "llama", "second": true}')
    second = tool.ok("pack", own_model, f"oci:{tmp_path}/l:v2").digest
    tool.ok("pull", f"oci:{tmp_path}/l:v2", tmp_path / "second")
    (tmp_path / "link").symlink_to("model")
    waiting = start_waiting("--for", second, tmp_path / "link")
    read_until(waiting, "another image")
    (tmp_path / "next").symlink_to("second")
    (tmp_path / "next").rename(tmp_path / "link")
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert second in out


def test_a_directory_of_versions_stands_for_the_current_one(tmp_path, packed):
    tool.ok("pull", "--publish", "version", f"oci:{packed}:v1", tmp_path / "versions")
    assert tool.ok("wait", "--timeout", "0", tmp_path / "versions").digest == Layout(packed).tagged("v1")
    tool.ok("wait", "--timeout", "0", tmp_path / "versions/current")


def test_a_triton_model_whose_record_lies_beside_it(tmp_path):
    (tmp_path / "repository").mkdir()
    repository = models.triton(tmp_path / "source", models=("encoder",))
    tool.ok("pack", repository / "encoder", f"oci:{tmp_path}/l:v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "repository/encoder")
    assert not (tmp_path / "repository/encoder" / RECORD).exists()
    tool.ok("wait", "--timeout", "0", tmp_path / "repository/encoder")
    tool.ok("verify", tmp_path / "repository/encoder")
    tool.ok("doctor", tmp_path / "repository/encoder", f"oci:{tmp_path}/l:v1")


@pytest.mark.parametrize("path", ["link", "link/", "versions/current"])
def test_a_triton_model_behind_a_link(tmp_path, path):
    repository = models.triton(tmp_path / "source", models=("encoder",))
    tool.ok("pack", repository / "encoder", f"oci:{tmp_path}/l:v1")
    tool.ok("pull", f"oci:{tmp_path}/l:v1", tmp_path / "encoder")
    tool.ok("pull", "--publish", "version", f"oci:{tmp_path}/l:v1", tmp_path / "versions")
    (tmp_path / "link").symlink_to("encoder")
    tool.ok("wait", "--timeout", "0", f"{tmp_path}/{path}")
    tool.ok("verify", "--full", f"{tmp_path}/{path}")
    assert "nothing was damaged" in tool.ok("repair", f"{tmp_path}/{path}").err


def test_a_signal_ends_it(tmp_path):
    waiting = start_waiting(tmp_path / "never")
    read_until(waiting, "does not exist")
    timer = threading.Timer(30, waiting.kill)
    timer.start()
    begin = time.monotonic()
    waiting.terminate()
    assert waiting.wait() == 143
    timer.cancel()
    assert time.monotonic() - begin < 30
    waiting.stdout.close()
    waiting.stderr.close()


def test_a_claim_is_waited_for_where_it_is_mounted(tmp_path, tree):
    (tmp_path / "ns").mkdir()
    tree.parent.joinpath("ns/models").mkdir()
    tree.rename(tmp_path / "ns/models/qwen2")
    tool.ok("wait", "pvc://ns:models/qwen2", "--pvc-root", tmp_path, "--timeout", "0")
