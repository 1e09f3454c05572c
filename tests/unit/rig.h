// rig.h - a network in memory, a clock, and clients and workers that do what a test says.
// Floor 3. For the suites of gateway and worker.
//
//   1. rig_start(); rig_turn is what the program under test does after each poll
//   2. rig_listen(), rig_connect(): clients; rig_worker_dial(): workers; rig_settle()
//   3. rig_end(): nothing may be open or on its way
//
// A program that makes its own port takes the rig with it: it destroys rig_port and sets it.
#ifndef TROUPE_RIG_H
#define TROUPE_RIG_H

#include "base.h"
#include "conn.h"
#include "envelope.h"
#include "port.h"
#include "stream.h"

#define RIG_ADDRESS "ipc://rig-0"

extern struct port *rig_port;
extern uint64_t rig_clock_ms;
extern void (*rig_turn)(void); // may be NULL

uint64_t rig_now_ms(void);

struct rig_config {
    uint64_t seed;
    bool rough; // any order, pieces, delays, loss at the end of streams
    uint32_t socket_bytes;
};

void rig_start(const struct rig_config *config);
void rig_end(void);
size_t rig_random(size_t below);
void rig_poll(void);   // once, and its turn
void rig_settle(void); // until nothing can go on

// A client. Zero it.
struct rig_client {
    struct conn conn;
    struct buffer received;
    bool ended;                             // FIN has come
    unsigned closed;                        // calls of `closed`
    int error;                              // of the last one
    void (*got)(struct rig_client *client); // bytes, or the end; may be NULL
};

void rig_listen(void (*accepted)(net_socket socket, const struct net_addr *peer));
void rig_connect(struct rig_client *client);
void rig_connect_to(struct rig_client *client, const struct net_addr *to);
void rig_send(struct rig_client *client, const void *data, size_t size);
void rig_client_free(struct rig_client *client); // it must be closed
bool rig_received(const struct rig_client *client, const char *text);

// What a worker got.
struct rig_input {
    enum envelope_kind kind;
    uint64_t session;
    uint32_t epoch;
    uint64_t sequence;
    uint64_t now_ms;
    struct buffer payload;
    char text[ENVELOPE_TEXT_MAX + 1];
    // A RESTORE that came right before it.
    bool restored;
    uint32_t state_version;
    struct buffer state;
};

enum rig_worker_state {
    RIG_WORKER_DIALLING,
    RIG_WORKER_OPEN,
    RIG_WORKER_UP,
    RIG_WORKER_DEAF, // set by a test that is done with it: what comes is dropped
    RIG_WORKER_GONE,
};

// A worker. Zero it, and set what it is to do otherwise.
struct rig_worker {
    struct stream *stream;
    enum rig_worker_state state;
    struct envelope_reader reader;
    uint32_t number;
    uint32_t version;                           // of HELLO; 0 = the right one
    const char *token;                          // NULL = the right one
    bool silent;                                // no HELLO
    bool mute;                                  // no PONG
    void (*arrived)(struct rig_worker *worker); // a batch was read; may be NULL
    struct envelope welcome;
    char refused[ENVELOPE_TEXT_MAX + 1];
    uint32_t pings;
    uint32_t drains; // since it dialled
    int error;       // of the end
    struct rig_input inputs[8192];
    uint32_t first;
    uint32_t count;
    uint64_t input_bytes; // of the payloads that wait
    bool restoring;       // the input of a RESTORE is still to come, within the batch
};

#define RIG_TOKEN "c0ffee"

void rig_worker_dial(struct rig_worker *worker);
void rig_worker_say(struct rig_worker *worker, const struct envelope *envelope);

// The oldest input; NULL when there is none.
struct rig_input *rig_worker_next(struct rig_worker *worker);

// Commits the oldest input with these replies (texts), and END if `end`; sends it.
void rig_worker_commit(struct rig_worker *worker, const struct bytes *replies, uint32_t reply_count,
                       bool end);

// The same with any effects.
void rig_worker_commit_effects(struct rig_worker *worker, const struct envelope *effects,
                               uint32_t count);

// The same, torn: nothing is sent after so many of its envelopes, fewer than it has. The gateway
// ends the link.
void rig_worker_commit_torn(struct rig_worker *worker, const struct envelope *effects,
                            uint32_t count, uint32_t envelopes);

// Commits all there is: each FRAME is answered by its own payload.
void rig_worker_echo(struct rig_worker *worker);

void rig_worker_close(struct rig_worker *worker);

struct bytes rig_text(const char *text);

#endif
