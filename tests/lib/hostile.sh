# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Hostile traffic beside an honest client whose waits are measured: for a machine with nothing else to do.

part_hostile() {
	# What is shipped, so that its waits can be told.
	configure_and_build "$BUILD/release" all -DCMAKE_BUILD_TYPE=Release -DCARILLON_TESTS=OFF || return 1
	faults_servers || return 1
	export CARILLON_BIN_DIR=$BUILD/release
	count_pytest hostile system "$@" hostile
}
