#include "port_harness.h"

#include <stdlib.h>
#include <string.h>

#include "os.h"

const struct net_addr any_loopback = {.family = ADDR_IPV4, .port = 0, .host = {127, 0, 0, 1}};

static int current_round;

static void check_counts(const struct world *world)
{
    assert_int_equal(port_in_flight(world->port), world->in_flight);
}

// What every done is. A failed assertion jumps out of port_poll(): the case is over then.
static void track_done(struct port_op *op)
{
    struct track *track = container_of(op, struct track, op);
    struct world *world = track->world;

    assert_false(world->submitting);
    assert_false(world->running);
    assert_int_not_equal(track->kind, TRACK_IDLE);
    assert_false(op->in_flight);
    world->running = true;
    if (track->kind != TRACK_POST)
        world->in_flight--;
    if (track->kind == TRACK_ACCEPT && op->error == 0) {
        assert_int_not_equal(op->accepted, NET_SOCKET_NONE);
        world->sockets++;
    }
    track->kind = TRACK_IDLE;
    track->homes++;
    world->homes++;
    track->error = op->error;
    track->bytes = op->bytes;
    track->accepted = op->accepted;
    assert_true(op->error <= 0);
    if (op->data != NULL && track->into != NULL) {
        assert_true(op->bytes <= track->room);
        memcpy(track->into, op->data, op->bytes);
    }
    check_counts(world);
    if (track->then != NULL)
        track->then(track);
    world->running = false;
}

static struct port_op *start(struct world *world, struct track *track, enum track_kind kind)
{
    assert_int_equal(track->kind, TRACK_IDLE);
    track->world = world;
    track->kind = kind;
    track->starts++;
    track->op.done = track_done;
    track->accepted = NET_SOCKET_NONE;
    if (kind != TRACK_POST)
        world->in_flight++;
    world->submitting = true;
    return &track->op;
}

static void started(struct world *world)
{
    world->submitting = false;
    check_counts(world);
}

void world_begin(struct world *world)
{
    struct port_config config = {.op_count_max = TEST_OP_COUNT_MAX};

    memset(world, 0, sizeof(*world));
    world->listener = NET_SOCKET_NONE;
    assert_int_equal(port_create(&world->port, &config), 0);
}

void world_end(struct world *world)
{
    // After a case that failed nothing is polled: its tracks are gone.
    assert_false(world->running || world->submitting);
    assert_int_equal(world->in_flight, 0);
    if (world->listener != NET_SOCKET_NONE) {
        world_end_socket(world, world->listener, PORT_CLOSE_ORDERLY);
        world->listener = NET_SOCKET_NONE;
    }
    assert_int_equal(world_step(world, 0), 0);
    assert_int_equal(world->in_flight, 0);
    assert_int_equal(world->sockets, 0);
    check_counts(world);
    port_destroy(world->port);
    world->port = NULL;
}

int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    if (world == NULL)
        return -1;
    port_kind.begin(current_round);
    world_begin(world);
    *state = world;
    return 0;
}

int world_teardown(void **state)
{
    struct world *world = *state;

    world_end(world);
    free(world);
    port_kind.end();
    return 0;
}

void world_listen(struct world *world)
{
    assert_int_equal(port_listen(world->port, &any_loopback, 128, &world->listener), 0);
    world->sockets++;
    assert_int_equal(port_addr_local(world->listener, &world->at), 0);
}

net_socket world_socket(struct world *world, const struct net_addr *for_peer)
{
    net_socket socket = NET_SOCKET_NONE;

    assert_int_equal(port_socket(world->port, for_peer, &socket), 0);
    assert_int_not_equal(socket, NET_SOCKET_NONE);
    world->sockets++;
    return socket;
}

void world_pair(struct world *world, net_socket *out_client, net_socket *out_server)
{
    struct track accept = {0};
    struct track connect = {0};

    if (world->listener == NET_SOCKET_NONE)
        world_listen(world);
    *out_client = world_socket(world, &world->at);
    start_accept(world, &accept, world->listener);
    start_connect(world, &connect, *out_client, &world->at);
    world_wait(world, &connect);
    world_wait(world, &accept);
    assert_int_equal(connect.error, 0);
    assert_int_equal(accept.error, 0);
    assert_int_equal(port_adopt(world->port, accept.accepted), 0);
    *out_server = accept.accepted;
}

void world_end_socket(struct world *world, net_socket socket, enum port_close_mode mode)
{
    struct track close = {0};

    start_close(world, &close, socket, mode);
    world_wait(world, &close);
    assert_int_equal(close.error, 0);
}

void world_cancel(struct world *world, net_socket socket)
{
    world->submitting = true;
    port_cancel(world->port, socket);
    started(world);
}

int world_step(struct world *world, int timeout_ms)
{
    uint64_t before = world->homes;
    int count = port_poll(world->port, timeout_ms);

    assert_true(count >= 0);
    assert_int_equal(world->homes - before, (uint64_t)count);
    return count;
}

void world_wait_for(struct world *world, const uint32_t *count, uint32_t least)
{
    uint64_t deadline = os_now_ms() + TEST_WAIT_MS;

    while (*count < least) {
        world_step(world, 1000);
        assert_true(os_now_ms() < deadline);
    }
}

void world_wait(struct world *world, const struct track *track)
{
    assert_true(track->starts > 0);
    world_wait_for(world, &track->homes, track->starts);
}

void world_settle(struct world *world)
{
    while (world_step(world, 50) > 0)
        ;
}

void start_accept(struct world *world, struct track *track, net_socket listener)
{
    port_accept(world->port, start(world, track, TRACK_ACCEPT), listener);
    started(world);
}

void start_connect(struct world *world, struct track *track, net_socket socket,
                   const struct net_addr *to)
{
    struct net_addr copy = *to; // is the port's only until the call returns

    port_connect(world->port, start(world, track, TRACK_OP), socket, &copy);
    memset(&copy, 0xff, sizeof(copy));
    started(world);
}

void start_recv(struct world *world, struct track *track, net_socket socket)
{
    port_recv(world->port, start(world, track, TRACK_OP), socket);
    started(world);
}

void start_send(struct world *world, struct track *track, net_socket socket,
                const struct bytes *slices, uint32_t count)
{
    port_send(world->port, start(world, track, TRACK_OP), socket, slices, count);
    started(world);
}

void start_close(struct world *world, struct track *track, net_socket socket,
                 enum port_close_mode mode)
{
    port_close(world->port, start(world, track, TRACK_OP), socket, mode);
    assert_true(world->sockets > 0);
    world->sockets--;
    started(world);
}

void start_post(struct world *world, struct track *track)
{
    port_post(world->port, start(world, track, TRACK_POST));
    started(world);
}

void send_all(struct world *world, net_socket socket, const void *data, size_t size)
{
    struct track send = {0};
    size_t sent = 0;

    while (sent < size) {
        struct bytes rest = {(const uint8_t *)data + sent, size - sent};

        start_send(world, &send, socket, &rest, 1);
        world_wait(world, &send);
        assert_int_equal(send.error, 0);
        assert_in_range(send.bytes, 1, rest.size);
        sent += send.bytes;
    }
}

void recv_all(struct world *world, net_socket socket, void *into, size_t size)
{
    struct track recv = {0};
    size_t got = 0;

    while (got < size) {
        recv.into = (uint8_t *)into + got;
        recv.room = (uint32_t)(size - got);
        start_recv(world, &recv, socket);
        world_wait(world, &recv);
        assert_int_equal(recv.error, 0);
        assert_int_not_equal(recv.bytes, 0);
        got += recv.bytes;
    }
}

bool error_is_reset(int error)
{
    return error == -ECONNRESET || error == -ECONNABORTED || error == -EPIPE;
}

// splitmix64, of the public domain.
uint32_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static int run(const char *name, const struct CMUnitTest *cases, size_t count)
{
    // The macro wants an array that it can measure.
    return _cmocka_run_group_tests(name, cases, count, NULL, NULL);
}

int main(void)
{
    int failed = 0;

    os_init();
    os_descriptor_limit_raise();
    for (current_round = 0; current_round < port_kind.rounds && failed == 0; current_round++) {
        print_message("%s, round %d\n", port_kind.name, current_round);
        failed += run("port_socket", port_socket_cases, port_socket_case_count);
        failed += run("port_stream", port_stream_cases, port_stream_case_count);
        failed += run("port_cancel", port_cancel_cases, port_cancel_case_count);
        failed += run("port_post", port_post_cases, port_post_case_count);
        failed += run("port_load", port_load_cases, port_load_case_count);
    }
    return failed == 0 ? 0 : 1;
}
