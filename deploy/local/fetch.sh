# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A cache that all stacks of this user share. To be sourced.

# fetch_once DIR FUNCTION: FUNCTION fills the empty directory given as its argument; DIR appears only whole.
# Two stacks that start at once fetch once.
fetch_once() {
	local target=$1 fill=$2 unfinished
	[[ ! -d $target ]] || return 0
	mkdir -p "$(dirname "$target")"
	(
		flock 9
		[[ ! -d $target ]] || exit 0
		unfinished=$(mktemp -d "$target.XXXXXX")
		trap 'rm -rf "$unfinished"' EXIT
		"$fill" "$unfinished"
		mv "$unfinished" "$target"
		trap - EXIT
	) 9>"$target.lock"
}
