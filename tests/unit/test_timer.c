// Goal: timers come out when they are due, in order of their time and then of their setting, and
// none twice or never. Method: seeded random steps beside a plain array that is searched whole; the
// heap's own order is checked after each step.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "timer.h"

enum { SEED = 20240517, STEPS = 200000, TIMERS = 400, SPAN_MS = 300 };

static struct timers timers;
static struct timer pool[TIMERS];

static struct {
    bool set;
    uint64_t due_ms;
    uint64_t order;
} model[TIMERS];

static uint64_t random_state;
static uint64_t order;

// xorshift64*, of the public domain.
static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1du) >> 33) % limit;
}

// The one that is due first; TIMERS when none is set.
static size_t model_first(void)
{
    size_t first = TIMERS;

    for (size_t i = 0; i < TIMERS; i++) {
        if (!model[i].set)
            continue;
        if (first == TIMERS || model[i].due_ms < model[first].due_ms ||
            (model[i].due_ms == model[first].due_ms && model[i].order < model[first].order))
            first = i;
    }
    return first;
}

static void check_heap(void)
{
    uint32_t count = 0;

    for (uint32_t place = 1; place <= timers.count; place++) {
        assert_int_equal(timers.heap[place]->place, place);
        assert_true(timers.heap[place]->due_ms >= timers.heap[place > 1 ? place / 2 : 1]->due_ms);
    }
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(timer_is_set(&pool[i]), model[i].set);
        count += model[i].set;
    }
    assert_int_equal(timers.count, count);
}

static void set(size_t i, uint64_t due_ms)
{
    assert_int_equal(timers_set(&timers, &pool[i], due_ms), 0);
    model[i].set = true;
    model[i].due_ms = due_ms;
    model[i].order = ++order;
}

static void cancel(size_t i)
{
    timers_cancel(&timers, &pool[i]);
    model[i].set = false;
}

// Takes out all that is due, beside the model.
static uint32_t pop_all(uint64_t now_ms)
{
    uint32_t popped = 0;

    for (;;) {
        size_t first = model_first();
        struct timer *timer = timers_pop(&timers, now_ms);

        if (first == TIMERS || model[first].due_ms > now_ms) {
            assert_null(timer);
            return popped;
        }
        assert_ptr_equal(timer, &pool[first]);
        assert_int_equal(timer->due_ms, model[first].due_ms);
        model[first].set = false;
        popped++;
    }
}

static void timer_any_steps_come_out_as_the_model_says(void **state)
{
    uint64_t now_ms = 1000;
    uint32_t popped = 0;

    (void)state;
    random_state = SEED;
    print_message("seed %u\n", (unsigned)SEED);
    for (uint32_t step = 0; step < STEPS; step++) {
        size_t i = random_below(TIMERS);
        size_t first;

        // The crowd grows and shrinks, so that the heap is tried at every size.
        switch (random_below(step / 20000 % 2 ? 4 : 7)) {
        case 0:
        case 1:
            cancel(i);
            break;
        case 2:
            now_ms += random_below(20);
            popped += pop_all(now_ms);
            break;
        default: // some are in the past, many at the same time
            set(i, now_ms - 10 + random_below(SPAN_MS) / 4 * 4);
            break;
        }
        first = model_first();
        assert_int_equal(timers_next_ms(&timers),
                         first == TIMERS ? TIMER_NEVER : model[first].due_ms);
        if (step % 97 == 0)
            check_heap();
    }
    assert_true(popped > STEPS / 50);
    pop_all(UINT64_MAX - 1);
    assert_int_equal(timers_next_ms(&timers), TIMER_NEVER);
    timers_fini(&timers);
}

static void timer_equal_times_fire_in_the_order_of_setting(void **state)
{
    (void)state;
    for (size_t i = 0; i < TIMERS; i++)
        set((i * 7) % TIMERS, 5);
    set(3, 5); // again: the last one now
    for (size_t i = 0; i < TIMERS; i++) {
        if ((i * 7) % TIMERS != 3)
            assert_ptr_equal(timers_pop(&timers, 5), &pool[(i * 7) % TIMERS]);
    }
    assert_ptr_equal(timers_pop(&timers, 5), &pool[3]);
    assert_null(timers_pop(&timers, UINT64_MAX));
    for (size_t i = 0; i < TIMERS; i++)
        model[i].set = false;
    timers_fini(&timers);
}

static void timer_not_due_stays(void **state)
{
    (void)state;
    set(0, 100);
    assert_null(timers_pop(&timers, 99));
    assert_true(timer_is_set(&pool[0]));
    assert_int_equal(timers_next_ms(&timers), 100);
    assert_ptr_equal(timers_pop(&timers, 100), &pool[0]);
    assert_false(timer_is_set(&pool[0]));
    timers_fini(&timers);
}

static void timer_farthest_times_keep_their_order(void **state)
{
    (void)state;
    set(0, UINT64_MAX - 1);
    set(1, 0);
    set(2, UINT64_MAX - 2);
    assert_ptr_equal(timers_pop(&timers, 0), &pool[1]);
    assert_null(timers_pop(&timers, UINT64_MAX - 3));
    assert_ptr_equal(timers_pop(&timers, UINT64_MAX - 1), &pool[2]);
    cancel(0);
    cancel(0); // harmless
    assert_int_equal(timers_next_ms(&timers), TIMER_NEVER);
    timers_fini(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timer_any_steps_come_out_as_the_model_says),
        cmocka_unit_test(timer_equal_times_fire_in_the_order_of_setting),
        cmocka_unit_test(timer_not_due_stays),
        cmocka_unit_test(timer_farthest_times_keep_their_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
