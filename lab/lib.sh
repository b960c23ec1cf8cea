# SPDX-License-Identifier: GPL-2.0-only
# Sourced by every script in lab/: where things are, and how to speak.

# shellcheck disable=SC2034 # for the scripts that source this

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Everything that outlives a checkout: the toolbox, sources, ccache.
CACHE=${P2PRDMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/p2p-rdma}
BASE=${BASE:-7.3}
# What is built from that base; a user's own tree as the base has its own place.
OUT=$TOP/build/$BASE${LINUX:+-own}

# An ordinary user's path has no chroot.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*"; }

die() {
	printf 'error: %s\n' "$1" >&2
	shift
	for line in "$@"; do printf '       %s\n' "$line" >&2; done
	exit 1
}

# One line for a step, with its time and a dot every 15 s; the whole output is
# kept in a log, whose end is shown when the step fails.
# step LOG "what it does" CMD...
step() {
	local log=$1 what=$2 start=$SECONDS rc dots
	shift 2
	mkdir -p "$(dirname "$log")"
	printf '%-58s ' "$what"
	# Without the lock, which would otherwise live as long as the last sleep.
	(
		unlock
		while sleep 15 && kill -0 $$; do printf .; done
	) 2>/dev/null &
	dots=$!
	set +e
	(
		set -e
		"$@"
	) >"$log" 2>&1 </dev/null
	rc=$?
	set -e
	kill "$dots"
	wait "$dots" 2>/dev/null || true
	if ((rc)); then
		printf 'failed (%d s)\n' $((SECONDS - start))
		tail -n 25 "$log" >&2
		die "'$what' failed with status $rc" "the whole log: $log"
	fi
	printf '%d s\n' $((SECONDS - start))
}

# need_space DIR GIB: stops before a step that would fill the disk.
need_space() {
	local free
	mkdir -p "$1"
	free=$(df --output=avail -BG "$1" | tail -n 1 | tr -dc 0-9)
	((free >= $2)) || die "$1 has $free GiB free, this step needs $2 GiB" \
		"make some, e.g. by 'make clean', or name a larger disk for the cache: P2PRDMA_CACHE=DIR"
}

# One run at a time builds a thing; a second one waits for it.  The lock goes
# with the process, so a killed run leaves none behind.
LOCKS=()
lock() {
	local fd
	mkdir -p "$(dirname "$1")"
	exec {fd}>"$1"
	LOCKS+=("$fd")
	flock -n "$fd" && return
	say "waiting for another run that holds $1" >&2
	flock "$fd"
}
unlock() { for fd in "${LOCKS[@]}"; do exec {fd}>&-; done; }
