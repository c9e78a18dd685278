#!/usr/bin/env python3
"""Run the conformance suite against Debian's docker-registry on a free loopback port.

    run_registry.py path/to/test_store

Exits with the suite's code; 77 (skipped) where docker-registry is not installed.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

CONFIG = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {root}}}
  delete: {{enabled: true}}
http: {{addr: 127.0.0.1:{port}}}
"""
START_SECONDS = 20


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_live(server, port):
    deadline = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline and server.poll() is None:
        try:
            opener.open(f"http://127.0.0.1:{port}/v2/", timeout=1).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


def run_suite(suite, directory, log):
    port = free_port()
    config = directory / "config.yml"
    config.write_text(CONFIG.format(root=directory / "data", port=port))
    server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        if not wait_live(server, port):
            print("docker-registry did not start", file=sys.stderr)
            return 1
        env = dict(os.environ, STORE_REGISTRY=f"127.0.0.1:{port}/store")
        return subprocess.run([suite, "registry"], env=env, check=False).returncode
    finally:
        server.terminate()
        server.wait()


def main():
    if not shutil.which("docker-registry"):
        print("skipped: docker-registry is not installed", file=sys.stderr)
        return 77
    with tempfile.TemporaryDirectory(prefix="oci-registry-") as name:
        directory = pathlib.Path(name)
        log_path = directory / "log"
        with log_path.open("wb") as log:
            code = run_suite(sys.argv[1], directory, log)
        if code not in (0, 77):
            sys.stderr.write(log_path.read_text(errors="replace"))
        return code


if __name__ == "__main__":
    sys.exit(main())
