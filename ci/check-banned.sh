#!/usr/bin/env bash
# Functions that are not used here, and things that belong elsewhere.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0

# forbid WHAT PATTERN PATH…: no line of code under PATH… matches PATTERN, comments aside.
forbid()
{
	local what=$1 pattern=$2 hits
	shift 2
	hits=$(grep -rnP --include='*.c' --include='*.h' -e "(?<![\w>.])$pattern" "$@" |
		grep -vE '^[^:]+:[0-9]+:\s*(/\*|\*|//)' || true)
	if [ -n "$hits" ]; then
		printf '%s:\n%s\n' "$what" "$hits" >&2
		failed=1
	fi
}

forbid 'not bounded, not checked or not thread-safe' \
	'(strcpy|strcat|stpcpy|v?sprintf|strtok|ato(i|l|ll|f)|strto(l|ul|ll|ull)|gets|s?scanf) ?\(' \
	liboci tools
forbid 'runs a shell or guesses a name' '(system|popen|mktemp|tmpnam|tempnam) ?\(' liboci tools
forbid 'shares a static buffer' '(gmtime|localtime|ctime|asctime|strerror|getpwuid|readdir_r|basename|dirname) ?\(' liboci
forbid 'the library prints' '((printf|vprintf|puts|putchar|perror) ?\(|(stdout|stderr)\b)' liboci
forbid 'the library ends the process' '(exit|_exit|abort) ?\(' liboci
forbid 'paths are resolved in base/fs.c' '(realpath|chdir|fchdir|canonicalize_file_name) ?\(' \
	$(find liboci tools -name '*.c' ! -path 'liboci/base/fs.c')

[ $failed -eq 0 ] && echo "banned: none"
exit $failed
