// port_epoll.h - what the files of the epoll port share: the port, its endpoints, an op's state.
// Floor 0.
//
// port_epoll.c polls and runs, port_submit_epoll.c starts operations, port_endpoint_epoll.c knows
// the descriptors. Nobody else includes this.
#ifndef TROUPE_PORT_EPOLL_H
#define TROUPE_PORT_EPOLL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base.h"
#include "port.h"

enum { ENDPOINTS_BLOCK = 64 }; // endpoints never move: they come in blocks

enum op_kind { OP_RECV, OP_SEND, OP_CONNECT, OP_ACCEPT, OP_CLOSE, OP_POST };

struct op_queue {
    struct port_op *first;
    struct port_op *last;
};

// One descriptor that this port watches.
struct endpoint {
    int fd;
    bool open;
    bool readable; // as far as we know: a receive or accept would not find EAGAIN
    bool writable;
    bool ended;              // FIN or error was seen: no later edge will come, so it stays readable
    uint32_t generation;     // counts the sockets that had this descriptor
    uint32_t accept_count;   // accepts in flight
    struct port_op *recv;    // in flight
    struct port_op *send;    // in flight: a send or a connect
    struct op_queue accepts; // those that wait
    struct list accepting;   // in port->accepting: readable, and accepts wait
};

// What an op keeps in op->os.
struct op_state {
    enum op_kind kind;
    bool waiting; // for the socket; else on the ready list
    struct endpoint *at;
    const struct bytes *slices;
    uint32_t slice_count;
};

struct port {
    int epoll;
    int wake;
    pthread_t owner;
    bool polling;
    uint32_t op_count_max;
    uint32_t in_flight;
    struct op_queue ready;
    struct list accepting;
    struct endpoint **blocks; // [fd / ENDPOINTS_BLOCK]
    uint32_t block_count;
    _Atomic(struct port_op *) posted; // newest first
    atomic_bool asleep;               // the owner waits, or is about to: a poster must wake it
    uint8_t lent[PORT_RECV_BYTES_MAX];
};

static inline struct op_state *state_of(struct port_op *op)
{
    return (struct op_state *)(void *)op->os.raw;
}

static inline void queue_push(struct op_queue *queue, struct port_op *op)
{
    op->next = NULL;
    if (queue->first == NULL)
        queue->first = op;
    else
        queue->last->next = op;
    queue->last = op;
}

static inline struct port_op *queue_pop(struct op_queue *queue)
{
    struct port_op *op = queue->first;

    if (op != NULL)
        queue->first = op->next;
    return op;
}

static inline void check_owner(const struct port *port)
{
    CHECK(pthread_equal(port->owner, pthread_self()));
}

// The endpoint of a descriptor, open or not; NULL where none ever was.
struct endpoint *endpoint_find(struct port *port, net_socket socket);

// The same; aborts unless it is open.
struct endpoint *endpoint_of(struct port *port, net_socket socket);

// Registers a descriptor with epoll. 0, -ENOMEM.
int endpoint_open(struct port *port, int fd);

// The op completes from the next port_poll().
void op_ready(struct port *port, struct port_op *op);

// Sends now what can be sent; the op is ready, or waits for the next edge.
void send_try(struct port *port, struct port_op *op);

// An accept that waits, and a listener that may have a client: port_poll() will try.
void accepts_wanted(struct port *port, struct endpoint *at);

#endif
