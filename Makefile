# SPDX-License-Identifier: GPL-2.0-only
# Every target calls one script in lab/; 'make help' lists them.

export BASE LINUX PATCHED CONFIG SUITE KERNEL TEST ROTATE CHECK
export CONFIG_FILE TOPIC FROM SIGNOFF VERSION SEND SMTP
T := lab/toolbox/run
# The emulated device is the one that the driver of the newest base knows.
DEVICE := 7.3$(if $(filter-out 7.3,$(BASE)),,$(if $(LINUX),-own))

help:
	@sed -n 's/^## //p' Makefile

## make demo        NVMe controller memory to an RDMA peer and back, all set up
demo: kernel efa
	@lab/demo

## make test        all tests; SUITE=, KERNEL=, TEST= for some (see README)
test:
	@lab/test

## make table       docs/tests-7.3.md with the results of the last 'make test'
table:
	@$T lab/results table >build/test/tests.md && mv build/test/tests.md docs/tests-$(or $(BASE),7.3).md

## make bench       docs/speed-7.3.md: memory regions in instructions; CHECK=1 only compares
bench:
	@lab/bench

## make shell       a shell in the virtual machine
shell: kernel efa
	@$T lab/machine/run --shell --timeout=86400

## make tree        build/7.3/linux: the source, a commit for each patch
tree:
	@$T lab/kernel/tree

## make kernel      the kernel; PATCHED=0 is the base without the series
kernel: tree
	@$T lab/kernel/build

## make export      writes the commits of build/7.3/linux back to series/
export:
	@$T lab/kernel/export

## make mail        what git send-email sends of TOPIC=; SEND=1 sends it
mail: tree
	@lab/mail

## make deb         Debian packages of the kernel; CONFIG_FILE=, or the running one's
deb: tree
	@lab/deb

## make efa         the emulated RDMA device
efa: tree
	@[ -e build/$(DEVICE)/linux/.git/recipe ] || BASE=7.3 LINUX= $T lab/kernel/tree
	@$T lab/step efa 'building the emulated RDMA device' \
		make -C efa EFA_DEFS=/src/build/$(DEVICE)/linux/drivers/infiniband/hw/efa

## make clean       removes build/; the cache outside the checkout stays
clean:
	@$T rm -rf build

.PHONY: help demo test table bench shell tree kernel export mail deb efa clean
