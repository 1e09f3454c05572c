// Goal: posts arrive once, in each poster's order, and wake a port that sleeps; a socket moves from
// one thread's port to another's.
// Method: numbered posts from done and from threads. Threads assert with CHECK: a failed cmocka
// assertion can only jump on the thread that runs the case.
#include "port_harness.h"

#include <stdlib.h>

#include "os.h"

static void port_post_runs_in_order(void **state)
{
    enum { COUNT = 200 };
    struct world *world = *state;
    struct track *posts = calloc(COUNT, sizeof(*posts));

    assert_non_null(posts);
    for (int i = 0; i < COUNT; i++)
        start_post(world, &posts[i]);
    assert_int_equal(port_in_flight(world->port), 0); // posts are not counted
    for (uint32_t home = 0; home < COUNT;) {
        assert_true(world_step(world, 1000) > 0);
        while (home < COUNT && is_home(&posts[home]))
            home++;
        for (uint32_t i = home; i < COUNT; i++)
            assert_false(is_home(&posts[i]));
    }
    assert_int_equal(posts[0].error, 0);
    free(posts);
}

static void post_again(struct track *track)
{
    if (track->homes < 5)
        start_post(track->world, track);
}

static void port_post_from_done_waits_for_the_next_poll(void **state)
{
    struct world *world = *state;
    struct track post = {.then = post_again};

    start_post(world, &post);
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(world_step(world, -1), 1); // -1: it must not sleep on what is ready
        assert_int_equal(post.homes, i);
    }
    assert_int_equal(world_step(world, 0), 0);
}

static void close_again(struct track *track)
{
    if (track->homes < 5)
        start_close(track->world, track, world_socket(track->world, &any_loopback),
                    PORT_CLOSE_ORDERLY);
}

// The same of an operation that is done as soon as it is submitted.
static void port_submit_from_done_waits_for_the_next_poll(void **state)
{
    struct world *world = *state;
    struct track close = {.then = close_again};

    start_close(world, &close, world_socket(world, &any_loopback), PORT_CLOSE_ORDERLY);
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(close.homes, i - 1);
        while (close.homes < i)
            assert_true(world_step(world, -1) <= 1);
    }
}

enum { POSTERS = 4 };

struct numbered {
    struct port_op op;
    struct poster *poster;
    uint32_t number;
};

struct poster {
    struct os_thread thread;
    struct port *port;
    struct numbered *posts;
    uint32_t count;
    uint32_t seen; // the owner's
};

static void numbered_done(struct port_op *op)
{
    struct numbered *post = container_of(op, struct numbered, op);

    CHECK(op->error == 0);
    CHECK(post->number == post->poster->seen);
    post->poster->seen++;
}

static void poster_run(void *argument)
{
    struct poster *poster = argument;

    for (uint32_t i = 0; i < poster->count; i++) {
        poster->posts[i].op.done = numbered_done;
        poster->posts[i].poster = poster;
        poster->posts[i].number = i;
        port_post(poster->port, &poster->posts[i].op);
    }
}

static void port_post_from_threads_keeps_each_order(void **state)
{
    struct world *world = *state;
    struct poster posters[POSTERS] = {0};
    uint32_t total = 0;

    if (!port_kind.threads)
        skip();
    for (int i = 0; i < POSTERS; i++) {
        posters[i].port = world->port;
        posters[i].count = TEST_OPS / POSTERS;
        posters[i].posts = calloc(posters[i].count, sizeof(struct numbered));
        assert_non_null(posters[i].posts);
        assert_int_equal(os_thread_start(&posters[i].thread, poster_run, &posters[i]), 0);
    }
    while (total < TEST_OPS) { // sleeps for ever if a wake-up is lost
        int count = port_poll(world->port, -1);

        assert_true(count > 0);
        total += (uint32_t)count;
    }
    assert_int_equal(total, TEST_OPS);
    for (int i = 0; i < POSTERS; i++) {
        os_thread_join(&posters[i].thread);
        assert_int_equal(posters[i].seen, posters[i].count);
        free(posters[i].posts);
    }
}

// A ball between two threads: each post meets a port that sleeps, or is about to.
struct player {
    struct os_thread thread;
    struct port *port;
    struct player *other;
    struct port_op ball;  // comes to this one
    struct port_op ready; // to the other: my port is there
    uint32_t throws_left;
    bool started;
};

static void ball_done(struct port_op *op)
{
    struct player *player = container_of(op, struct player, ball);

    if (player->throws_left > 0) {
        player->throws_left--;
        port_post(player->other->port, &player->other->ball);
    }
}

static void player_ready(struct port_op *op)
{
    container_of(op, struct player, ready)->started = true;
}

static void player_run(void *argument)
{
    struct port_config config = {.op_count_max = 1};
    struct player *player = argument;

    CHECK(port_create(&player->port, &config) == 0);
    player->ready.done = player_ready;
    port_post(player->other->port, &player->ready);
    while (player->throws_left > 0)
        CHECK(port_poll(player->port, -1) == 1);
}

static void port_post_wakes_a_sleeping_port_each_time(void **state)
{
    struct world *world = *state;
    struct player here = {.port = world->port, .throws_left = TEST_OPS / 4};
    struct player there = {.throws_left = TEST_OPS / 4};

    if (!port_kind.threads)
        skip();
    here.other = &there;
    there.other = &here;
    here.ball.done = there.ball.done = ball_done;
    assert_int_equal(os_thread_start(&there.thread, player_run, &there), 0);
    while (!there.started)
        assert_int_equal(port_poll(world->port, -1), 1);
    ball_done(&here.ball); // the first throw
    for (uint32_t i = 0; i < TEST_OPS / 4; i++)
        assert_int_equal(port_poll(world->port, -1), 1);
    os_thread_join(&there.thread);
    assert_int_equal(here.throws_left, 0);
    port_destroy(there.port);
}

// A second port on a thread of its own: accepted here, adopted, served and closed there.
struct second {
    struct os_thread thread;
    struct port *home;    // where the case runs
    struct port *port;    // its own
    struct port_op ready; // to home: the port is there
    struct port_op take;  // to it: the socket
    struct port_op ended; // to home: served
    struct port_op recv;
    struct port_op send;
    struct port_op close;
    struct bytes slice;
    net_socket socket;
    uint8_t byte;
    bool is_ready;
    bool is_closed;
    bool is_ended;
};

static void second_ready(struct port_op *op)
{
    container_of(op, struct second, ready)->is_ready = true;
}

static void second_ended(struct port_op *op)
{
    container_of(op, struct second, ended)->is_ended = true;
}

static void second_closed(struct port_op *op)
{
    container_of(op, struct second, close)->is_closed = true;
}

static void second_sent(struct port_op *op)
{
    struct second *second = container_of(op, struct second, send);

    CHECK(op->error == 0 && op->bytes == 1);
    port_recv(second->port, &second->recv, second->socket);
}

static void second_received(struct port_op *op)
{
    struct second *second = container_of(op, struct second, recv);

    CHECK(op->error == 0 && op->bytes <= 1);
    if (op->bytes == 0) {
        port_close(second->port, &second->close, second->socket, PORT_CLOSE_ORDERLY);
        return;
    }
    second->byte = op->data[0] + 1;
    second->slice = (struct bytes){&second->byte, 1};
    port_send(second->port, &second->send, second->socket, &second->slice, 1);
}

static void second_takes(struct port_op *op)
{
    struct second *second = container_of(op, struct second, take);

    CHECK(port_adopt(second->port, second->socket) == 0);
    port_recv(second->port, &second->recv, second->socket);
}

static void second_run(void *argument)
{
    struct port_config config = {.op_count_max = 8};
    struct second *second = argument;

    CHECK(port_create(&second->port, &config) == 0);
    second->recv.done = second_received;
    second->send.done = second_sent;
    second->close.done = second_closed;
    port_post(second->home, &second->ready);
    while (!second->is_closed)
        CHECK(port_poll(second->port, -1) >= 0);
    port_post(second->home, &second->ended);
}

static void port_adopt_on_another_thread(void **state)
{
    struct world *world = *state;
    struct second second = {.home = world->port};
    struct track accept = {0};
    struct track connect = {0};
    net_socket client;

    if (!port_kind.threads)
        skip();
    second.ready.done = second_ready;
    second.take.done = second_takes;
    second.ended.done = second_ended;
    assert_int_equal(os_thread_start(&second.thread, second_run, &second), 0);
    while (!second.is_ready)
        assert_true(port_poll(world->port, -1) > 0);

    world_listen(world);
    client = world_socket(world, &world->at);
    start_accept(world, &accept, world->listener);
    start_connect(world, &connect, client, &world->at);
    world_wait(world, &connect);
    world_wait(world, &accept);
    assert_int_equal(accept.error, 0);
    send_all(world, client, "a", 1); // it waits for its new owner
    second.socket = accept.accepted;
    world->sockets--;
    port_post(second.port, &second.take);
    for (uint8_t c = 'a'; c < 'z'; c++) {
        uint8_t answer = 0;

        recv_all(world, client, &answer, 1);
        assert_int_equal(answer, c + 1);
        if (c + 1 < 'z')
            send_all(world, client, &answer, 1);
    }
    assert_int_equal(port_shutdown(client), 0);
    while (!second.is_ended)
        assert_true(port_poll(world->port, -1) > 0);
    os_thread_join(&second.thread);
    port_destroy(second.port);
    world_end_socket(world, client, PORT_CLOSE_ORDERLY);
}

const struct CMUnitTest port_post_cases[] = {
    PORT_CASE(port_post_runs_in_order),
    PORT_CASE(port_post_from_done_waits_for_the_next_poll),
    PORT_CASE(port_submit_from_done_waits_for_the_next_poll),
    PORT_CASE(port_post_from_threads_keeps_each_order),
    PORT_CASE(port_post_wakes_a_sleeping_port_each_time),
    PORT_CASE(port_adopt_on_another_thread),
};
const size_t port_post_case_count = ARRAY_COUNT(port_post_cases);
