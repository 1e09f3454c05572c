// Goal: out of memory is an answer and never a hole in a queue, and nothing leaks. Method: ledger.c
// and buffer.c are built into this program with an allocator that fails at the n-th call, for each
// n.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ledger.h"

// What malloc, calloc and free mean in ledger.c and buffer.c; see CMakeLists.txt.
void *scarce_malloc(size_t size);
void *scarce_calloc(size_t count, size_t size);
void scarce_free(void *block);

enum { ACTORS = 3, LONG = 3000, NEVER = 1000 };

static uint8_t text[LONG];
static struct ledger_actor actors[ACTORS];
static uint32_t allocations; // so far
static uint32_t failing;     // number of the one that fails, 0 = none
static bool failing_on;      // and all that follow
static uint32_t blocks;      // not given back

static bool scarce(void)
{
    allocations++;
    return failing != 0 && (failing_on ? allocations >= failing : allocations == failing);
}

void *scarce_malloc(size_t size)
{
    void *block = scarce() ? NULL : malloc(size);

    blocks += block != NULL;
    return block;
}

void *scarce_calloc(size_t count, size_t size)
{
    void *block = scarce() ? NULL : calloc(count, size);

    blocks += block != NULL;
    return block;
}

void scarce_free(void *block)
{
    blocks -= block != NULL;
    free(block);
}

static void fail_at(uint32_t number, bool on)
{
    allocations = 0;
    failing = number;
    failing_on = on;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < LONG; i++)
        text[i] = (uint8_t)(i * 7);
    fail_at(0, false);
    for (uint32_t i = 0; i < ACTORS; i++)
        ledger_actor_init(&actors[i], 100 + i);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ACTORS; i++)
        ledger_actor_fini(&actors[i]);
    return blocks == 0 ? 0 : -1;
}

static struct ledger_input input_of(uint64_t number)
{
    return (struct ledger_input){
        .kind = 7, .now_ms = number, .prefix = {text, number}, .payload = {text, LONG - number}};
}

static void assert_head(const struct ledger_actor *actor, uint64_t number)
{
    struct ledger_input input;

    assert_true(ledger_queue_head(actor, &input));
    assert_int_equal(input.now_ms, number);
    assert_int_equal(input.prefix.size, number);
    assert_int_equal(input.payload.size, LONG - number);
    assert_memory_equal(input.payload.data, text, LONG - number);
}

static void ledger_lane_without_memory_is_null(void **state)
{
    (void)state;
    fail_at(1, false);
    assert_null(ledger_lane_create());
    ledger_lane_destroy(NULL);
}

static void nobody(void *context, struct ledger_actor *actor, bool kept)
{
    (void)context;
    (void)actor;
    assert_true(kept);
}

static void ledger_deliver_without_memory_changes_nothing(void **state)
{
    struct ledger_lane *lane = ledger_lane_create();
    uint32_t failures = 0;

    (void)state;
    ledger_bind(&actors[0], lane);
    for (uint64_t n = 1; n <= 40; n++) {
        struct ledger_input input = input_of(n);

        for (uint32_t number = 1; number <= 2; number++) { // of the prefix, of the payload
            size_t size = buffer_size(&lane->payloads);

            fail_at(number, false);
            if (ledger_deliver(&actors[0], &input) == 0)
                goto delivered;
            failures++;
            assert_int_equal(buffer_size(&lane->payloads), size);
            assert_int_equal(actors[0].delivered, n - 1);
            assert_int_equal(lane->count, n - 1);
        }
        fail_at(0, false);
        assert_int_equal(ledger_deliver(&actors[0], &input), 0);
    delivered:
        assert_int_equal(input.sequence, n);
    }
    assert_true(failures >= 5);
    fail_at(0, false);
    ledger_lose(lane, false, nobody, NULL);
    for (uint64_t n = 1; n <= 40; n++) {
        assert_head(&actors[0], n);
        ledger_queue_pop(&actors[0]);
    }
    ledger_lane_destroy(lane);
}

static void ledger_push_without_memory_changes_nothing(void **state)
{
    uint32_t failures = 0;

    (void)state;
    for (uint64_t n = 1; n <= 40; n++) {
        struct ledger_input input = input_of(n);

        // Each try fails one allocation later: at the head, the prefix, the payload.
        for (uint32_t number = 1;; number++) {
            fail_at(number, false);
            if (ledger_queue_push(&actors[0], &input) == 0)
                break;
            failures++;
            assert_int_equal(actors[0].queue.count, n - 1);
        }
    }
    assert_true(failures >= 5);
    fail_at(0, false);
    for (uint64_t n = 1; n <= 40; n++) {
        assert_head(&actors[0], n);
        ledger_queue_pop(&actors[0]);
    }
}

static void ledger_state_without_memory_is_the_old_one(void **state)
{
    (void)state;
    assert_int_equal(ledger_state_set(&actors[0], 1, (struct bytes){text, 20}), 0);
    fail_at(1, false);
    assert_int_equal(ledger_state_set(&actors[0], 2, (struct bytes){text + 1, LONG - 1}), -ENOMEM);
    assert_int_equal(actors[0].state_version, 1);
    assert_int_equal(buffer_size(&actors[0].state), 20);
    assert_memory_equal(buffer_data(&actors[0].state), text, 20);
}

struct losses {
    uint32_t kept, torn;
};

// Actor i has 3 - i inputs under way and i + 1 queued behind them.
static void lost(void *context, struct ledger_actor *actor, bool kept)
{
    struct losses *losses = context;
    uint32_t i = (uint32_t)(actor - actors);

    assert_null(actor->lane);
    if (!kept) {
        losses->torn++;
        assert_int_equal(actor->queue.count, 0);
        assert_int_equal(actor->queue.bytes.capacity, 0);
        assert_int_equal(actor->back.bytes.capacity, 0);
        return;
    }
    losses->kept++;
    assert_int_equal(actor->queue.count, 4);
    for (uint64_t n = 1; n <= 4; n++) {
        assert_head(actor, 10 * i + n);
        ledger_queue_pop(actor);
    }
}

static struct losses lose_with(uint32_t number, bool on)
{
    struct ledger_lane *lane = ledger_lane_create();
    struct losses losses = {0};

    assert_non_null(lane);
    for (uint32_t i = 0; i < ACTORS; i++)
        ledger_bind(&actors[i], lane);
    for (uint32_t n = 1; n <= 4; n++) {
        for (uint32_t i = 0; i < ACTORS; i++) {
            struct ledger_input input = input_of(10 * i + n);

            if (n <= 3 - i)
                assert_int_equal(ledger_deliver(&actors[i], &input), 0);
            else
                assert_int_equal(ledger_queue_push(&actors[i], &input), 0);
        }
    }
    fail_at(number, on);
    ledger_lose(lane, true, lost, &losses);
    assert_int_equal(losses.kept + losses.torn, ACTORS);
    assert_int_equal(lane->count, 0);
    assert_int_equal(lane->cost, 0);
    assert_int_equal(lane->load, 0);
    ledger_lane_destroy(lane);
    return losses;
}

static void ledger_loss_without_memory_keeps_all_of_an_actor_or_nothing(void **state)
{
    uint32_t needed = NEVER;

    (void)state;
    for (uint32_t on = 0; on < 2; on++) {
        for (uint32_t number = 1; number <= needed + 1; number++) {
            struct losses losses = lose_with(number, on == 1);

            if (on == 0)
                assert_int_equal(losses.torn, allocations >= number);
            if (losses.torn == 0)
                needed = number - 1;
            teardown(NULL);
            assert_int_equal(blocks, 0);
            setup(NULL);
        }
    }
    assert_in_range(needed, 5, NEVER - 1);
    assert_int_equal(lose_with(1, true).kept, 0);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(ledger_lane_without_memory_is_null),
        SCENE(ledger_deliver_without_memory_changes_nothing),
        SCENE(ledger_push_without_memory_changes_nothing),
        SCENE(ledger_state_without_memory_is_the_old_one),
        SCENE(ledger_loss_without_memory_keeps_all_of_an_actor_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
