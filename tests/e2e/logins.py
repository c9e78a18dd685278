"""What tests of logging in share: a user, and credential helpers of our own."""
import json
import os

import tool

USERS = {"joe": "secret-word"}


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
