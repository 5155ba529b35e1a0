# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Fetches Java programs from Maven Central into a cache that all stacks of this user share. To be sourced
# after lib.sh.

# shellcheck source=deploy/local/fetch.sh
. "$(dirname "${BASH_SOURCE[0]}")/fetch.sh"

# Prefers Java 17, for which the pinned versions are tested.
java_command() {
	local java
	for java in /usr/lib/jvm/java-17-openjdk-*/bin/java; do
		if [[ -x $java ]]; then
			echo "$java"
			return
		fi
	done
	command -v java || die "Java is not installed"
}
