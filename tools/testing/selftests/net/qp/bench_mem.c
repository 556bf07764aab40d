// SPDX-License-Identifier: GPL-2.0
/*
 * Peers without a descriptor: process_vm_writev(2) and process_vm_readv(2)
 * into the memory of the other process, and plain memcpy() within one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"

struct vm {
	pid_t pid;
	struct iovec local[BENCH_MAX_BATCH];
	struct iovec remote[BENCH_MAX_BATCH];
};

struct vm_name {
	pid_t pid;
	void *buf;
};

/* The passive end says where its memory is and that it may be touched */
static int open_vm(struct bench_end *end)
{
	struct vm_name name = { .pid = getpid(), .buf = end->buf };
	struct vm *vm;
	unsigned int i;
	int err;

	if (!end->active) {
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		return bench_tell(end, &name, sizeof(name));
	}
	vm = bench_alloc(sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	err = bench_hear(end, &name, sizeof(name));
	if (err)
		return err;
	vm->pid = name.pid;
	for (i = 0; i < end->series->batch; i++) {
		vm->local[i] = (struct iovec){ end->buf, end->size };
		vm->remote[i] = (struct iovec){ name.buf, end->size };
	}
	end->priv = vm;
	return 0;
}

static int move_vm(struct bench_end *end, __u64 count, unsigned int batch,
		   ssize_t (*call)(pid_t pid, const struct iovec *local, unsigned long nlocal,
				   const struct iovec *remote, unsigned long nremote,
				   unsigned long flags))
{
	struct vm *vm = end->priv;
	ssize_t n;

	for (; count; count -= batch) {
		n = call(vm->pid, vm->local, batch, vm->remote, batch, 0);
		if (n != (ssize_t)(batch * end->size))
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

static int write_vm(struct bench_end *end, __u64 count)
{
	return move_vm(end, count, end->series->batch, process_vm_writev);
}

static int write_vm_singly(struct bench_end *end, __u64 count)
{
	return move_vm(end, count, 1, process_vm_writev);
}

static int read_vm(struct bench_end *end, __u64 count)
{
	return move_vm(end, count, end->series->batch, process_vm_readv);
}

static int read_vm_singly(struct bench_end *end, __u64 count)
{
	return move_vm(end, count, 1, process_vm_readv);
}

static int open_memcpy(struct bench_end *end)
{
	end->priv = bench_alloc(end->size);
	return end->priv ? 0 : -ENOMEM;
}

static int copy(struct bench_end *end, __u64 count)
{
	while (count--) {
		memcpy(end->priv, end->buf, end->size);
		/* The compiler must not merge the copies */
		__asm__ volatile("" : : "r" (end->priv) : "memory");
	}
	return 0;
}

const struct bench_transport bench_vm_writev = {
	.name = "vm_writev",
	.ops = BENCH_OP(WRITE),
	.max_batch = BENCH_MAX_BATCH,
	.open = open_vm,
	.send = write_vm,
	.ping = write_vm_singly,
};

const struct bench_transport bench_vm_readv = {
	.name = "vm_readv",
	.ops = BENCH_OP(READ),
	.max_batch = BENCH_MAX_BATCH,
	.open = open_vm,
	.send = read_vm,
	.ping = read_vm_singly,
};

const struct bench_transport bench_memcpy = {
	.name = "memcpy",
	.ops = BENCH_OP(WRITE),
	.max_batch = 1,
	.open = open_memcpy,
	.send = copy,
	.ping = copy,
};
