# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# pytest with Chromium against the real processes. What the page looked like is left in $WORK/page.

part_page() {
	build_asan || return 1
	python_env page || return 1
	"$ROOT/deploy/local/kafka.sh" fetch || return 1
	"$ROOT/deploy/local/registry.sh" fetch || return 1
	AXE_DIR=$("$ROOT/deploy/local/npm.sh" axe-core) || return 1
	export AXE_DIR CARILLON_PAGE_ARTIFACTS=$WORK/page
	count_pytest page page "$@"
}
