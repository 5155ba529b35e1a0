# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# What the parts of tests/run share: builds, counting, and the Python environment. To be sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${CARILLON_BUILD_DIR:-$ROOT/.build}
WORK=$BUILD/test
PASSED=0
FAILED=0

die() {
	echo "tests/run: $*" >&2
	exit 2
}

# count PART PASSED FAILED: adds to the sum and says it.
count() {
	[[ $2$3 =~ ^[0-9]+$ ]] || die "$1: no counts"
	PASSED=$((PASSED + $2))
	FAILED=$((FAILED + $3))
	printf -- '-- %s: %d passed, %d failed\n' "$1" "$2" "$3"
}

# check WHAT COMMAND...: counts one; shows the output only of one that failed.
check() {
	local what=$1 log=$WORK/check-$$.log
	shift
	if "$@" >"$log" 2>&1; then
		CHECKS_PASSED=$((CHECKS_PASSED + 1))
		echo "ok   $what"
	else
		CHECKS_FAILED=$((CHECKS_FAILED + 1))
		echo "FAIL $what"
		tail -n "${CHECK_LINES:-60}" "$log" | sed 's/^/     /'
	fi
	rm -f "$log"
}

# Whether something is absent that only an unfinished tree may lack: an error under CI, else a remark.
nothing_there() { # WHAT
	if [[ ${CI:-} == true ]]; then
		echo "FAIL nothing to run: $1"
		return 0
	fi
	echo "     nothing to run: $1"
	return 1
}

# configure_and_build DIR TARGETS CMAKE-ARG...: quiet unless it fails; one at a time in a folder.
configure_and_build() {
	local dir=$1 target=$2 log=$WORK/build-${1##*/}.log
	shift 2
	mkdir -p "$WORK"
	if ! {
		# shellcheck disable=SC2086
		flock 9 && cmake -S "$ROOT" -B "$dir" -G Ninja "$@" && cmake --build "$dir" --target $target
	} >"$log" 2>&1 9>"$WORK/${dir##*/}.lock"; then
		grep -E -A8 'error|Error|FAILED' "$log" | head -n 80
		echo "tests/run: the build failed; all of it is in $log" >&2
		return 1
	fi
}

# The build that tests run against: sanitizers and fail points.
build_asan() {
	configure_and_build "$BUILD/asan" "${CARILLON_BUILD_TARGETS:-all}" \
		-DCMAKE_BUILD_TYPE=Debug -DCARILLON_SANITIZE=ON -DCARILLON_FAILPOINTS=ON || return 1
	export CARILLON_BIN_DIR=$BUILD/asan
}

clang_command() {
	type -P clang-14 || type -P clang
}

sanitizer_options() {
	export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1:detect_stack_use_after_return=1
	export UBSAN_OPTIONS=print_stacktrace=1
	export LSAN_OPTIONS=suppressions=$ROOT/tests/lib/lsan.supp:print_suppressions=0
}

# python_env [PART]: makes PYTHON the interpreter of a virtual environment with tests/PART/requirements.txt (system).
python_env() {
	local requirements=$ROOT/tests/${1:-system}/requirements.txt hash venv python=/usr/bin/python3
	[[ -x $python ]] || python=python3
	hash=$({ cat "$requirements" ${1:+"$ROOT/tests/system/requirements.txt"} && "$python" --version; } | sha256sum | cut -c1-16)
	venv=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/carillon/venv-$hash
	if [[ ! -e $venv/complete ]]; then
		echo "-- making the Python environment"
		mkdir -p "${venv%/*}"
		(
			flock 9
			[[ ! -e $venv/complete ]] || exit 0
			rm -rf "$venv"
			"$python" -m venv "$venv" &&
				"$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements" &&
				touch "$venv/complete"
		) 9>"$venv.lock" || return 1
	fi
	PYTHON=$venv/bin/python
}

# throwaway_postgres [WHEN]: a server of its own for one part; sets PG_DIR, PG_PORT and PG_URL (without a database's name).
# WHEN ("2026-03-08 06:59:00", UTC) is what its clock begins with instead of the time it is.
throwaway_postgres() {
	local environment="" ahead
	PG_DIR=$(mktemp -d /tmp/carillon-pg.XXXXXX)
	chmod 755 "$PG_DIR"
	if [[ ${1:-} ]]; then
		ahead=$(($(date -u -d "$1" +%s) - $(date +%s)))
		printf '%+d\n' "$ahead" >"$PG_DIR/clock"
		chmod 644 "$PG_DIR/clock"
		environment=$("$ROOT/tests/clock/environment" "$PG_DIR/clock") || return 1
	fi
	PG_PORT=$(python3 "$ROOT/tests/system/lib/ports.py")
	PG_PASSWORD=throwaway
	PG_URL=postgresql://postgres:$PG_PASSWORD@127.0.0.1:$PG_PORT
	CLEANUP+=("drop_throwaway_postgres $PG_DIR $PG_PORT")
	POSTGRES_PASSWORD=$PG_PASSWORD POSTGRES_CONF='fsync = off' POSTGRES_ENV=$environment \
		"$ROOT/deploy/local/postgres.sh" start "$PG_DIR/pg" "$PG_PORT"
}

drop_throwaway_postgres() { # DIR PORT
	[[ -d $1 ]] || return 0
	# It may be gone already; its files go in any case.
	"$ROOT/deploy/local/postgres.sh" kill "$1/pg" "$2" || true
	rm -rf "$1"
}

# run_pytest FOLDER REPORT ARGUMENT...: sets PYTEST_STATUS.
run_pytest() {
	local folder=$1 report=$2
	shift 2
	PYTEST_STATUS=0
	rm -f "$report"
	(cd "$ROOT/tests/$folder" &&
		"$PYTHON" -m pytest -p no:cacheprovider -o junit_family=xunit1 --junitxml="$report" "$@") || PYTEST_STATUS=$?
}

# count_report: what the last run_pytest counted, as REPORT_PASSED and REPORT_FAILED.
count_report() { # REPORT
	[[ -s $1 ]] || die "pytest ended with $PYTEST_STATUS before it ran a test"
	read -r REPORT_PASSED REPORT_FAILED < <("$PYTHON" "$ROOT/tests/lib/junit.py" "$1" "$PYTEST_STATUS") || die "$1 can't be read"
}

# count_pytest PART FOLDER ARGUMENT...: runs, counts, and under CI runs a few that failed once more, one after the other:
# machines are shared, and a wait that is long enough nine times is too short the tenth. What tests/lib/junit.py calls a
# finding has no second try.
count_pytest() {
	local part=$1 folder=$2 report=$WORK/$1.xml again=() passed
	shift 2
	run_pytest "$folder" "$report" "$@"
	if ((PYTEST_STATUS == 5)); then
		if nothing_there "tests/$folder"; then count "$part" 0 1; else count "$part" 0 0; fi
		return
	fi
	count_report "$report"
	passed=$REPORT_PASSED
	if [[ ${CI:-} == true ]] && ((PYTEST_STATUS == 1)); then
		mapfile -t again < <("$PYTHON" "$ROOT/tests/lib/junit.py" --again "$report" | grep .)
	fi
	if ((${#again[@]})); then
		printf -- '-- once more: %s\n' "${again[@]}"
		run_pytest "$folder" "$WORK/$part-again.xml" "${again[@]}"
		count_report "$WORK/$part-again.xml"
		((REPORT_FAILED > 0)) || printf -- '-- unsteady, mend it: %s\n' "${again[@]}"
		passed=$((passed + REPORT_PASSED))
	fi
	count "$part" "$passed" "$REPORT_FAILED"
}
