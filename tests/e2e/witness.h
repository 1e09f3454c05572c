// witness.h - a crowd of clients that know what a counter must answer, and miss nothing.
// Floor 3.
//
// Each sends frames of random size, `window` of them under way, and compares every answer with the
// count and the checksum of all that it has sent so far: an answer that is lost, doubled, out of
// order or of a forgotten state fails the test, and so does a connection that ends too early.
#ifndef TROUPE_WITNESS_H
#define TROUPE_WITNESS_H

#include "addr.h"
#include "base.h"
#include "client.h"

enum {
    WITNESS_WINDOW_MAX = 512,
    WITNESS_STALL_MS = 90 * 1000, // without any answer
};

struct witness_config {
    struct net_addr to;
    uint32_t clients;
    uint32_t window;   // frames of a client under way
    uint32_t size_min; // of a frame's payload, 2 at least
    uint32_t size_max;
    uint64_t seed;
};

struct crowd;

struct witness {
    struct crowd *crowd;
    struct client_conn *conn; // NULL once it is closed
    bool connected;
    bool leaving; // its connection may end now
    uint64_t sent;
    uint64_t answered;
    uint64_t checksum; // of all that was sent
    struct witness_answer {
        uint8_t id[2];
        uint64_t checksum;
    } expected[WITNESS_WINDOW_MAX]; // of frame i at [i % WITNESS_WINDOW_MAX]
};

struct crowd {
    struct witness_config config;
    struct client *client;
    struct witness *witnesses;
    uint64_t random;
    uint64_t limit; // frames of each client, for now
    uint64_t sent;
    uint64_t answered;
    uint64_t heard_ms; // last answer
    uint32_t closed;
    uint8_t *frame;
};

// Connects all of them, and waits for that.
void crowd_open(struct crowd *crowd, const struct witness_config *config);

// Sends what may be sent, takes what has come, for up to timeout_ms.
void crowd_poll(struct crowd *crowd, int timeout_ms);

// From now on each client sends `frames` in all; UINT64_MAX = without end.
void crowd_limit(struct crowd *crowd, uint64_t frames);

// Sends no more, and waits until all that was sent is answered.
void crowd_settle(struct crowd *crowd);

// Sends FIN behind all that was sent; answers still come. crowd_wait_closed() waits for the last.
void crowd_half_close(struct crowd *crowd);
void crowd_wait_closed(struct crowd *crowd);

// Settles, closes in order and frees. Every frame has had its answer.
void crowd_finish(struct crowd *crowd);

uint64_t crowd_random(struct crowd *crowd);

#endif
