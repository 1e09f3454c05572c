// The suite on the port of this system.
#include "port_harness.h"

static void nothing_begins(int round)
{
    (void)round;
}

static void nothing_ends(void)
{
}

const struct port_kind port_kind = {
    .name = "the system's port",
    .threads = true,
    .rounds = 1,
    .begin = nothing_begins,
    .end = nothing_ends,
};
