"""Logging in and out: where credentials are kept, and what is left alone."""
import base64
import json
import os
import pty
import stat
import time

import pytest

import tool
from logins import USERS, add_helper, config, login, use_helper
from servers import DockerRegistry, TokenServer, write_authfile

HELPER = """#!/bin/sh
# A credential helper that keeps one secret in a file beside it.
store=$(dirname "$0")/secret
case "$1" in
store) cat > "$store" ;;
get) [ -e "$store" ] && cat "$store" || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f "$store" ;;
esac
"""


def test_login_keeps_what_the_registry_takes_and_the_next_command_finds_it(home, basic, model):
    result = login(basic, home)
    assert result.out == "" and "secret-word" not in result.err
    file = f"{home['HOME']}/.docker/config.json"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(file)).st_mode) == 0o700
    assert base64.b64decode(config(home)["auths"][basic.host]["auth"]) == b"joe:secret-word"
    tool.ok("pack", model, basic.ref("a/login:v1"), env=home)


def test_login_refuses_a_wrong_password_and_keeps_nothing(home, basic):
    result = login(basic, home, word="wrong-word", run=tool.fails, code=[tool.REFUSED])
    assert "wrong-word" not in result.err and "password is wrong" in result.err
    assert os.listdir(home["HOME"]) == []


def test_login_and_logout_leave_the_rest_of_the_file_alone(home, basic):
    os.makedirs(f"{home['HOME']}/.docker")
    before = {"auths": {"other.example": {"auth": "eDp5"}, f"https://{basic.host}/v1/": {"auth": "b2xkOm9sZA=="}},
              "HttpHeaders": {"X": ["y", {}]}, "plugins": {"a": {"n": 5}}, "currentContext": "ünï \"q\" {x"}
    with open(f"{home['HOME']}/.docker/config.json", "w") as file:
        json.dump(before, file)
    login(basic, home)
    after = config(home)
    assert list(after) == list(before) and list(after["auths"]) == ["other.example", basic.host]
    tool.ok("logout", basic.host, env=home)
    del before["auths"][f"https://{basic.host}/v1/"]
    assert config(home) == before
    tool.fails(tool.NOT_FOUND, "logout", basic.host, env=home)


def test_login_writes_the_file_that_is_named_behind_its_link(tmp_path, home, basic):
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "auth.json").symlink_to("real.json")
    login(basic, home, "--authfile", tmp_path / "auth.json")
    assert (tmp_path / "auth.json").is_symlink()
    assert basic.host in json.loads((tmp_path / "real.json").read_text())["auths"]
    tool.ok("logout", basic.host, env={**home, "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")})
    assert json.loads((tmp_path / "real.json").read_text())["auths"] == {}


def test_login_writes_to_the_file_that_is_found_first(home, basic):
    os.makedirs(f"{home['HOME']}/.config/containers")
    write_authfile(tool.Path(f"{home['HOME']}/.config/containers/auth.json"), basic.host, "joe", "old")
    login(basic, home)
    tool.fails(tool.NOT_FOUND, "ls", basic.ref("no/such:v1"), env=home)
    assert not os.path.exists(f"{home['HOME']}/.docker")


def test_login_takes_tokens_too(home, start):
    tokens = start(TokenServer, "tokens", users=USERS)
    server = start(DockerRegistry, "guarded", token=tokens)
    login(server, home, word="wrong-word", run=tool.fails, code=[tool.REFUSED])
    login(server, home)
    assert basic_user(config(home), server.host) == "joe"


def basic_user(document, host: str) -> str:
    return base64.b64decode(document["auths"][host]["auth"]).decode().split(":")[0]


def test_login_to_a_registry_for_everybody_says_that_nothing_is_proven(home, registry):
    assert "not known" in login(registry, home).err


def test_login_without_a_terminal_says_what_to_use(home, basic):
    result = tool.fails(tool.USAGE, "login", basic.host, "-u", "joe", env=home, input="x", start_new_session=True)
    assert "--password-stdin" in result.err


def at_a_terminal(home, args, answers):
    """Runs the tool with a terminal of its own: -> exit code and all that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(tool.binary(), [tool.binary(), *args], tool.clean_env(home))
    shown = b""
    for question, answer in answers:
        while question not in shown:
            shown += os.read(terminal, 1000)
        # the question stands there a moment before the echo is off
        time.sleep(0.3)
        os.write(terminal, answer)
    try:
        while data := os.read(terminal, 1000):
            shown += data
    except OSError:
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return status, shown.decode()


def test_login_asks_at_the_terminal_and_does_not_show_the_password(home, basic):
    code, shown = at_a_terminal(home, ["login", basic.host],
                                [(b"User name: ", b"joe\n"), (b"Password: ", b"secret-word\n")])
    assert code == 0 and "secret-word" not in shown
    assert basic_user(config(home), basic.host) == "joe"


def test_login_that_is_interrupted_at_the_question_ends(home, basic):
    code, _ = at_a_terminal(home, ["login", basic.host, "-u", "joe"], [(b"Password: ", b"\x03")])
    assert code == 130 and os.listdir(home["HOME"]) == []


@pytest.mark.parametrize("host", ["", "word", "oci:dir", "reg.example/a:tag", "https://reg.example", "a b.example"])
def test_login_wants_a_host(home, host):
    tool.fails(tool.USAGE, "login", host, "-u", "joe", "--password-stdin", env=home, input="x")


def test_a_helper_keeps_and_forgets_the_secret(tmp_path, home, basic, model):
    add_helper(tmp_path, HELPER)
    use_helper(home, basic)
    login(basic, home)
    assert "auths" not in config(home)
    kept = json.loads((tmp_path / "bin/secret").read_text())
    assert kept == {"ServerURL": basic.host, "Username": "joe", "Secret": "secret-word"}
    tool.ok("pack", model, basic.ref("a/helper:v1"), env=home)
    tool.ok("logout", basic.host, env=home)
    assert not (tmp_path / "bin/secret").exists()
    tool.fails(tool.NOT_FOUND, "logout", basic.host, env=home)


@pytest.mark.parametrize("text", ["{", "<html>", "[]"])
def test_login_leaves_a_file_that_makes_no_sense_alone(tmp_path, home, basic, text):
    (tmp_path / "bad.json").write_text(text)
    login(basic, home, "--authfile", tmp_path / "bad.json", run=tool.fails, code=[tool.MALFORMED])
    assert (tmp_path / "bad.json").read_text() == text
