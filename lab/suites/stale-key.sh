# SPDX-License-Identifier: GPL-2.0-only
# Sourced after holder.sh by the suites that use the key of a revoked region, on machines whose
# RDMA devices reuse keys and on others.  $LOG is the log of the devices' DMA.

# Counts the lines of the log's part on stdin that are of the drive's CMB.
in_cmb() {
	local first last
	read -r first last <<<"$(awk 'NR == 3 { print $1, $2 }' "$DRIVE/resource")"
	# Both write addresses in small letters; compared as text, which is quick.
	awk -v first="${first#0x}" -v last="${last#0x}" '
	!/^#/ {
		address = substr("0000000000000000", 1, 18 - length($5)) substr($5, 3)
		if (address >= first "" && address <= last "") n++
	}
	END { print n + 0 }'
}

# stale_key OWNER KEY [LKEY RKEY]: after an unbind has revoked a region, OWNER (see stale-key.c)
# makes a new one, whose key is KEY.  What the old key reaches there: LKEY says what its queue
# pair meets, RKEY what a peer meets; the errors of a bad key without them.  Where only the
# old region was it reaches nothing, in any case.
stale_key() {
	local bad_lkey='local protection error' bad_rkey='remote access error' lines failed=0
	HOLDS=stale-key start_holder "$1"
	unbind_drive
	lines=$(wc -l <"$LOG")
	# The key was used last before that.
	[ "$(head -n "$lines" "$LOG" | tail -n 100 | in_cmb)" -gt 0 ]
	end_holder || failed=1
	bind_drive
	within 30 drive_is_back
	[ $failed -eq 0 ]
	diff - "$SAID" <<-EOF
		holds
		the key is $2
		inside, lkey read: ${3-$bad_lkey}
		inside, lkey write: ${3-$bad_lkey}
		inside, rkey read: ${4-$bad_rkey}
		inside, rkey write: ${4-$bad_rkey}
		outside, lkey read: $bad_lkey
		outside, lkey write: $bad_lkey
		outside, rkey read: $bad_rkey
		outside, rkey write: $bad_rkey
	EOF
	lines=$(tail -n +$((lines + 1)) "$LOG" | in_cmb)
	[ "$lines" -eq 0 ] || { echo "$lines accesses to the CMB after the unbind" && return 1; }
}
