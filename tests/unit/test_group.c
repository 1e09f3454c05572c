// Goal: who joined and did not leave is a member, once, whatever the order of joins, leaves and
// ends; a group is gone with its last member. Method: seeded random steps beside a matrix of
// members and groups that holds when each joined.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "group.h"

enum { SEED = 20240611, STEPS = 60000, MEMBERS = 40, GROUPS = 50 };

static struct groups groups;
static struct list members[MEMBERS];
static uint64_t joined[MEMBERS][GROUPS]; // 0 = it is none
static char names[GROUPS][GROUP_NAME_MAX + 1];
static uint64_t random_state;

// xorshift64*, of the public domain.
static uint32_t random_below(uint32_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1du) >> 33) % limit;
}

static struct bytes name(size_t group)
{
    return (struct bytes){(const uint8_t *)names[group], strlen(names[group])};
}

static int start(void **state)
{
    (void)state;
    memset(joined, 0, sizeof joined);
    for (size_t i = 0; i < MEMBERS; i++)
        list_init(&members[i]);
    // Of all lengths; each is the beginning of the next ones, and some differ in the last byte
    // only.
    for (size_t i = 0; i < GROUPS; i++) {
        memset(names[i], 'g', sizeof names[i]);
        names[i][1 + i] = '\0';
        if (i % 3 == 2)
            names[i][i] = 'h';
    }
    memset(names[GROUPS - 1], 'x', GROUP_NAME_MAX);
    names[GROUPS - 1][GROUP_NAME_MAX] = '\0';
    return 0;
}

// The members of a group are those of the matrix, in the order in which they joined.
static void check_group(size_t group)
{
    struct membership *at = groups_first(&groups, name(group));
    uint64_t last = 0;
    uint32_t count = 0;

    for (; at != NULL; at = groups_next(at)) {
        size_t member = (size_t)((struct list *)at->member - members);

        assert_true(joined[member][group] > last);
        last = joined[member][group];
        count++;
    }
    for (size_t i = 0; i < MEMBERS; i++)
        count -= joined[i][group] != 0;
    assert_int_equal(count, 0);
}

static void check_member(size_t member)
{
    uint32_t count = 0;

    for (struct list *node = members[member].next; node != &members[member]; node = node->next)
        count++;
    for (size_t i = 0; i < GROUPS; i++)
        count -= joined[member][i] != 0;
    assert_int_equal(count, 0);
}

static void group_any_steps_leave_what_the_matrix_says(void **state)
{
    (void)state;
    random_state = SEED;
    print_message("seed %u\n", (unsigned)SEED);
    for (uint64_t step = 1; step <= STEPS; step++) {
        size_t member = random_below(MEMBERS);
        size_t group = random_below(GROUPS);
        uint32_t what = random_below(100);

        if (what < 50) {
            assert_int_equal(groups_join(&groups, name(group), &members[member], &members[member]),
                             joined[member][group] == 0);
            if (joined[member][group] == 0)
                joined[member][group] = step;
        } else if (what < 98) {
            assert_int_equal(groups_leave(&groups, name(group), &members[member]),
                             joined[member][group] != 0);
            joined[member][group] = 0;
        } else {
            groups_leave_all(&groups, &members[member]);
            memset(joined[member], 0, sizeof joined[member]);
        }
        check_group(group);
        check_member(member);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        groups_leave_all(&groups, &members[i]);
    groups_fini(&groups);
}

static void group_name_out_of_bounds_is_refused(void **state)
{
    uint8_t longest[GROUP_NAME_MAX + 1];

    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_int_equal(groups_join(&groups, (struct bytes){NULL, 0}, &members[0], &members[0]),
                     -EINVAL);
    assert_int_equal(
        groups_join(&groups, (struct bytes){longest, sizeof longest}, &members[0], &members[0]),
        -EINVAL);
    assert_int_equal(
        groups_join(&groups, (struct bytes){longest, GROUP_NAME_MAX}, &members[0], &members[0]), 1);
    assert_int_equal(groups_leave(&groups, (struct bytes){longest, sizeof longest}, &members[0]),
                     0);
    assert_int_equal(groups_leave(&groups, (struct bytes){NULL, 0}, &members[0]), 0);
    assert_null(groups_first(&groups, (struct bytes){longest, sizeof longest}));
    assert_null(groups_first(&groups, (struct bytes){NULL, 0}));
    assert_non_null(groups_first(&groups, (struct bytes){longest, GROUP_NAME_MAX}));
    groups_leave_all(&groups, &members[0]);
    assert_null(groups_first(&groups, (struct bytes){longest, GROUP_NAME_MAX}));
    groups_fini(&groups);
}

static void group_members_may_leave_while_they_are_walked(void **state)
{
    struct membership *at;
    size_t seen = 0;

    (void)state;
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(groups_join(&groups, name(0), &members[i], &members[i]), 1);
    at = groups_first(&groups, name(0));
    while (at != NULL) {
        struct list *member = at->member;

        assert_ptr_equal(member, &members[seen]);
        at = groups_next(at);
        assert_int_equal(groups_leave(&groups, name(0), member), 1);
        seen++;
    }
    assert_int_equal(seen, MEMBERS);
    groups_fini(&groups);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(group_any_steps_leave_what_the_matrix_says, start),
        cmocka_unit_test_setup(group_name_out_of_bounds_is_refused, start),
        cmocka_unit_test_setup(group_members_may_leave_while_they_are_walked, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
