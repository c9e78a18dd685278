#!/usr/bin/env bash
# The main job from a clean clone: builds, packs a model directory into an OCI
# layout, looks at it, pulls it, verifies it, changes one file and shows what
# that costs. No server, no cluster.
#
#   ci/demo.sh [DIR]   DIR: a model directory (default: a small real model)
#   BUILD              build directory (default: build)
set -euo pipefail
source=${1:+$(realpath -e "$1")}
cd "$(dirname "$0")/.."

build=$(realpath -m "${BUILD:-build}")
cache=${MODELCAR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/modelcar}
python=${MODELCAR_VENV:-$cache/venv}/bin/python

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }

# Shows a command as a user types it, and runs it.
show()
{
	printf '$ %s\n' "$*"
	"$@"
}

# Where an installed Python package lies; nothing of it runs.
package_dir()
{
	"$python" -c 'import importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1])
print(spec.submodule_search_locations[0] if spec else "")' "$1"
}

card()
{
	printf -- '---\nlicense: %s\npipeline_tag: %s\n---\n# %s\n\n%s\n' "$1" "$2" "$3" "$4"
}

# silero-vad finds speech in sound; its package ships the weights in several formats.
take_silero()
{
	local package
	package=$(package_dir silero_vad)
	[ -n "$package" ] || return 1
	mkdir -p "$1"
	install -m 0644 "$package"/data/{silero_vad_16k.safetensors,silero_vad.onnx,silero_vad_half.onnx} "$1/" &&
		cp "$package"/../silero_vad-*.dist-info/licenses/LICENSE "$1/LICENSE" || return 1
	card mit voice-activity-detection "Silero VAD" "Tells speech from silence and noise." >"$1/README.md"
}

# magika names the type of a file; its package ships an ONNX model with its configuration.
take_magika()
{
	local package
	package=$(package_dir magika)
	[ -n "$package" ] || return 1
	mkdir -p "$1"
	cp "$package"/models/*/* "$1/" || return 1
	card apache-2.0 text-classification "Magika" "Names the type of a file by its content." >"$1/README.md"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "what the build needs"
if [ -n "$source" ]; then ci/deps.sh --build; else ci/deps.sh --demo; fi
say "the build"
[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null
ninja -C "$build" --quiet tools/modelcar
PATH=$build/tools:$PATH

if [ -n "$source" ]; then
	cp -rL "$source" "$work/model"
else
	take_silero "$work/model" || take_magika "$work/model" || { echo "no model to show; give a directory" >&2; exit 1; }
fi
cd "$work"

say "a model directory"
ls -l model
show modelcar check model

say "pack it into an OCI layout: a runnable image, the weights lowest, one layer a file"
show modelcar pack model oci:images:v1
say "what was made"
show modelcar inspect oci:images:v1

say "pull it: every byte is checked, and the directory appears by one rename"
show modelcar pull oci:images:v1 landed
show diff -r -x .modelcar.json model landed && echo "the trees are equal" ||
	echo "(empty directories are not packed, nor what 'pack --dry-run' lists as skipped)"

say "prove the tree against its manifest, without the source"
show modelcar verify --full landed

say "change one small file and pack again: the weights are there already"
echo '{"note": "changed by the demo"}' >model/demo.json
show modelcar pack model oci:images:v2
say "what changed, and what it costs to go from v1 to v2"
show modelcar diff oci:images:v1 oci:images:v2 || [ $? -eq 3 ]

say "a damaged file is found"
weights=$(find landed -type f ! -name '.modelcar*' -printf '%s %P\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
head -c 1 "landed/$weights" | tr '\0-\377' '\1-\377\0' >damage
dd if=damage of="landed/$weights" conv=notrunc status=none
show modelcar verify landed || echo "exit $?: the tree is damaged, and it says where"
