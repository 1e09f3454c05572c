// troupe-echo: every frame goes back to the client that sent it.
#include <troupe/actor.h>

static void echo_frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    (void)state;
    (void)troupe_reply(turn, data, size);
}

int main(int argc, char **argv)
{
    static const struct troupe_actor echo = {.name = "echo", .version = "1", .frame = echo_frame};

    return troupe_worker_main(argc, argv, &echo);
}
