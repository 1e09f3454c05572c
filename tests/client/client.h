// client.h - the connecting side: many connections to one server, framed, on one port and thread.
// Floor 2.
//
//   1. client_create() with the server's address, a codec and a handler
//   2. client_open() as often as wanted; at most connecting_max are under way at a time, the others
//      wait for their turn
//   3. client_poll() again and again: callbacks, then one flush of all that was sent
//   4. client_send(); -EAGAIN says to wait for `sent`
//   5. client_finish(), client_half_close() or client_abort(); `closed` is a connection's last call
//   6. client_close_all(), poll until client_count() is 0, client_destroy()
//
// One thread. A connection is freed when `closed` returns. When the server finishes first, the
// connection finishes too. Bytes that are no frame end it with -EPROTO, and so does a server that
// finishes within a frame.
#ifndef TROUPE_CLIENT_H
#define TROUPE_CLIENT_H

#include "base.h"
#include "addr.h"
#include "frame.h"

struct client;
struct client_conn;

struct client_handler {
    void (*connected)(struct client_conn *conn);                       // may be NULL
    void (*frame)(struct client_conn *conn, const struct frame *what); // lent until return
    void (*sent)(struct client_conn *conn);                            // may be NULL: room again
    // 0: in order; -ECANCELED: client_abort(); -EPROTO, -ECONNREFUSED, -ECONNRESET, ...
    void (*closed)(struct client_conn *conn, int error);
};

struct client_config {
    struct net_addr to;
    struct frame_codec codec;
    uint32_t count_max;      // connections at a time, waiting ones included
    uint32_t connecting_max; // under way at a time
    size_t outbox_max;       // bytes a connection may have unsent before client_send() says -EAGAIN
    const struct client_handler *handler;
};

int client_create(struct client **out_client,
                  const struct client_config *config); // 0, -ENOMEM, -EMFILE

// Aborts the program unless all connections are closed; NULL is fine.
void client_destroy(struct client *client);

// A new connection. 0; -ENOBUFS at count_max; -ENOMEM. All that fails later comes by `closed`.
int client_open(struct client *client, void *owner, struct client_conn **out_conn);

void *client_owner(const struct client_conn *conn);

// Sends one frame with the end of this client_poll(), or with the next. 0; -EAGAIN: too much is
// unsent (a frame larger than outbox_max passes when nothing is); -EMSGSIZE, -EINVAL: not a payload
// of this codec; -ENOTCONN: not connected yet, or ending; -ENOMEM.
int client_send(struct client_conn *conn, struct bytes payload);

// The same with bytes as they are, for tests of what is no frame.
int client_send_raw(struct client_conn *conn, struct bytes wire);

size_t client_unsent(const struct client_conn *conn);

void client_pause(struct client_conn *conn);      // `frame` is not called, receiving stops
void client_resume(struct client_conn *conn);     // `frame` may be called from within
void client_half_close(struct client_conn *conn); // FIN after what was sent; frames still come
void client_finish(struct client_conn *conn);     // FIN after what was sent; the rest is dropped
void client_abort(struct client_conn *conn);      // RST

// Finishes all connections that stand and gives up those that do not.
void client_close_all(struct client *client);
void client_abort_all(struct client *client);

// Waits up to timeout_ms, runs callbacks, flushes. How many completions, or a negative errno.
int client_poll(struct client *client, int timeout_ms);

// Polls until no connection is left. 0 or -ETIMEDOUT.
int client_drain(struct client *client, uint32_t timeout_ms);

uint32_t client_count(const struct client *client);     // not yet closed
uint32_t client_connected(const struct client *client); // that stand

#endif
