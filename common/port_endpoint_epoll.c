// The descriptors that a port watches, found by number.
#include "port_epoll.h"

#include <stdlib.h>
#include <sys/epoll.h>

struct endpoint *endpoint_find(struct port *port, net_socket socket)
{
    size_t block = (size_t)socket / ENDPOINTS_BLOCK;

    if (socket < 0 || block >= port->block_count || port->blocks[block] == NULL)
        return NULL;
    return &port->blocks[block][(size_t)socket % ENDPOINTS_BLOCK];
}

struct endpoint *endpoint_of(struct port *port, net_socket socket)
{
    struct endpoint *at = endpoint_find(port, socket);

    CHECK(at != NULL && at->open);
    return at;
}

static int endpoint_make_room(struct port *port, int fd)
{
    uint32_t block = (uint32_t)fd / ENDPOINTS_BLOCK;
    uint32_t count = port->block_count ? port->block_count : 16;
    struct endpoint **blocks;

    while (count <= block)
        count *= 2;
    if (count != port->block_count) {
        blocks = realloc(port->blocks, count * sizeof(*blocks));
        if (blocks == NULL)
            return -ENOMEM;
        for (uint32_t i = port->block_count; i < count; i++)
            blocks[i] = NULL;
        port->blocks = blocks;
        port->block_count = count;
    }
    if (port->blocks[block] == NULL)
        port->blocks[block] = calloc(ENDPOINTS_BLOCK, sizeof(struct endpoint));
    return port->blocks[block] == NULL ? -ENOMEM : 0;
}

int endpoint_open(struct port *port, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    struct endpoint *at;
    uint32_t generation;
    int rc = endpoint_make_room(port, fd);

    if (rc < 0)
        return rc;
    at = endpoint_find(port, fd);
    CHECK(!at->open);
    generation = at->generation + 1;
    event.data.u64 = (uint64_t)generation << 32 | (uint32_t)fd;
    if (epoll_ctl(port->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return errno == ENOSPC ? -ENOMEM : -errno; // ENOSPC: max_user_watches, epoll_ctl(2)
    // Whether something is there to read, the first event will tell.
    *at = (struct endpoint){.fd = fd, .open = true, .writable = true, .generation = generation};
    list_init(&at->accepting);
    return 0;
}
