// peer.h - one client of a node under test, driven step by step.
// Floor 3.
//
// Each has a client library of its own. Whatever does not happen within PEER_DEADLINE_MS fails the
// test.
#ifndef TROUPE_PEER_H
#define TROUPE_PEER_H

#include "addr.h"
#include "base.h"
#include "buffer.h"
#include "client.h"

enum { PEER_DEADLINE_MS = 90 * 1000 };

enum peer_state { PEER_CONNECTING, PEER_OPEN, PEER_CLOSED };

struct peer { // zero it
    struct client *client;
    struct client_conn *conn;
    enum peer_state state;
    int error;           // PEER_CLOSED: how, as in client.h
    uint32_t frames;     // that came
    struct buffer bytes; // payloads of all frames, one after another
    size_t last;         // size of the last one
};

void peer_open(struct peer *peer, const struct net_addr *to, const char *codec); // and waits for it
void peer_start(struct peer *peer, const struct net_addr *to, const char *codec);

void peer_send(struct peer *peer, const void *payload, size_t size);
void peer_send_text(struct peer *peer, const char *text);
void peer_send_raw(struct peer *peer, const void *bytes, size_t size);

void peer_poll(struct peer *peer, int timeout_ms);
void peer_wait_frames(struct peer *peer, uint32_t frames); // until so many have come in all
int peer_wait_closed(struct peer *peer);                   // returns peer->error

// Sends a text as a frame and waits for it to come back.
void peer_echo(struct peer *peer, const char *text);

// The same, but says whether it did; the connection may end instead.
bool peer_try_echo(struct peer *peer, const char *text);

void peer_finish(struct peer *peer); // closes in order, which must succeed, and frees
void peer_drop(struct peer *peer);   // RST if it still stands, and frees

// Opens clients until one gets its echo: a service that is to be there again.
void peer_wait_service(const struct net_addr *to, const char *codec);

#endif
