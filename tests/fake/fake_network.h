// fake_network.h - the sockets behind the fake port: streams, listeners, addresses, faults.
// Floor 0.
//
// Knows nothing of when operations run: port_fake.c decides that and calls these.
#ifndef TROUPE_FAKE_NETWORK_H
#define TROUPE_FAKE_NETWORK_H

#include "base.h"
#include "addr.h"
#include "buffer.h"
#include "port.h"
#include "port_fake.h"

enum fake_state {
    FAKE_FREE,
    FAKE_MADE,      // by port_socket()
    FAKE_LISTENING, //
    FAKE_QUEUED,    // in a listener's backlog: nobody's yet
    FAKE_OPEN,
};

struct fake_socket {
    enum fake_state state;
    net_socket number;
    struct port *port; // that it is tied to; NULL before it is adopted
    struct net_addr local;
    struct net_addr remote;
    struct fake_socket *peer; // NULL when it is gone
    struct buffer inbox;      // arrived, not received
    bool finished;            // our FIN is out
    bool peer_finished;
    bool reset;          // a RST arrived
    bool reset_told;     // and has been reported
    struct list backlog; // of a listener, or the place in one
    uint32_t backlog_max;
    struct port_op *recv;
    struct port_op *send;    // or connect
    struct port_op *accepts; // first in, first out
};

uint32_t fake_random(uint32_t below); // 0 to below - 1
bool fake_shuffles(void);

// Every socket number there is, used or not; NULL when free.
uint32_t fake_count(void);
struct fake_socket *fake_at(uint32_t index);
struct fake_socket *fake_of(net_socket number); // aborts when it is not open

// Takes a fault for this call off the list: its error, or 0.
int fake_fault_take(enum fake_call call, net_socket socket);
bool fake_fault_waits(enum fake_call call, net_socket socket);

// What can go on, and how it goes. Results are as port.h says; -EAGAIN: not now.
int fake_listen(const struct net_addr *at, uint32_t backlog, struct fake_socket **out_listener);
int fake_make(const struct net_addr *for_peer, struct fake_socket **out_socket);
bool fake_can_connect(const struct net_addr *to);
int fake_connect(struct fake_socket *socket, const struct net_addr *to);
int fake_accept(struct fake_socket *listener, net_socket *out_accepted);
void fake_accept_lose(struct fake_socket *listener); // the client that would be next
bool fake_can_recv(const struct fake_socket *socket);
int fake_recv(struct fake_socket *socket, uint8_t *into, size_t capacity);
bool fake_can_send(const struct fake_socket *socket);
int fake_send(struct fake_socket *socket, const struct bytes *slices, uint32_t count);
void fake_close(struct fake_socket *socket, enum port_close_mode mode);
void fake_break(struct fake_socket *socket); // both sides are reset; this one knows

#endif
