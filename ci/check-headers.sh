#!/usr/bin/env bash
# Every header compiles alone, with each compiler that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

flags=(-std=gnu17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Wno-unused-parameter -Werror -fsyntax-only
	-Iliboci -Itools)
compilers=()
for cc in gcc clang clang-14; do
	if command -v "$cc" >/dev/null; then compilers+=("$cc"); fi
done
[ ${#compilers[@]} -gt 0 ] || { echo "headers: no compiler" >&2; exit 1; }

failed=0 count=0
while IFS= read -r header; do
	count=$((count + 1))
	grep -q '^#pragma once' "$header" || { echo "$header: no #pragma once" >&2; failed=1; }
	for cc in "${compilers[@]}"; do
		"$cc" "${flags[@]}" -include "$header" -x c /dev/null ||
			{ echo "$header: does not compile alone ($cc)" >&2; failed=1; }
	done
done < <(find liboci tools -name '*.h' | sort)
[ $failed -eq 0 ] && echo "headers: $count compile alone (${compilers[*]})"
exit $failed
