"""What doctor says of a place and an image: one line a check, the right exit code, and the next step."""
import os
import shutil
import subprocess

import pytest

import models
import servers
import tool

NO_SPACE = 30


@pytest.fixture
def volume(tmp_path):
    """Mounts a tmpfs with these options -> its path."""
    mounted = []

    def mount(options: str):
        root = tmp_path / f"volume{len(mounted)}"
        root.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", root], capture_output=True).returncode:
            pytest.skip("absent: the right to mount")
        mounted.append(root)
        return root

    yield mount
    for root in mounted:
        subprocess.run(["umount", "-l", root], check=True)


def doctor(code: int, *args, **options) -> dict[str, dict]:
    """The checks by name; the one line on stderr names the first that failed and what to do."""
    result = tool.run("doctor", "--json", *args, **options)
    assert result.code == code, str(result)
    report = result.json
    assert report["ok"] == (code == 0) and report["code"] == code
    failed = [c for c in report["checks"] if c["level"] == "fail"]
    if failed:
        assert len(tool.error_lines(result)) == 1
        assert f"{failed[0]['check']}: " in result.err and failed[0]["next"] in result.err, str(result)
    return {c["check"]: c for c in report["checks"]}


def test_a_fit_place_is_all_ok_and_stays_as_it_was(tmp_path, pushed):
    checks = doctor(0, tmp_path / "new", pushed)
    for name in ("path", "mount", "write", "fallocate", "fsync", "direct", "rename", "exchange", "link", "symlink",
                 "lock", "leftovers", "dns", "connect", "tls", "auth", "manifest", "range", "space", "inodes", "memory", "cpu"):
        assert checks[name]["level"] in ("ok", "warn"), checks[name]
    assert list(tmp_path.iterdir()) == []


def test_text_is_a_line_a_check(tmp_path):
    lines = tool.ok("doctor", tmp_path).out.splitlines()
    assert len(lines) >= 12 and all(line[:4] in ("ok  ", "warn", "FAIL") for line in lines)


def test_a_volume_that_is_not_mounted_there(tmp_path):
    assert "volumeMounts" in doctor(tool.NOT_FOUND, tmp_path / "no/such")["path"]["next"]


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "file").write_text("x")
    doctor(tool.NOT_OURS, tmp_path / "file")


def test_a_mount_that_is_read_only(volume):
    root = volume("ro")
    checks = doctor(tool.READ_ONLY, root / "model")
    assert "ReadWriteOnce" in checks["mount"]["next"] and "write" not in checks
    checks = doctor(tool.READ_ONLY, root)
    assert "read-only" in checks["mount"]["finding"]


def test_a_directory_of_another_user(tmp_path, unprivileged):
    place = tmp_path / "place"
    place.mkdir(mode=0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o711)
    if not unprivileged:
        place.chmod(0o555)
    checks = doctor(tool.READ_ONLY, place, **unprivileged)
    assert "fsGroup" in checks["write"]["next"] and "uid" in checks["write"]["finding"]


def test_a_volume_that_is_full(volume):
    root = volume("size=512k")
    checks = doctor(NO_SPACE, root)
    assert checks["fallocate"]["level"] == "fail" or checks["write"]["level"] == "fail"


def test_a_volume_without_inodes(volume):
    root = volume("size=16m,nr_inodes=2")
    (root / "last").write_text("")
    assert "inode" in doctor(NO_SPACE, root)["write"]["next"]


def test_a_volume_that_is_too_small_for_the_image(volume, pushed):
    checks = doctor(NO_SPACE, volume("size=4m"), pushed)
    assert "needed" in checks["space"]["finding"]


def test_what_is_there_already_needs_no_room(tmp_path, pushed):
    tool.ok("pull", pushed, tmp_path / "model")
    checks = doctor(0, tmp_path / "model", pushed)
    assert "0 files" in checks["manifest"]["finding"] and "shared" in checks["link"]["finding"]


def test_a_tmpfs_is_memory_of_the_pod(volume):
    assert "memory" in doctor(0, volume("size=8m"))["mount"]["finding"]


def test_a_tree_that_is_not_whole(tmp_path, pushed):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/.modelcar.0123abcd.0123456789ab.0.part").write_bytes(b"half")
    os.utime(tmp_path / "model/.modelcar.0123abcd.0123456789ab.0.part", (1, 1))
    checks = doctor(tool.DAMAGED, tmp_path / "model", pushed)
    assert "goes on" in checks["model"]["next"]


def test_a_tree_that_was_changed(tmp_path, packed):
    tool.ok("pull", f"oci:{packed}:v1", tmp_path / "model")
    models.flip(tmp_path / "model/config.json", 0)
    (tmp_path / "model/README.md").unlink()
    doctor(tool.DAMAGED, tmp_path / "model")


def test_a_directory_as_what_is_pulled(tmp_path, own_model):
    checks = doctor(0, tmp_path / "new", f"dir:{own_model}")
    assert str(len([p for p in own_model.rglob("*") if p.is_file()])) + " files" in checks["source"]["finding"]
    assert "needed" in checks["space"]["finding"]
    (own_model / "out.bin").symlink_to("/etc/hostname")
    assert "out.bin" in doctor(tool.SOURCE, tmp_path / "new", f"dir:{own_model}")["source"]["finding"]
    doctor(tool.NOT_FOUND, tmp_path / "new", f"dir:{tmp_path}/none")


def test_files_of_others_are_in_the_way(tmp_path, packed):
    (tmp_path / "notes").write_text("mine")
    assert "notes" in doctor(tool.NOT_OURS, tmp_path, f"oci:{packed}:v1")["model"]["finding"]


def test_an_image_that_is_not_there(tmp_path, registry, packed):
    checks = doctor(tool.NOT_FOUND, tmp_path, registry.ref("no/such") + ":v1")
    assert "tags" in checks["manifest"]["next"] and checks["connect"]["level"] == "ok"
    doctor(tool.NOT_FOUND, tmp_path, f"oci:{packed}:nosuch")


def test_a_registry_that_is_not_there(tmp_path):
    checks = doctor(tool.NETWORK, tmp_path, f"127.0.0.1:{servers.free_port()}/a/b:v1")
    assert "network policy" in checks["connect"]["next"] and "manifest" not in checks


def test_a_host_without_an_address(tmp_path):
    assert "name service" in doctor(tool.NETWORK, tmp_path, "no-such-host.invalid/a/b:v1")["dns"]["next"]


def test_a_registry_that_wants_a_password(tmp_path, start):
    if not shutil.which("htpasswd"):
        pytest.skip("absent: htpasswd")
    server = start(servers.DockerRegistry, "locked", users={"user": "word"})
    assert "login" in doctor(tool.REFUSED, tmp_path / "new", f"{server.host}/a/b:v1")["auth"]["next"]


def test_a_certificate_that_nobody_trusts(tmp_path, start):
    authority = servers.Authority(tmp_path / "authority")
    server = start(servers.DockerRegistry, "secret", authority=authority)
    ref = f"{server.host}/a/b:v1"
    assert "ca-file" in doctor(tool.TLS, tmp_path / "new", ref, "--tls-verify=true", "--ca-file",
                               servers.Authority(tmp_path / "other").certificate)["tls"]["next"]
    assert doctor(tool.NOT_FOUND, tmp_path / "new", ref, "--ca-file", authority.certificate)["tls"]["level"] == "ok"


def test_a_claim_is_looked_at_where_it_is_mounted(tmp_path):
    (tmp_path / "models").mkdir()
    checks = doctor(0, "pvc://models/qwen2", "--pvc-root", tmp_path)
    assert str(tmp_path / "models/qwen2") in checks["path"]["finding"]
    result = tool.fails(tool.USAGE, "doctor", "pvc://models/qwen2")
    assert "--pvc-root" in result.err
