#!/usr/bin/env bash
# Every header compiles alone, with gcc and with clang where they are.
set -euo pipefail
cd "$(dirname "$0")/.."

flags=(-std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Wno-unused-parameter -Werror -fsyntax-only
	-Iliboci -Itools)
compilers=()
if command -v gcc >/dev/null; then compilers+=(gcc); fi
if command -v clang >/dev/null; then compilers+=(clang); elif command -v clang-14 >/dev/null; then compilers+=(clang-14); fi
[ ${#compilers[@]} -gt 0 ] || { echo "headers: no compiler" >&2; exit 1; }

mapfile -t headers < <(find liboci tools -name '*.h' | sort)
failed=0

while IFS= read -r header; do
	echo "$header: no #pragma once" >&2
	failed=1
done < <(grep -L '^#pragma once' "${headers[@]}" || true)

# A file each that includes one header, and as many compilers at once as there are processors.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for header in "${headers[@]}"; do
	printf '#include "%s"\n' "$PWD/$header" >"$work/${header//\//-}.c"
done
for cc in "${compilers[@]}"; do
	find "$work" -name '*.c' -print0 | xargs -0 -n 16 -P "$(nproc)" "$cc" "${flags[@]}" ||
		{ echo "headers: some do not compile alone ($cc)" >&2; failed=1; }
done
[ $failed -eq 0 ] && echo "headers: ${#headers[@]} compile alone (${compilers[*]})"
exit $failed
