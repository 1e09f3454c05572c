// Goal: every reason has a text of its own that fits a log line and the link protocol.
// Method: the whole enumeration.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ctype.h>
#include <string.h>

#include "envelope.h"
#include "reason.h"

static void reason_texts_are_short_and_different(void **state)
{
    (void)state;
    for (int a = 0; a < REASON_COUNT; a++) {
        const char *text = reason_text((enum reason)a);

        assert_non_null(text);
        assert_in_range(strlen(text), 1, ENVELOPE_TEXT_MAX);
        assert_true(islower((unsigned char)text[0]));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(text, reason_text((enum reason)b));
    }
}

static void reason_usual_ones_are_what_peers_and_actors_do(void **state)
{
    (void)state;
    assert_true(reason_is_usual(REASON_CLIENT_CLOSED));
    assert_true(reason_is_usual(REASON_CLIENT_LOST));
    assert_true(reason_is_usual(REASON_ACTOR_CLOSED));
    assert_true(reason_is_usual(REASON_SHUTDOWN));
    assert_false(reason_is_usual(REASON_SLOW_CLIENT));
    assert_false(reason_is_usual(REASON_FRAME_TOO_LONG));
    assert_false(reason_is_usual(REASON_POISONED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reason_texts_are_short_and_different),
        cmocka_unit_test(reason_usual_ones_are_what_peers_and_actors_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
