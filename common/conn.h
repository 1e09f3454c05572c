// conn.h - one TCP connection on a port: one receive, one send, an outbox, one state, an orderly
// end. Floor 1.
//
//   1. zero it, conn_init() with its handler; conn_open() on an accepted socket or conn_connect()
//   2. `received` eats bytes from the front; what it leaves is kept and shown again with what
//   follows
//   3. fill conn_outbox(), then conn_flush(), best once at the end of a poll batch
//   4. conn_finish() (flush, FIN, wait for the peer's FIN) or conn_abort() (RST)
//   5. `closed` is called once, the last call: the memory may be reused
//
// The gateway's session and the client library each embed one. Owner: the port's thread.
#ifndef TROUPE_CONN_H
#define TROUPE_CONN_H

#include "base.h"
#include "buffer.h"
#include "port.h"

enum conn_state {
    CONN_IDLE,       // never opened, or closed
    CONN_CONNECTING, //
    CONN_OPEN,       // receives (unless paused) and sends
    CONN_FINISHING,  // sends what is in the outbox; received bytes are dropped
    CONN_LINGERING,  // FIN is out; waits for the peer's
    CONN_CANCELLING, // waits until its operations are home
    CONN_CLOSING,    // waits for the close
};

struct conn;

struct conn_handler {
    // conn_connect() only: it stands.
    void (*connected)(struct conn *conn);
    // Bytes from the peer; returns how many were eaten. Not called while paused. May call any conn
    // function; after conn_pause() or a close the return value still counts.
    size_t (*received)(struct conn *conn, const uint8_t *data, size_t size);
    // The peer sends no more (FIN). Everything before it was shown. The conn stays open for
    // sending: call conn_finish() when there is nothing to say any more.
    void (*ended)(struct conn *conn);
    // A send came home: the outbox has shrunk.
    void (*sent)(struct conn *conn);
    // Over. 0: orderly (own finish); -ECANCELED: conn_abort(); else what went wrong (-ECONNRESET,
    // -ECONNREFUSED, -ENOMEM, ...).
    void (*closed)(struct conn *conn, int error);
};

struct conn {
    struct port *port;
    const struct conn_handler *handler;
    net_socket socket;
    enum conn_state state;
    int error;          // first thing that went wrong
    bool paused;        // by the owner: no receive is posted, `received` is not called
    bool peer_finished; // FIN was seen
    bool end_told;      // `ended` was called
    struct port_op recv;
    struct port_op send;
    struct port_op last;   // connect, then close
    struct buffer inbox;   // bytes that `received` left
    struct buffer outbox;  // bytes to send; the front is lent to the port while a send is in flight
    struct buffer sending; // bytes of the send in flight
    struct bytes slice;    // of `sending`
};

void conn_init(struct conn *conn, struct port *port, const struct conn_handler *handler);

// Takes over an accepted, adopted socket.
void conn_open(struct conn *conn, net_socket socket);

// Connects a new socket. 0, -EMFILE, -EAFNOSUPPORT (nothing is called); later failures come by
// `closed`.
int conn_connect(struct conn *conn, const struct net_addr *to);

struct buffer *conn_outbox(struct conn *conn);

// Bytes not yet taken by the system.
size_t conn_unsent(const struct conn *conn);

void conn_flush(struct conn *conn);

// Stops and goes on receiving. A resume shows what was left in the inbox from a later port_poll()
// or at once, from within conn_resume(): `received` must be ready for that.
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

// Orderly end: the outbox is sent, then FIN, then the peer's FIN is awaited; no deadline of its
// own: the owner aborts when it waits too long. No effect when it is already ending.
void conn_finish(struct conn *conn);

// Hard end: RST, nothing more is sent. `closed` follows from a later port_poll().
void conn_abort(struct conn *conn);

#endif
