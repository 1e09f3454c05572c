// port.h - a completion port: network operations go in, their completions come out.
// Floor 0.
//
//   1. port_create() on the thread that will own it
//   2. port_listen() or port_socket(); port_adopt() what accept gave
//   3. submit operations, each with a struct port_op embedded in what it belongs to
//   4. port_poll() again and again: it calls op->done on the owner's thread
//   5. the end of a socket: port_cancel(), wait until its operations are home, port_close()
//   6. port_destroy() when nothing is in flight
//
// Rules
//   - every submit completes exactly once, with a call of op->done from port_poll(); a submit never
//     fails and never calls done itself: bad news, too, comes out of port_poll()
//   - between submit and done, the op and the bytes it points to belong to the port
//   - done is never nested; what it makes ready waits for the next port_poll()
//   - on one socket: at most one receive and one send in flight (accepts: any number on a listener)
//   - cancel is a request: an operation may still come home as if it had not been asked for
//   - all functions are for the owner's thread, but port_post(); socket functions without a port
//   are
//     for the thread that owns the socket at that time
//   - timers are not the port's business: the loop passes a timeout and sweeps its deadlines
//
// Twins: port_iocp.c (Windows), port_epoll.c (Linux), tests/fake/port_fake.c (in memory). One
// suite, tests/port, runs over all three.
#ifndef TROUPE_PORT_H
#define TROUPE_PORT_H

#include "base.h"
#include "addr.h"

typedef intptr_t net_socket; // a socket of either system

#define NET_SOCKET_NONE ((net_socket)-1)

enum {
    PORT_OP_OS_SIZE = 192,           // bytes of a twin's own state in an op; asserted by the twin
    PORT_RECV_BYTES_MAX = 64 * 1024, // most bytes one receive lends
    PORT_SLICES_MAX = 16,            // most slices of one send
};

struct port;

struct port_config {
    uint32_t op_count_max; // most operations in flight, checked on every submit
};

// One operation. Embed it in what it belongs to, zero it once, set done, submit, submit again.
struct port_op {
    void (*done)(struct port_op *op); // set by the owner before a submit or a post
    int error;                        // at done: 0 or negative errno (-ECANCELED after a cancel)
    uint32_t bytes;                   // at done of receive and send: how many
    const uint8_t *data;              // at done of receive: lent until done returns
    net_socket accepted;              // at done of accept: the new socket, the receiver's to close
    bool in_flight;                   // from submit until just before done; a second submit aborts
    struct port_op *next;             // the port's
    union {
        void *align;
        unsigned char raw[PORT_OP_OS_SIZE];
    } os; // the twin's
};

enum port_close_mode {
    PORT_CLOSE_ORDERLY, // what was sent still arrives, then FIN
    PORT_CLOSE_RESET,   // drop what is unsent, RST
};

// The caller's thread becomes the owner. 0, -ENOMEM, -EMFILE.
int port_create(struct port **out_port, const struct port_config *config);

// Aborts unless nothing is in flight; NULL is fine.
void port_destroy(struct port *port);

// A listening socket. [::] takes both families. The address is taken exclusively: -EADDRINUSE when
// another program has it; -EADDRNOTAVAIL, -EACCES, -EMFILE, -EAFNOSUPPORT.
int port_listen(struct port *port, const struct net_addr *at, uint32_t backlog,
                net_socket *out_listener);

// An unconnected TCP socket for port_connect(), adopted already. 0, -EMFILE, -EAFNOSUPPORT.
int port_socket(struct port *port, const struct net_addr *for_peer, net_socket *out_socket);

// Ties an accepted socket to this port, once, before any operation on it. An accepted socket is
// tied to nothing until then, so another port's thread may adopt it. 0, -ENOMEM, -EMFILE.
int port_adopt(struct port *port, net_socket socket);

// Closes a socket that was accepted but never adopted.
void port_discard(net_socket socket, enum port_close_mode mode);

// Where it is bound (the real port after port 0), and who is on the other side.
int port_addr_local(net_socket socket, struct net_addr *out_addr);
int port_addr_peer(net_socket socket, struct net_addr *out_addr);

// Sends FIN after what was sent; receiving goes on. No send may be in flight. 0 or negative errno.
int port_shutdown(net_socket socket);

// Small frames leave at once (TCP_NODELAY); set on every socket a port makes or accepts.

// Submits.

// Takes the next client. op->accepted is the new socket. An op whose client had gone again comes
// home with an error; the listener is fine then. -EMFILE: out of descriptors, back off.
void port_accept(struct port *port, struct port_op *op, net_socket listener);

// `to` is copied. -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH, ...
void port_connect(struct port *port, struct port_op *op, net_socket socket,
                  const struct net_addr *to);

// At done, op->data holds op->bytes bytes, until done returns; an idle socket holds no buffer.
// 0 bytes without error: the peer has finished sending.
void port_recv(struct port *port, struct port_op *op, net_socket socket);

// Sends the slices (1 to PORT_SLICES_MAX, not all empty) one after another; may be short: op->bytes
// says how much went. The array and what it points to belong to the port until done.
void port_send(struct port *port, struct port_op *op, net_socket socket, const struct bytes *slices,
               uint32_t count);

// The last operation on a socket (also on a listener, or a socket that never connected); none other
// may be in flight on it. The socket is gone when done is called, always with error 0.
void port_close(struct port *port, struct port_op *op, net_socket socket,
                enum port_close_mode mode);

// Asks that all operations on the socket finish soon; each still completes, once.
void port_cancel(struct port *port, net_socket socket);

// Any thread: run op->done(op) on the owner's thread, with error 0. In order for each poster. Does
// not fail; the port must outlive all posters.
void port_post(struct port *port, struct port_op *op);

// Waits up to timeout_ms (-1 = for ever, 0 = not at all) for something to be done, runs one batch
// of completions and returns how many (0 after a time-out), or a negative errno when the system
// failed.
int port_poll(struct port *port, int timeout_ms);

// Operations submitted and not yet done; posts are not counted.
uint32_t port_in_flight(const struct port *port);

#endif
