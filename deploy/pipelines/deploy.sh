#!/bin/sh
# Starts a Job from a CronJob (suspended or not), follows its log, and returns modelcar's exit code.
#
#   deploy.sh NAMESPACE [CRONJOB]      TIMEOUT_SECONDS (default 7200), KUBECTL (default kubectl)
set -eu

namespace=${1:?"usage: $0 NAMESPACE [CRONJOB]"} cronjob=${2:-pull-model}
kubectl=${KUBECTL:-kubectl} deadline=$(($(date +%s) + ${TIMEOUT_SECONDS:-7200}))
job=$cronjob-$(date -u +%Y%m%d%H%M%S)-$$

k() { "$kubectl" --namespace "$namespace" "$@"; }

# condition TYPE: "True" when the Job has it
condition() { k get job "$job" -o "jsonpath={.status.conditions[?(@.type==\"$1\")].status}"; }

# newest [OPTION]: the last pod's name, or nothing; an index into a list without pods would be an error of kubectl's
newest() { k get pods -l "job-name=$job" "$@" --sort-by=.metadata.creationTimestamp \
	-o 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | tail -n 1; }

# ended POD FIELD: of where its container ended
ended() { k get pod "$1" -o "jsonpath={.status.containerStatuses[0].state.terminated.$2}" || true; }

# follow POD: its log, beside us, so that the deadline holds while it runs; kubectl itself, so that it can be ended
follow() { "$kubectl" --namespace "$namespace" logs --follow "$1" >&2 & follower=$!; }

# read_on: until the log that is followed has ended, which it does with its container
read_on() { [ -z "$follower" ] || wait "$follower" || true; follower=; }

stop() { [ -z "$follower" ] || kill "$follower" 2>/dev/null || true; }

k create job "$job" --from="cronjob/$cronjob" >&2
seen= follower=
trap stop EXIT
while :; do
	if [ "$(condition Complete)" = True ]; then
		read_on
		exit 0
	fi
	if [ "$(condition Failed)" = True ]; then
		read_on
		pod=$(newest)
		[ -z "$pod" ] || ended "$pod" message >&2
		code=$([ -z "$pod" ] || ended "$pod" exitCode)
		exit "${code:-1}" # no code: no container ran; kubectl describe pod says why
	fi
	if [ "$(date +%s)" -ge "$deadline" ]; then
		echo "$job still runs after ${TIMEOUT_SECONDS:-7200} s; it goes on without us" >&2
		k get events --field-selector involvedObject.kind=Pod --sort-by=.lastTimestamp >&2
		exit 41
	fi
	pod=$(newest --field-selector=status.phase!=Pending)
	if [ -n "$pod" ] && [ "$pod" != "$seen" ]; then
		read_on # of the pod before, which has ended
		seen=$pod
		follow "$pod"
	fi
	sleep "${POLL_SECONDS:-5}"
done
