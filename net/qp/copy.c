// SPDX-License-Identifier: GPL-2.0
/*
 * Moving bytes between registered memory, kernel buffers and user iovecs
 */
#include <linux/highmem.h>
#include <linux/uio.h>

#include "qp_impl.h"

/**
 * qp_cursor_data() - stand in a kernel buffer
 * @c: cursor to set
 * @data: the buffer
 * @done: bytes to skip
 */
void qp_cursor_data(struct qp_cursor *c, void *data, u32 done)
{
	c->data = data;
	c->num = 0;
	c->cur = 0;
	c->pos = done;
}
EXPORT_SYMBOL_GPL(qp_cursor_data);

static void qp_cursor_advance(struct qp_cursor *c, u64 n)
{
	c->pos += n;
	if (c->data)
		return;
	while (c->cur < c->num && c->pos >= c->seg[c->cur].length) {
		c->pos -= c->seg[c->cur].length;
		c->cur++;
	}
}

static int qp_cursor_add(struct qp_cursor *c, struct qp_mtable *table, u32 key,
			 u64 addr, u32 length, u32 access)
{
	struct qp_seg *seg = &c->seg[c->num];

	seg->mr = qp_mr_get(table, key, addr, length, access, &seg->offset);
	if (IS_ERR(seg->mr)) {
		qp_cursor_put(c);
		return PTR_ERR(seg->mr);
	}
	seg->length = length;
	c->num++;
	return 0;
}

/**
 * qp_cursor_sge() - stand in a gather/scatter list
 * @c: cursor to set; owes qp_cursor_put() if this succeeds
 * @table: memory table of the keys
 * @sge: the list, in kernel memory
 * @num_sge: its entries, at most QP_MAX_SGE
 * @access: rights that the memory must grant, QP_ACCESS_*
 * @length: bytes that will be moved; what the list has beyond is not looked at
 * @done: bytes of them to skip
 *
 * Context: process.
 * Return: 0; -ENOENT, -ERANGE, -EACCES as qp_mr_get().
 */
int qp_cursor_sge(struct qp_cursor *c, struct qp_mtable *table,
		  const struct qp_sge *sge, u32 num_sge, u32 access,
		  u32 length, u32 done)
{
	u32 i, n;
	int err;

	qp_cursor_data(c, NULL, 0);
	for (i = 0; i < num_sge && length; i++) {
		n = min(sge[i].length, length);
		if (!n)
			continue;
		err = qp_cursor_add(c, table, sge[i].lkey, sge[i].addr, n,
				    access);
		if (err)
			return err;
		length -= n;
	}
	qp_cursor_advance(c, done);
	return 0;
}
EXPORT_SYMBOL_GPL(qp_cursor_sge);

/**
 * qp_cursor_remote() - stand in memory that a peer named
 * @c: cursor to set; owes qp_cursor_put() if this succeeds
 * @table: memory table of the owner
 * @key: rkey
 * @addr: address in the registration
 * @length: bytes; with 0 the key is not looked at (IBA v1 9.7.5.2.4)
 * @access: right that the memory must grant, QP_ACCESS_REMOTE_*
 * @done: bytes to skip
 *
 * Context: process.
 * Return: 0; -ENOENT, -ERANGE, -EACCES as qp_mr_get().
 */
int qp_cursor_remote(struct qp_cursor *c, struct qp_mtable *table, u32 key,
		     u64 addr, u32 length, u32 access, u32 done)
{
	int err = 0;

	qp_cursor_data(c, NULL, 0);
	if (length)
		err = qp_cursor_add(c, table, key, addr, length, access);
	if (!err)
		qp_cursor_advance(c, done);
	return err;
}
EXPORT_SYMBOL_GPL(qp_cursor_remote);

/**
 * qp_cursor_put() - leave, and give the references back
 * @c: the cursor
 *
 * Context: process, may sleep: the last reference unpins the pages.
 */
void qp_cursor_put(struct qp_cursor *c)
{
	while (c->num)
		qp_mr_put(c->seg[--c->num].mr);
	c->data = NULL;
}
EXPORT_SYMBOL_GPL(qp_cursor_put);

/**
 * qp_cursor_valid() - is all its memory still registered?
 * @c: the cursor
 *
 * Return: false if the access has to end.
 */
bool qp_cursor_valid(const struct qp_cursor *c)
{
	u32 i;

	for (i = 0; i < c->num; i++)
		if (qp_mr_dead(c->seg[i].mr))
			return false;
	return true;
}
EXPORT_SYMBOL_GPL(qp_cursor_valid);

/* A run of bytes with one kernel address */
struct qp_run {
	void *addr;
	struct page *page;	/* mapped for it, or NULL */
	size_t len;
};

static void qp_run_map(struct qp_run *run, const struct qp_cursor *c,
		       size_t len)
{
	const struct qp_seg *seg = &c->seg[c->cur];
	u64 offset = seg->offset + c->pos;

	run->page = NULL;
	run->len = len;
	if (c->data) {
		run->addr = c->data + c->pos;
		return;
	}
	run->page = seg->mr->pages[offset >> PAGE_SHIFT];
	run->len = min3(len, (size_t)(PAGE_SIZE - offset_in_page(offset)),
			(size_t)(seg->length - c->pos));
	run->addr = kmap_local_page(run->page) + offset_in_page(offset);
}

static void qp_run_unmap(struct qp_run *run)
{
	if (run->page)
		kunmap_local(run->addr);
}

/**
 * qp_copy() - copy between two cursors, and move both
 * @dst: where to
 * @src: where from
 * @len: bytes; both have as many left
 *
 * Context: process.
 */
void qp_copy(struct qp_cursor *dst, struct qp_cursor *src, size_t len)
{
	struct qp_run from, to;

	while (len) {
		qp_run_map(&from, src, len);
		qp_run_map(&to, dst, from.len);
		memcpy(to.addr, from.addr, to.len);
		if (to.page)
			flush_dcache_page(to.page);
		qp_run_unmap(&to);
		qp_run_unmap(&from);
		qp_cursor_advance(dst, to.len);
		qp_cursor_advance(src, to.len);
		len -= to.len;
	}
}
EXPORT_SYMBOL_GPL(qp_copy);

/**
 * qp_copy_to_iter() - copy from a cursor to an iterator, and move both
 * @src: where from; has @len bytes left
 * @len: bytes
 * @to: where to
 *
 * Context: process; with page faults disabled it does not sleep.
 * Return: bytes copied, fewer than @len if @to faults.
 */
size_t qp_copy_to_iter(struct qp_cursor *src, size_t len, struct iov_iter *to)
{
	size_t copied, done = 0;
	struct qp_run from;

	while (done < len) {
		qp_run_map(&from, src, len - done);
		copied = copy_to_iter(from.addr, from.len, to);
		qp_run_unmap(&from);
		qp_cursor_advance(src, copied);
		done += copied;
		if (copied < from.len)
			break;
	}
	return done;
}
EXPORT_SYMBOL_GPL(qp_copy_to_iter);

/**
 * qp_atomic() - carry out an atomic operation
 * @target: stands at 8 bytes at a multiple of 8, so within one page
 * @wr: the request
 *
 * Atomic against the machine's own accesses where atomic64_t is.
 *
 * Context: process.
 * Return: the value found.
 */
u64 qp_atomic(struct qp_cursor *target, const struct qp_wr *wr)
{
	struct qp_run run;
	u64 found;

	qp_run_map(&run, target, sizeof(u64));
	if (wr->op->flags & QP_OPF_SWAP)
		found = atomic64_cmpxchg((atomic64_t *)run.addr,
					 wr->sqe.compare_add, wr->sqe.swap);
	else
		found = atomic64_fetch_add(wr->sqe.compare_add,
					   (atomic64_t *)run.addr);
	if (run.page)
		flush_dcache_page(run.page);
	qp_run_unmap(&run);
	return found;
}
EXPORT_SYMBOL_GPL(qp_atomic);
