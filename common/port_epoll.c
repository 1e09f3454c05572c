// The completion port of Linux: edge-triggered epoll, each socket registered once.
//
// What epoll tells is kept per socket (readable, writable), so no call is made that would only find
// EAGAIN where that can be known. An operation that can go on is performed here, and completes from
// port_poll(): sends at submit, accepts and connects when events have been taken, receives right
// before their done, because they share the one buffer that is lent.
#include "port_epoll.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os.h"
#include "socket_linux.h"

enum {
    EVENTS_MAX = 256,  // taken by one epoll_wait()
    ACCEPTS_MAX = 128, // of one listener in one poll: others want their turn
};

#define WAKE_ID UINT64_MAX // epoll's data of the eventfd

_Static_assert(sizeof(struct op_state) <= PORT_OP_OS_SIZE, "an op has no room for its state");

void op_ready(struct port *port, struct port_op *op)
{
    state_of(op)->waiting = false;
    queue_push(&port->ready, op);
}

void accepts_wanted(struct port *port, struct endpoint *at)
{
    if (at->readable && at->accepts.first != NULL && list_empty(&at->accepting))
        list_push(&port->accepting, &at->accepting);
}

static void accepts_serve(struct port *port, struct endpoint *at)
{
    for (int i = 0; i < ACCEPTS_MAX && at->accepts.first != NULL; i++) {
        int fd = socket_accept(at->fd);
        struct port_op *op;

        if (fd == -EAGAIN) {
            at->readable = false;
            break;
        }
        op = queue_pop(&at->accepts);
        if (fd < 0)
            op->error = fd;
        else
            op->accepted = fd;
        op_ready(port, op);
        if (fd == -EMFILE)
            break; // the client still waits, and so may the other accepts
    }
    accepts_wanted(port, at);
}

void send_try(struct port *port, struct port_op *op)
{
    struct op_state *state = state_of(op);
    struct endpoint *at = state->at;
    size_t size = 0;
    int n = socket_send(at->fd, state->slices, state->slice_count);

    if (n == -EAGAIN) {
        at->writable = false;
        return;
    }
    if (n < 0) {
        op->error = n;
    } else {
        for (uint32_t i = 0; i < state->slice_count; i++)
            size += state->slices[i].size;
        if ((size_t)n < size)
            at->writable = false; // full: an edge follows when there is room, epoll(7)
        op->bytes = (uint32_t)n;
    }
    op_ready(port, op);
}

static void event_apply(struct port *port, const struct epoll_event *event)
{
    struct endpoint *at = endpoint_find(port, (net_socket)(event->data.u64 & UINT32_MAX));
    const uint32_t end = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

    // A closed socket lives on in epoll while a child that is being started holds a copy of it.
    if (event->data.u64 == WAKE_ID || at == NULL || !at->open ||
        at->generation != event->data.u64 >> 32)
        return;
    if (event->events & end)
        at->ended = true;
    if (event->events & (EPOLLIN | end))
        at->readable = true;
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        at->writable = true;
    if (at->readable && at->recv != NULL && state_of(at->recv)->waiting)
        op_ready(port, at->recv);
    if (at->writable && at->send != NULL && state_of(at->send)->waiting) {
        if (state_of(at->send)->kind == OP_SEND) {
            send_try(port, at->send);
        } else {
            at->send->error = socket_error(at->fd);
            op_ready(port, at->send);
        }
    }
    accepts_wanted(port, at);
}

// Waits for events and makes ready what they allow. 0 or negative errno.
static int events_take(struct port *port, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    struct list listeners;
    int n;

    if (port->ready.first != NULL || !list_empty(&port->accepting))
        timeout_ms = 0;
    if (timeout_ms != 0) {
        // Either the poster sees that we sleep, or we see its post: both orders are total.
        atomic_store(&port->asleep, true);
        if (atomic_load(&port->posted) != NULL)
            timeout_ms = 0;
    }
    n = epoll_wait(port->epoll, events, EVENTS_MAX, timeout_ms);
    if (n < 0 && errno != EINTR)
        n = -errno;
    else if (n < 0)
        n = 0;
    atomic_store(&port->asleep, false);
    for (int i = 0; i < n; i++)
        event_apply(port, &events[i]);

    list_init(&listeners);
    list_splice(&listeners, &port->accepting);
    while (!list_empty(&listeners))
        accepts_serve(port, container_of(list_pop(&listeners), struct endpoint, accepting));
    return n < 0 ? n : 0;
}

// Appends what was posted, oldest first.
static void posts_take(struct port *port, struct op_queue *batch)
{
    struct port_op *newest = NULL;
    struct port_op *oldest = NULL;

    if (atomic_load(&port->posted) != NULL)
        newest = atomic_exchange(&port->posted, NULL);
    while (newest != NULL) {
        struct port_op *op = newest;

        newest = op->next;
        op->next = oldest;
        oldest = op;
    }
    while (oldest != NULL) {
        struct port_op *op = oldest;

        oldest = op->next;
        queue_push(batch, op);
    }
}

// Fills the lent buffer. False when nothing was there after all: the op waits again.
static bool recv_perform(struct port *port, struct port_op *op)
{
    struct endpoint *at = state_of(op)->at;
    int n = socket_recv(at->fd, port->lent, sizeof(port->lent));

    // Less than asked for: it was all, and what comes later brings an edge, epoll(7).
    if (n < (int)sizeof(port->lent))
        at->readable = at->ended || n == 0;
    if (n == -EAGAIN) {
        at->readable = false;
        state_of(op)->waiting = true;
        return false;
    }
    if (n < 0) {
        at->readable = true; // what follows an error is known at once, too
        op->error = n;
    } else {
        op->bytes = (uint32_t)n;
        op->data = port->lent;
    }
    return true;
}

// Runs one op's done. False when it has to wait again.
static bool op_finish(struct port *port, struct port_op *op)
{
    struct op_state *state = state_of(op);

    switch (state->kind) {
    case OP_RECV:
        if (op->error == 0 && !recv_perform(port, op))
            return false;
        state->at->recv = NULL;
        break;
    case OP_SEND:
    case OP_CONNECT:
        state->at->send = NULL;
        break;
    case OP_ACCEPT:
        state->at->accept_count--;
        break;
    case OP_CLOSE:
    case OP_POST:
        break;
    }
    if (state->kind != OP_POST)
        port->in_flight--;
    op->next = NULL;
    op->in_flight = false;
    op->done(op);
    return true;
}

// Runs what is ready now. What that makes ready waits for the next poll.
static int batch_run(struct port *port)
{
    struct op_queue batch = port->ready;
    struct port_op *op;
    int count = 0;

    port->ready = (struct op_queue){0};
    posts_take(port, &batch);
    port->polling = true;
    while ((op = queue_pop(&batch)) != NULL)
        count += op_finish(port, op);
    port->polling = false;
    return count;
}

int port_create(struct port **out_port, const struct port_config *config)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_ID};
    struct port *port = calloc(1, sizeof(*port));
    int rc = -ENOMEM;

    if (port == NULL)
        return -ENOMEM;
    port->owner = pthread_self();
    port->op_count_max = config->op_count_max;
    list_init(&port->accepting);
    atomic_init(&port->posted, NULL);
    atomic_init(&port->asleep, false);
    port->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (port->epoll < 0)
        goto fail_epoll;
    port->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (port->wake < 0)
        goto fail_wake;
    if (epoll_ctl(port->epoll, EPOLL_CTL_ADD, port->wake, &event) < 0)
        goto fail_watch;
    *out_port = port;
    return 0;

fail_watch:
    close(port->wake);
fail_wake:
    close(port->epoll);
fail_epoll:
    if (errno == EMFILE || errno == ENFILE)
        rc = -EMFILE;
    free(port);
    return rc;
}

void port_destroy(struct port *port)
{
    if (port == NULL)
        return;
    CHECK(port->in_flight == 0 && !port->polling);
    close(port->wake);
    close(port->epoll);
    for (uint32_t i = 0; i < port->block_count; i++)
        free(port->blocks[i]);
    free(port->blocks);
    free(port);
}

void port_post(struct port *port, struct port_op *op)
{
    struct port_op *newest;
    uint64_t one = 1;

    CHECK(!op->in_flight && op->done != NULL);
    op->in_flight = true;
    op->error = 0;
    state_of(op)->kind = OP_POST;
    newest = atomic_load_explicit(&port->posted, memory_order_relaxed);
    do
        op->next = newest;
    while (!atomic_compare_exchange_weak(&port->posted, &newest, op));
    // The eventfd is never read: edge-triggered, each write wakes (eventfd(2) holds 2^64 - 2).
    if (atomic_load(&port->asleep) && atomic_exchange(&port->asleep, false))
        CHECK(write(port->wake, &one, sizeof(one)) == sizeof(one));
}

int port_poll(struct port *port, int timeout_ms)
{
    uint64_t deadline_ns = 0;

    check_owner(port);
    CHECK(!port->polling);
    if (timeout_ms > 0)
        deadline_ns = os_now_ns() + (uint64_t)timeout_ms * 1000000;
    for (;;) {
        int rc = events_take(port, timeout_ms);
        int count = batch_run(port); // also after a failure: what is ready comes home
        uint64_t now_ns;

        if (rc < 0)
            return rc;
        if (count > 0 || timeout_ms == 0)
            return count;
        if (timeout_ms < 0)
            continue; // only news that nobody waits for
        now_ns = os_now_ns();
        if (now_ns >= deadline_ns)
            return 0;
        timeout_ms = (int)((deadline_ns - now_ns + 999999) / 1000000);
    }
}

uint32_t port_in_flight(const struct port *port)
{
    return port->in_flight;
}
