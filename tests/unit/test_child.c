// Goal: a child is started again, given up, stopped and killed exactly when the rules say so.
// Method: every event in every state against a table written down here on its own; then the
// stories (back-off, crash loop, start, stop) on a clock that the test moves; then seeded random
// walks against invariants.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "child.h"

enum { START_MS = 5000, STOP_MS = 400 };

static const struct child_rules rules = {
    .start_deaths_max = 5,
    .stop_timeout_ms = STOP_MS,
    .seed = 42,
};

struct answer {
    enum child_action action;
    enum child_state state;
};

// Brings a new child into a state by events that lead there; each deadline is START_MS + something.
static void enter(struct child *child, enum child_state state)
{
    static const enum child_event paths[CHILD_STATE_COUNT][5] = {
        [CHILD_SPAWNING] = {CHILD_START, CHILD_EVENT_COUNT},
        [CHILD_STARTING] = {CHILD_START, CHILD_SPAWNED, CHILD_EVENT_COUNT},
        [CHILD_READY] = {CHILD_START, CHILD_SPAWNED, CHILD_SAYS_READY, CHILD_EVENT_COUNT},
        [CHILD_REPLACING] = {CHILD_START, CHILD_SPAWNED, CHILD_HUNG, CHILD_EVENT_COUNT},
        [CHILD_BACKING_OFF] = {CHILD_START, CHILD_SPAWNED, CHILD_EXITED, CHILD_EVENT_COUNT},
        [CHILD_STOPPING] = {CHILD_START, CHILD_SPAWNED, CHILD_STOP, CHILD_EVENT_COUNT},
        [CHILD_KILLED] = {CHILD_START, CHILD_SPAWNED, CHILD_KILL, CHILD_EVENT_COUNT},
        [CHILD_GIVEN_UP] = {CHILD_START, CHILD_SPAWNED, CHILD_SAYS_FAILED, CHILD_EXITED,
                            CHILD_EVENT_COUNT},
        [CHILD_STOPPED] = {CHILD_STOP, CHILD_EVENT_COUNT},
    };

    child_init(child, &rules);
    for (size_t i = 0; state != CHILD_IDLE && paths[state][i] != CHILD_EVENT_COUNT; i++)
        assert_int_not_equal(child_event(child, paths[state][i], START_MS), CHILD_WRONG);
    assert_int_equal(child->state, state);
}

#define SAME(state)                                                                                \
    {                                                                                              \
        CHILD_NOTHING, state                                                                       \
    }
#define WRONG(state)                                                                               \
    {                                                                                              \
        CHILD_WRONG, state                                                                         \
    }
#define DONE                                                                                       \
    {                                                                                              \
        CHILD_DONE, CHILD_STOPPED                                                                  \
    }

// What each state answers to each event at START_MS, before any deadline.
static const struct answer expected[CHILD_STATE_COUNT][CHILD_EVENT_COUNT] =
    {
        [CHILD_IDLE] =
            {
                [CHILD_START] = {CHILD_SPAWN, CHILD_SPAWNING},
                [CHILD_SPAWNED] = WRONG(CHILD_IDLE),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_IDLE),
                [CHILD_SAYS_READY] = SAME(CHILD_IDLE),
                [CHILD_SAYS_FAILED] = SAME(CHILD_IDLE),
                [CHILD_EXITED] = WRONG(CHILD_IDLE),
                [CHILD_HUNG] = SAME(CHILD_IDLE),
                [CHILD_SETTLE] = SAME(CHILD_IDLE),
                [CHILD_STOP] = DONE,
                [CHILD_KILL] = DONE,
                [CHILD_TICK] = SAME(CHILD_IDLE),
            },
        [CHILD_SPAWNING] =
            {
                [CHILD_START] = WRONG(CHILD_SPAWNING),
                [CHILD_SPAWNED] = SAME(CHILD_STARTING),
                [CHILD_SPAWN_FAILED] = {CHILD_REPORT_DEATH, CHILD_BACKING_OFF},
                [CHILD_SAYS_READY] = SAME(CHILD_SPAWNING),
                [CHILD_SAYS_FAILED] = SAME(CHILD_SPAWNING),
                [CHILD_EXITED] = WRONG(CHILD_SPAWNING),
                [CHILD_HUNG] = SAME(CHILD_SPAWNING),
                [CHILD_SETTLE] = SAME(CHILD_SPAWNING),
                [CHILD_STOP] = WRONG(CHILD_SPAWNING),
                [CHILD_KILL] = WRONG(CHILD_SPAWNING),
                [CHILD_TICK] = SAME(CHILD_SPAWNING),
            },
        [CHILD_STARTING] =
            {
                [CHILD_START] = WRONG(CHILD_STARTING),
                [CHILD_SPAWNED] = WRONG(CHILD_STARTING),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_STARTING),
                [CHILD_SAYS_READY] = {CHILD_REPORT_READY, CHILD_READY},
                [CHILD_SAYS_FAILED] = SAME(CHILD_STARTING),
                [CHILD_EXITED] = {CHILD_REPORT_DEATH, CHILD_BACKING_OFF},
                [CHILD_HUNG] = {CHILD_END, CHILD_REPLACING},
                [CHILD_SETTLE] = SAME(CHILD_STARTING),
                [CHILD_STOP] = {CHILD_ASK, CHILD_STOPPING},
                [CHILD_KILL] = {CHILD_END, CHILD_KILLED},
                [CHILD_TICK] = SAME(CHILD_STARTING),
            },
        [CHILD_READY] =
            {
                [CHILD_START] = WRONG(CHILD_READY),
                [CHILD_SPAWNED] = WRONG(CHILD_READY),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_READY),
                [CHILD_SAYS_READY] = SAME(CHILD_READY),
                [CHILD_SAYS_FAILED] = SAME(CHILD_READY),
                [CHILD_EXITED] = {CHILD_REPORT_DEATH, CHILD_BACKING_OFF},
                [CHILD_HUNG] = {CHILD_END, CHILD_REPLACING},
                [CHILD_SETTLE] = SAME(CHILD_READY),
                [CHILD_STOP] = {CHILD_ASK, CHILD_STOPPING},
                [CHILD_KILL] = {CHILD_END, CHILD_KILLED},
                [CHILD_TICK] = SAME(CHILD_READY),
            },
        [CHILD_REPLACING] =
            {
                [CHILD_START] = WRONG(CHILD_REPLACING),
                [CHILD_SPAWNED] = WRONG(CHILD_REPLACING),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_REPLACING),
                [CHILD_SAYS_READY] = SAME(CHILD_REPLACING),
                [CHILD_SAYS_FAILED] = SAME(CHILD_REPLACING),
                [CHILD_EXITED] = {CHILD_REPORT_DEATH, CHILD_BACKING_OFF},
                [CHILD_HUNG] = SAME(CHILD_REPLACING),
                [CHILD_SETTLE] = SAME(CHILD_REPLACING),
                [CHILD_STOP] = SAME(CHILD_STOPPING),
                [CHILD_KILL] = {CHILD_END, CHILD_KILLED},
                [CHILD_TICK] = SAME(CHILD_REPLACING),
            },
        [CHILD_BACKING_OFF] =
            {
                [CHILD_START] = WRONG(CHILD_BACKING_OFF),
                [CHILD_SPAWNED] = WRONG(CHILD_BACKING_OFF),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_BACKING_OFF),
                [CHILD_SAYS_READY] = SAME(CHILD_BACKING_OFF),
                [CHILD_SAYS_FAILED] = SAME(CHILD_BACKING_OFF),
                [CHILD_EXITED] = WRONG(CHILD_BACKING_OFF),
                [CHILD_HUNG] = SAME(CHILD_BACKING_OFF),
                [CHILD_SETTLE] = SAME(CHILD_BACKING_OFF),
                [CHILD_STOP] = DONE,
                [CHILD_KILL] = DONE,
                [CHILD_TICK] = SAME(CHILD_BACKING_OFF),
            },
        [CHILD_STOPPING] =
            {
                [CHILD_START] = WRONG(CHILD_STOPPING),
                [CHILD_SPAWNED] = WRONG(CHILD_STOPPING),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_STOPPING),
                [CHILD_SAYS_READY] = SAME(CHILD_STOPPING),
                [CHILD_SAYS_FAILED] = SAME(CHILD_STOPPING),
                [CHILD_EXITED] = DONE,
                [CHILD_HUNG] = SAME(CHILD_STOPPING),
                [CHILD_SETTLE] = SAME(CHILD_STOPPING),
                [CHILD_STOP] = SAME(CHILD_STOPPING),
                [CHILD_KILL] = {CHILD_END, CHILD_KILLED},
                [CHILD_TICK] = SAME(CHILD_STOPPING),
            },
        [CHILD_KILLED] =
            {
                [CHILD_START] = WRONG(CHILD_KILLED),
                [CHILD_SPAWNED] = WRONG(CHILD_KILLED),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_KILLED),
                [CHILD_SAYS_READY] = SAME(CHILD_KILLED),
                [CHILD_SAYS_FAILED] = SAME(CHILD_KILLED),
                [CHILD_EXITED] = DONE,
                [CHILD_HUNG] = SAME(CHILD_KILLED),
                [CHILD_SETTLE] = SAME(CHILD_KILLED),
                [CHILD_STOP] = SAME(CHILD_KILLED),
                [CHILD_KILL] = SAME(CHILD_KILLED),
                [CHILD_TICK] = SAME(CHILD_KILLED),
            },
        [CHILD_GIVEN_UP] =
            {
                [CHILD_START] = WRONG(CHILD_GIVEN_UP),
                [CHILD_SPAWNED] = WRONG(CHILD_GIVEN_UP),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_GIVEN_UP),
                [CHILD_SAYS_READY] = SAME(CHILD_GIVEN_UP),
                [CHILD_SAYS_FAILED] = SAME(CHILD_GIVEN_UP),
                [CHILD_EXITED] = WRONG(CHILD_GIVEN_UP),
                [CHILD_HUNG] = SAME(CHILD_GIVEN_UP),
                [CHILD_SETTLE] = SAME(CHILD_GIVEN_UP),
                [CHILD_STOP] = DONE,
                [CHILD_KILL] = DONE,
                [CHILD_TICK] = SAME(CHILD_GIVEN_UP),
            },
        [CHILD_STOPPED] =
            {
                [CHILD_START] = WRONG(CHILD_STOPPED),
                [CHILD_SPAWNED] = WRONG(CHILD_STOPPED),
                [CHILD_SPAWN_FAILED] = WRONG(CHILD_STOPPED),
                [CHILD_SAYS_READY] = SAME(CHILD_STOPPED),
                [CHILD_SAYS_FAILED] = SAME(CHILD_STOPPED),
                [CHILD_EXITED] = WRONG(CHILD_STOPPED),
                [CHILD_HUNG] = SAME(CHILD_STOPPED),
                [CHILD_SETTLE] = SAME(CHILD_STOPPED),
                [CHILD_STOP] = SAME(CHILD_STOPPED),
                [CHILD_KILL] = SAME(CHILD_STOPPED),
                [CHILD_TICK] = SAME(CHILD_STOPPED),
            },
};

static void child_every_event_in_every_state_answers_as_written(void **unused)
{
    (void)unused;
    for (int state = 0; state < CHILD_STATE_COUNT; state++) {
        for (int event = 0; event < CHILD_EVENT_COUNT; event++) {
            const struct answer *answer = &expected[state][event];
            struct child child;
            enum child_action action;

            enter(&child, (enum child_state)state);
            action = child_event(&child, (enum child_event)event, START_MS);
            if (action != answer->action || child.state != answer->state)
                fail_msg("event %d in '%s': action %d and '%s', expected %d and '%s'", event,
                         child_state_text((enum child_state)state), action,
                         child_state_text(child.state), answer->action,
                         child_state_text(answer->state));
        }
    }
}

static void child_alive_is_true_while_there_is_a_process(void **unused)
{
    (void)unused;
    for (int state = 0; state < CHILD_STATE_COUNT; state++) {
        struct child child;
        bool alive = state == CHILD_STARTING || state == CHILD_READY || state == CHILD_REPLACING ||
                     state == CHILD_STOPPING || state == CHILD_KILLED;

        enter(&child, (enum child_state)state);
        assert_int_equal(child_alive(&child), alive);
    }
}

static void child_ticks_at_its_deadlines_and_not_before(void **unused)
{
    struct child child;

    (void)unused;
    enter(&child, CHILD_STARTING);
    assert_int_equal(child.deadline, START_MS + CHILD_SLOW_MS);
    assert_int_equal(child_event(&child, CHILD_TICK, child.deadline - 1), CHILD_NOTHING);
    assert_int_equal(child_event(&child, CHILD_TICK, child.deadline), CHILD_REPORT_SLOW);
    assert_true(child.deadline == CHILD_NEVER); // once a life
    assert_int_equal(child.state, CHILD_STARTING);

    enter(&child, CHILD_BACKING_OFF);
    assert_int_equal(child_event(&child, CHILD_TICK, child.deadline - 1), CHILD_NOTHING);
    assert_int_equal(child_event(&child, CHILD_TICK, child.deadline), CHILD_SPAWN);
    assert_int_equal(child.state, CHILD_SPAWNING);

    enter(&child, CHILD_STOPPING);
    assert_int_equal(child.deadline, START_MS + STOP_MS);
    assert_int_equal(child_event(&child, CHILD_TICK, child.deadline - 1), CHILD_NOTHING);
    assert_int_equal(child_event(&child, CHILD_TICK, child.deadline), CHILD_END);
    assert_int_equal(child.state, CHILD_KILLED);

    enter(&child, CHILD_READY);
    assert_true(child.deadline == CHILD_NEVER);
}

// One death without ever being ready; returns the delay until the next start.
static uint64_t die(struct child *child, uint64_t *now, enum child_action action)
{
    uint64_t delay;

    assert_int_equal(child->state, CHILD_STARTING);
    assert_int_equal(child_event(child, CHILD_EXITED, *now), action);
    delay = child->deadline - *now;
    *now = child->deadline;
    assert_int_equal(child_event(child, CHILD_TICK, *now), CHILD_SPAWN);
    assert_int_equal(child_event(child, CHILD_SPAWNED, *now), CHILD_NOTHING);
    return delay;
}

static void child_settled_dies_again_and_again_doubles_back_off_and_tells_loop_once(void **unused)
{
    static const uint64_t delays[] = {20, 40, 80, 160, 2000, 2000, 2000, 2000};
    uint64_t now = START_MS;
    struct child child;

    (void)unused;
    enter(&child, CHILD_STARTING);
    child_event(&child, CHILD_SETTLE, now);
    for (size_t i = 0; i < ARRAY_COUNT(delays); i++) {
        uint64_t delay = die(&child, &now, i == 4 ? CHILD_REPORT_LOOP : CHILD_REPORT_DEATH);

        assert_in_range(delay, delays[i], delays[i] + delays[i] / 4);
    }
    assert_int_equal(child.deaths, ARRAY_COUNT(delays));
    assert_int_equal(child.streak, ARRAY_COUNT(delays));
    assert_int_equal(child.lives, ARRAY_COUNT(delays) + 1);
}

static void child_ready_for_long_forgets_its_deaths(void **unused)
{
    uint64_t now = START_MS;
    struct child child;

    (void)unused;
    enter(&child, CHILD_STARTING);
    child_event(&child, CHILD_SETTLE, now);
    die(&child, &now, CHILD_REPORT_DEATH);
    die(&child, &now, CHILD_REPORT_DEATH);
    child_event(&child, CHILD_SAYS_READY, now);
    now += CHILD_STEADY_MS - 1; // not for long enough: the third in a row
    assert_int_equal(child_event(&child, CHILD_EXITED, now), CHILD_REPORT_DEATH);
    assert_int_equal(child.streak, 3);
    now = child.deadline;
    child_event(&child, CHILD_TICK, now);
    child_event(&child, CHILD_SPAWNED, now);
    now += CHILD_STEADY_MS; // starting slowly is not being ready
    child_event(&child, CHILD_SAYS_READY, now);
    now += CHILD_STEADY_MS;
    assert_int_equal(child_event(&child, CHILD_EXITED, now), CHILD_REPORT_DEATH);
    assert_int_equal(child.streak, 1);
    assert_int_equal(child.deaths, 4);
    assert_in_range(child.deadline - now, 20, 25);
    now = child.deadline; // the next life is never ready: that of the one before does not count
    child_event(&child, CHILD_TICK, now);
    child_event(&child, CHILD_SPAWNED, now);
    child_event(&child, CHILD_EXITED, now + CHILD_STEADY_MS);
    assert_int_equal(child.streak, 2);
}

static void child_slow_start_is_no_steady_life(void **unused)
{
    struct child child;

    (void)unused;
    enter(&child, CHILD_STARTING);
    child.streak = 2;
    child_event(&child, CHILD_EXITED, START_MS + 10 * CHILD_STEADY_MS);
    assert_int_equal(child.streak, 3);
}

static void child_during_start_is_given_up_after_its_deaths(void **unused)
{
    struct child_rules once = rules;
    uint64_t now = START_MS;
    struct child child;

    (void)unused;
    enter(&child, CHILD_STARTING);
    for (int i = 0; i < 4; i++)
        die(&child, &now, CHILD_REPORT_DEATH);
    assert_int_equal(child_event(&child, CHILD_EXITED, now), CHILD_GIVE_UP);
    assert_int_equal(child.streak, 5);
    assert_true(child.deadline == CHILD_NEVER);

    once.start_deaths_max = 1; // a gateway
    child_init(&child, &once);
    child_event(&child, CHILD_START, now);
    assert_int_equal(child_event(&child, CHILD_SPAWN_FAILED, now), CHILD_GIVE_UP);
}

static void child_that_says_it_failed_is_given_up_at_start_and_waits_longest_later(void **unused)
{
    struct child child;

    (void)unused;
    enter(&child, CHILD_STARTING);
    child_event(&child, CHILD_SAYS_FAILED, START_MS);
    assert_int_equal(child_event(&child, CHILD_EXITED, START_MS), CHILD_GIVE_UP);

    enter(&child, CHILD_READY);
    child_event(&child, CHILD_SETTLE, START_MS);
    child_event(&child, CHILD_SAYS_FAILED, START_MS);
    assert_int_equal(child_event(&child, CHILD_EXITED, START_MS), CHILD_REPORT_DEATH);
    assert_in_range(child.deadline - START_MS, CHILD_BACK_OFF_MAX_MS,
                    CHILD_BACK_OFF_MAX_MS * 5 / 4);
    child_event(&child, CHILD_TICK, child.deadline);
    assert_false(child.failed); // of that life only
}

static void child_hung_is_replaced_like_a_dead_one(void **unused)
{
    struct child child;

    (void)unused;
    enter(&child, CHILD_READY);
    child_event(&child, CHILD_SETTLE, START_MS);
    assert_int_equal(child_event(&child, CHILD_HUNG, START_MS), CHILD_END);
    assert_int_equal(child_event(&child, CHILD_EXITED, START_MS), CHILD_REPORT_DEATH);
    assert_int_equal(child.state, CHILD_BACKING_OFF);
    assert_int_equal(child.streak, 1);

    enter(&child, CHILD_READY); // after a steady life, too
    child_event(&child, CHILD_SETTLE, START_MS);
    child.streak = 3;
    child_event(&child, CHILD_HUNG, START_MS + CHILD_STEADY_MS);
    child_event(&child, CHILD_EXITED, START_MS + CHILD_STEADY_MS);
    assert_int_equal(child.streak, 1);

    enter(&child, CHILD_REPLACING); // a stop meanwhile waits for the end that is under way
    assert_int_equal(child_event(&child, CHILD_STOP, START_MS), CHILD_NOTHING);
    assert_int_equal(child.deadline, START_MS + STOP_MS);
    assert_int_equal(child_event(&child, CHILD_EXITED, START_MS), CHILD_DONE);
}

static void child_jitter_follows_the_seed(void **unused)
{
    struct child_rules other_rules = rules;
    struct child a;
    struct child b;
    struct child other;
    bool differs = false;

    (void)unused;
    other_rules.seed = 43;
    child_init(&a, &rules);
    child_init(&b, &rules);
    child_init(&other, &other_rules);
    a.settled = b.settled = other.settled = true;
    child_event(&a, CHILD_START, 0);
    child_event(&b, CHILD_START, 0);
    child_event(&other, CHILD_START, 0);
    for (int i = 0; i < 8; i++) {
        uint64_t now = 1000000u * (uint64_t)i;

        child_event(&a, CHILD_SPAWN_FAILED, now);
        child_event(&b, CHILD_SPAWN_FAILED, now);
        child_event(&other, CHILD_SPAWN_FAILED, now);
        assert_int_equal(a.deadline, b.deadline);
        differs = differs || a.deadline != other.deadline;
        child_event(&a, CHILD_TICK, now + 100000);
        child_event(&b, CHILD_TICK, now + 100000);
        child_event(&other, CHILD_TICK, now + 100000);
    }
    assert_true(differs);
}

static void child_random_walks_keep_the_invariants(void **unused)
{
    uint64_t random = 20260131;

    (void)unused;
    for (int walk = 0; walk < 2000; walk++) {
        uint64_t now = 0;
        struct child child;
        uint32_t processes = 0;

        child_init(&child, &rules);
        for (int step = 0; step < 60; step++) {
            enum child_event event;
            enum child_action action;
            struct child before = child;

            random = random * 6364136223846793005u + 1442695040888963407u;
            event = (enum child_event)((random >> 33) % CHILD_EVENT_COUNT);
            now += (random >> 50) % 3000;
            action = child_event(&child, event, now);
            if (action == CHILD_WRONG) { // must leave no trace
                assert_memory_equal(&child, &before, sizeof(child));
                continue;
            }
            if (event == CHILD_SPAWNED)
                processes++;
            if (event == CHILD_EXITED)
                processes--;
            assert_int_equal(processes, child_alive(&child) ? 1 : 0);
            assert_int_equal(child.state == CHILD_SPAWNING && before.state != CHILD_SPAWNING,
                             action == CHILD_SPAWN);
            assert_true(child.streak <= child.deaths);
            assert_true(before.state != CHILD_STOPPED || child.state == CHILD_STOPPED);
            assert_true(child.state != CHILD_GIVEN_UP || before.state == CHILD_GIVEN_UP ||
                        !child.settled);
            assert_true((child.state == CHILD_BACKING_OFF || child.state == CHILD_STOPPING)
                            ? child.deadline != CHILD_NEVER
                            : true);
        }
    }
}

static void child_state_texts_are_there(void **unused)
{
    (void)unused;
    assert_string_equal(child_state_text(CHILD_BACKING_OFF), "backing off");
    for (int state = 0; state < CHILD_STATE_COUNT; state++)
        assert_non_null(child_state_text((enum child_state)state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_every_event_in_every_state_answers_as_written),
        cmocka_unit_test(child_alive_is_true_while_there_is_a_process),
        cmocka_unit_test(child_ticks_at_its_deadlines_and_not_before),
        cmocka_unit_test(child_settled_dies_again_and_again_doubles_back_off_and_tells_loop_once),
        cmocka_unit_test(child_ready_for_long_forgets_its_deaths),
        cmocka_unit_test(child_slow_start_is_no_steady_life),
        cmocka_unit_test(child_during_start_is_given_up_after_its_deaths),
        cmocka_unit_test(child_that_says_it_failed_is_given_up_at_start_and_waits_longest_later),
        cmocka_unit_test(child_hung_is_replaced_like_a_dead_one),
        cmocka_unit_test(child_jitter_follows_the_seed),
        cmocka_unit_test(child_random_walks_keep_the_invariants),
        cmocka_unit_test(child_state_texts_are_there),
    };

    return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
