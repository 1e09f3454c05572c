// Goal: a worker may be lost at any moment, in any way: no client is disconnected, no frame is
// lost, answered twice or out of order. Method: crowds of witnesses that check every answer of a
// counter, on nodes whose workers are killed, frozen, asked to stop, or end by themselves; what
// befalls them is drawn from a seed that is printed.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kill.h"
#include "live.h"
#include "peer.h"
#include "pool.h"
#include "witness.h"

enum { WORKERS = 3, SIZE_MAX_BYTES = 2000, WINDOW = 8 };

static uint64_t seed; // of the next storm
static uint64_t storm_ms;

static uint64_t number_of(const char *variable, uint64_t standard)
{
    const char *text = os_environment(variable);
    unsigned long number = text ? strtoul(text, NULL, 10) : 0;

    return number > 0 && number < 1000000000 ? number : standard;
}

struct storm {
    const char *command;
    uint32_t shards;
    enum blow blow;
    bool all; // workers at once
    uint32_t every_ms;
};

static void node_start(struct live *live, const struct storm *storm, const char *more)
{
    char command[64], shards[64], count[64];
    const char *options[] = {command,
                             shards,
                             count,
                             "--gateway.turn_timeout_ms=2000",
                             "--gateway.heartbeat_ms=300",
                             "--admin.listen=off",
                             more,
                             NULL};

    snprintf(command, sizeof command, "--workers.command=%s", storm->command);
    snprintf(shards, sizeof shards, "--gateway.shards=%u", (unsigned)storm->shards);
    snprintf(count, sizeof count, "--workers.count=%u", (unsigned)WORKERS);
    live_start(live, options);
}

static void crowd_start(struct crowd *crowd, const struct live *live)
{
    crowd_open(crowd, &(struct witness_config){.to = live->listen,
                                               .clients = E2E_WITNESSES,
                                               .window = WINDOW,
                                               .size_min = 2,
                                               .size_max = SIZE_MAX_BYTES,
                                               .seed = seed});
}

static void strike(struct pool *pool, struct crowd *crowd, const struct storm *storm)
{
    uint32_t whole = pool_whole(pool);

    if (whole == 0)
        return;
    if (!storm->all)
        pool_hit(pool, (uint32_t)(crowd_random(crowd) % whole), storm->blow);
    for (; storm->all && whole > 0; whole--)
        pool_hit(pool, 0, storm->blow);
}

static void weather(struct live *live, struct crowd *crowd, const struct storm *storm)
{
    uint64_t now_ms = os_now_ms();
    uint64_t end_ms = now_ms + storm_ms;
    uint64_t next_ms = now_ms + storm->every_ms;
    struct pool pool;
    uint64_t again;

    pool_watch(&pool, live);
    while ((now_ms = os_now_ms()) < end_ms) {
        crowd_poll(crowd, 10);
        pool_look(&pool);
        if (now_ms < next_ms)
            continue;
        next_ms = now_ms + storm->every_ms;
        strike(&pool, crowd, storm);
    }
    crowd_finish(crowd);
    pool_wait_settled(&pool);
    again = pool_stop(&pool);
    print_message("seed %" PRIu64 ": %" PRIu64 " blows, %" PRIu64 " frames, %" PRIu64
                  " inputs delivered again\n",
                  seed, pool.blows, crowd->answered, again);
    // Who leaves in order leaves nothing undone, if there is somebody to take over.
    assert_true(again > 0 || storm->blow == BLOW_ASK);
}

static void storm_run(const struct storm *storm)
{
    struct live live;
    struct crowd crowd;

    if (storm->blow != BLOW_KILL && !kill_has_signals())
        skip();
    seed++;
    node_start(&live, storm, NULL);
    crowd_start(&crowd, &live);
    weather(&live, &crowd, storm);
}

static void worker_killed_every_moment_is_not_noticed(void **state)
{
    (void)state;
    storm_run(&(struct storm){.command = "troupe-counter", .shards = 1, .every_ms = 200});
}

static void worker_killed_with_many_shards_is_not_noticed(void **state)
{
    (void)state;
    storm_run(&(struct storm){.command = "troupe-counter", .shards = 3, .every_ms = 200});
}

static void all_workers_killed_at_once_are_not_noticed(void **state)
{
    (void)state;
    storm_run(
        &(struct storm){.command = "troupe-counter", .shards = 1, .all = true, .every_ms = 900});
}

static void all_workers_killed_at_once_with_many_shards_are_not_noticed(void **state)
{
    (void)state;
    storm_run(
        &(struct storm){.command = "troupe-counter", .shards = 3, .all = true, .every_ms = 900});
}

static void frozen_worker_costs_latency_only(void **state)
{
    (void)state;
    storm_run(&(struct storm){
        .command = "troupe-counter", .shards = 1, .blow = BLOW_FREEZE, .every_ms = 700});
}

static void frozen_worker_with_many_shards_costs_latency_only(void **state)
{
    (void)state;
    storm_run(&(struct storm){
        .command = "troupe-counter", .shards = 3, .blow = BLOW_FREEZE, .every_ms = 700});
}

static void worker_asked_to_stop_hands_over(void **state)
{
    (void)state;
    storm_run(&(struct storm){
        .command = "troupe-counter", .shards = 3, .blow = BLOW_ASK, .every_ms = 300});
}

// It ends with a commit half made and others not yet sent.
static void worker_that_ends_within_a_batch_is_not_noticed(void **state)
{
    (void)state;
    storm_run(
        &(struct storm){.command = "e2e-mortal turns 5000", .shards = 2, .every_ms = UINT32_MAX});
}

static void large_states_move_too(void **state)
{
    (void)state;
    storm_run(&(struct storm){.command = "e2e-mortal state 60000", .shards = 1, .every_ms = 1000});
}

static void poisoned_frame_costs_its_own_session_only(void **state)
{
    const struct storm storm = {.command = "e2e-mortal", .shards = 2};
    struct live live;
    struct crowd crowd;
    struct peer poisoner;
    struct pool pool;
    uint64_t deadline = os_now_ms() + RUN_DEADLINE_MS;

    (void)state;
    node_start(&live, &storm, NULL);
    pool_watch(&pool, &live);
    crowd_start(&crowd, &live);
    peer_open(&poisoner, &live.listen, "rookiss");
    peer_send_text(&poisoner, "0-a plain word");
    peer_wait_frames(&poisoner, 1);
    peer_send_text(&poisoner, "0-poison");
    peer_send_text(&poisoner, "0-never seen");
    while (poisoner.state != PEER_CLOSED) {
        if (os_now_ms() >= deadline)
            fail_msg("the poisoned session is not closed");
        crowd_poll(&crowd, 10);
        peer_poll(&poisoner, 0);
    }
    assert_int_equal(poisoner.frames, 1);
    assert_int_equal(poisoner.error, 0);
    assert_true(live_log_has(&live, "poisoned input"));
    assert_true(live_log_has(&live, "ended one worker after another"));
    assert_int_equal(pool_count(live.log_path, "poisoned input"), 1);
    peer_drop(&poisoner);
    crowd_finish(&crowd);
    // The pool is alive, and so is the door.
    pool_wait_settled(&pool);
    crowd_start(&crowd, &live);
    crowd_limit(&crowd, 10);
    while (crowd.answered < UINT64_C(10) * E2E_WITNESSES)
        crowd_poll(&crowd, 100);
    crowd_finish(&crowd);
    (void)pool_stop(&pool);
}

// The worker stands still in one turn: the others' inputs behind it move on.
static void turn_without_end_costs_its_own_session_only(void **state)
{
    const struct storm storm = {.command = "e2e-mortal", .shards = 1};
    struct live live;
    struct crowd crowd;
    struct peer hanger;
    struct pool pool;

    (void)state;
    node_start(&live, &storm, "--gateway.turn_timeout_ms=1000");
    pool_watch(&pool, &live);
    crowd_start(&crowd, &live);
    peer_open(&hanger, &live.listen, "rookiss");
    peer_send_text(&hanger, "0-hang");
    while (hanger.state != PEER_CLOSED) {
        crowd_poll(&crowd, 10);
        peer_poll(&hanger, 0);
    }
    assert_int_equal(hanger.frames, 0);
    assert_int_equal(pool_count(live.log_path, "poisoned input"), 1);
    peer_drop(&hanger);
    crowd_finish(&crowd);
    pool_wait_settled(&pool);
    (void)pool_stop(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worker_killed_every_moment_is_not_noticed),
        cmocka_unit_test(worker_killed_with_many_shards_is_not_noticed),
        cmocka_unit_test(all_workers_killed_at_once_are_not_noticed),
        cmocka_unit_test(all_workers_killed_at_once_with_many_shards_are_not_noticed),
        cmocka_unit_test(frozen_worker_costs_latency_only),
        cmocka_unit_test(frozen_worker_with_many_shards_costs_latency_only),
        cmocka_unit_test(worker_asked_to_stop_hands_over),
        cmocka_unit_test(worker_that_ends_within_a_batch_is_not_noticed),
        cmocka_unit_test(large_states_move_too),
        cmocka_unit_test(poisoned_frame_costs_its_own_session_only),
        cmocka_unit_test(turn_without_end_costs_its_own_session_only),
    };

    os_init();
    os_descriptor_limit_raise();
    seed = number_of("TROUPE_E2E_SEED", 1);
    storm_ms = 1000 * number_of("TROUPE_E2E_CHAOS_S", E2E_CHAOS_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
