// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocates and frees peer-to-peer memory of a PCI device over and over, while
 * it is loaded: what nvmet does for its I/O, without an RDMA device that could
 * make nvmet do it in the machine.
 */

#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci-p2pdma.h>
#include <linux/pci.h>

static char *device;
module_param(device, charp, 0444);
MODULE_PARM_DESC(device, "address of the PCI device, e.g. 0000:03:00.0");

static struct pci_dev *pdev;
static struct task_struct *task;

static int allocate(void *unused)
{
	while (!kthread_should_stop()) {
		void *memory = pci_alloc_p2pmem(pdev, PAGE_SIZE);

		if (memory)
			pci_free_p2pmem(pdev, memory, PAGE_SIZE);
		cond_resched();
	}
	return 0;
}

static int __init p2pmem_alloc_init(void)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, device);

	if (!dev)
		return -ENODEV;

	pdev = to_pci_dev(dev);
	task = kthread_run(allocate, NULL, "p2pmem_alloc");
	if (IS_ERR(task)) {
		pci_dev_put(pdev);
		return PTR_ERR(task);
	}
	return 0;
}
module_init(p2pmem_alloc_init);

static void __exit p2pmem_alloc_exit(void)
{
	kthread_stop(task);
	pci_dev_put(pdev);
}
module_exit(p2pmem_alloc_exit);

MODULE_DESCRIPTION("Allocate peer-to-peer memory while its provider goes");
MODULE_LICENSE("GPL");
