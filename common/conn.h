// conn.h - one TCP connection on a port: one receive, one send, an outbox, an orderly end.
// Floor 1.
//
//   1. zero it, conn_init() with its handler; conn_open() on an accepted socket or conn_connect()
//   2. `received` eats bytes from the front; what it leaves is shown again with what follows
//   3. fill conn_outbox(), then conn_flush(), best once at the end of a poll batch
//   4. conn_finish() (flush, FIN, wait for the peer's FIN) or conn_abort() (RST)
//   5. `closed` is called once, the last call: the memory may be reused
//
// The gateway's session and the client library each embed one. Owner: the port's thread. Callbacks
// come from port_poll(), but `received` and `ended` also from within conn_resume(); `received` is
// never called from within itself. A conn that has nothing to send and no half message holds at
// most CONN_KEEP_BYTES a direction. What `received` leaves is the owner's to limit: it ends a conn
// that leaves too much.
#ifndef TROUPE_CONN_H
#define TROUPE_CONN_H

#include "base.h"
#include "buffer.h"
#include "port.h"

enum { CONN_KEEP_BYTES = 1024 }; // of buffer memory that an idle connection keeps

enum conn_state {
    CONN_IDLE,       // never opened, or closed
    CONN_CONNECTING, // waits for conn_connect() to stand
    CONN_OPEN,       // receives (unless paused) and sends
    CONN_FINISHING,  // sends what is in the outbox
    CONN_LINGERING,  // FIN is out; waits for the peer's
    CONN_CANCELLING, // waits until its operations are home
    CONN_CLOSING,    // waits for the close
};

// Whether `received` is running now; a resume from within it has the rest shown once more.
enum conn_show { CONN_SHOW_NOTHING, CONN_SHOW_RUNNING, CONN_SHOW_AGAIN };

struct conn;

// `connected` and `sent` may be NULL.
struct conn_handler {
    // conn_connect() only: it stands.
    void (*connected)(struct conn *conn);
    // Bytes from the peer; returns how many were eaten. Not called while paused. May call any conn
    // function; after conn_pause() or a close the return value still counts.
    size_t (*received)(struct conn *conn, const uint8_t *data, size_t size);
    // The peer sends no more (FIN). Everything before it was shown; what `received` left of it is
    // in conn->inbox. The conn stays open for sending: call conn_finish() when all is said.
    void (*ended)(struct conn *conn);
    // A send came home: the outbox has shrunk. What is appended here leaves without a flush.
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
    bool half_closed;   // by conn_half_close(): what comes while finishing and lingering is shown
    enum conn_show show;
    struct port_op recv;
    struct port_op send;
    struct port_op last;   // connect, then close
    struct buffer inbox;   // bytes that `received` left
    struct buffer outbox;  // bytes to send, never lent: swapped with `sending` when that is empty
    struct buffer sending; // bytes of the send in flight
    struct bytes slice;    // of `sending`, lent to the port
};

void conn_init(struct conn *conn, struct port *port, const struct conn_handler *handler);

// Takes over an accepted, adopted socket.
void conn_open(struct conn *conn, net_socket socket);

// Connects a new socket. 0, -EMFILE, -EAFNOSUPPORT (nothing is called); later failures come by
// `closed`.
int conn_connect(struct conn *conn, const struct net_addr *to);

// Where to append what is to be sent. While connecting it waits; once the conn is ending, what is
// appended is dropped with the rest.
struct buffer *conn_outbox(struct conn *conn);

// Bytes not yet taken by the system.
size_t conn_unsent(const struct conn *conn);

// Whether what the peer says is still for the owner; else it is dropped. A loop in `received` that
// calls out for each message asks it before the next one, and `paused` too.
bool conn_hears(const struct conn *conn);

// Sends the outbox now if no send is under way; otherwise it goes when that one is home.
void conn_flush(struct conn *conn);

// Stops and goes on receiving. A receive that is in flight still comes home while paused: its bytes
// wait in the inbox. A resume shows what waits there at once, from within conn_resume(): `received`
// must be ready for that. Resuming what is not paused has no effect.
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

// Orderly end: the outbox is sent, then FIN, then the peer's FIN is awaited and what it sends until
// then is dropped; no deadline of its own: the owner aborts when it waits too long. While
// connecting it is the same as conn_abort(). No effect when it is already ending.
void conn_finish(struct conn *conn);

// Says all that is in the outbox, then FIN, and goes on listening: `received` and `ended` come as
// before (also pause and resume), and after `ended` the conn closes in order by itself. For clients
// that close their half after the last request. No effect unless it is open.
void conn_half_close(struct conn *conn);

// Hard end: RST, nothing more is sent. `closed` follows from a later port_poll(). Also after
// conn_finish(), to end the wait. No effect when it is being closed already.
void conn_abort(struct conn *conn);

#endif
