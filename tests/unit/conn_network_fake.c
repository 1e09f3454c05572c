#include "conn_sides.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "port_fake.h"

const uint64_t network_rounds = 600;

void network_start(uint64_t seed, bool rough)
{
    fake_reset(&(struct fake_config){.seed = seed, .shuffle = rough, .pieces = rough});
}

void network_end(void)
{
    assert_int_equal(fake_sockets_open(), 0);
    assert_int_equal(fake_in_flight(), 0);
}
