# SPDX-License-Identifier: GPL-2.0-only
# Sourced after tap.sh and devices.sh by the suites in which devices leave while a process,
# the holder, has memory regions on the drive's memory.

DRIVE=/sys/bus/pci/devices/$NEAR
# shellcheck disable=SC2034 # for the suites that source this
EFA=$(readlink -f /sys/class/infiniband/efa_0/device)

# To start a program takes up to a second on a busy debug kernel, so what is done or timed in
# each of many rounds is left to the shell.

# pause SECONDS: nothing is ever written to that pipe.
mkfifo /tmp/never
exec {NEVER}<>/tmp/never
pause() { read -rt "$1" -u "$NEVER" || true; }

# within SECONDS COMMAND...: holds when the command succeeds within that time.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || { echo "not within the time: $*" && return 1; }
		pause 0.1
	done
}

# The holder is the program $HOLDS.  What it says goes to $SAID, and it has $STARTS seconds to
# get its regions; it obeys what is written to descriptor 7, and ends with it.
HOLDS=hold SAID=/tmp/holder STARTS=20
start_holder() {
	HELD=0
	[ -p "$SAID.in" ] || mkfifo "$SAID.in"
	: >"$SAID"
	"$PROGRAMS/$HOLDS" "$@" "$P2PMEM" <"$SAID.in" >"$SAID" 2>&1 &
	HOLDER=$!
	exec 7>"$SAID.in"
	within "$STARTS" said holds || { cat "$SAID" && return 1; }
}
said() {
	local line
	while read -r line; do [ "$line" != "$1" ] || return 0; done <"$SAID"
	return 1
}
end_holder() {
	kill -0 "$HOLDER" || { cat "$SAID" && return 1; }
	exec 7>&-
	wait "$HOLDER" || { cat "$SAID" && return 1; }
}

# The drive is there, and all of its memory is free but the HELD bytes that a holder maps.
HELD=0
drive_is_back() { compgen -G "$DRIVE/nvme/nvme*/nvme*n1" && is_free; }
is_free() {
	local available
	read -r available <"$P2PMEM/available" && [ "$available" -eq $((FREE - HELD)) ]
}

rescan() { echo 1 >/sys/bus/pci/rescan; }
remove() { echo 1 >"$1/remove"; }
unbind() { echo "${1##*/}" >"$1/driver/unbind"; }
bind() { echo "${1##*/}" >"/sys/bus/pci/drivers/$2/bind"; }
unbind_drive() { unbind "$DRIVE"; }
bind_drive() { bind "$DRIVE" nvme; }
