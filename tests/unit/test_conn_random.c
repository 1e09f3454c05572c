// Goal: whatever two conns do to each other, in whatever order their operations come home, bytes
// stay in order, `closed` comes once, and nothing is left behind. Method: seeded random
// conversations, over the fake port also with pieces, delays and any order.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "conn_sides.h"

// One step of a random conversation. Returns false once this side has begun its end.
static bool random_step(struct side *side)
{
    if (side->closed_calls > 0)
        return false;
    switch (random_below(12)) {
    case 0:
        conn_pause(&side->conn);
        break;
    case 1:
    case 2:
        conn_resume(&side->conn);
        break;
    case 3:
        side->eat_max = random_below(5000);
        break;
    case 4:
        side->eat_max = SIZE_MAX;
        break;
    case 5:
        if (random_below(8) != 0)
            break;
        conn_half_close(&side->conn);
        return false;
    default:
        if (conn_unsent(&side->conn) < 300000)
            say(side, 1 + random_below(random_below(4) == 0 ? 300000 : 300));
        break;
    }
    return true;
}

static void random_conversation(uint64_t number)
{
    bool client_talks = true, server_talks = true;

    sides_start(number, true);
    open_pair();
    while (client_talks || server_talks) {
        if (client_talks)
            client_talks = random_step(&client);
        if (server_talks)
            server_talks = random_step(&server);
        if (random_below(2) == 0)
            assert_true(port_poll(port, 0) >= 0);
    }
    client.eat_max = server.eat_max = SIZE_MAX;
    conn_resume(&client.conn);
    conn_resume(&server.conn);
    both_closed(0, 0);
    // Halves that were left and never followed by anything are not shown again.
    assert_true(server.eaten <= client.sent && client.eaten <= server.sent);
    assert_int_equal(client.ended_calls, 1);
    assert_int_equal(server.ended_calls, 1);
    sides_end();
}

static void conn_random_conversations_keep_every_promise(void **state)
{
    uint64_t number;

    (void)state;
    for (number = 1; number <= network_rounds; number++)
        random_conversation(number);
}

// The same with an abort somewhere: nothing but `closed`, once, on both sides.
static void conn_random_aborts_close_once(void **state)
{
    uint64_t number;

    (void)state;
    for (number = 1; number <= network_rounds; number++) {
        size_t steps;

        sides_start(number, true);
        open_pair();
        server.on_end = ACT_FINISH;
        for (steps = random_below(30); steps > 0; steps--) {
            random_step(&client);
            random_step(&server);
            if (random_below(2) == 0)
                assert_true(port_poll(port, 0) >= 0);
        }
        conn_abort(&client.conn);
        conn_resume(&server.conn);
        server.eat_max = SIZE_MAX;
        POLL_UNTIL(client.closed_calls == 1);
        conn_abort(&server.conn);
        POLL_UNTIL(server.closed_calls == 1);
        assert_int_equal(port_in_flight(port), 0);
        sides_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conn_random_conversations_keep_every_promise),
        cmocka_unit_test(conn_random_aborts_close_once),
    };

    os_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
