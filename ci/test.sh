#!/usr/bin/env bash
# Everything CI runs. Ends with what was skipped, by name, and one line:
# N passed, N failed, N skipped.
#
#   ci/test.sh [--full]   --full adds: long tests and the whole of the matrices of which a
#                         seeded sample runs otherwise, all C tests under ThreadSanitizer,
#                         and the end-to-end tests with the release binary as well
#   BUILD                 build directory (default build-test); -asan and -tsan stand beside it
#   CC                    the compiler (default: meson's choice)
#   MODELCAR_SEED         seed of what tests draw at random (default: the day)
set -uo pipefail
cd "$(dirname "$0")/.."

full=no
[ "${1:-}" = --full ] && full=yes && export MODELCAR_FULL=1
build=$(realpath -m "${BUILD:-build-test}")
cache=${MODELCAR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/modelcar}
python=${MODELCAR_VENV:-$cache/venv}/bin/python
results=$build/results
export MODELCAR_SEED=${MODELCAR_SEED:-$(date -u +%Y%m%d)} PYTHONDONTWRITEBYTECODE=1
broken=()
wrap=() # a command that runs the tests
parallel=() # of tests that mostly wait: many at once
few=()      # of tests that work: as many as keep the processors busy while some wait

say() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

# step NAME COMMAND…: a failure is counted and the rest runs on.
step()
{
	local name=$1
	shift
	say "$name"
	"$@" || broken+=("$name")
}

# tests NAME REPORT COMMAND…: the same, where failures are counted from the report.
tests()
{
	local name=$1 report=$results/$2.xml
	shift 2
	say "$name"
	"$@" "$report" || grep -qsE '<(failure|error)\b' "$report" || broken+=("$name")
}

configure()
{
	local dir=$1
	shift
	local how=setup
	[ -f "$dir/build.ninja" ] && how=configure
	meson "$how" "$dir" "$@" >"$results/setup.log" 2>&1 || { cat "$results/setup.log"; return 1; }
	ninja -C "$dir" --quiet
}

# c_tests DIR ARG… REPORT
c_tests()
{
	local dir=$1 report=${*: -1} code=0
	"${wrap[@]}" meson test -C "$dir" --no-rebuild --print-errorlogs "${@:2:$#-2}" || code=$?
	cp "$dir/meson-logs/testlog.junit.xml" "$report"
	return $code
}

# e2e BUILD ARG… REPORT
e2e()
{
	local report=${*: -1}
	MODELCAR=$1/tools/modelcar MODELCAR_RELEASE=$build/tools/modelcar "${wrap[@]}" "$python" -m pytest -q --tb=short \
		-p no:cacheprovider --junitxml="$report" "${@:2:$#-2}"
}

# What runs beside other steps, its output kept for the summary of its own step: await PID LOG
await()
{
	local code=0
	wait "$1" || code=$?
	cat "$2"
	return $code
}

# Tests of C code that runs in more than one thread.
threaded()
{
	grep -lE 'workers|pthread|threads' tests/unit/*/test_*.c | sed -E 's|tests/unit/(.*)/test_(.*)\.c|\1/\2|'
	echo store/memory store/layout store/archive
}

thread_tests()
{
	local tests=()
	[ $full = yes ] || read -r -d '' -a tests < <(threaded)
	c_tests "$build-tsan" "${tests[@]}" "$1"
}

ci/deps.sh || exit 1
"$python" -c "import xdist" 2>/dev/null && parallel=(-n 12) few=(-n 3 --dist loadfile)
mkdir -p "$results"
rm -f "$results"/*.xml
echo "MODELCAR_SEED=$MODELCAR_SEED"

step "static checks" env PYTHON="$python" ci/check.sh
step "release build" configure "$build" -Dwerror=true -Dbuildtype=release
tests "C tests" c c_tests "$build" --suite unit --suite store
# These mostly wait: they do it while the others work.
e2e "$build" tests/e2e/test_faults.py tests/e2e/test_crash*.py "${parallel[@]}" "$results/e2e-faults.xml" \
	>"$results/e2e-faults.log" 2>&1 &
faults=$!
trap 'kill $faults 2>/dev/null' EXIT
step "build with AddressSanitizer and UndefinedBehaviorSanitizer" configure "$build-asan" -Dwerror=true \
	-Dbuildtype=debugoptimized -Db_sanitize=address,undefined
tests "C tests, sanitized" c-asan c_tests "$build-asan" --suite unit --suite store
tests "end to end, sanitized" e2e-asan e2e "$build-asan" tests/e2e -m "not heavy" \
	--ignore tests/e2e/test_faults.py --ignore-glob '*/test_crash*.py' "${few[@]}"
tests "faults" e2e-faults await $faults "$results/e2e-faults.log"
tests "end to end, heavy data" e2e-heavy e2e "$build" tests/e2e -m heavy
step "build with ThreadSanitizer" configure "$build-tsan" -Dbuildtype=debugoptimized -Db_sanitize=thread
# ThreadSanitizer cannot place its shadow where addresses are too random.
setarch "$(uname -m)" -R true 2>/dev/null && wrap=(setarch "$(uname -m)" -R)
tests "C tests in threads" c-tsan thread_tests
tests "end to end in threads" e2e-tsan e2e "$build-tsan" tests/e2e/test_pull.py -k "byte_for_byte or umask"
[ $full = yes ] && tests "end to end, release" e2e-release e2e "$build" tests/e2e -m "not heavy"

say "summary"
"$python" ci/summary.py "$results" "${broken[@]}"
