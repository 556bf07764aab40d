// SPDX-License-Identifier: GPL-2.0
/*
 * Names of pipe queue pairs: paths and abstract names, as in unix(7)
 *
 * They are a space of their own: a queue pair and an AF_UNIX socket may bear
 * the same abstract name.
 */
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/hashtable.h>
#include <linux/jhash.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/socket.h>

#include "pipe.h"

/**
 * struct pipe_name - a name
 * @node: in pipe_names while it can be found
 * @ref: queue pairs that bear it
 * @qp: who is found by it
 * @net: where an abstract name is known
 * @path: of the socket inode; empty for an abstract name
 * @len: bytes of @addr that count
 * @addr: the address; has room for the zero byte behind the longest path
 */
struct pipe_name {
	struct hlist_node node;
	refcount_t ref;
	struct qp_sock *qp;
	struct net *net;
	struct path path;
	int len;
	struct sockaddr_storage addr;
};

static DEFINE_SPINLOCK(pipe_names_lock);	/* protects pipe_names */
static DEFINE_HASHTABLE(pipe_names, 8);

static u32 pipe_hash_inode(const struct inode *inode)
{
	return hash_ptr(inode, 32);
}

static u32 pipe_hash_abstract(const struct net *net,
			      const struct sockaddr_storage *addr, int len)
{
	return jhash(addr, len, hash_ptr(net, 32));
}

static bool pipe_is_abstract(const struct sockaddr_storage *addr)
{
	return !addr->__data[0];
}

/*
 * Check an address, the one place where it is done, and end a path with a
 * zero byte. Return its length.
 */
static int pipe_name_check(struct sockaddr_storage *addr, int len)
{
	const int head = offsetof(struct sockaddr_un, sun_path);

	if (len <= head || len > (int)sizeof(struct sockaddr_un))
		return -EINVAL;
	if (pipe_is_abstract(addr))
		return len;
	addr->__data[len - head] = 0;
	return head + strlen(addr->__data) + 1;
}

static struct pipe_name *pipe_name_alloc(struct qp_sock *qp,
					 const struct sockaddr_storage *addr,
					 int len)
{
	struct pipe_name *name = kzalloc_obj(*name, GFP_KERNEL_ACCOUNT);

	if (!name)
		return NULL;
	refcount_set(&name->ref, 1);
	name->qp = qp;
	name->net = sock_net(&qp->sk);
	name->len = len;
	memcpy(&name->addr, addr, len);
	return name;
}

static struct qp_sock *pipe_find_abstract(struct net *net,
					  const struct sockaddr_storage *addr,
					  int len)
{
	struct pipe_name *name;

	hash_for_each_possible(pipe_names, name, node,
			       pipe_hash_abstract(net, addr, len))
		if (!name->path.dentry && name->net == net &&
		    name->len == len && !memcmp(&name->addr, addr, len))
			return name->qp;
	return NULL;
}

static struct qp_sock *pipe_find_inode(const struct inode *inode)
{
	struct pipe_name *name;

	hash_for_each_possible(pipe_names, name, node, pipe_hash_inode(inode))
		if (name->path.dentry &&
		    d_backing_inode(name->path.dentry) == inode)
			return name->qp;
	return NULL;
}

static int pipe_bind_abstract(struct pipe_name *name)
{
	int err = 0;

	spin_lock(&pipe_names_lock);
	if (pipe_find_abstract(name->net, &name->addr, name->len))
		err = -EADDRINUSE;
	else
		hash_add(pipe_names, &name->node,
			 pipe_hash_abstract(name->net, &name->addr, name->len));
	spin_unlock(&pipe_names_lock);
	return err;
}

/* Make the socket inode. Its mode is what bind(2) gives it. */
static int pipe_bind_path(struct pipe_name *name)
{
	umode_t mode = S_IFSOCK |
		(SOCK_INODE(name->qp->sk.sk_socket)->i_mode & ~current_umask());
	struct dentry *dentry;
	struct path parent;
	int err;

	dentry = start_creating_path(AT_FDCWD, name->addr.__data, &parent, 0);
	if (IS_ERR(dentry)) {
		err = PTR_ERR(dentry);
		return err == -EEXIST ? -EADDRINUSE : err;
	}
	err = security_path_mknod(&parent, dentry, mode, 0);
	if (!err)
		err = vfs_mknod(mnt_idmap(parent.mnt), d_inode(parent.dentry),
				dentry, mode, 0, NULL);
	if (!err) {
		name->path.mnt = mntget(parent.mnt);
		name->path.dentry = dget(dentry);
		spin_lock(&pipe_names_lock);
		hash_add(pipe_names, &name->node,
			 pipe_hash_inode(d_backing_inode(dentry)));
		spin_unlock(&pipe_names_lock);
	}
	end_creating_path(&parent, dentry);
	return err == -EEXIST ? -EADDRINUSE : err;
}

int pipe_name_bind(struct qp_sock *qp, struct sockaddr_storage *addr, int len)
{
	struct pipe_name *name;
	int err;

	len = pipe_name_check(addr, len);
	if (len < 0)
		return len;
	name = pipe_name_alloc(qp, addr, len);
	if (!name)
		return -ENOMEM;
	err = pipe_is_abstract(&name->addr) ? pipe_bind_abstract(name) :
					     pipe_bind_path(name);
	if (err) {
		pipe_name_put(name);
		return err;
	}
	/* Who sees the name sees what is in it */
	smp_store_release(&pipe_end(qp)->name, name);
	return 0;
}

/* @qp leaves: if the name is its own, nobody finds it any more. May sleep. */
void pipe_name_release(struct pipe_name *name, const struct qp_sock *qp)
{
	struct path path;

	if (name->qp != qp)
		return;
	spin_lock(&pipe_names_lock);
	hash_del(&name->node);
	path = name->path;
	name->path = (struct path){};
	spin_unlock(&pipe_names_lock);
	path_put(&path);
}

struct pipe_name *pipe_name_get(struct pipe_name *name)
{
	if (name)
		refcount_inc(&name->ref);
	return name;
}

void pipe_name_put(struct pipe_name *name)
{
	if (name && refcount_dec_and_test(&name->ref))
		kfree(name);
}

/* Copy an address for getsockname(); return its length */
int pipe_name_copy(const struct pipe_name *name, struct sockaddr_storage *addr)
{
	if (!name) {
		addr->ss_family = AF_UNIX;
		return offsetof(struct sockaddr_un, sun_path);
	}
	memcpy(addr, &name->addr, name->len);
	return name->len;
}

/* The inode of a socket that the caller may connect to, in @path */
static int pipe_lookup_path(const char *pathname, struct path *path)
{
	int err;

	err = kern_path(pathname, LOOKUP_FOLLOW, path);
	if (err)
		return err;
	err = path_permission(path, MAY_WRITE);
	if (!err && !S_ISSOCK(d_backing_inode(path->dentry)->i_mode))
		err = -ECONNREFUSED;
	if (err)
		path_put(path);
	return err;
}

/* Find who bears a name; referenced */
struct qp_sock *pipe_name_find(struct net *net, struct sockaddr_storage *addr,
			       int len)
{
	struct path path = {};
	struct qp_sock *qp;
	int err;

	len = pipe_name_check(addr, len);
	if (len < 0)
		return ERR_PTR(len);
	if (!pipe_is_abstract(addr)) {
		err = pipe_lookup_path(addr->__data, &path);
		if (err)
			return ERR_PTR(err);
	}
	spin_lock(&pipe_names_lock);
	qp = path.dentry ? pipe_find_inode(d_backing_inode(path.dentry)) :
			   pipe_find_abstract(net, addr, len);
	if (qp)
		sock_hold(&qp->sk);
	spin_unlock(&pipe_names_lock);
	if (qp && path.dentry)
		touch_atime(&path);
	path_put(&path);
	return qp ?: ERR_PTR(-ECONNREFUSED);
}
