// SPDX-License-Identifier: GPL-2.0-only
/*
 * A long-term user of peer-to-peer memory that makes the mistake which lockdep is told of: it calls
 * pci_p2pdma_remove_user() with a lock held that its revoke() takes. To be loaded by the process
 * that maps the memory; the mistake is complete when the provider was unbound and this unloaded.
 */

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci-p2pdma.h>
#include <linux/platform_device.h>

static unsigned long address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "of a page of p2pmem that the caller has mapped");

static struct inversion {
	struct mutex lock;
	struct pci_p2pdma_user user;
	struct page *page; /* NULL: given back */
} inversion;

static void unpin(void)
{
	if (inversion.page)
		unpin_user_page(inversion.page);
	inversion.page = NULL;
}

static bool revoke(struct pci_p2pdma_user *user)
{
	mutex_lock(&inversion.lock);
	unpin();
	mutex_unlock(&inversion.lock);
	return true;
}

static int __init lock_inversion_init(void)
{
	unsigned int flags = FOLL_WRITE | FOLL_LONGTERM | FOLL_PCI_P2PDMA;
	int ret;

	mutex_init(&inversion.lock);
	ret = pin_user_pages_fast(address, 1, flags, &inversion.page);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	inversion.user.revoke = revoke;
	inversion.user.dma_dev = &platform_bus; /* a name for messages */
	ret = pci_p2pdma_add_user(&inversion.user, inversion.page);
	if (ret)
		unpin();
	return ret;
}
module_init(lock_inversion_init);

static void __exit lock_inversion_exit(void)
{
	mutex_lock(&inversion.lock);
	pci_p2pdma_remove_user(&inversion.user);
	unpin();
	mutex_unlock(&inversion.lock);
}
module_exit(lock_inversion_exit);

MODULE_DESCRIPTION("Take the locks of a revocation in the wrong order");
MODULE_LICENSE("GPL");
