// Goal: clients live through a time without any worker, and what they do meanwhile counts: frames,
// FIN, reset. Method: a gateway without a supervisor, whose workers come and go step by step, so
// that each moment is reached for certain.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bare.h"
#include "peer.h"
#include "pool.h"
#include "witness.h"

static const char *const counter[] = {"troupe-counter", NULL};
static const char *const mortal[] = {"e2e-mortal", NULL};

static void crowd_start(struct crowd *crowd, const struct bare *bare, uint32_t clients,
                        uint32_t window, uint32_t size_max)
{
    crowd_open(crowd, &(struct witness_config){.to = bare->listen,
                                               .clients = clients,
                                               .window = window,
                                               .size_min = 2,
                                               .size_max = size_max,
                                               .seed = 77});
}

static void worker_stop(struct run *worker)
{
    run_ask_to_stop(worker);
    assert_int_equal(run_wait_exit(worker), 0);
}

// Sends until every client has said so much, and polls on until nothing moves any more: clients
// are pushed back, or all is said.
static void talk_into_the_void(struct crowd *crowd, uint64_t frames)
{
    crowd_limit(crowd, frames);
    for (int quiet = 0; quiet < 3;) {
        assert_true(client_poll(crowd->client, 0) >= 0);
        crowd_poll(crowd, 0);
        quiet = client_poll(crowd->client, 300) == 0 ? quiet + 1 : 0;
    }
}

static void clients_without_a_worker_are_held_back_and_kept(void **state)
{
    enum { CLIENTS = 30, FRAMES = 100, SIZE = 60000, MEMORY_MAX = 60 * 1000 * 1000 };
    struct bare bare;
    struct crowd crowd;
    struct run worker;
    uint64_t before, after;

    (void)state;
    bare_start(&bare, NULL);
    before = os_resident_bytes(process_id(bare.gateway.process));
    crowd_start(&crowd, &bare, CLIENTS, FRAMES, SIZE);
    talk_into_the_void(&crowd, FRAMES);
    assert_int_equal(crowd.sent, (uint64_t)CLIENTS * FRAMES);
    assert_int_equal(crowd.answered, 0);
    after = os_resident_bytes(process_id(bare.gateway.process));
    print_message("the gateway has %" PRIu64 " bytes, %" PRIu64 " before\n", after, before);
    assert_true(after < before + MEMORY_MAX);
    bare_worker(&bare, &worker, counter);
    crowd_settle(&crowd);
    // And once more, with actors that have lived.
    bare_kill(&bare, &worker);
    before = os_resident_bytes(process_id(bare.gateway.process));
    talk_into_the_void(&crowd, 2 * FRAMES);
    assert_int_equal(crowd.answered, (uint64_t)CLIENTS * FRAMES);
    assert_true(os_resident_bytes(process_id(bare.gateway.process)) < before + MEMORY_MAX);
    bare_worker(&bare, &worker, counter);
    crowd_finish(&crowd);
    assert_int_equal(crowd.answered, (uint64_t)CLIENTS * 2 * FRAMES);
    worker_stop(&worker);
    (void)bare_stop(&bare);
}

static void half_close_without_a_worker_gets_all_answers_then_fin(void **state)
{
    enum { CLIENTS = 20, FRAMES = 50 };
    struct bare bare;
    struct crowd crowd;
    struct run worker;

    (void)state;
    bare_start(&bare, NULL);
    bare_worker(&bare, &worker, counter);
    crowd_start(&crowd, &bare, CLIENTS, FRAMES, 2000);
    crowd_limit(&crowd, 1);
    while (crowd.answered < CLIENTS)
        crowd_poll(&crowd, 100);
    bare_kill(&bare, &worker);
    talk_into_the_void(&crowd, FRAMES);
    crowd_half_close(&crowd);
    crowd_poll(&crowd, 100);
    assert_int_equal(crowd.answered, CLIENTS);
    bare_worker(&bare, &worker, counter);
    crowd_wait_closed(&crowd);
    assert_int_equal(crowd.answered, CLIENTS * FRAMES);
    worker_stop(&worker);
    (void)bare_stop(&bare);
}

static void half_close_while_the_worker_is_killed_gets_all_answers_then_fin(void **state)
{
    enum { ROUNDS = 10, CLIENTS = 20, FRAMES = 100 };
    struct bare bare;
    struct run worker;
    uint64_t again;

    (void)state;
    bare_start(&bare, NULL);
    bare_worker(&bare, &worker, counter);
    for (int round = 0; round < ROUNDS; round++) {
        struct crowd crowd;

        crowd_start(&crowd, &bare, CLIENTS, FRAMES, 2000);
        crowd_limit(&crowd, FRAMES);
        while (crowd.answered < (uint64_t)CLIENTS * (unsigned)round)
            crowd_poll(&crowd, 100);
        crowd_poll(&crowd, 0);
        crowd_half_close(&crowd);
        assert_true(client_poll(crowd.client, 0) >= 0);
        bare_kill(&bare, &worker);
        bare_worker(&bare, &worker, counter);
        crowd_wait_closed(&crowd);
        assert_int_equal(crowd.answered, CLIENTS * FRAMES);
    }
    worker_stop(&worker);
    again = bare_stop(&bare);
    print_message("%d kills, %" PRIu64 " inputs delivered again\n", ROUNDS, again);
    assert_true(again > 0);
}

// Its slot is the only one: the next client gets in when it has been given back.
static void answer_to_a_new_client(const struct bare *bare)
{
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;
    uint32_t frames = 0;

    while (frames == 0) {
        struct peer peer;

        if (os_now_ms() >= deadline)
            fail_msg("the slot of the client that has gone is never free");
        peer_start(&peer, &bare->listen, "rookiss");
        while (peer.state == PEER_CONNECTING)
            peer_poll(&peer, 100);
        if (peer.state == PEER_OPEN && client_send(peer.conn, (struct bytes){(void *)"0-hello", 7}))
            fail_msg("cannot send");
        while (peer.state == PEER_OPEN && peer.frames == 0 && os_now_ms() < deadline)
            peer_poll(&peer, 100);
        frames = peer.frames;
        if (frames > 0)
            peer_finish(&peer);
        else
            peer_drop(&peer);
    }
}

static void reset_without_a_worker_has_one_close_turn(void **state)
{
    const char *options[] = {"--gateway.max_sessions=1", NULL};
    struct bare bare;
    struct run worker;
    struct peer peer;

    (void)state;
    bare_start(&bare, options);
    bare_worker(&bare, &worker, mortal);
    peer_open(&peer, &bare.listen, "rookiss");
    peer_send_text(&peer, "0-hello");
    peer_wait_frames(&peer, 1);
    bare_kill(&bare, &worker);
    peer_send_text(&peer, "0-nobody hears me");
    peer_drop(&peer);
    bare_worker(&bare, &worker, mortal);
    bare_wait_log(&bare, " mortal: closed ", 1); // Wine takes the reset for an end
    answer_to_a_new_client(&bare);
    bare_wait_log(&bare, " mortal: closed ", 2);
    assert_int_equal(pool_count(bare.log_path, " mortal: opened "), 2);
    worker_stop(&worker);
    assert_int_equal(pool_count(bare.log_path, " mortal: closed "), 2);
    (void)bare_stop(&bare);
}

// It came and went while there was no worker: no actor ever knew.
static void client_that_came_and_went_without_a_worker_leaves_no_trace(void **state)
{
    const char *options[] = {"--gateway.max_sessions=1", NULL};
    struct bare bare;
    struct run worker;
    struct peer peer;

    (void)state;
    bare_start(&bare, options);
    peer_open(&peer, &bare.listen, "rookiss");
    peer_drop(&peer);
    bare_worker(&bare, &worker, mortal);
    answer_to_a_new_client(&bare);
    bare_wait_log(&bare, " mortal: closed ", 1);
    worker_stop(&worker);
    assert_int_equal(pool_count(bare.log_path, " mortal: opened "), 1);
    assert_int_equal(pool_count(bare.log_path, " mortal: closed "), 1);
    (void)bare_stop(&bare);
}

static void worker_asked_to_stop_alone_leaves_nothing_undone(void **state)
{
    enum { ROUNDS = 5 };
    struct bare bare;
    struct crowd crowd;
    struct run workers[2];
    uint64_t goal;

    (void)state;
    bare_start(&bare, NULL);
    bare_worker(&bare, &workers[0], counter);
    bare_worker(&bare, &workers[1], counter);
    crowd_start(&crowd, &bare, E2E_WITNESSES, 8, 2000);
    for (int round = 0; round < ROUNDS; round++) {
        struct run *leaver = &workers[round % 2];

        run_ask_to_stop(leaver);
        while (!leaver->exited) {
            crowd_poll(&crowd, 10);
            run_poll(leaver, 0);
        }
        assert_int_equal(run_wait_exit(leaver), 0);
        goal = crowd.answered + UINT64_C(10) * E2E_WITNESSES;
        while (crowd.answered < goal)
            crowd_poll(&crowd, 10);
        bare_worker(&bare, leaver, counter);
    }
    crowd_finish(&crowd);
    assert_int_equal(pool_count(bare.log_path, "; 0 actors move"), ROUNDS);
    worker_stop(&workers[0]);
    worker_stop(&workers[1]);
    assert_int_equal(bare_stop(&bare), 0);
}

// Somebody at a window with a kill button: each worker lives just long enough to get its inputs.
static void workers_killed_as_soon_as_they_are_up_make_no_poison(void **state)
{
    enum { ROUNDS = 20, CLIENTS = 20 };
    struct bare bare;
    struct crowd crowd;
    struct run worker;

    (void)state;
    bare_start(&bare, NULL);
    bare_worker(&bare, &worker, counter);
    crowd_start(&crowd, &bare, CLIENTS, 8, 2000);
    for (int round = 0; round < ROUNDS; round++) {
        crowd_poll(&crowd, 0);
        bare_kill(&bare, &worker);
        bare_worker(&bare, &worker, counter);
    }
    crowd_finish(&crowd);
    assert_int_equal(pool_count(bare.log_path, "poisoned"), 0);
    worker_stop(&worker);
    (void)bare_stop(&bare);
}

// All states together are more than one batch may carry.
static void states_larger_than_a_batch_move_at_once(void **state)
{
    enum { CLIENTS = 600 };
    static const char *const heavy[] = {"e2e-mortal", "state", "60000", NULL};
    struct bare bare;
    struct crowd crowd;
    struct run worker;

    (void)state;
    bare_start(&bare, NULL);
    bare_worker(&bare, &worker, heavy);
    crowd_start(&crowd, &bare, CLIENTS, 4, 100);
    crowd_limit(&crowd, 1);
    while (crowd.answered < CLIENTS)
        crowd_poll(&crowd, 100);
    bare_kill(&bare, &worker);
    talk_into_the_void(&crowd, 3);
    bare_worker(&bare, &worker, heavy);
    while (crowd.answered < UINT64_C(3) * CLIENTS)
        crowd_poll(&crowd, 100);
    crowd_finish(&crowd);
    worker_stop(&worker);
    (void)bare_stop(&bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_without_a_worker_are_held_back_and_kept),
        cmocka_unit_test(half_close_without_a_worker_gets_all_answers_then_fin),
        cmocka_unit_test(half_close_while_the_worker_is_killed_gets_all_answers_then_fin),
        cmocka_unit_test(reset_without_a_worker_has_one_close_turn),
        cmocka_unit_test(client_that_came_and_went_without_a_worker_leaves_no_trace),
        cmocka_unit_test(worker_asked_to_stop_alone_leaves_nothing_undone),
        cmocka_unit_test(workers_killed_as_soon_as_they_are_up_make_no_poison),
        cmocka_unit_test(states_larger_than_a_batch_move_at_once),
    };

    os_init();
    os_descriptor_limit_raise();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
