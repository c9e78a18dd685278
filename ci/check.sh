#!/usr/bin/env bash
# Every static check; a few seconds. Each prints one line or what is wrong.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=0
for check in check-arrows.py check-headers.sh check-length.py check-banned.sh check-docs.py check-tests.py; do
	case $check in
	*.py) "${PYTHON:-python3}" "ci/$check" || failed=1 ;;
	*) bash "ci/$check" || failed=1 ;;
	esac
done
exit $failed
