// Goal: the ledger's rules one by one: numbers, windows, suspects, what comes back and in which
// order. Method: small scenes by hand; test_ledger_random.c does whatever else may happen.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "ledger.h"

enum { ACTORS = 4, KIND = 7, LARGE = 3 * LEDGER_LANE_BYTES };

static struct ledger_actor actors[ACTORS];
static struct ledger_lane *lane, *other;
static uint32_t lost_calls;
static void (*on_lost)(struct ledger_actor *actor);

static int setup(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ACTORS; i++)
        ledger_actor_init(&actors[i], 100 + i);
    lane = ledger_lane_create();
    other = ledger_lane_create();
    lost_calls = 0;
    on_lost = NULL;
    return lane != NULL && other != NULL ? 0 : -1;
}

static void lost(void *context, struct ledger_actor *actor, bool kept)
{
    assert_ptr_equal(context, &lost_calls);
    assert_true(kept);
    assert_null(actor->lane);
    lost_calls++;
    if (on_lost != NULL)
        on_lost(actor);
}

static void lose(struct ledger_lane *gone, bool died)
{
    ledger_lose(gone, died, lost, &lost_calls);
}

static int teardown(void **state)
{
    (void)state;
    on_lost = NULL;
    if (lane != NULL)
        lose(lane, false);
    lose(other, false);
    for (uint32_t i = 0; i < ACTORS; i++)
        ledger_actor_fini(&actors[i]);
    ledger_lane_destroy(lane);
    ledger_lane_destroy(other);
    return 0;
}

static struct ledger_input text_input(const char *prefix, const char *payload)
{
    return (struct ledger_input){.kind = KIND,
                                 .now_ms = 5000 + strlen(payload),
                                 .prefix = {(const uint8_t *)prefix, strlen(prefix)},
                                 .payload = {(const uint8_t *)payload, strlen(payload)}};
}

static void deliver(struct ledger_actor *actor, const char *payload)
{
    struct ledger_input input = text_input("<", payload);

    assert_true(ledger_ready(actor, 1 + strlen(payload)));
    assert_int_equal(ledger_deliver(actor, &input), 0);
    assert_int_equal(input.sequence, actor->delivered);
}

static void push(struct ledger_actor *actor, const char *payload)
{
    struct ledger_input input = text_input("<", payload);

    assert_int_equal(ledger_queue_push(actor, &input), 0);
}

static bool commit_of(struct ledger_lane *by, uint64_t id, uint32_t epoch, uint64_t sequence)
{
    struct ledger_actor *actor = NULL;
    struct ledger_input input = {.kind = 99};

    if (!ledger_commit(by, id, epoch, sequence, &actor, &input)) {
        assert_null(actor); // untouched
        assert_int_equal(input.kind, 99);
        return false;
    }
    assert_int_equal(actor->id, id);
    assert_int_equal(input.sequence, sequence);
    assert_int_equal(input.kind, KIND);
    return true;
}

static bool commit(struct ledger_actor *actor)
{
    return commit_of(actor->lane, actor->id, actor->epoch, actor->committed + 1);
}

static void assert_head(const struct ledger_actor *actor, const char *payload)
{
    struct ledger_input input;

    assert_true(ledger_queue_head(actor, &input));
    assert_int_equal(input.kind, KIND);
    assert_int_equal(input.now_ms, 5000 + strlen(payload));
    assert_int_equal(input.prefix.size, 1);
    assert_int_equal(input.prefix.data[0], '<');
    assert_int_equal(input.payload.size, strlen(payload));
    assert_memory_equal(input.payload.data, payload, strlen(payload));
}

// Delivers the head of the queue, which must be this.
static void drain(struct ledger_actor *actor, const char *payload)
{
    struct ledger_input input;

    assert_head(actor, payload);
    assert_true(ledger_queue_head(actor, &input));
    assert_true(ledger_ready(actor, input.prefix.size + input.payload.size));
    assert_int_equal(ledger_deliver(actor, &input), 0);
    ledger_queue_pop(actor);
}

static void ledger_actor_without_a_lane_can_only_queue(void **state)
{
    struct ledger_input input = {.kind = 99};

    (void)state;
    assert_int_equal(actors[0].epoch, 0);
    assert_false(ledger_ready(&actors[0], 0));
    assert_false(ledger_restore_due(&actors[0]));
    assert_false(ledger_queue_head(&actors[0], &input));
    assert_int_equal(input.kind, 99);
    ledger_unbind(&actors[0]);
    push(&actors[0], "one");
    push(&actors[0], "two");
    assert_int_equal(actors[0].queue.count, 2);
    assert_head(&actors[0], "one");
    ledger_queue_pop(&actors[0]);
    assert_head(&actors[0], "two");
    ledger_queue_pop(&actors[0]);
    assert_int_equal(actors[0].queue.bytes.capacity, 0); // an idle actor holds no memory
}

static void ledger_binding_counts_epochs_and_load(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    ledger_bind(&actors[1], lane);
    assert_int_equal(lane->load, 2);
    assert_int_equal(actors[0].epoch, 1);
    ledger_unbind(&actors[0]);
    assert_int_equal(lane->load, 1);
    assert_null(actors[0].lane);
    ledger_bind(&actors[0], other);
    assert_int_equal(other->load, 1);
    assert_int_equal(actors[0].epoch, 2);
}

static void ledger_commits_in_order_number_inputs(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    ledger_bind(&actors[1], lane);
    deliver(&actors[0], "a");
    deliver(&actors[1], "bb");
    deliver(&actors[0], "");
    assert_int_equal(lane->count, 3);
    assert_int_equal(lane->cost, 3 * LEDGER_INPUT_OVERHEAD + 2 + 3 + 1);
    assert_true(commit_of(lane, 100, 1, 1));
    assert_int_equal(lane->cost, 2 * LEDGER_INPUT_OVERHEAD + 3 + 1);
    assert_true(commit_of(lane, 101, 1, 1));
    assert_true(commit_of(lane, 100, 1, 2));
    assert_int_equal(lane->count, 0);
    assert_int_equal(lane->cost, 0);
    assert_int_equal(actors[0].committed, 2);
}

static void ledger_commit_gives_what_was_delivered(void **state)
{
    struct ledger_input input = text_input("ab", "cde");
    struct ledger_actor *actor;

    (void)state;
    ledger_bind(&actors[0], lane);
    assert_int_equal(ledger_deliver(&actors[0], &input), 0);
    assert_int_equal(input.sequence, 1);
    assert_true(ledger_commit(lane, 100, 1, 1, &actor, &input));
    assert_ptr_equal(actor, &actors[0]);
    assert_int_equal(input.now_ms, 5003);
    assert_int_equal(input.prefix.size, 2);
    assert_int_equal(input.payload.size, 3);
    assert_memory_equal(input.prefix.data, "ab", 2); // lent until the lane's next delivery
    assert_memory_equal(input.payload.data, "cde", 3);
}

static void ledger_wrong_commits_change_nothing(void **state)
{
    (void)state;
    assert_false(commit_of(lane, 100, 1, 1)); // nothing was ever delivered
    ledger_bind(&actors[0], lane);
    ledger_bind(&actors[1], lane);
    deliver(&actors[0], "a");
    deliver(&actors[1], "b");
    deliver(&actors[0], "c");
    assert_false(commit_of(lane, 102, 1, 1));
    assert_false(commit_of(lane, 100, 0, 1));
    assert_false(commit_of(lane, 100, 2, 1));
    assert_false(commit_of(lane, 100, 1, 0));
    assert_false(commit_of(lane, 100, 1, 2)); // its second before its first
    assert_false(commit_of(lane, 101, 1, 1)); // not its turn
    assert_false(commit_of(other, 100, 1, 1));
    assert_int_equal(lane->count, 3);
    assert_true(commit_of(lane, 100, 1, 1));
    assert_false(commit_of(lane, 100, 1, 1)); // again
    assert_true(commit_of(lane, 101, 1, 1));
    assert_true(commit_of(lane, 100, 1, 2));
    assert_false(commit_of(lane, 100, 1, 2));
}

static void ledger_full_lane_of_inputs_is_not_ready(void **state)
{
    struct ledger_input input = {.kind = KIND};

    (void)state;
    ledger_bind(&actors[0], lane);
    for (uint32_t round = 0; round < 3; round++) { // the ring goes round
        while (lane->count < LEDGER_LANE_INPUTS) {
            assert_true(ledger_ready(&actors[0], 0));
            assert_int_equal(ledger_deliver(&actors[0], &input), 0);
        }
        assert_false(ledger_ready(&actors[0], 0));
        for (uint32_t i = 0; i < LEDGER_LANE_INPUTS / 2 + 7; i++)
            assert_true(commit(&actors[0]));
        assert_true(ledger_ready(&actors[0], 0));
    }
}

static void ledger_full_lane_of_bytes_is_not_ready(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    deliver(&actors[0], "four");
    size_t rest = LEDGER_LANE_BYTES - (5 + LEDGER_INPUT_OVERHEAD) - LEDGER_INPUT_OVERHEAD;
    assert_true(ledger_ready(&actors[0], rest));
    assert_false(ledger_ready(&actors[0], rest + 1));
}

static void ledger_input_above_the_window_goes_alone(void **state)
{
    static uint8_t large[LARGE];
    struct ledger_input input = {.kind = KIND, .payload = {large, LARGE}};

    (void)state;
    ledger_bind(&actors[0], lane);
    assert_true(ledger_ready(&actors[0], LARGE));
    assert_int_equal(ledger_deliver(&actors[0], &input), 0);
    assert_false(ledger_ready(&actors[0], 0));
    assert_true(commit(&actors[0]));
    deliver(&actors[0], "a");
    assert_true(lane->payloads.capacity < LARGE); // it kept so much only while that was lent
    assert_false(ledger_ready(&actors[0], LARGE));
}

static void ledger_state_is_the_last_one(void **state)
{
    static const uint8_t text[4000] = "the first bytes";
    static const size_t sizes[] = {10, 10, 200, 4000, 3000, 4000, 12, 0, 5};

    (void)state;
    for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        assert_int_equal(ledger_state_set(&actors[0], 30 + i, (struct bytes){text, sizes[i]}), 0);
        assert_int_equal(actors[0].state_version, 30 + i);
        assert_int_equal(buffer_size(&actors[0].state), sizes[i]);
        if (sizes[i] > 0)
            assert_memory_equal(buffer_data(&actors[0].state), text, sizes[i]);
        assert_true(actors[0].state.capacity <= 4 * sizes[i] + 2048);
    }
}

static void ledger_state_of_like_size_costs_no_allocation(void **state)
{
    static const uint8_t text[1000];
    const uint8_t *memory;

    (void)state;
    assert_int_equal(ledger_state_set(&actors[0], 1, (struct bytes){text, 1000}), 0);
    memory = actors[0].state.memory;
    assert_int_equal(ledger_state_set(&actors[0], 1, (struct bytes){text, 900}), 0);
    assert_int_equal(ledger_state_set(&actors[0], 1, (struct bytes){text, 1000}), 0);
    assert_ptr_equal(memory, actors[0].state.memory);
}

static void ledger_restore_is_due_once_for_a_new_worker(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    assert_false(ledger_restore_due(&actors[0])); // it has not lived yet
    deliver(&actors[0], "a");
    assert_true(commit(&actors[0]));
    assert_false(ledger_restore_due(&actors[0])); // this worker knows it
    ledger_unbind(&actors[0]);
    assert_false(ledger_restore_due(&actors[0]));
    ledger_bind(&actors[0], lane);
    assert_true(ledger_restore_due(&actors[0]));
    ledger_unbind(&actors[0]);
    ledger_bind(&actors[0], other);
    assert_true(ledger_restore_due(&actors[0]));
    deliver(&actors[0], "b");
    assert_false(ledger_restore_due(&actors[0]));
}

static void ledger_lost_before_the_first_commit_needs_no_restore(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    deliver(&actors[0], "a");
    lose(lane, true);
    ledger_bind(&actors[0], other);
    assert_false(ledger_restore_due(&actors[0]));
}

static void ledger_lost_lane_gives_back_before_what_is_queued(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    ledger_bind(&actors[1], lane);
    deliver(&actors[0], "done");
    deliver(&actors[0], "a");
    deliver(&actors[1], "x");
    deliver(&actors[0], "bb");
    assert_true(commit(&actors[0]));
    push(&actors[0], "ccc");
    push(&actors[0], "dddd");
    lose(lane, false);
    assert_int_equal(lost_calls, 2);
    assert_int_equal(lane->load, 0);
    assert_int_equal(lane->count, 0);
    assert_int_equal(lane->cost, 0);
    assert_int_equal(actors[0].queue.count, 4);
    ledger_bind(&actors[0], other);
    drain(&actors[0], "a");
    assert_int_equal(actors[0].delivered, 2); // its old number
    drain(&actors[0], "bb");
    lose(other, false); // again, with some of it under way
    ledger_bind(&actors[0], lane);
    drain(&actors[0], "a");
    drain(&actors[0], "bb");
    drain(&actors[0], "ccc");
    drain(&actors[0], "dddd");
    assert_int_equal(actors[0].delivered, 5);
    assert_false(commit_of(lane, 100, 1, 2)); // the first worker's epoch
    assert_true(commit_of(lane, 100, 3, 2));
    assert_head(&actors[1], "x");
}

static void ledger_empty_inputs_come_back(void **state)
{
    struct ledger_input input = {.kind = KIND, .now_ms = 1};

    (void)state;
    ledger_bind(&actors[0], lane);
    assert_int_equal(ledger_deliver(&actors[0], &input), 0);
    lose(lane, true);
    assert_true(ledger_queue_head(&actors[0], &input));
    assert_int_equal(input.prefix.size + input.payload.size, 0);
    assert_int_equal(input.now_ms, 1);
}

static void ledger_death_makes_suspects_of_who_was_under_way(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        ledger_bind(&actors[i], lane);
    deliver(&actors[0], "a");
    deliver(&actors[1], "b");
    assert_true(commit(&actors[0]));
    lose(lane, true);
    assert_int_equal(actors[0].trust, LEDGER_TRUSTED); // it had answered
    assert_int_equal(actors[1].trust, LEDGER_SUSPECT);
    assert_int_equal(actors[2].trust, LEDGER_TRUSTED);
    assert_int_equal(actors[1].strikes, 0); // it was not alone
}

static void ledger_loss_without_death_makes_no_suspects(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    deliver(&actors[0], "a");
    lose(lane, false);
    assert_int_equal(actors[0].trust, LEDGER_TRUSTED);
    assert_head(&actors[0], "a");
}

// Actors 0 and 1 are suspects with queued inputs, bound to `other` together with 2, who is trusted.
static void make_suspects(void)
{
    ledger_bind(&actors[0], lane);
    ledger_bind(&actors[1], lane);
    deliver(&actors[0], "a");
    deliver(&actors[0], "aa");
    deliver(&actors[1], "b");
    lose(lane, true);
    for (uint32_t i = 0; i < 3; i++)
        ledger_bind(&actors[i], other);
}

static void ledger_suspects_are_tried_one_at_a_time(void **state)
{
    (void)state;
    make_suspects();
    drain(&actors[0], "a");
    assert_int_equal(actors[0].trust, LEDGER_TRIED);
    assert_false(ledger_ready(&actors[0], 3)); // its own second input waits, too
    assert_false(ledger_ready(&actors[1], 2));
    deliver(&actors[2], "c"); // the others go on
    ledger_unbind(&actors[1]);
    ledger_bind(&actors[1], lane);
    assert_true(ledger_ready(&actors[1], 2)); // another lane has its own
    ledger_unbind(&actors[1]);
    ledger_bind(&actors[1], other);
    assert_true(commit(&actors[0]));
    assert_int_equal(actors[0].trust, LEDGER_TRUSTED);
    drain(&actors[1], "b");
    drain(&actors[0], "aa");
    deliver(&actors[0], "aaa");
}

static void ledger_strikes_count_deaths_while_tried(void **state)
{
    (void)state;
    make_suspects();
    deliver(&actors[2], "c");
    lose(other, true); // nobody was tried
    assert_int_equal(actors[0].strikes, 0);
    assert_int_equal(actors[0].trust, LEDGER_SUSPECT);
    for (uint32_t i = 1; i <= 3; i++) {
        ledger_bind(&actors[0], other);
        ledger_bind(&actors[1], other);
        drain(&actors[0], "a");
        lose(other, true);
        assert_int_equal(actors[0].strikes, i);
        assert_int_equal(actors[1].strikes, 0);
        assert_int_equal(actors[0].trust, LEDGER_SUSPECT);
    }
    ledger_bind(&actors[0], other);
    drain(&actors[0], "a");
    assert_true(commit(&actors[0]));
    assert_int_equal(actors[0].strikes, 0);
    drain(&actors[0], "aa");
    lose(other, true);
    assert_int_equal(actors[0].strikes, 0); // it was trusted again
    assert_int_equal(actors[0].trust, LEDGER_SUSPECT);
}

static void ledger_loss_without_death_leaves_the_tried_a_suspect(void **state)
{
    (void)state;
    make_suspects();
    drain(&actors[0], "a");
    lose(other, false);
    assert_int_equal(actors[0].strikes, 0);
    assert_int_equal(actors[0].trust, LEDGER_SUSPECT);
    ledger_bind(&actors[1], other);
    assert_true(ledger_ready(&actors[1], 2)); // the lane tries nobody
}

static void end_and_begin(struct ledger_actor *actor)
{
    ledger_actor_fini(actor);
    memset(actor, 0xa5, sizeof(*actor));
    ledger_actor_init(actor, 7);
}

static void ledger_actor_may_end_in_lost(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        ledger_bind(&actors[i], lane);
        deliver(&actors[i], "a");
    }
    on_lost = end_and_begin;
    lose(lane, true);
    assert_int_equal(lost_calls, 3);
}

static void end_all(struct ledger_actor *actor)
{
    (void)actor;
    for (uint32_t i = 0; i < 3; i++)
        end_and_begin(&actors[i]);
}

static void ledger_actor_that_ended_in_lost_of_another_is_not_called(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        ledger_bind(&actors[i], lane);
        deliver(&actors[i], "a");
    }
    on_lost = end_all;
    lose(lane, true);
    assert_int_equal(lost_calls, 1);
}

static void bind_and_drain(struct ledger_actor *actor)
{
    ledger_bind(actor, actor == &actors[1] ? lane : other); // the lost lane can be used again
    drain(actor, "a");
}

static void ledger_actor_may_go_on_in_lost(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        ledger_bind(&actors[i], lane);
        deliver(&actors[i], "a");
    }
    on_lost = bind_and_drain;
    lose(lane, false);
    assert_int_equal(lost_calls, 3);
    assert_int_equal(lane->load, 1);
    assert_int_equal(other->load, 2);
    assert_true(commit_of(other, 100, 2, 1));
    assert_true(commit_of(other, 102, 2, 1));
    assert_true(commit_of(lane, 101, 2, 1));
}

static void destroy_lane(struct ledger_actor *actor)
{
    (void)actor;
    ledger_lane_destroy(lane);
    lane = NULL;
}

static void ledger_lane_may_be_destroyed_in_lost(void **state)
{
    (void)state;
    ledger_bind(&actors[0], lane);
    ledger_bind(&actors[1], lane);
    deliver(&actors[1], "a");
    on_lost = destroy_lane;
    lose(lane, true);
    assert_int_equal(lost_calls, 2);
}

static void ledger_lost_idle_lane_calls_nobody(void **state)
{
    (void)state;
    lose(lane, true);
    assert_int_equal(lost_calls, 0);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(ledger_actor_without_a_lane_can_only_queue),
        SCENE(ledger_binding_counts_epochs_and_load),
        SCENE(ledger_commits_in_order_number_inputs),
        SCENE(ledger_commit_gives_what_was_delivered),
        SCENE(ledger_wrong_commits_change_nothing),
        SCENE(ledger_full_lane_of_inputs_is_not_ready),
        SCENE(ledger_full_lane_of_bytes_is_not_ready),
        SCENE(ledger_input_above_the_window_goes_alone),
        SCENE(ledger_state_is_the_last_one),
        SCENE(ledger_state_of_like_size_costs_no_allocation),
        SCENE(ledger_restore_is_due_once_for_a_new_worker),
        SCENE(ledger_lost_before_the_first_commit_needs_no_restore),
        SCENE(ledger_lost_lane_gives_back_before_what_is_queued),
        SCENE(ledger_empty_inputs_come_back),
        SCENE(ledger_death_makes_suspects_of_who_was_under_way),
        SCENE(ledger_loss_without_death_makes_no_suspects),
        SCENE(ledger_suspects_are_tried_one_at_a_time),
        SCENE(ledger_strikes_count_deaths_while_tried),
        SCENE(ledger_loss_without_death_leaves_the_tried_a_suspect),
        SCENE(ledger_actor_may_end_in_lost),
        SCENE(ledger_actor_that_ended_in_lost_of_another_is_not_called),
        SCENE(ledger_actor_may_go_on_in_lost),
        SCENE(ledger_lane_may_be_destroyed_in_lost),
        SCENE(ledger_lost_idle_lane_calls_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
