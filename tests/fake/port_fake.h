// port_fake.h - the completion port in memory: what a test may ask of it beyond port.h.
// Floor 1.
//
//   1. fake_reset() with a configuration, before each case
//   2. ports, listeners and sockets as port.h has them; several ports talk to each other
//   3. now and then: fake_fail(), fake_peer_reset(), fake_peer_finish(), fake_client_address()
//   4. at the end: fake_sockets_open() and fake_in_flight() are 0
//
// One network for the process, one thread, no clock: port_poll() never sleeps and returns 0 when
// nothing can go on, even for ever. All that happens follows from the seed and the calls.
//
// It takes each freedom that port.h leaves: completions run in any order, now or in a later poll;
// receives and sends move some of what they could; a cancelled operation may come home as if it had
// not been; a reset may lose what was not read, and may look like an orderly end when no receive
// was posted; a client that reset may fail its accept or come as a dead socket.
#ifndef TROUPE_PORT_FAKE_H
#define TROUPE_PORT_FAKE_H

#include "base.h"
#include "addr.h"
#include "port.h"

struct fake_config {
    uint64_t seed;         // of every choice
    bool shuffle;          // any legal order; else by number of socket, then posts, and all at once
    bool pieces;           // receives and sends move any part; else as much as they can
    uint32_t socket_bytes; // what a socket holds unread before its peer's sends wait; 0 = 64 KiB
    uint32_t socket_max;   // descriptors of all ports; then -EMFILE; 0 = no limit
};

// Calls that can be made to fail. The first three return the error, the others bring it home.
enum fake_call {
    FAKE_LISTEN,
    FAKE_SOCKET,
    FAKE_ADOPT,
    FAKE_ACCEPT,
    FAKE_CONNECT,
    FAKE_RECV,
    FAKE_SEND,
};

// Starts a new, empty network. Ports must be destroyed by then; sockets left open are forgotten.
void fake_reset(const struct fake_config *config);

// The next call of this kind fails: on this socket, or on any (NET_SOCKET_NONE, and always so for
// the first two). An operation that waits fails, too. Several add up, first asked, first served. A
// failed receive or send ends the connection; a failed accept loses its client unless the error is
// -EMFILE.
void fake_fail(enum fake_call call, net_socket socket, int error);

// As if the other side had sent RST or FIN, also where that side is not the test's to use.
void fake_peer_reset(net_socket socket);
void fake_peer_finish(net_socket socket);

// Where the clients to come connect from: their host, when its family is the listener's. The
// default is 127.0.0.1 and [::1].
void fake_client_address(const struct net_addr *host);

// Of all ports: sockets that somebody must still close, operations not yet home (without posts).
uint32_t fake_sockets_open(void);
uint32_t fake_in_flight(void);

// Bytes that arrived at a socket and were not received.
size_t fake_unread(net_socket socket);

// True when a port_poll() of this port would run something.
bool fake_ready(struct port *port);

#endif
