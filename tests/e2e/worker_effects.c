// e2e-effects: a worker whose actor sets timers, joins groups and speaks to others as its client
// asks, a line for each.
//
//   once TAG MS, every TAG MS, cancel TAG     timers; each firing is answered "fired TAG N;", N
//                                             counts the firings of this actor
//   join GROUP, leave GROUP, say GROUP TEXT   the speaker hears itself, too
//   flood GROUP COUNT BYTES                   so many publishes in one turn
//   id, pid                                   answers "id SESSION;", "pid PROCESS;" as well
//   send SESSION TEXT
//
// Each is answered "ok LINE;", anything else goes back as it came.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <troupe/actor.h>

#include "os.h"

enum { LINE_MAX_BYTES = 256, FLOOD_MAX_BYTES = 32 * 1024 };

struct memory {
    uint64_t fired;
};

static void answer(struct troupe_turn *turn, const char *what, const char *text)
{
    char line[LINE_MAX_BYTES + 16];

    snprintf(line, sizeof(line), "%s %s;", what, text);
    (void)troupe_reply(turn, line, strlen(line));
}

static void flood(struct troupe_turn *turn, const char *group, unsigned count, unsigned bytes)
{
    static char frame[FLOOD_MAX_BYTES];

    memset(frame, 'x', sizeof(frame));
    while (count-- > 0)
        (void)troupe_publish(turn, group, 0, frame, bytes < sizeof(frame) ? bytes : sizeof(frame));
}

// False: it was none of these.
static bool do_groups(struct troupe_turn *turn, const char *line)
{
    char group[LINE_MAX_BYTES];
    unsigned count, bytes;
    int text = 0;

    if (sscanf(line, "join %255s", group) == 1)
        (void)troupe_join(turn, group);
    else if (sscanf(line, "leave %255s", group) == 1)
        (void)troupe_leave(turn, group);
    else if (sscanf(line, "say %255s %n", group, &text) == 1 && text > 0)
        (void)troupe_publish(turn, group, 0, line + text, strlen(line + text));
    else if (sscanf(line, "flood %255s %u %u", group, &count, &bytes) == 3)
        flood(turn, group, count, bytes);
    else
        return false;
    return true;
}

static bool do_timers(struct troupe_turn *turn, const char *line)
{
    unsigned tag, ms;

    if (sscanf(line, "once %u %u", &tag, &ms) == 2)
        (void)troupe_after(turn, tag, ms, 0);
    else if (sscanf(line, "every %u %u", &tag, &ms) == 2)
        (void)troupe_after(turn, tag, ms, ms);
    else if (sscanf(line, "cancel %u", &tag) == 1)
        (void)troupe_cancel(turn, tag);
    else
        return false;
    return true;
}

static bool do_sends(struct troupe_turn *turn, const char *line)
{
    char text[24];
    uint64_t session;
    int at = 0;

    if (strcmp(line, "id") == 0) {
        snprintf(text, sizeof(text), "%" PRIu64, troupe_session(turn));
        answer(turn, "id", text);
        return true;
    }
    if (strcmp(line, "pid") == 0) {
        snprintf(text, sizeof(text), "%" PRIu64, os_process_id());
        answer(turn, "pid", text);
        return true;
    }
    if (sscanf(line, "send %" SCNu64 " %n", &session, &at) != 1 || at == 0)
        return false;
    (void)troupe_send(turn, session, line + at, strlen(line + at));
    return true;
}

static void on_frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    char line[LINE_MAX_BYTES];
    size_t length = size < sizeof(line) - 1 ? size : sizeof(line) - 1;

    (void)state;
    memcpy(line, data, length);
    line[length] = '\0';
    if (do_groups(turn, line) || do_timers(turn, line) || do_sends(turn, line))
        answer(turn, "ok", line);
    else
        (void)troupe_reply(turn, data, size);
}

static void on_timer(struct troupe_turn *turn, void *state, uint64_t tag)
{
    struct memory *memory = state;
    char text[48];

    memory->fired++;
    snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, tag, memory->fired);
    answer(turn, "fired", text);
}

int main(int argc, char **argv)
{
    static const struct troupe_actor actor = {.name = "effects",
                                              .version = "1",
                                              .frame = on_frame,
                                              .timer = on_timer,
                                              .state_size = sizeof(struct memory),
                                              .state_version = 1};

    return troupe_worker_main(argc, argv, &actor);
}
