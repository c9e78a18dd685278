"""Credentials: where they are found and kept, and what is said when they are wrong."""
import base64
import json
import os
import pty
import stat
import time

import pytest

import tool
from front import Front
from servers import Authority, DockerRegistry, TokenServer, write_authfile

USERS = {"joe": "secret-word"}
HELPER = """#!/bin/sh
# A credential helper that keeps one secret in a file beside it.
store=$(dirname "$0")/secret
case "$1" in
store) cat > "$store" ;;
get) [ -e "$store" ] && cat "$store" || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f "$store" ;;
esac
"""


@pytest.fixture(scope="module")
def basic(tmp_path_factory):
    server = DockerRegistry(tmp_path_factory.mktemp("basic"), users=USERS)
    yield server
    server.close()


@pytest.fixture
def home(tmp_path):
    """The environment of a user with an empty home."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}


def login(server, home, *flags, word="secret-word", run=tool.ok, code=()):
    return run(*code, "login", server.host, "-u", "joe", "--password-stdin", *flags, env=home, input=word + "\n")


def config(home):
    return json.loads(open(f"{home['HOME']}/.docker/config.json").read())


def add_helper(tmp_path, text: str, name: str = "testing") -> None:
    (tmp_path / "bin").mkdir(exist_ok=True)
    path = tmp_path / f"bin/docker-credential-{name}"
    path.write_text(text)
    path.chmod(0o755)


def use_helper(home, server, name: str = "testing") -> None:
    os.makedirs(f"{home['HOME']}/.docker", exist_ok=True)
    with open(f"{home['HOME']}/.docker/config.json", "w") as file:
        json.dump({"credHelpers": {server.host: name}}, file)


# login and logout

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


# where they are found

def test_several_files_are_one(tmp_path, home, basic):
    write_authfile(tmp_path / "one.json", "other.example", "x", "y")
    write_authfile(tmp_path / "two.json", basic.host, "joe", "secret-word")
    files = ["--authfile", tmp_path / "one.json", "--authfile", tmp_path / "two.json"]
    tool.fails(tool.NOT_FOUND, "ls", basic.ref("no/such:v1"), *files, env=home)
    tool.fails(tool.REFUSED, "ls", basic.ref("no/such:v1"), *files[:2], env=home)


@pytest.mark.parametrize("name", [".dockerconfigjson", ".dockercfg"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_mounted_kubernetes_secret(tmp_path, home, basic, name, whole):
    """As kubelet mounts it: the name is a link to a link; the directory may be named as well as the file."""
    data = tmp_path / "secret/..2026"
    data.mkdir(parents=True)
    write_authfile(data / name, basic.host, "joe", "secret-word")
    if name == ".dockercfg":
        (data / name).write_text(json.dumps(json.loads((data / name).read_text())["auths"]))
    (tmp_path / "secret/..data").symlink_to("..2026")
    (tmp_path / "secret" / name).symlink_to(f"..data/{name}")
    place = tmp_path / "secret" if whole else tmp_path / "secret" / name
    tool.fails(tool.NOT_FOUND, "ls", basic.ref("no/such:v1"), "--authfile", place, env=home)


def test_an_identity_token_is_posted(tmp_path, home, start, model):
    tokens = start(TokenServer, "tokens", users=USERS, identities={"IDENTITY-TOKEN": "joe"})
    server = start(DockerRegistry, "guarded", token=tokens)
    for token, expected in (("IDENTITY-TOKEN", tool.OK), ("OLD-TOKEN", tool.REFUSED)):
        (tmp_path / "c.json").write_text(json.dumps({"auths": {server.host: {"identitytoken": token}}}))
        result = tool.run("pack", model, server.ref("a/tiny:v1"), "--authfile", tmp_path / "c.json", env=home)
        assert result.code == expected and token not in result.err, str(result)
    assert {asked["method"] for asked in tokens.asked} == {"POST"}


# what is wrong, and what to do

@pytest.mark.parametrize("text", ["{", "<html>", "[]", '{"auths": {"HOST": {"auth": "%%%"}}}'])
def test_a_file_that_makes_no_sense_is_named(tmp_path, home, basic, text):
    (tmp_path / "bad.json").write_text(text.replace("HOST", basic.host))
    result = tool.fails(tool.MALFORMED, "ls", basic.ref("a/x:v1"), "--authfile", tmp_path / "bad.json", env=home)
    assert "bad.json" in result.err


@pytest.mark.parametrize("text", ["{", "<html>", "[]"])
def test_login_leaves_a_file_that_makes_no_sense_alone(tmp_path, home, basic, text):
    (tmp_path / "bad.json").write_text(text)
    login(basic, home, "--authfile", tmp_path / "bad.json", run=tool.fails, code=[tool.MALFORMED])
    assert (tmp_path / "bad.json").read_text() == text


BAD_HELPERS = {"garbage": "echo no JSON, but SECRET", "fails": "echo SECRET; echo SECRET >&2; exit 3",
               "silent": "exit 0", "flood": "head -c 3000000 /dev/zero"}


@pytest.mark.parametrize("how", BAD_HELPERS)
def test_a_helper_that_misbehaves_is_named_and_what_it_says_is_not_shown(tmp_path, home, basic, how):
    add_helper(tmp_path, "#!/bin/sh\n" + BAD_HELPERS[how])
    use_helper(home, basic)
    result = tool.fails(tool.REFUSED, "ls", basic.ref("a/x:v1"), env=home)
    assert "docker-credential-testing" in result.err and "SECRET" not in result.err


def test_a_helper_that_is_not_installed_is_named(home, basic):
    use_helper(home, basic, "absent")
    result = tool.fails(tool.REFUSED, "ls", basic.ref("a/x:v1"), env=home)
    assert "docker-credential-absent" in result.err and "install" in result.err


def test_a_helper_that_hangs_is_ended(tmp_path, home, basic):
    add_helper(tmp_path, "#!/bin/sh\necho $$ > \"$0.pid\"\nexec sleep 600")
    use_helper(home, basic)
    result = tool.fails(tool.REFUSED, "ls", basic.ref("a/x:v1"), env=home)
    assert "no answer for 30 s" in result.err
    assert not os.path.exists(f"/proc/{(tmp_path / 'bin/docker-credential-testing.pid').read_text().strip()}")


def test_a_web_page_in_the_place_of_a_registry(tmp_path, home, start):
    page = start(Front, "page", rule=lambda seen: (200, {"Content-Type": "text/html"}, b"<html>hello</html>"))
    assert "web page" in tool.fails(tool.MALFORMED, "ls", f"{page.host}/a/x:v1", env=home).err
    assert "web page" in login(page, home, run=tool.fails, code=[tool.MALFORMED]).err


def test_a_token_service_that_is_a_web_page(home, start):
    page = start(Front, "page", rule=lambda seen: (200, {"Content-Type": "text/html"}, b"<html>hello</html>"))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{page.host}/token",service="s"'}
    front = start(Front, "front", rule=lambda seen: (401, challenge, b""))
    assert f"{page.host}/token: a web page" in tool.fails(tool.MALFORMED, "ls", f"{front.host}/a/x:v1", env=home).err


def test_a_token_service_that_is_down_is_asked_by_one_level_of_retries_alone(home, start):
    tokens = start(Front, "tokens", rule=lambda seen: (503, {}, b""))
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{tokens.host}/token",service="s"'}
    front = start(Front, "front", rule=lambda seen: (401, challenge, b""))
    result = tool.fails(tool.NETWORK, "ls", f"{front.host}/a/x:v1", env=home)
    assert f"{tokens.host}/token: status 503" in result.err
    assert len(tokens.seen) == 5


# who may write

def refuse(status: int, code: str):
    def rule(seen):
        if seen.method in ("POST", "PUT", "PATCH"):
            return status, {"Content-Type": "application/json"}, json.dumps({"errors": [{"code": code}]}).encode()
        return None
    return rule


@pytest.mark.parametrize("status, code, exit_code", [(403, "DENIED", tool.REFUSED), (401, "UNAUTHORIZED", tool.REFUSED),
                                                     (405, "UNSUPPORTED", tool.READ_ONLY)])
def test_who_may_not_write_is_told_before_anything_is_sent(home, start, registry, model, status, code, exit_code):
    front = start(Front, "front", target=registry.host, rule=refuse(status, code))
    tool.fails(exit_code, "pack", model, f"{front.host}/may/not:v1", env=home)
    assert [seen.method for seen in front.seen if seen.method not in ("GET", "HEAD")] == ["POST"]


def test_who_may_only_read_may_pack_what_is_there_already(home, start, registry, pushed, model):
    front = start(Front, "front", target=registry.host, rule=refuse(403, "DENIED"))
    tool.ok("pack", model, pushed.replace(registry.host, front.host), env=home)
    assert {seen.method for seen in front.seen} <= {"GET", "HEAD"}


def test_a_token_for_reading_alone_is_no_leave_to_write(tmp_path, home, start, model):
    """The service grants what it can, and says nothing of what it does not."""
    tokens = start(TokenServer, "tokens", users={}, anonymous_pull=True)
    server = start(DockerRegistry, "guarded", token=tokens)
    front = start(Front, "front", target=server.host)
    tool.fails(tool.REFUSED, "pack", model, f"{front.host}/a/tiny:v1", env=home)
    assert not [seen for seen in front.seen if seen.method in ("PATCH", "PUT")]


def test_a_token_service_over_plain_http_gets_nothing_from_a_registry_with_https(tmp_path, home, start):
    authority = Authority(tmp_path / "authority")
    tokens = start(TokenServer, "tokens", users=USERS)
    server = start(DockerRegistry, "guarded", token=tokens, authority=authority)
    authfile = write_authfile(tmp_path / "c.json", server.host, "joe", "secret-word")
    result = tool.fails(tool.REFUSED, "ls", server.ref("a/x:v1"), "--authfile", authfile,
                        "--ca-file", authority.certificate, env=home)
    assert "plain http" in result.err and tokens.asked == []
