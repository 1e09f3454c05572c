// Goal: an id finds its session and never a successor; slots are given out once and come back.
// Method: single rules, and seeded random takes and releases against an array of what is taken.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "session_table.h"

enum { SHARD = 5, CAPACITY = 40, STEPS = 20000, IDS_KEPT = 4096 };

static struct session_shared shared;
static struct session_table table;

// As if it had been opened on a connection.
static struct session *take_open(void)
{
    struct session *session = session_table_take(&table);

    if (session != NULL)
        session->state = SESSION_OPEN;
    return session;
}

// As if its connection had been closed.
static void release(struct session *session)
{
    session->state = SESSION_CLOSED;
    session_table_release(&table, session);
}

static int start(void **state)
{
    (void)state;
    session_shared_init(&shared);
    return session_table_init(&table, &shared, SHARD, CAPACITY);
}

static int end(void **state)
{
    (void)state;
    session_table_fini(&table);
    return 0;
}

static void session_table_full_gives_nothing(void **state)
{
    struct session *sessions[CAPACITY];

    (void)state;
    for (int i = 0; i < CAPACITY; i++) {
        sessions[i] = take_open();
        assert_non_null(sessions[i]);
        assert_int_equal(sessions[i]->id >> 56, SHARD);
        assert_ptr_equal(session_table_find(&table, sessions[i]->id), sessions[i]);
    }
    assert_null(session_table_take(&table));
    assert_int_equal(table.used, CAPACITY);
    release(sessions[7]);
    assert_ptr_equal(take_open(), sessions[7]);
    assert_null(session_table_take(&table));
    for (int i = 0; i < CAPACITY; i++)
        release(sessions[i]);
    assert_int_equal(table.used, 0);
}

static void session_table_late_or_foreign_id_finds_nothing(void **state)
{
    struct session *session = take_open();
    uint64_t id = session->id;

    (void)state;
    assert_null(session_table_find(&table, id ^ (uint64_t)1 << 56)); // another shard's
    assert_null(session_table_find(&table, id ^ (uint64_t)1 << 24)); // another generation
    assert_null(session_table_find(&table, id + 1));                 // never touched
    assert_null(session_table_find(&table, id | 0xFFFFFF));
    assert_null(session_table_find(&table, UINT64_MAX));
    assert_null(session_table_find(&table, 0));
    release(session);
    assert_null(session_table_find(&table, id));
    assert_ptr_equal(take_open(), session);
    assert_null(session_table_find(&table, id));
    assert_ptr_equal(session_table_find(&table, session->id), session);
    release(session);
}

static void session_table_generation_wraps_within_its_bits(void **state)
{
    struct session *session = take_open();
    uint64_t index = session->id & 0xFFFFFF;
    uint64_t last;

    (void)state;
    session->id |= (uint64_t)UINT32_MAX << 24;
    last = session->id;
    release(session);
    assert_ptr_equal(take_open(), session);
    assert_int_equal(session->id, (uint64_t)SHARD << 56 | index);
    assert_null(session_table_find(&table, last));
    assert_ptr_equal(session_table_find(&table, session->id), session);
    release(session);
}

static unsigned visited;

static void visit_and_release(struct session *session)
{
    visited++;
    release(session);
}

static void session_table_each_may_release(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        (void)take_open();
    release(&table.slots[4]);
    visited = 0;
    session_table_each(&table, visit_and_release);
    assert_int_equal(visited, 9);
    session_table_each(&table, visit_and_release);
    assert_int_equal(visited, 9);
}

static void session_table_random_steps_match_model(void **state)
{
    static uint64_t dead[IDS_KEPT];
    struct session *taken[CAPACITY];
    uint32_t count = 0;
    uint32_t dead_count = 0;
    uint32_t random = 20260131;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        if (random >> 31 != 0) {
            struct session *session = take_open();

            assert_int_equal(session == NULL, count == CAPACITY);
            if (session != NULL)
                taken[count++] = session;
        } else if (count > 0) {
            uint32_t i = (random >> 8) % count;

            dead[dead_count++ % IDS_KEPT] = taken[i]->id;
            release(taken[i]);
            taken[i] = taken[--count];
        }
        assert_int_equal(table.used, count);
        for (uint32_t i = 0; i < count; i++)
            assert_ptr_equal(session_table_find(&table, taken[i]->id), taken[i]);
        for (uint32_t i = 0; i < dead_count && i < 16; i++)
            assert_null(session_table_find(&table, dead[(dead_count - 1 - i) % IDS_KEPT]));
    }
    while (count > 0)
        release(taken[--count]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(session_table_full_gives_nothing, start, end),
        cmocka_unit_test_setup_teardown(session_table_late_or_foreign_id_finds_nothing, start, end),
        cmocka_unit_test_setup_teardown(session_table_generation_wraps_within_its_bits, start, end),
        cmocka_unit_test_setup_teardown(session_table_each_may_release, start, end),
        cmocka_unit_test_setup_teardown(session_table_random_steps_match_model, start, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
