"""Bad input: the exit code that is promised, one line, nothing half-written left behind."""
import json
import os
import shutil
import socket
import subprocess
import threading

import pytest

import images
import models
import tool
import trees
from trees import Layout


def refused(tmp_path, code, source, *flags, **options):
    """pack fails with this code and leaves no layout."""
    before = {p.name for p in tmp_path.iterdir()}
    result = tool.fails(code, "pack", source, f"oci:{tmp_path}/target:v1", *flags, **options)
    assert not trees.leftovers(tmp_path, before)
    return result


def test_a_source_that_is_a_file_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    assert "file" in refused(tmp_path, tool.USAGE, tmp_path / "file").err


def test_a_source_that_is_absent_is_exit_10(tmp_path):
    assert "absent" in refused(tmp_path, tool.NOT_FOUND, tmp_path / "absent").err


@pytest.mark.parametrize("content", [{}, {".git/config": "x"}])
def test_a_source_without_files_is_exit_16(tmp_path, content):
    (tmp_path / "empty").mkdir()
    models.write(tmp_path / "empty", content)
    refused(tmp_path, tool.SOURCE, tmp_path / "empty")


def test_an_unreadable_file_is_named(tmp_path, unprivileged):
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o077 == 0:
            parent.chmod(0o711)
    tree = models.single(tmp_path / "tree")
    (tree / "secret.bin").write_bytes(b"x")
    (tree / "secret.bin").chmod(0)
    result = refused(tmp_path, tool.SOURCE, tree, **unprivileged)
    assert "secret.bin" in result.err


def bad_names():
    yield "control", b"a\x01b"
    yield "newline", b"a\nb"
    yield "not UTF-8", b"a\xffb"
    yield "whiteout", b".wh.config.json"


@pytest.mark.parametrize("name", [pytest.param(n, id=i) for i, n in bad_names()])
def test_names_that_no_layer_may_hold_are_refused(tmp_path, own_model, name):
    (own_model / os.fsdecode(name)).write_bytes(b"x")
    result = refused(tmp_path, tool.SOURCE, own_model)
    assert "\x01" not in result.err and len(result.err.splitlines()) == 1


def test_links_that_leave_the_tree_are_refused(tmp_path, own_model):
    (tmp_path / "outside").write_text("secret")
    for target in ("../outside", str(tmp_path / "outside"), "/etc/passwd", "nowhere"):
        link = own_model / "linked.txt"
        link.symlink_to(target)
        assert "linked.txt" in refused(tmp_path, tool.SOURCE, own_model).err
        link.unlink()


def test_a_link_out_of_a_hugging_face_cache_is_refused(tmp_path):
    snapshot = models.huggingface_cache(tmp_path / "hub")
    (tmp_path / "hub/outside").write_text("secret")
    (snapshot / "bad.json").symlink_to("../../../outside")
    assert "bad.json" in refused(tmp_path, tool.SOURCE, snapshot).err


def test_sockets_and_fifos_are_refused(tmp_path, own_model):
    os.mkfifo(own_model / "pipe")
    assert "pipe" in refused(tmp_path, tool.SOURCE, own_model).err
    (own_model / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(own_model)
        s.bind("sock")
        os.chdir(here)
        assert "sock" in refused(tmp_path, tool.SOURCE, own_model).err


@pytest.mark.parametrize("how", ["grow", "shrink", "rewrite", "replace"])
def test_a_file_that_changes_while_it_is_packed_is_exit_16(tmp_path, how):
    tree = models.single(tmp_path / "tree")
    big = tree / "big.bin"
    with open(big, "wb") as file:
        file.truncate(1 << 30)
    done = threading.Event()

    def change():
        size = 1 << 30
        while not done.wait(0.002):
            size += {"grow": 4096, "shrink": -4096}.get(how, 0)
            if how == "rewrite":
                models.flip(big, 5)
            elif how == "replace":
                shutil.copyfile(tree / "config.json", tmp_path / "new")
                os.truncate(tmp_path / "new", size)
                (tmp_path / "new").rename(big)
            else:
                os.truncate(big, size)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        result = refused(tmp_path, tool.SOURCE, tree, binary_path=tool.release_binary())
    finally:
        done.set()
        thread.join()
    assert "big.bin" in result.err


REFERENCES = ["", "no-host", "host only/x", "oci:", "oci-archive:", "ftp://host/x:v1", "127.0.0.1:5000/UPPER:v1",
              "127.0.0.1:5000/x:bad tag", "127.0.0.1:5000/x:.dot", "127.0.0.1:5000/x:" + "t" * 129,
              "127.0.0.1:5000/x@sha256:12", "127.0.0.1:99999/x:v1", "oci:dir:bad!tag"]


@pytest.mark.parametrize("ref", REFERENCES)
def test_a_reference_of_unknown_form_is_a_usage_error(tmp_path, model, ref):
    tool.fails(tool.USAGE, "pack", model, ref, cwd=tmp_path)
    tool.fails(tool.USAGE, "pull", ref, tmp_path / "out", cwd=tmp_path)
    assert not trees.leftovers(tmp_path, set())


@pytest.mark.parametrize("args", [[], ["no-such-verb"], ["pack"], ["pack", "a"], ["pack", "a", "b", "c"],
                                  ["pull", "--no-such-option", "x", "y"], ["pack", "--format", "zip", ".", "oci:x:v1"],
                                  ["pack", ".", "oci:x:v1", "-t", "bad/tag"], ["pack", ".", "oci:x"],
                                  ["pack", ".", "oci:x:v1", "--annotation", "novalue"],
                                  ["pack", ".", "oci:x:v1", "--jobs", "many"],
                                  ["pack", ".", "oci:x:v1", "--platform", "linux"]])
def test_wrong_words_are_a_usage_error(tmp_path, args):
    models.single(tmp_path)
    result = tool.run(*args, cwd=tmp_path)
    assert result.code == tool.USAGE and result.out == "" and result.err, str(result)
    assert not (tmp_path / "x").exists()


def test_a_digest_mismatch_in_a_layout_is_exit_13(tmp_path, own_layout):
    layout = Layout(own_layout)
    models.flip(layout.blob_path(layout.layers("v1")[1]["digest"]), 2000)
    result = tool.fails(tool.MISMATCH, "pull", f"oci:{own_layout}:v1", tmp_path / "out")
    assert layout.layers("v1")[1]["digest"][7:19] in result.err
    assert not trees.leftovers(tmp_path, {own_layout.name})


def test_a_manifest_that_is_not_its_digest_is_exit_13(tmp_path, own_layout):
    layout = Layout(own_layout)
    models.flip(layout.blob_path(layout.tagged("v1")), 20)
    tool.fails(tool.MISMATCH, "pull", f"oci:{own_layout}:v1", tmp_path / "out")


WRONG_TYPES = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws",
               "text/html"]


@pytest.mark.parametrize("media_type", WRONG_TYPES)
def test_a_manifest_of_the_wrong_type_is_refused(tmp_path, foreign, media_type):
    document = {"schemaVersion": 2, "mediaType": media_type, "layers": []}
    foreign.tag("v1", foreign.blob(images.canonical(document), media_type))
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "out")
    assert result.code in (tool.MALFORMED, tool.UNSUPPORTED), str(result)
    assert not (tmp_path / "out").exists() and len(tool.error_lines(result)) == 1


NO_MANIFESTS = {"empty": b"", "cut": b"{", "array": b"[]", "null": b"null", "not UTF-8": b"\xff\xfe",
                "without layers": b'{"schemaVersion":2}', "deep": b"[" * 100_000,
                "wide": b'{"layers":[' + b"0," * 200_000 + b"0]}"}


@pytest.mark.parametrize("text", NO_MANIFESTS.values(), ids=NO_MANIFESTS.keys())
def test_a_manifest_that_does_not_parse_is_exit_14(tmp_path, foreign, text):
    foreign.tag("v1", foreign.blob(text, images.MANIFEST))
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "out")
    assert result.code in (tool.MALFORMED, tool.UNSUPPORTED), str(result)
    assert not (tmp_path / "out").exists()


def test_a_layout_without_its_parts_is_refused(tmp_path, own_layout):
    (own_layout / "index.json").unlink()
    assert tool.run("pull", f"oci:{own_layout}:v1", tmp_path / "out").code in (tool.NOT_FOUND, tool.MALFORMED)
    tool.fails(tool.NOT_FOUND, "pull", f"oci:{tmp_path}/absent:v1", tmp_path / "out")
    tool.fails(tool.NOT_FOUND, "pull", f"oci-archive:{tmp_path}/absent.tar:v1", tmp_path / "out")


def test_an_archive_that_is_cut_short_is_refused(tmp_path, model):
    tool.ok("pack", model, f"oci-archive:{tmp_path}/m.tar:v1")
    os.truncate(tmp_path / "m.tar", (tmp_path / "m.tar").stat().st_size // 2)
    result = tool.run("pull", f"oci-archive:{tmp_path}/m.tar:v1", tmp_path / "out")
    assert result.code in (tool.MALFORMED, tool.MISMATCH), str(result)
    assert not (tmp_path / "out").exists()


def destination_of(kind: str, tmp_path):
    dest = tmp_path / "dest"
    if kind == "file":
        dest.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere/mine.txt").write_text("mine")
        dest.symlink_to("elsewhere")
    else:
        dest.mkdir()
        (dest / "mine.txt").write_text("mine")
    return dest


@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_a_destination_that_exists_is_exit_34_and_stays_as_it_is(tmp_path, packed, kind):
    dest = destination_of(kind, tmp_path)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    result = tool.fails(tool.NOT_OURS, "pull", f"oci:{packed}:v1", dest)
    assert "dest" in result.err
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_a_tag_that_names_other_content_is_exit_35_unless_forced(own_model, registry, repo):
    first = tool.ok("pack", own_model, f"{repo}:v1").digest
    (own_model / "config.json").write_text('{"model_type": "llama", "x": 1}')
    name = repo.split("/", 1)[1]
    assert "--force" in tool.fails(tool.TAG_EXISTS, "pack", own_model, f"{repo}:v1").err
    assert registry.get(name, "v1")[0] == first
    second = tool.ok("pack", own_model, f"{repo}:v1", "--force").digest
    assert registry.get(name, "v1")[0] == second != first


def test_a_second_tag_that_is_taken_stops_the_first_as_well(own_model, registry, repo):
    tool.ok("pack", own_model, f"{repo}:taken")
    (own_model / "config.json").write_text('{"model_type": "llama", "x": 2}')
    tool.fails(tool.TAG_EXISTS, "pack", own_model, f"{repo}:fresh", "-t", "taken")
    assert not registry.has(repo.split("/", 1)[1], "fresh")


def test_a_layout_directory_that_holds_other_things_is_not_touched(tmp_path, model):
    models.write(tmp_path / "mine", {"notes.txt": "x"})
    assert tool.run("pack", model, f"oci:{tmp_path}/mine:v1").code == tool.NOT_OURS
    assert {p.name for p in (tmp_path / "mine").iterdir()} == {"notes.txt"}


def test_foreign_text_in_a_message_is_escaped(tmp_path, foreign):
    foreign.artifact("v1", {"../\x1b[31mred\nline": b"x"})
    result = tool.run("pull", foreign.ref("v1"), tmp_path / "out")
    assert result.code and "\x1b" not in result.err and len(tool.error_lines(result)) == 1, str(result)


def test_a_killed_pack_leaves_a_layout_that_reads_well(tmp_path, packed, own_model):
    """Whatever instant it is: what was there stays readable, and the next run completes."""
    copy = shutil.copytree(packed, tmp_path / "l")
    with open(own_model / "big.bin", "wb") as file:
        file.truncate(1 << 29)
    process = subprocess.Popen([tool.release_binary(), "pack", own_model, f"oci:{copy}:v2"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(0.3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    tool.ok("verify", f"oci:{copy}:v1")
    tool.ok("pack", own_model, f"oci:{copy}:v2", binary_path=tool.release_binary())
    assert "v2" in json.dumps(Layout(copy).index())
