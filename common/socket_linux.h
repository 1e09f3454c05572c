// socket_linux.h - the TCP sockets under port_epoll.c: made, bound, accepted, never blocking.
// Floor 0.
//
// Results are descriptors or 0, or a negative errno. Every socket is closed on exec.
#ifndef TROUPE_SOCKET_LINUX_H
#define TROUPE_SOCKET_LINUX_H

#include "base.h"
#include "addr.h"
#include "port.h"

// A bound, listening socket.
int socket_listen(const struct net_addr *at, uint32_t backlog);

// An unconnected one, of the family that suits the peer.
int socket_make(const struct net_addr *for_peer);

// The next client of a listener. -EAGAIN: there is none. -EMFILE: the process or the system has no
// room for one more; the client still waits. Else: a client that had gone.
int socket_accept(int listener);

// -EINPROGRESS: under way; writable when decided, and socket_error() is the outcome.
int socket_connect(int socket, const struct net_addr *to);
int socket_error(int socket);

// Bytes moved; -EAGAIN: not now.
int socket_recv(int socket, void *into, size_t capacity);
int socket_send(int socket, const struct bytes *slices, uint32_t count);

#endif
