#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that are missing: packages.sh build|run|test ...
# Says nothing and takes no time when all are there.

set -euo pipefail

build=(
	gcc libc6-dev cmake ninja-build pkg-config
	librdkafka-dev libpq-dev libcurl4-openssl-dev libavro-dev libev-dev libmicrohttpd-dev
	libjansson-dev libssl-dev uthash-dev
	curl ca-certificates
)
run=(
	postgresql openssl curl kcat maven default-jre-headless ca-certificates
)
test=(
	libcmocka-dev clang libclang-rt-dev clang-format clang-tidy shellcheck
	python3 python3-venv libtap-parser-sourcehandler-pgtap-perl
	prometheus systemd binutils patch chromium
)

missing() {
	local package
	for package in "$@"; do
		[[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
			echo "$package"
	done
}

as_root() {
	if [[ $(id -u) == 0 ]]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "These packages are missing and there is neither root nor sudo: ${wanted[*]}" >&2
		return 1
	fi
}

install() {
	local wanted
	mapfile -t wanted < <(missing "$@")
	((${#wanted[@]})) || return 0
	if ! command -v apt-get >/dev/null; then
		echo "Not a Debian-like system; install what gives: ${wanted[*]}" >&2
		return 1
	fi
	echo "Installing ${wanted[*]}"
	as_root apt-get update -qq >/dev/null
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
}

list=()
for set in "$@"; do
	case $set in
	build) list+=("${build[@]}") ;;
	run) list+=("${run[@]}") ;;
	test) list+=("${test[@]}") ;;
	*)
		echo "usage: packages.sh build|run|test ..." >&2
		exit 2
		;;
	esac
done
install "${list[@]}"

# pgTAP comes for a version of PostgreSQL, known once that is installed.
if [[ " $* " == *" test "* ]]; then
	# shellcheck source=deploy/local/postgres.sh
	bin=$("$(dirname "${BASH_SOURCE[0]}")/postgres.sh" bindir)
	version=${bin%/bin}
	install "postgresql-${version##*/}-pgtap"
fi
