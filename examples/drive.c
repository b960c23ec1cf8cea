// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "drive.h"
#include "pattern.h"
#include "report.h"

int drive_open(const char *path, bool writable, uint64_t *size)
{
	/* O_EXCL on a block device: not while a file system, or anybody else, has claimed it. */
	int flags = writable ? O_RDWR | O_EXCL : O_RDONLY;
	int fd = open(path, flags | O_DIRECT | O_CLOEXEC);

	if (fd < 0 && errno == EBUSY)
		return fail("%s is in use (mounted, or part of an array or volume): nothing written",
			    path);
	if (fd < 0)
		return fail_errno(errno, "cannot open %s", path);
	if (ioctl(fd, BLKGETSIZE64, size)) {
		fail_errno(errno, "%s is not a block device", path);
		close(fd);
		return -1;
	}
	return fd;
}

int drive_stand_in(uint64_t size, uint64_t seed)
{
	int fd = memfd_create("drive", MFD_CLOEXEC);
	void *bytes;

	if (fd < 0 || ftruncate(fd, size))
		return fail_errno(errno, "cannot make a file of %" PRIu64 " bytes in memory", size);
	bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		fail_errno(errno, "cannot map a file of %" PRIu64 " bytes in memory", size);
		close(fd);
		return -1;
	}
	pattern_fill(bytes, size, seed, 0);
	munmap(bytes, size);
	return fd;
}

int drive_read(int fd, void *buf, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = pread(fd, buf, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail_errno(n ? errno : EIO, "reading the drive at %" PRIu64, offset);
		buf = (char *)buf + n;
		offset += n;
		len -= n;
	}
	return 0;
}

int drive_write(int fd, const void *buf, size_t len, uint64_t offset)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail_errno(n ? errno : EIO, "writing the drive at %" PRIu64, offset);
		buf = (const char *)buf + n;
		offset += n;
		len -= n;
	}
	return 0;
}

int drive_pci_path(const char *path, struct pci_path *pci)
{
	char link[64];
	struct stat st;

	if (stat(path, &st))
		return fail_errno(errno, "cannot look at %s", path);
	if (!S_ISBLK(st.st_mode))
		return fail("%s is not a block device", path);
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	/* A multipath namespace, which several controllers can serve, is below none of them. */
	if (pci_path_resolve(pci, link))
		return fail("%s is not below one PCI device: name the controller with --nvme=BDF",
			    path);
	return 0;
}

static int p2pmem_number(const char *bdf, const char *file, uint64_t *value)
{
	char path[PATH_MAX];
	FILE *stream;
	int n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/p2pmem/%s", bdf, file);
	stream = fopen(path, "re");
	if (!stream)
		return -1;
	n = fscanf(stream, "%" SCNu64, value);
	fclose(stream);
	return n == 1 ? 0 : -1;
}

int p2pmem_sizes(const char *bdf, uint64_t *size, uint64_t *available)
{
	if (p2pmem_number(bdf, "size", size))
		return -1;
	return p2pmem_number(bdf, "available", available);
}

void *p2pmem_map(const char *bdf, size_t *len)
{
	char path[PATH_MAX];
	void *mem;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/p2pmem/allocate", bdf);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		fail("%s has no p2pmem: the drive has no controller memory buffer, or the kernel\n"
		     "was built without CONFIG_PCI_P2PDMA", bdf);
		return NULL;
	}
	if (fd < 0) {
		fail_errno(errno, "cannot open %s", path);
		return NULL;
	}
	/* One piece at a time comes from the pool, so ask for less while that is too much. */
	while ((mem = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED &&
	       errno == ENOMEM && *len > DRIVE_ALIGN)
		*len = *len / 2 / DRIVE_ALIGN * DRIVE_ALIGN;
	if (mem == MAP_FAILED)
		fail_errno(errno, "cannot map %zu bytes of %s", *len, path);
	close(fd);
	return mem == MAP_FAILED ? NULL : mem;
}

void *host_map(size_t len)
{
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		fail_errno(errno, "cannot get %zu bytes of memory", len);
	return mem == MAP_FAILED ? NULL : mem;
}
