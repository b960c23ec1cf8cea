# SPDX-License-Identifier: GPL-2.0-only
# Sourced by every suite: tests that print KTAP.

N=0 FAILED=0
echo 'KTAP version 1'

# check "what holds" COMMAND...: one test.  The end of what the command prints is
# shown when it fails.  With TEST=text only the tests whose name holds the text run.
check() {
	local what=$1 rc said
	shift
	[[ $what == *"${TEST-}"* ]] || return 0
	N=$((N + 1))
	set +e
	said=$(set -e && "$@" 2>&1 </dev/null)
	rc=$?
	set -e
	if [ $rc -eq 0 ]; then
		echo "ok $N - $what"
	else
		echo "not ok $N - $what"
		FAILED=1
		printf '# status %d\n' $rc
		tail -n 60 <<<"$said" | sed 's/^/# /'
	fi
}

# fails STATUS COMMAND...: holds when the command ends with just that status.
fails() {
	local want=$1 rc=0
	shift
	"$@" || rc=$?
	[ $rc -eq "$want" ] || { echo "status $rc instead of $want: $*" && return 1; }
}

# says TEXT COMMAND...: holds when the command succeeds and says TEXT.
says() {
	local text=$1 said
	shift
	said=$("$@" 2>&1) || { echo "$said" && return 1; }
	grep -qF -- "$text" <<<"$said" || { printf 'no "%s" in:\n%s\n' "$text" "$said" && return 1; }
}

finish() {
	echo "1..$N"
	exit $FAILED
}
