// listener.h - keeps accepts posted on the listening socket and hands over what they bring.
// Floor 2.
//
//   1. listener_open()
//   2. `accepted` gets a slot: take slot->socket, give the slot back with listener_give_back()
//   3. listener_run() after every poll posts again what has come back
//   4. listener_close(); `closed` is called when every slot is home
//
// A slot is its accept's memory, and it may travel to another shard (port_post of slot->op) and
// back: so the number of slots bounds the clients that are between accept and session, and a shard
// that does not keep up slows the accepting down. Owner: the thread of `port`.
#ifndef TROUPE_LISTENER_H
#define TROUPE_LISTENER_H

#include "base.h"
#include "port.h"

struct listener;

struct listener_slot {
    struct port_op op; // free for the receiver's posts until the slot is given back
    net_socket socket; // the new client
    void *receiver;    // the receiver's: who it is on its way to
    uint32_t hops;     // the receiver's: how many had no room for it
    struct listener *listener;
    struct list node; // the listener's
};

enum listener_state {
    LISTENER_OPEN,
    LISTENER_CANCELLING, // waits until the slots are home
    LISTENER_CLOSING,    // the close is under way
};

struct listener_config {
    struct port *port;
    struct net_addr at;
    uint32_t accepts; // slots
    void (*accepted)(void *owner, struct listener_slot *slot);
    void (*closed)(void *owner);
    void *owner;
};

struct listener {
    struct listener_config config;
    net_socket socket;
    struct net_addr bound; // the real address, after port 0
    struct listener_slot *slots;
    struct list idle;           // slots to be posted again
    uint32_t away;              // slots posted or with a receiver
    uint64_t back_off_until_ms; // out of descriptors: no accept before
    uint64_t failed;            // accepts that came home with an error
    uint32_t back_offs;         // how often it paused
    enum listener_state state;
    struct port_op close;
};

// Binds and listens; the first accepts are posted by listener_run(). 0 or the error of
// port_listen(), -ENOMEM.
int listener_open(struct listener *listener, const struct listener_config *config);

void listener_give_back(struct listener_slot *slot);

// After every poll. Returns how long the next poll may wait because of this listener: -1 = for
// ever.
int listener_run(struct listener *listener, uint64_t now_ms);

// Stops accepting. `closed` follows, the last call: the memory is free then.
void listener_close(struct listener *listener);

#endif
