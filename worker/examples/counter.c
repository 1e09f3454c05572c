// troupe-counter: counts the frames of each client and keeps a checksum of all their bytes.
//
// Each frame is answered with "IDCOUNT CHECKSUM": the frame's first two bytes (the id of a rookiss
// frame; "." where there is none), the count in decimal, and FNV-1a of all bytes so far in hex. An
// answer proves that every frame before it was seen once and in order, whichever worker saw it.
#include <inttypes.h>
#include <stdio.h>

#include <troupe/actor.h>

struct counter {
    uint64_t frames;
    uint64_t checksum;
};

#define FNV_START UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)

static void counter_open(struct troupe_turn *turn, void *state, const char *peer)
{
    struct counter *counter = state;

    (void)turn;
    (void)peer;
    counter->checksum = FNV_START;
}

static void counter_frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    struct counter *counter = state;
    const unsigned char *bytes = data;
    char answer[64];
    int length;

    counter->frames++;
    for (size_t i = 0; i < size; i++)
        counter->checksum = (counter->checksum ^ bytes[i]) * FNV_PRIME;
    length = snprintf(answer, sizeof(answer), "..%" PRIu64 " %016" PRIx64, counter->frames,
                      counter->checksum);
    for (size_t i = 0; i < 2 && i < size; i++)
        answer[i] = (char)bytes[i];
    (void)troupe_reply(turn, answer, (size_t)length);
}

int main(int argc, char **argv)
{
    static const struct troupe_actor counter = {.name = "counter",
                                                .version = "1",
                                                .open = counter_open,
                                                .frame = counter_frame,
                                                .state_size = sizeof(struct counter),
                                                .state_version = 1};

    return troupe_worker_main(argc, argv, &counter);
}
