// Goal: every byte and the order of every frame survive the way through gateway and workers, for
// each codec, with one shard and with three. Method: real nodes with troupe-echo, driven by the
// load generator's own code, which knows what each byte must be. The codecs to try are the
// arguments.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "live.h"
#include "load.h"

enum { FRAME_MAX = 65535 };

static const char *codec = "rookiss";

static void node_start(struct live *live, const char *shards)
{
    char frame[160];
    const char *options[] = {frame, shards, "--workers.count=2", NULL};

    snprintf(frame, sizeof frame, "--gateway.frame=%s", codec);
    live_start(live, options);
}

static struct options options_for(const struct live *live)
{
    struct options options = {
        .connect = live->listen,
        .frame = codec,
        .max_frame_bytes = FRAME_MAX,
        .clients = 1,
        .frames = 1,
        .window = 1,
        .seed = 2,
        .timeout_ms = 60000,
        .verify = true,
        .quiet = true,
    };

    assert_int_equal(frame_codec_parse(&options.codec, codec, FRAME_MAX, NULL), 0);
    options.size_min = options.codec.payload_min > 0 ? options.codec.payload_min : 1;
    options.size_max = options.codec.payload_max;
    return options;
}

static void run_right(const struct options *options)
{
    static struct result result;

    load_run(options, &result);
    if (result.error_count > 0)
        fail_msg("%s: %llu errors, first: %s", options->frame,
                 (unsigned long long)result.error_count, result.first_error);
    assert_int_equal(result.frames, result.frames_sent);
    if (options->frames > 0)
        assert_int_equal(result.frames, options->frames * options->clients);
    print_message("%s: %llu frames, %llu bytes each way, %.2f s\n", options->frame,
                  (unsigned long long)result.frames, (unsigned long long)result.bytes,
                  (double)result.ns / 1e9);
}

static void few_clients(const char *shards)
{
    struct live live;
    struct options options;

    node_start(&live, shards);
    options = options_for(&live);
    options.clients = 7;
    options.frames = 40;
    run_right(&options); // one after another, all sizes

    options.window = 16;
    options.half_close = true;
    run_right(&options); // many under way, FIN after the last

    options.half_close = false;
    options.size_max = options.size_min;
    options.frames = 500;
    options.window = 64;
    run_right(&options); // the smallest

    options.size_min = options.size_max = options.codec.payload_max;
    options.frames = 10;
    options.window = 4;
    run_right(&options); // the largest

    options.mode = OPTIONS_CONNECT_EACH;
    options.size_min = options.size_max = 100;
    options.window = 1;
    options.frames = 10;
    run_right(&options);
    live_stop(&live);
}

static void echo_of_few_clients_is_right_with_one_shard(void **state)
{
    (void)state;
    few_clients("--gateway.shards=1");
}

static void echo_of_few_clients_is_right_with_three_shards(void **state)
{
    (void)state;
    few_clients("--gateway.shards=3");
}

// The whole promise at once: all clients, 100 frames each, mixed sizes up to 64 KiB.
static void echo_of_many_clients_is_right(void **state)
{
    struct live live;
    struct options options;

    (void)state;
    node_start(&live, "--gateway.shards=3");
    options = options_for(&live);
    options.clients = E2E_CLIENTS;
    options.frames = 100;
    options.window = 4;
    run_right(&options);
    live_stop(&live);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_of_few_clients_is_right_with_one_shard),
        cmocka_unit_test(echo_of_few_clients_is_right_with_three_shards),
        cmocka_unit_test(echo_of_many_clients_is_right),
    };

    os_init();
    os_descriptor_limit_raise();
    if (argc > 1)
        codec = argv[1];
    return cmocka_run_group_tests_name(codec, tests, NULL, NULL);
}
