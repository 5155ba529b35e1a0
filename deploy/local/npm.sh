#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches what the page and its tests use from the npm registry, once, into a cache of this user, and prints the folder it is in:
#
#   npm.sh uplot       the page's charts, compiled into the producer
#   npm.sh axe-core    finds what a screen reader stumbles over; tests/page

set -euo pipefail
# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/fetch.sh
. "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

package=${1:-}
case $package in
uplot) version=1.6.32 sum=4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d ;;
axe-core) version=4.14.1 sum=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745 ;;
*) die "usage: npm.sh uplot | axe-core" ;;
esac

# By npm where there is one, for it knows this machine's registry; it is no reason to install it.
download() { # INTO
	if command -v npm >/dev/null; then
		(cd "$1" && npm pack --silent --no-audit --no-fund --no-update-notifier "$package@$version" >/dev/null)
	else
		curl -fsSL --retry 3 --max-time 120 -o "$1/$package-$version.tgz" \
			"${NPM_CONFIG_REGISTRY:-https://registry.npmjs.org}/$package/-/$package-$version.tgz"
	fi
}

fill() { # DIR
	local file=$1/$package-$version.tgz
	download "$1" >"$1/download.log" 2>&1 || {
		cat "$1/download.log" >&2
		die "can't fetch $package $version from the npm registry"
	}
	echo "$sum  $file" | sha256sum --check --quiet >&2 || die "$package $version is not what it was"
	tar -xzf "$file" -C "$1" --strip-components=1
	rm -f "$1/download.log" "$file"
}

fetch_once "$CACHE/$package-$version" fill
echo "$CACHE/$package-$version"
