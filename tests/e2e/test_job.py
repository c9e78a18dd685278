"""`modelcar job` prints what a cluster takes; deploy.sh returns the code of what ran there."""
import os
import subprocess

import pytest
import yaml

import kustomize
import tool
from manifests import validate

IMAGE = "reg.example/tools/modelcar:0.1.0"
REF = "reg.example/models/qwen2_7b:v1"
CLAIM = "pvc://ml:models/llm/qwen2"
KUBECTL = """#!/bin/sh
echo "$@" >>"$STATE/calls"
case "$*" in
*"create job"*) echo created ;;
*Complete*) [ "$(grep -c Complete "$STATE/calls")" -lt "${ENDED:-1}" ] || echo -n "$COMPLETE" ;;
*Failed*) echo -n "$FAILED" ;;
*exitCode*) echo -n "$CODE" ;;
*message*) echo "$MESSAGE" ;;
*"items["[0-9-]*) echo "error executing jsonpath: array index out of bounds: index -1, length 0" >&2; exit 1 ;;
*"get pods"*) [ "$(grep -c 'get pods' "$STATE/calls")" -lt "${BEGUN:-1}" ] || echo pod-1 ;;
*logs*) echo "the log"; exec sleep "${LOG_SECONDS:-0}" ;;
esac
"""


def job(*args) -> dict:
    return yaml.safe_load(tool.ok("job", "--image", IMAGE, *args).out)


@pytest.mark.parametrize("options", [(), ("--openshift",), ("--cron", "*/10 * * * *"), ("--suspend", "--secret", "s.x"),
                                     ("--cron", "@daily", "--suspend", "--openshift"), ("--ca-config-map", "ca", "--plain-http"),
                                     ("--publish", "version", "--name", "mine")])
def test_what_is_printed_is_a_valid_manifest(options):
    document = job(REF, CLAIM, *options)
    validate(document)
    assert document["kind"] == ("CronJob" if "--cron" in options else "Job")
    assert document["metadata"]["namespace"] == "ml"


def test_the_claim_is_mounted_where_pull_looks_for_it():
    pod = job(REF, CLAIM, "--secret", "s")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["args"][-2:] == [REF, CLAIM] and "--pvc-root=/pvc" in container["args"]
    assert container["volumeMounts"][0]["mountPath"] == "/pvc/ml/models"
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "models"


def test_the_name_follows_from_the_job_and_stays_with_a_cron_job():
    name = (lambda *a: job(*a)["metadata"]["name"])
    assert name(REF, CLAIM) == name(REF, CLAIM) != name(REF.replace("v1", "v2"), CLAIM)
    assert name(REF, CLAIM).startswith("pull-qwen2-7b-")
    cron = ("--cron", "@daily")
    assert name(REF, CLAIM, *cron) == name(REF.replace("v1", "v2"), CLAIM, *cron) != name(REF, CLAIM + "x", *cron)
    assert len(name("reg.example/" + "x" * 200 + ":v1", CLAIM, *cron)) <= 52


def test_openshift_gets_no_user():
    context = job(REF, CLAIM, "--openshift")["spec"]["template"]["spec"]["securityContext"]
    assert set(context) == {"runAsNonRoot", "seccompProfile"}


def without_place(spec: dict) -> dict:
    """What a Job does, without what model, from whom and whereto."""
    pod = spec["template"]["spec"]
    for key in ("image", "args", "env", "volumeMounts"):
        pod["containers"][0].pop(key, None)
    pod.pop("volumes")
    return spec


@pytest.mark.parametrize("openshift", [(), ("--openshift",)], ids=["", "openshift"])
def test_it_has_what_the_manifests_of_deploy_have(openshift):
    root = tool.ROOT / "deploy/populate" / ("openshift" if openshift else "base")
    base = next(d for d in kustomize.build(root) if d["kind"] == "Job")["spec"]
    assert without_place(job(REF, CLAIM, *openshift)["spec"]) == without_place(base)


@pytest.mark.parametrize("openshift", [(), ("--openshift",)], ids=["", "openshift"])
def test_a_cron_job_has_what_that_of_deploy_has(openshift):
    root = tool.ROOT / "deploy/populate" / ("cron-openshift" if openshift else "cron")
    base = next(d for d in kustomize.build(root) if d["kind"] == "CronJob")["spec"]
    ours = job(REF, CLAIM, *openshift, "--cron", base["schedule"], "--publish", "version")["spec"]
    words = base["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert words[:3] == ours["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"][:3]
    for spec in (ours, base):
        without_place(spec["jobTemplate"]["spec"])
    assert ours == base


@pytest.mark.parametrize("args", [("oci:/tmp/x:v1", CLAIM), (REF, "/data/x"), (REF, "pvc://models"), (REF, 'pvc://models/a"b'),
                                  (REF, "pvc://models/$(HOME)"), ("--cron", "every; day", REF, CLAIM),
                                  ("--name", "Not A Name", REF, CLAIM), ("--secret", "a\nb", REF, CLAIM),
                                  ("--name", "a" * 64, REF, CLAIM), ("--image", f"docker://{IMAGE}", REF, CLAIM),
                                  ("--cron", "* * * *", REF, CLAIM), ("--cron", "0 * * * * *", REF, CLAIM),
                                  ("--cron", "@never", REF, CLAIM), ("--cron", "@every day", REF, CLAIM),
                                  ("--cron", "@daily", "--name", "a" * 53, REF, CLAIM)])
def test_what_no_manifest_can_say_is_refused(args):
    tool.fails(tool.USAGE, "job", "--image", IMAGE, *args)


@pytest.mark.parametrize("claim, words", [
    ("pvc://ML:models/x", "no namespace: up to 63 lower-case"), (f"pvc://{'n' * 64}:models/x", "no namespace"),
    ("pvc://te.am:models/x", "no namespace"), ("pvc://Models/x", "no claim: up to 253 lower-case"),
    (f"pvc://{'c' * 254}/x", "no claim"), ("pvc://ml:models", "no path"), ("pvc://ml:models/../x", "not clean")])
def test_a_claim_that_cannot_be_says_which_part_is_wrong(claim, words):
    assert words in tool.fails(tool.USAGE, "job", "--image", IMAGE, REF, claim).err


@pytest.mark.parametrize("args", [
    ("--cron", "@every 1h30m", REF, CLAIM), ("--cron", " 0  */2 1,15 JAN-MAR MON ", REF, CLAIM),
    ("--cron", "@hourly", "--name", "a" * 52, REF, CLAIM), ("--name", "a" * 63, REF, CLAIM),
    (f"reg.example/{'x/' * 115}y:{'t' * 128}", CLAIM), ("[::1]:5000/x@sha256:" + "a" * 64, CLAIM),
    ("docker://reg.example/x:v1", CLAIM), ("reg.example/a__b.c---d:V_1", f"pvc://{'n' * 63}:{'c.' * 126}c/{'p' * 200}/~x y")])
def test_odd_and_long_names_are_valid_manifests(args):
    document = job(*args)
    validate(document)
    assert len(document["metadata"]["name"]) <= (52 if "--cron" in args else 63)


def test_the_image_must_be_named():
    assert "--image" in tool.fails(tool.USAGE, "job", REF, CLAIM).err
    tool.ok("job", REF, CLAIM, env={"MODELCAR_IMAGE": IMAGE})


def test_pull_to_a_claim_from_outside_says_how(tmp_path):
    assert f"modelcar job REF {CLAIM} | kubectl apply -f -" in tool.fails(tool.USAGE, "pull", REF, CLAIM).err


def test_pull_makes_the_directories_of_a_claim(tmp_path, packed):
    (tmp_path / "models").mkdir()
    tool.ok("pull", "--pvc-root", tmp_path, f"oci:{packed}:v1", "pvc://models/a/b/c")
    assert (tmp_path / "models/a/b/c/config.json").is_file()


def deploy(tmp_path, **answers: str) -> subprocess.CompletedProcess:
    """deploy.sh with a stand-in for kubectl, which answers as the API would."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    return subprocess.run([tool.ROOT / "deploy/pipelines/deploy.sh", "ml"], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "KUBECTL": str(kubectl), "STATE": str(tmp_path), **answers})


@pytest.mark.parametrize("complete, failed, code, want", [("True", "", "", 0), ("", "True", "30", 30), ("", "True", "", 1)])
def test_deploy_sh_returns_the_exit_code(tmp_path, complete, failed, code, want):
    run = deploy(tmp_path, COMPLETE=complete, FAILED=failed, CODE=code, MESSAGE='{"code":30}', POLL_SECONDS="0")
    assert run.returncode == want, run.stderr
    assert "create job pull-model-" in (tmp_path / "calls").read_text()
    assert want != 30 or '{"code":30}' in run.stderr


def test_deploy_sh_waits_for_a_pod_that_has_not_begun_and_follows_its_log(tmp_path):
    """At first no pod is there: a query by index would fail then, as kubectl's does."""
    run = deploy(tmp_path, COMPLETE="True", FAILED="", CODE="", MESSAGE="", POLL_SECONDS="0", BEGUN="3", ENDED="5")
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("the log") == 1


@pytest.mark.parametrize("seconds", ["0", "1"], ids=["at-once", "while-it-follows"])
def test_deploy_sh_gives_up_waiting_and_says_so(tmp_path, seconds):
    """A log that goes on for longer than the deadline does not hold it up: the run would be ended by its own limit."""
    run = deploy(tmp_path, COMPLETE="", FAILED="", CODE="", MESSAGE="", TIMEOUT_SECONDS=seconds, POLL_SECONDS="0.1",
                 LOG_SECONDS="3600")
    assert run.returncode == 41 and "still runs" in run.stderr
