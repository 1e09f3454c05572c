// The suite on the port in memory: a network of its own for each case, other choices each round.
#include "port_harness.h"

#include "port_fake.h"

static void network_begins(int round)
{
    struct fake_config config = {
        .seed = 1000 + (uint64_t)round,
        .shuffle = round > 0, // round 0 is the plain one, for a first look at a failure
        .pieces = round > 0,
        .socket_bytes = round % 3 == 2 ? 4000 : 0,
    };

    fake_reset(&config);
}

static void network_ends(void)
{
    assert_int_equal(fake_sockets_open(), 0);
    assert_int_equal(fake_in_flight(), 0);
}

const struct port_kind port_kind = {
    .name = "the port in memory",
    .threads = false,
    .rounds = 12,
    .begin = network_begins,
    .end = network_ends,
};
