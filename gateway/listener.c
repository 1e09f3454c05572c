#include <stdlib.h>

#include "listener.h"
#include "log.h"

enum {
    LISTENER_BACKLOG = 1024,
    LISTENER_BACK_OFF_MS = 100,
    LISTENER_BACK_OFFS_A_LINE = 100, // of log
};

static void listener_slot_home(struct listener *listener, struct listener_slot *slot)
{
    slot->socket = NET_SOCKET_NONE;
    listener->away--;
    list_push(&listener->idle, &slot->node);
}

static void listener_accept_done(struct port_op *op)
{
    struct listener_slot *slot = container_of(op, struct listener_slot, op);
    struct listener *listener = slot->listener;

    if (op->error == 0 && listener->state == LISTENER_OPEN) {
        slot->socket = op->accepted;
        listener->config.accepted(listener->config.owner, slot);
        return;
    }
    if (op->error == 0)
        port_discard(op->accepted, PORT_CLOSE_RESET);
    listener_slot_home(listener, slot);
    if (listener->state != LISTENER_OPEN)
        return;
    listener->failed++;
    // Out of descriptors or buffers: the client stays in the backlog, and asking again at once
    // would only turn the loop. Anything else is that one client's trouble.
    if (op->error == -EMFILE || op->error == -ENFILE || op->error == -ENOBUFS ||
        op->error == -ENOMEM) {
        if (listener->back_off_until_ms == 0 &&
            listener->back_offs++ % LISTENER_BACK_OFFS_A_LINE == 0)
            log_warn("listener", "accept: %s, pausing", error_text(op->error));
        listener->back_off_until_ms = UINT64_MAX; // listener_run() knows the time
        return;
    }
    log_debug("listener", "accept: %s", error_text(op->error));
}

static void listener_closed(struct port_op *op)
{
    struct listener *listener = container_of(op, struct listener, close);

    free(listener->slots);
    listener->slots = NULL;
    listener->config.closed(listener->config.owner);
}

int listener_open(struct listener *listener, const struct listener_config *config)
{
    int error;

    *listener = (struct listener){.config = *config, .close = {.done = listener_closed}};
    list_init(&listener->idle);
    listener->slots = calloc(config->accepts, sizeof(*listener->slots));
    if (listener->slots == NULL)
        return -ENOMEM;
    error = port_listen(config->port, &config->at, LISTENER_BACKLOG, &listener->socket);
    if (error != 0) {
        free(listener->slots);
        return error;
    }
    CHECK(port_addr_local(listener->socket, &listener->bound) == 0);
    for (uint32_t i = 0; i < config->accepts; i++) {
        struct listener_slot *slot = &listener->slots[i];

        slot->listener = listener;
        slot->socket = NET_SOCKET_NONE;
        list_push(&listener->idle, &slot->node);
    }
    return 0;
}

void listener_give_back(struct listener_slot *slot)
{
    listener_slot_home(slot->listener, slot);
}

int listener_run(struct listener *listener, uint64_t now_ms)
{
    struct list *node;

    if (listener->state != LISTENER_OPEN) {
        if (listener->away == 0 && listener->state == LISTENER_CANCELLING) {
            listener->state = LISTENER_CLOSING;
            port_close(listener->config.port, &listener->close, listener->socket,
                       PORT_CLOSE_ORDERLY);
        }
        return -1;
    }
    if (listener->back_off_until_ms == UINT64_MAX)
        listener->back_off_until_ms = now_ms + LISTENER_BACK_OFF_MS;
    if (listener->back_off_until_ms > now_ms)
        return (int)(listener->back_off_until_ms - now_ms);
    listener->back_off_until_ms = 0;
    while ((node = list_pop(&listener->idle)) != NULL) {
        struct listener_slot *slot = container_of(node, struct listener_slot, node);

        slot->op.done = listener_accept_done;
        listener->away++;
        port_accept(listener->config.port, &slot->op, listener->socket);
    }
    return -1;
}

void listener_close(struct listener *listener)
{
    CHECK(listener->state == LISTENER_OPEN);
    listener->state = LISTENER_CANCELLING;
    port_cancel(listener->config.port, listener->socket);
}
