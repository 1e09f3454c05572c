// e2e-moody: a worker that echoes, and does what a test asks for: "pid", "die", "hang", "bye",
// "flood N".
#include <troupe/actor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

static bool asks(const void *data, size_t size, const char *what)
{
    return size >= strlen(what) && memcmp(data, what, strlen(what)) == 0;
}

static void flood(struct troupe_turn *turn, const void *data, size_t size)
{
    static char frame[16 * 1024];
    char text[32] = {0};
    int i, count;

    memcpy(text, data, size < sizeof text ? size : sizeof text - 1);
    count = atoi(text + strlen("flood "));
    memset(frame, 'x', sizeof frame);
    for (i = 0; i < count; i++)
        troupe_reply(turn, frame, sizeof frame);
}

static void on_frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    char text[32];

    (void)state;
    if (asks(data, size, "die"))
        abort();
    if (asks(data, size, "hang"))
        for (;;)
            os_sleep_ms(1000);
    if (asks(data, size, "flood ")) {
        flood(turn, data, size);
        return;
    }
    if (asks(data, size, "pid")) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)os_process_id());
        troupe_reply(turn, text, strlen(text));
        return;
    }
    troupe_reply(turn, data, size);
    if (asks(data, size, "bye"))
        troupe_close(turn);
}

int main(int argc, char **argv)
{
    static const struct troupe_actor actor = {.name = "moody", .version = "1", .frame = on_frame};

    return troupe_worker_main(argc, argv, &actor);
}
