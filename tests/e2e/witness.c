#include "witness.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

#define FNV_START UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)

enum { ANSWER_MAX = 64, CONNECTING_MAX = 64 };

uint64_t crowd_random(struct crowd *crowd) // splitmix64
{
    uint64_t value = crowd->random += 0x9e3779b97f4a7c15U;

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9U;
    value = (value ^ value >> 27) * 0x94d049bb133111ebU;
    return value ^ value >> 31;
}

static uint32_t number_of(const struct witness *witness)
{
    return (uint32_t)(witness - witness->crowd->witnesses);
}

// Sizes are spread over the powers of two.
static size_t frame_size(struct crowd *crowd)
{
    uint64_t range = crowd->config.size_max - crowd->config.size_min + UINT64_C(1);
    uint32_t bits = 1;

    while (bits < 32 && range >> bits != 0)
        bits++;
    if (crowd_random(crowd) % 4 > 0)
        range = range >> crowd_random(crowd) % bits | 1;
    return (size_t)(crowd->config.size_min + crowd_random(crowd) % range);
}

static void frame_fill(struct crowd *crowd, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t value = crowd_random(crowd);

        memcpy(crowd->frame + i, &value, size - i < 8 ? size - i : 8);
    }
}

static bool witness_send(struct witness *witness)
{
    struct crowd *crowd = witness->crowd;
    struct witness_answer *expected = &witness->expected[witness->sent % WITNESS_WINDOW_MAX];
    size_t size = frame_size(crowd);
    int rc;

    frame_fill(crowd, size);
    rc = client_send(witness->conn, (struct bytes){crowd->frame, size});
    if (rc == -EAGAIN)
        return false;
    assert_int_equal(rc, 0);
    for (size_t i = 0; i < size; i++)
        witness->checksum = (witness->checksum ^ crowd->frame[i]) * FNV_PRIME;
    memcpy(expected->id, crowd->frame, sizeof expected->id);
    expected->checksum = witness->checksum;
    witness->sent++;
    crowd->sent++;
    return true;
}

static void witness_pump(struct witness *witness)
{
    struct crowd *crowd = witness->crowd;

    if (!witness->connected || !witness->conn || witness->leaving)
        return;
    while (witness->sent < crowd->limit &&
           witness->sent - witness->answered < crowd->config.window && witness_send(witness))
        ;
}

static void on_connected(struct client_conn *conn)
{
    struct witness *witness = client_owner(conn);

    witness->connected = true;
    witness->crowd->heard_ms = os_now_ms();
}

static void on_frame(struct client_conn *conn, const struct frame *frame)
{
    struct witness *witness = client_owner(conn);
    struct crowd *crowd = witness->crowd;
    const struct witness_answer *next = &witness->expected[witness->answered % WITNESS_WINDOW_MAX];
    char expected[ANSWER_MAX];
    int size;

    if (witness->answered == witness->sent)
        fail_msg("client %u: an answer more than frames (%" PRIu64 ")",
                 (unsigned)number_of(witness), witness->sent);
    size = snprintf(expected, sizeof expected, "..%" PRIu64 " %016" PRIx64, witness->answered + 1,
                    next->checksum);
    memcpy(expected, next->id, sizeof next->id);
    if (frame->body.size != (size_t)size || memcmp(frame->body.data, expected, (size_t)size) != 0)
        fail_msg("client %u: the answer to frame %" PRIu64 " is '%.*s', not '%s'",
                 (unsigned)number_of(witness), witness->answered + 1,
                 frame->body.size > 2 ? (int)frame->body.size - 2 : 0,
                 (const char *)frame->body.data + 2, expected + 2);
    witness->answered++;
    crowd->answered++;
    crowd->heard_ms = os_now_ms();
    witness_pump(witness);
}

static void on_closed(struct client_conn *conn, int error)
{
    struct witness *witness = client_owner(conn);

    witness->conn = NULL;
    witness->crowd->closed++;
    witness->crowd->heard_ms = os_now_ms();
    if (!witness->leaving || error != 0 || witness->answered != witness->sent)
        fail_msg("client %u is closed (%s) with %" PRIu64 " of %" PRIu64 " frames answered",
                 (unsigned)number_of(witness), error_text(error), witness->answered, witness->sent);
}

static void look_for_stall(const struct crowd *crowd)
{
    const struct witness *silent = NULL;

    if (os_now_ms() - crowd->heard_ms < WITNESS_STALL_MS)
        return;
    for (uint32_t i = 0; i < crowd->config.clients && !silent; i++) {
        if (crowd->witnesses[i].sent != crowd->witnesses[i].answered)
            silent = &crowd->witnesses[i];
    }
    fail_msg("no answer for %d s: %" PRIu64 " of %" PRIu64 " frames; client %d is the first",
             WITNESS_STALL_MS / 1000, crowd->answered, crowd->sent,
             silent ? (int)number_of(silent) : -1);
}

void crowd_open(struct crowd *crowd, const struct witness_config *config)
{
    static const struct client_handler handler = {
        .connected = on_connected, .frame = on_frame, .closed = on_closed};
    struct client_config client = {.to = config->to,
                                   .count_max = config->clients,
                                   .connecting_max = CONNECTING_MAX,
                                   .outbox_max = 64 * 1024 * 1024,
                                   .handler = &handler};
    const char *why = NULL;

    assert_true(config->window >= 1 && config->window <= WITNESS_WINDOW_MAX);
    assert_true(config->size_min >= 2 && config->size_max >= config->size_min);
    *crowd = (struct crowd){
        .config = *config, .random = config->seed, .limit = UINT64_MAX, .heard_ms = os_now_ms()};
    crowd->frame = malloc((size_t)config->size_max);
    crowd->witnesses = calloc(config->clients, sizeof *crowd->witnesses);
    assert_true(crowd->frame && crowd->witnesses);
    assert_int_equal(frame_codec_parse(&client.codec, "rookiss", UINT16_MAX, &why), 0);
    assert_int_equal(client_create(&crowd->client, &client), 0);
    for (uint32_t i = 0; i < config->clients; i++) {
        struct witness *witness = &crowd->witnesses[i];

        witness->crowd = crowd;
        witness->checksum = FNV_START;
        assert_int_equal(client_open(crowd->client, witness, &witness->conn), 0);
    }
    while (client_connected(crowd->client) < config->clients) {
        look_for_stall(crowd);
        assert_true(client_poll(crowd->client, 100) >= 0);
    }
}

void crowd_poll(struct crowd *crowd, int timeout_ms)
{
    for (uint32_t i = 0; i < crowd->config.clients; i++)
        witness_pump(&crowd->witnesses[i]);
    assert_true(client_poll(crowd->client, timeout_ms) >= 0);
    if (crowd->answered < crowd->sent || crowd->closed < crowd->config.clients)
        look_for_stall(crowd);
}

void crowd_limit(struct crowd *crowd, uint64_t frames)
{
    crowd->limit = frames;
    crowd->heard_ms = os_now_ms(); // it may have been silent with nothing to ask
}

void crowd_settle(struct crowd *crowd)
{
    crowd->limit = 0;
    while (crowd->answered < crowd->sent)
        crowd_poll(crowd, 100);
}

void crowd_half_close(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->config.clients; i++) {
        crowd->witnesses[i].leaving = true;
        client_half_close(crowd->witnesses[i].conn);
    }
}

void crowd_wait_closed(struct crowd *crowd)
{
    while (crowd->closed < crowd->config.clients)
        crowd_poll(crowd, 100);
    client_destroy(crowd->client);
    free(crowd->witnesses);
    free(crowd->frame);
    assert_int_equal(crowd->answered, crowd->sent);
}

void crowd_finish(struct crowd *crowd)
{
    crowd_settle(crowd);
    for (uint32_t i = 0; i < crowd->config.clients; i++) {
        crowd->witnesses[i].leaving = true;
        client_finish(crowd->witnesses[i].conn);
    }
    crowd_wait_closed(crowd);
}
