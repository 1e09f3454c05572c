// socket_win32.h - Windows sockets as such, without a completion port: make, bind, name, close.
// Floor 0. Internal to port_iocp.c.
//
// A socket here is overlapped, not inherited by child processes, and does not block.
#ifndef TROUPE_SOCKET_WIN32_H
#define TROUPE_SOCKET_WIN32_H

#include "base.h"
#include "addr.h"
#include "port.h"

enum { SOCKET_NAME_MAX = 28 }; // bytes of the longest socket address, asserted

// error_from_windows(), and the raw code in the log at debug.
int socket_error(uint32_t code);

// A new TCP socket of a family. 0 or negative errno.
int socket_open(enum addr_family family, net_socket *out_socket);

// Writes the system's form of an address and returns its size.
int socket_name(const struct net_addr *addr, unsigned char out_name[SOCKET_NAME_MAX]);

// The family of a bound socket, ADDR_NONE when it is not a socket.
enum addr_family socket_family(net_socket socket);

// Binds to any address and free port, as ConnectEx wants it; fine when it is bound already.
int socket_bind_any(net_socket socket, enum addr_family family);

// After AcceptEx: makes the new socket like one of socket_open(), that knows both its addresses.
int socket_finish_accept(net_socket socket, net_socket listener);

// After ConnectEx: makes the socket know both its addresses, and shutdown work.
int socket_finish_connect(net_socket socket);

#endif
