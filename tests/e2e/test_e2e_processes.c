// Goal: processes of a node may die, one by one or all at once, and what is promised then happens:
// workers and gateway come back, nothing outlives the supervisor, an orderly stop is one. Method:
// real nodes; the moody worker tells its process id and dies or hangs when asked to.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kill.h"
#include "live.h"
#include "peer.h"

static void node_start(struct live *live, const char *count, const char *option)
{
    const char *options[] = {"--workers.command=e2e-moody", "--gateway.frame=line", count, option,
                             NULL};

    live_start(live, options);
}

static uint64_t worker_of(struct peer *peer)
{
    char text[32] = {0};
    uint32_t frames = peer->frames;

    peer_send_text(peer, "pid");
    peer_wait_frames(peer, frames + 1);
    assert_true(peer->last < sizeof text);
    memcpy(text, buffer_data(&peer->bytes) + buffer_size(&peer->bytes) - peer->last, peer->last);
    assert_true(os_resident_bytes(strtoull(text, NULL, 10)) > 0);
    return strtoull(text, NULL, 10);
}

static void worker_that_crashes_is_started_again(void **state)
{
    struct live live;
    int round;

    (void)state;
    node_start(&live, "--workers.count=1", NULL);
    for (round = 0; round < 2; round++) {
        struct peer peer;
        uint64_t worker;

        peer_wait_service(&live.listen, "line");
        peer_open(&peer, &live.listen, "line");
        worker = worker_of(&peer);
        peer_send_text(&peer, "die");
        peer_wait_closed(&peer);
        peer_drop(&peer);
        live_wait_gone(&live, worker);
    }
    peer_wait_service(&live.listen, "line");
    live_stop(&live);
}

static void worker_that_is_killed_is_started_again(void **state)
{
    struct live live;
    struct peer peer;
    uint64_t worker;

    (void)state;
    node_start(&live, "--workers.count=1", "--gateway.shards=3");
    peer_open(&peer, &live.listen, "line");
    worker = worker_of(&peer);
    assert_int_equal(kill_process(worker), 0);
    live_wait_gone(&live, worker);
    assert_true(worker_of(&peer) != worker);
    peer_finish(&peer);
    assert_true(os_resident_bytes(live.gateway) > 0);
    live_stop(&live);
}

static void clients_move_to_other_workers_at_a_death(void **state)
{
    enum { PEERS = 8 };
    struct live live;
    struct peer peers[PEERS];
    uint64_t workers[PEERS];
    unsigned moved = 0;
    size_t i;

    (void)state;
    node_start(&live, "--workers.count=3", NULL);
    for (i = 0; i < PEERS; i++) {
        peer_open(&peers[i], &live.listen, "line");
        workers[i] = worker_of(&peers[i]);
    }
    assert_int_equal(kill_process(workers[0]), 0);
    live_wait_gone(&live, workers[0]);
    for (i = 0; i < PEERS; i++) {
        uint64_t now = worker_of(&peers[i]);

        assert_true(now != workers[0]);
        assert_true(now == workers[i] || workers[i] == workers[0]); // the others stay
        moved += now != workers[i];
        peer_finish(&peers[i]);
    }
    assert_in_range(moved, 1, PEERS - 1);
    live_stop(&live);
}

static void worker_that_hangs_is_replaced(void **state)
{
    struct live live;
    struct peer peer;
    uint64_t worker;

    (void)state;
    node_start(&live, "--workers.count=1", "--gateway.turn_timeout_ms=1000");
    peer_open(&peer, &live.listen, "line");
    worker = worker_of(&peer);
    peer_send_text(&peer, "hang");
    peer_wait_closed(&peer);
    peer_drop(&peer);
    live_wait_gone(&live, worker);
    peer_wait_service(&live.listen, "line");
    live_stop(&live);
}

static void gateway_that_is_killed_is_started_again(void **state)
{
    struct live live;
    struct peer peer;

    (void)state;
    node_start(&live, "--workers.count=2", "--gateway.shards=3");
    peer_open(&peer, &live.listen, "line");
    peer_echo(&peer, "hello");
    assert_int_equal(kill_process(live.gateway), 0);
    peer_wait_closed(&peer);
    peer_drop(&peer);
    live_wait_gone(&live, live.gateway);
    peer_wait_service(&live.listen, "line"); // at the same address, though any port was asked for
    live_stop(&live);
}

static void nothing_outlives_a_supervisor_that_is_killed(void **state)
{
    struct live live;
    struct peer peers[4];
    uint64_t workers[4];
    size_t i;

    (void)state;
    node_start(&live, "--workers.count=2", NULL);
    for (i = 0; i < 4; i++) {
        peer_open(&peers[i], &live.listen, "line");
        workers[i] = worker_of(&peers[i]);
    }
    run_kill(&live.run);
    run_wait_exit(&live.run);
    for (i = 0; i < 4; i++) {
        peer_wait_closed(&peers[i]);
        live_wait_gone(&live, workers[i]);
        peer_drop(&peers[i]);
    }
    live_wait_gone(&live, live.gateway);
}

static void orderly_stop_lets_clients_see_the_end(void **state)
{
    struct live live;
    struct peer peers[20];
    uint64_t worker;
    size_t i;

    (void)state;
    node_start(&live, "--workers.count=2", "--gateway.shards=3");
    for (i = 0; i < 20; i++)
        peer_open(&peers[i], &live.listen, "line");
    for (i = 0; i < 20; i++)
        peer_echo(&peers[i], "hello");
    worker = worker_of(&peers[0]);
    run_ask_to_stop(&live.run);
    for (i = 0; i < 20; i++) {
        assert_int_equal(peer_wait_closed(&peers[i]), 0); // FIN, no reset
        peer_drop(&peers[i]);
    }
    assert_int_equal(run_wait_exit(&live.run), 0);
    assert_int_equal(os_resident_bytes(live.gateway), 0);
    assert_int_equal(os_resident_bytes(worker), 0);
}

static void second_node_of_the_same_name_is_refused(void **state)
{
    struct live live;
    char runtime_dir[OS_PATH_MAX + 32], name[128], error[4096];
    const char *arguments[] = {"troupe", "up", runtime_dir, name, "--gateway.listen=127.0.0.1:0",
                               NULL};

    (void)state;
    node_start(&live, "--workers.count=1", NULL);
    snprintf(runtime_dir, sizeof runtime_dir, "--node.runtime_dir=%s", live.folder);
    snprintf(name, sizeof name, "--node.name=%s", live.name);
    assert_int_equal(run_to_end(arguments, error, sizeof error), 1);
    if (!strstr(error, live.name))
        fail_msg("it said '%s'", error);
    peer_wait_service(&live.listen, "line");
    live_stop(&live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_that_crashes_is_started_again),
        cmocka_unit_test(worker_that_is_killed_is_started_again),
        cmocka_unit_test(clients_move_to_other_workers_at_a_death),
        cmocka_unit_test(worker_that_hangs_is_replaced),
        cmocka_unit_test(gateway_that_is_killed_is_started_again),
        cmocka_unit_test(nothing_outlives_a_supervisor_that_is_killed),
        cmocka_unit_test(orderly_stop_lets_clients_see_the_end),
        cmocka_unit_test(second_node_of_the_same_name_is_refused),
    };

    os_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
