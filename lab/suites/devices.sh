# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the suites that run in the virtual machine: its devices, and what
# several suites do with them.

# shellcheck disable=SC2034 # for the suites that source this

CMB_RDMA=/src/build/examples/cmb-rdma
CHECK=/src/build/tools/p2pdma-check
PROGRAMS=/src/build/programs

# PCI address of the NVMe controller with this serial number, as switch.args
# gives them.
controller() {
	local c
	for c in /sys/class/nvme/nvme*; do
		[ "$(tr -d ' ' <"$c/serial")" != "$1" ] || basename "$(readlink -f "$c/device")"
	done
}
NEAR=$(controller switch)
FAR=$(controller root-port)
NVME=$(cd "/sys/bus/pci/devices/$NEAR/nvme" && echo nvme*)n1
P2PMEM=/sys/bus/pci/devices/$NEAR/p2pmem
FREE=$(cat "$P2PMEM/available")

all_free() {
	local free
	free=$(cat "$P2PMEM/available")
	echo "$free bytes are available, $FREE were at the start"
	[ "$free" = "$FREE" ]
}

# The kernel knows no memory region, of any RDMA device.
no_regions() {
	local regions
	regions=$(rdma resource show mr)
	echo "$regions"
	[ -z "$regions" ]
}

# kmemleak, which only the debug kernel has.  What is new may be on its way to a
# list: only what a second scan finds, too, is lost.
KMEMLEAK=/sys/kernel/debug/kmemleak
scan_for_leaks() {
	echo scan >$KMEMLEAK
	echo scan >$KMEMLEAK
}
# What the boot has lost (the first root's mount options are) is none of a
# suite's: from here on it is known, with no line about it on the console.
forget_leaks() {
	[ -e $KMEMLEAK ] || return 0
	echo 6 >/proc/sys/kernel/printk
	scan_for_leaks
	echo clear >$KMEMLEAK
	echo 7 >/proc/sys/kernel/printk
}
no_leaks() {
	[ -e $KMEMLEAK ] || return 0
	sleep 5
	scan_for_leaks
	cat $KMEMLEAK
	[ -z "$(cat $KMEMLEAK)" ]
}

# expect_warning FILE COMMAND...: the command makes the kernel warn once, from that
# file of its source; the check of the console fails if it does not.
expect_warning() {
	echo "lab: expects a warning from $1" >/dev/kmsg
	"${@:2}"
}

# expect_lock_report LOCK: lockdep, where it is on, is going to report the order in which
# that lock is taken, or that it is held.  It is off afterwards.
expect_lock_report() {
	! grep -q 'debug_locks: *1' /proc/lockdep_stats 2>/dev/null ||
		echo "lab: expects a lock report of $1" >/dev/kmsg
}

log_says() { dmesg | grep -F "$1"; }

# payload DEVICE read|write ram|peer: bytes that the device moved so far, by its log $LOG.
payload() { awk -v d="$1" -v w="$2" -v t="$3" '$1 == d && $2 == "payload" && $3 == w && $4 == t && NF == 6 { n += $6 } END { print n + 0 }' "$LOG"; }

# Soft RoCE, whose CPU moves the data.
rxe_up() {
	ip addr add 10.7.3.1/24 dev dummy0
	ip link set dummy0 up
	rdma link add rxe0 type rxe netdev dummy0
	ibv_devinfo -d rxe0
}

# finds STATUS FILTER ARGUMENT...: p2pdma-check, run by the command AS if that is set, ends
# with just that status, and jq finds its JSON as the filter says.
AS=()
finds() {
	local status=$1 filter=$2
	shift 2
	fails "$status" "${AS[@]}" "$CHECK" --json "$@" >/tmp/report.json || { cat /tmp/report.json && return 1; }
	jq . /tmp/report.json
	jq -e "$filter" /tmp/report.json
}

# pair_of_copies SERVER CLIENT ARGUMENT...: cmb-rdma between two devices.
pair_of_copies() {
	local server=$1 client=$2 pid rc=0
	shift 2
	timeout 60 "$CMB_RDMA" --server --device="$server" >/tmp/server 2>&1 &
	pid=$!
	timeout 60 "$CMB_RDMA" --device="$client" "$@" localhost || rc=$?
	# A client that was refused has never called the server.
	[ $rc -eq 0 ] || kill $pid 2>/dev/null || true
	if ! wait $pid; then
		cat /tmp/server
		[ $rc -ne 0 ] || rc=1
	fi
	return $rc
}

# Maps CMB memory read-only, reads it, makes it writable and writes: ends at
# once, or is stopped after 5 s (status 124).
mprotect_write() {
	timeout 5 python3 - "$P2PMEM/allocate" <<'PY'
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
fd = os.open(sys.argv[1], os.O_RDWR)
p = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
byte = ctypes.c_ubyte.from_address(p)
byte.value
assert libc.mprotect(p, 4096, mmap.PROT_READ | mmap.PROT_WRITE) == 0
byte.value = 42
assert byte.value == 42
PY
}

# Writes CMB memory, clears the soft-dirty bits, which makes the mapping's pages
# read-only, and writes again: ends at once, or is stopped after 5 s (status 124).
clear_refs_write() {
	timeout 5 python3 - "$P2PMEM/allocate" <<'PY'
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
memory = mmap.mmap(fd, 4096)
memory[0] = 1
with open("/proc/self/clear_refs", "w") as file:
    file.write("4")
memory[0] = 42
assert memory[0] == 42
PY
}

# register DEVICE ACCESS: ibv_reg_mr() of 64 KiB of CMB memory with that access,
# as libibverbs names it; if refused, says the errno and ends with status 3.
register() {
	python3 - "$P2PMEM/allocate" "$1" "$2" <<'PY'
import ctypes, errno, mmap, os, sys
import pyverbs.enums as e
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD
from pyverbs.pyverbs_error import PyverbsRDMAError
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDWR)
p = libc.mmap(None, 65536, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
with Context(name=sys.argv[2]) as context, PD(context) as pd:
    try:
        MR(pd, 65536, getattr(e, sys.argv[3]), address=p).close()
    except PyverbsRDMAError as error:
        print(errno.errorcode[error.error_code])
        sys.exit(3)
PY
}

# gup_test_pin: a long-term pin of 64 KiB of CMB memory that allows peer-to-peer
# memory, by mm/gup_test.c; says how many bytes were pinned.
gup_test_pin() {
	python3 - "$P2PMEM/allocate" <<'PY'
import ctypes, fcntl, mmap, os, struct, sys
FOLL_WRITE, FOLL_PCI_P2PDMA = 1 << 0, 1 << 10
GUP_TEST = "QQQQIII8I4x"  # struct gup_test
PIN_LONGTERM_BENCHMARK = 3 << 30 | struct.calcsize(GUP_TEST) << 16 | ord("g") << 8 | 3
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
memory = os.open(sys.argv[1], os.O_RDWR)
p = libc.mmap(None, 65536, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, memory, 0)
call = bytearray(struct.pack(GUP_TEST, 0, 0, p, 65536, 16, FOLL_WRITE | FOLL_PCI_P2PDMA, 0, *[0] * 8))
fcntl.ioctl(os.open("/sys/kernel/debug/gup_test", os.O_RDWR), PIN_LONGTERM_BENCHMARK, call)
print(struct.unpack(GUP_TEST, call)[3], "bytes pinned")
PY
}
