// e2e-mortal: troupe-counter that can die. Its answers are those of troupe-counter.
//
//   e2e-mortal             a frame that says "poison" behind its id ends it, one that says "hang"
//                          never comes to an end
//   e2e-mortal turns N     ends in the middle of its N-th frame, with what that has done not said
//   e2e-mortal state N     each actor's state has N bytes more
//
// Open and close turns are told in the log.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <troupe/actor.h>

#include "log.h"
#include "os.h"

struct count {
    uint64_t frames;
    uint64_t checksum;
};

#define FNV_START UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)

static struct troupe_actor mortal;
static unsigned long turns_left; // 0 = it lives for ever

static void mortal_open(struct troupe_turn *turn, void *state, const char *peer)
{
    struct count *count = state;

    count->checksum = FNV_START;
    log_info("mortal", "opened %" PRIx64 " for '%s'", troupe_session(turn), peer);
}

static bool says(const unsigned char *bytes, size_t size, const char *what)
{
    return size >= 2 + strlen(what) && memcmp(bytes + 2, what, strlen(what)) == 0;
}

// The rest of the state changes with each turn, so that one that is restored in part is found.
static void ballast(void *state, uint64_t frames)
{
    unsigned char *rest = (unsigned char *)state + sizeof(struct count);
    size_t size = mortal.state_size - sizeof(struct count);

    for (size_t i = 0; i < size; i++)
        CHECK(rest[i] == (unsigned char)(frames - 1));
    memset(rest, (unsigned char)frames, size);
}

static void mortal_frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    struct count *count = state;
    const unsigned char *bytes = data;
    char answer[64];
    int length;

    if (says(bytes, size, "poison"))
        _Exit(66);
    while (says(bytes, size, "hang"))
        os_sleep_ms(1000);
    count->frames++;
    for (size_t i = 0; i < size; i++)
        count->checksum = (count->checksum ^ bytes[i]) * FNV_PRIME;
    ballast(state, count->frames);
    length = snprintf(answer, sizeof(answer), "..%" PRIu64 " %016" PRIx64, count->frames,
                      count->checksum);
    for (size_t i = 0; i < 2 && i < size; i++)
        answer[i] = (char)bytes[i];
    (void)troupe_reply(turn, answer, (size_t)length);
    if (turns_left > 0 && --turns_left == 0)
        _Exit(7);
}

static void mortal_close(struct troupe_turn *turn, void *state, const char *reason)
{
    (void)state;
    log_info("mortal", "closed %" PRIx64 ": %s", troupe_session(turn), reason);
}

static struct troupe_actor mortal = {.name = "mortal",
                                     .version = "1",
                                     .open = mortal_open,
                                     .frame = mortal_frame,
                                     .close = mortal_close,
                                     .state_size = sizeof(struct count),
                                     .state_version = 1};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "turns") == 0)
        turns_left = strtoul(argv[2], NULL, 10);
    if (argc == 3 && strcmp(argv[1], "state") == 0)
        mortal.state_size += strtoul(argv[2], NULL, 10);
    return troupe_worker_main(argc, argv, &mortal);
}
