# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Format, static analysis and the rules of the house: tests/run lint [CHECK...]

# shellcheck source=tests/lib/exposure.sh
. "${BASH_SOURCE[0]%/*}/exposure.sh"

part_lint() {
	local wanted=" ${*:-format rules shell units binaries tidy} "
	mkdir -p "$WORK"
	CHECKS_PASSED=0 CHECKS_FAILED=0
	cd "$ROOT" || return 1
	mapfile -t c_files < <(find common producer consumer webhook tests -name '*.[ch]' | sort)
	[[ $wanted != *" format "* ]] || check "clang-format" format_check
	if [[ $wanted == *" rules "* ]]; then
		check "each source file names its licence" rule_spdx
		check "no banned function" rule_banned
		check "no unfinished work" rule_unfinished
		check "no SQL in C" rule_sql_in_c
		check "no file above 600 lines" rule_length
		check "settings are offered to those who read them" rule_settings
		check "alert rules" rule_alerts
		check "the page's scripts" rule_page
		check "each alert is in the operations page, and no other" rule_operations
		check "mutations fit the code that they break" rule_mutations
	fi
	[[ $wanted != *" shell "* ]] || check "shellcheck" shell_check
	[[ $wanted != *" units "* ]] || check "systemd's units" units_check
	[[ $wanted != *" binaries "* ]] || check "hardening of a release's programs" binaries_check
	[[ $wanted != *" tidy "* ]] || lint_tidy
	count lint "$CHECKS_PASSED" "$CHECKS_FAILED"
}

format_check() {
	clang-format --dry-run -Werror "${c_files[@]}"
}

# Fails, and shows the lines, when the pattern is found in the C files (or in those named).
absent() { # PATTERN [FILE...]
	local pattern=$1
	shift
	(($#)) || set -- "${c_files[@]}"
	! grep -nE "$pattern" "$@" /dev/null
}

rule_banned() {
	absent '\b(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|strtok|gets|gmtime|localtime|ctime|asctime|atoi|atol|system|popen)\('
}

rule_unfinished() {
	! grep -rnE '\b(TODO|FIXME|XXX|HACK)\b' common producer consumer webhook schemas deploy tests \
		--include='*.[ch]' --include='*.sql' --include='*.sh' --include='*.py' \
		--include='*.cmake' --exclude=lint.sh
}

rule_sql_in_c() {
	local product=()
	mapfile -t product < <(printf '%s\n' "${c_files[@]}" | grep -v '^tests/')
	absent '"(select|insert into|update [a-z_.]+ set|delete from|with [a-z_]+ as) ' "${product[@]}"
}

rule_spdx() {
	local file bad=0
	while IFS= read -r file; do
		if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
			echo "$file"
			bad=1
		fi
	done < <(find common producer consumer webhook schemas deploy tests CMakeLists.txt .ci \
		\( -name '*.[ch]' -o -name '*.sql' -o -name '*.sh' -o -name '*.py' -o -name '*.cmake' -o -name '*.js' -o -name '*.css' \
		-o -name CMakeLists.txt -o -name run -o -name up -o -name down \) -type f)
	return "$bad"
}

rule_length() {
	local lines file bad=0
	while read -r lines file; do
		if [[ $file != total ]] && ((lines > 600)); then
			echo "$file has $lines lines"
			bad=1
		fi
	done < <(wc -l "${c_files[@]}" producer/page/assets/*)
	return "$bad"
}

# None of the page's scripts makes markup or code of text: names and transcripts are foreign. That they parse is what tests/page shows.
rule_page() {
	! grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|[^-]style=' producer/page/assets/*.{js,html}
}

# What a row of the configuration says of its readers: each has its key somewhere in its own sources, or in what they share.
rule_settings() {
	local name processes process bad=0
	while read -r name processes; do
		case $processes in
		ALL) processes="producer consumer webhook" ;;
		DIALERS) processes="producer consumer" ;;
		EVENTS) processes="producer webhook" ;;
		esac
		for process in ${processes,,}; do
			if ! grep -rqE "CONFIG_KEY_$name\b" --include='*.c' "$process" common/*.c; then
				echo "$name is offered to the $process, which does not read it"
				bad=1
			fi
		done
	done < <(sed -nE 's/^CONFIG_ROW\(([A-Z0-9_]+), .*, CONFIG_([A-Z]+), ".*$/\1 \2/p' common/tbl/config.h)
	return "$bad"
}

# promtool reads and tries them; what they ask for is a metric that there is.
rule_alerts() {
	local name bad=0
	promtool check rules deploy/prometheus/*.yml || return 1
	promtool test rules tests/prometheus/*.yml || return 1
	while read -r name; do
		if ! grep -q "METRIC_ROW([A-Z_]*, \"$name\"," common/tbl/metrics.h; then
			echo "no such metric: carillon_$name"
			bad=1
		fi
	done < <(grep -ohE '\bcarillon_[a-z_]+' deploy/prometheus/*.yml | sed -E 's/^carillon_//; s/_total$//' | sort -u)
	return "$bad"
}

# The headings of the operations page are the alerts' names.
rule_mutations() {
	local patch failed=0
	for patch in tests/faults/mutations/*.patch; do
		patch -s -p1 --dry-run --force <"$patch" >/dev/null || {
			echo "$patch"
			failed=1
		}
	done
	return $failed
}

rule_operations() {
	diff <(sed -nE 's/^ *- alert: (\w+)$/\1/p' deploy/prometheus/*.yml | sort) \
		<(sed -nE 's/^### (Carillon\w+)$/\1/p' deploy/OPERATIONS.md | sort)
}

shell_check() {
	shellcheck -x deploy/local/up deploy/local/down deploy/local/*.sh tests/run tests/lib/*.sh .ci/run
}

# The product's files; the compiler's warnings and the sanitizers watch the tests. A file is analysed again only when it, a header or the rules changed: the stamp is over all that it reads.
lint_tidy() {
	local shared file stamp cache=$WORK/tidy
	mkdir -p "$cache"
	# For the compile database and the generated headers.
	if ! build_asan; then
		CHECKS_FAILED=$((CHECKS_FAILED + 1))
		return
	fi
	shared=$({
		cat .clang-tidy
		find common producer consumer webhook tests "$BUILD/asan/generated" -name '*.h' -print0 | sort -z |
			xargs -0 cat
	} | sha256sum)
	tidy_files=()
	for file in "${c_files[@]}"; do
		[[ $file == *.c && $file != tests/* ]] || continue
		stamp=$({ echo "$shared" && cat "$file"; } | sha256sum | cut -c1-32)
		[[ -e $cache/$stamp ]] || tidy_files+=("$file $cache/$stamp")
	done
	CHECK_LINES=400 check "clang-tidy (${#tidy_files[@]} files changed)" tidy_all
}

# Without the counts of the warnings that were suppressed, which hide the one that was not. grep fails where it leaves nothing: what
# counts is how clang-tidy ended.
tidy_all() {
	((${#tidy_files[@]})) || return 0
	# shellcheck disable=SC2016
	printf '%s\n' "${tidy_files[@]}" | xargs -P "$(nproc)" -L 1 bash -c \
		'clang-tidy -p "$0" --quiet --extra-arg=-Wno-unknown-warning-option "$1" && touch "$2"' "$BUILD/asan" 2>&1 |
		{ grep -vE '^[0-9]+ warnings? generated' || true; }
	return "${PIPESTATUS[1]}"
}
