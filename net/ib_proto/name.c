// SPDX-License-Identifier: GPL-2.0
/*
 * PF_IB: what the ends of a socket are called, and the state that others see
 *
 * Names change under the socket lock, which may be held for long, as a call waits
 * for the device or the peer. So they change under a spinlock besides, for those who
 * only look.
 */
#include "ib_proto.h"

/**
 * afib_set_local() - say what a socket is called
 * @is: the socket, locked
 * @local: the address that it is bound to now, of family 0 if it is not bound
 *
 * Context: process.
 */
void afib_set_local(struct afib_sock *is, const struct sockaddr_ib *local)
{
	spin_lock_bh(&is->lock);
	is->local = *local;
	is->bound = local->sib_family;
	spin_unlock_bh(&is->lock);
}

/**
 * afib_set_names() - say between whom a connection stands
 * @is: the socket, locked
 * @local: own address
 * @peer: peer's address
 *
 * Context: process.
 */
void afib_set_names(struct afib_sock *is, const struct sockaddr_ib *local,
		    const struct sockaddr_ib *peer)
{
	spin_lock_bh(&is->lock);
	is->local = *local;
	is->peer = *peer;
	spin_unlock_bh(&is->lock);
}

/* A datagram socket with a peer has an address even if it was not bound to one */
static void afib_name_of_port(const struct afib_port *port, struct sockaddr_ib *name)
{
	afib_addr_make(name, &port->gid, port->pkey, port->scope,
		       afib_addr_of_qpn(READ_ONCE(port->qp->port_qpn)));
}

/**
 * afib_names() - what the ends of a socket are called
 * @is: the socket
 * @local: where to put the own address, of family 0 if there is none
 * @peer: where to put the peer's, likewise
 *
 * Context: any.
 */
void afib_names(struct afib_sock *is, struct sockaddr_ib *local,
		struct sockaddr_ib *peer)
{
	spin_lock_bh(&is->lock);
	*local = is->local;
	*peer = is->peer;
	if (!is->bound && is->conn)
		afib_name_of_port(is->conn->port, local);
	spin_unlock_bh(&is->lock);
}

/*
 * A connection that stands: who has said that it is done? As TCP calls it; there is
 * no name for one of which both have said so and that is not closed, so it is that
 * which TCP has for a moment.
 */
static u8 afib_state_of_ends(const struct afib_conn *c)
{
	const struct sock *sk = &c->is.sk;
	bool done = READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN;

	if (!done)
		return READ_ONCE(c->fin) ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
	if (READ_ONCE(c->fin))
		return sock_flag(sk, SOCK_DEAD) ? TCP_LAST_ACK : TCP_CLOSING;
	return sk_wmem_alloc_get(sk) ? TCP_FIN_WAIT1 : TCP_FIN_WAIT2;
}

/**
 * afib_state() - the state of a socket, as others see it
 * @sk: the socket
 *
 * Context: any.
 * Return: TCP_*, which says more of a connection than sk_state.
 */
u8 afib_state(const struct sock *sk)
{
	u8 state = READ_ONCE(sk->sk_state);

	if (!afib_is_conn(sk))
		return state;
	if (state == TCP_SYN_SENT && READ_ONCE(afib_conn(sk)->listener))
		return TCP_SYN_RECV;
	return state == TCP_ESTABLISHED ? afib_state_of_ends(afib_conn(sk)) : state;
}
