// Goal: whatever happens to clients and workers, each client gets its replies in order and none
// twice, each actor its inputs in order, one OPEN and one CLOSE, and in the end nothing is left.
// Method: seeded random steps over both fakes at their roughest, against a model that knows what
// each client must have received.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "rig_router.h"
#include "stream_fake.h"

enum { CLIENTS = 24, WORKERS = 3, STEPS = 2500, SEEDS = 100, PAYLOAD_MIN = 8 };

enum cut {
    CUT_NOT,    // everything arrives
    CUT_SILENT, // nothing more is said to it, what was said arrives
    CUT_LOST,   // a worker or connection was lost: what has arrived is the front of it
};

static struct player {
    struct rig_client client;
    bool playing;
    uint64_t life;     // number of this use of the slot
    uint32_t sent;     // frames
    uint32_t inputs;   // frames that its actor got
    struct buffer due; // replies committed, framed
    enum cut cut;
} players[CLIENTS];

static struct actor {
    uint64_t session; // 0 = free
    int player;       // -1: its client has gone meanwhile
    uint64_t life;
    uint64_t sequence; // of the last input
    bool closed;       // kept: its last commits may be on their way
} actors[WORKERS][RIG_SESSIONS * 64];

static struct rig_worker workers[WORKERS];
static bool lazy[WORKERS]; // answers nothing for a while: windows and inboxes fill up
static uint64_t lives;
static uint64_t seed_now;
static unsigned full_windows; // at the end of a run's steps
static uint8_t bytes[80000];

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %u: %s", (unsigned)seed_now, #condition);                               \
    } while (0)

static void put_u32(uint8_t *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(number >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

// Clients.

static void client_connect(struct player *player)
{
    player->playing = true;
    player->life = ++lives;
    player->sent = player->inputs = 0;
    player->cut = CUT_NOT;
    rig_connect(&player->client);
}

static void client_forget(struct player *player)
{
    EXPECT(player->client.closed == 1);
    EXPECT(buffer_size(&player->client.received) <= buffer_size(&player->due));
    EXPECT(buffer_size(&player->client.received) == 0 ||
           memcmp(buffer_data(&player->client.received), buffer_data(&player->due),
                  buffer_size(&player->client.received)) == 0);
    EXPECT(player->cut == CUT_LOST ||
           buffer_size(&player->client.received) == buffer_size(&player->due));
    buffer_free(&player->due);
    rig_client_free(&player->client);
    player->playing = false;
}

// Each frame names its client's life and its number.
static void client_say(struct player *player)
{
    size_t size = PAYLOAD_MIN + (rig_random(4) == 0 ? rig_random(70000) : rig_random(300));

    if (player->client.conn.state != CONN_OPEN)
        return;
    put_u32(bytes, (uint32_t)player->life);
    put_u32(bytes + 4, ++player->sent);
    rig_send_frame(&player->client, (struct bytes){bytes, size});
}

static void client_step(struct player *player)
{
    if (!player->playing) {
        if (rig_table.used < RIG_SESSIONS)
            client_connect(player);
        return;
    }
    switch (rig_random(24)) {
    case 0:
        conn_half_close(&player->client.conn);
        break;
    case 1:
        player->cut = CUT_LOST;
        conn_abort(&player->client.conn);
        break;
    case 2:
        conn_pause(&player->client.conn);
        break;
    case 3:
    case 4:
        conn_resume(&player->client.conn);
        break;
    default:
        client_say(player);
        break;
    }
    if (player->client.closed > 0)
        client_forget(player);
}

// Workers.

static struct actor *actor_of(int worker, uint64_t session)
{
    for (size_t i = 0; i < ARRAY_COUNT(actors[worker]); i++)
        if (actors[worker][i].session == session)
            return &actors[worker][i];
    return NULL;
}

// Whose address is this? The client's own port is the peer's.
static int player_at(const char *peer)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct net_addr local;
        char text[ADDR_TEXT_MAX];

        if (!players[i].playing || players[i].client.conn.state < CONN_OPEN ||
            players[i].client.conn.state > CONN_LINGERING ||
            port_addr_local(players[i].client.conn.socket, &local) != 0)
            continue;
        if (strcmp(addr_text(&local, text), peer) == 0)
            return i;
    }
    return -1;
}

static struct player *player_of(const struct actor *actor)
{
    struct player *player = actor->player < 0 ? NULL : &players[actor->player];

    return player != NULL && player->playing && player->life == actor->life ? player : NULL;
}

static struct actor *actor_open(int worker, const struct rig_input *input)
{
    struct actor *actor = actor_of(worker, 0);

    EXPECT(actor != NULL);
    EXPECT(actor_of(worker, input->session) == NULL);
    *actor = (struct actor){.session = input->session, .player = player_at(input->text)};
    if (actor->player >= 0)
        actor->life = players[actor->player].life;
    return actor;
}

static void actor_frame(struct actor *actor, const struct buffer *payload)
{
    struct player *player = player_of(actor);

    EXPECT(buffer_size(payload) >= PAYLOAD_MIN);
    if (player == NULL)
        return;
    EXPECT(get_u32(buffer_data(payload)) == player->life);
    EXPECT(get_u32(buffer_data(payload) + 4) == player->inputs + 1);
    player->inputs++;
}

// The model's side of a reply.
static void owe(struct actor *actor, struct bytes payload)
{
    struct player *player = player_of(actor);
    uint8_t head[4];

    if (player == NULL || player->cut == CUT_SILENT)
        return;
    put_u32(head, (uint32_t)payload.size);
    EXPECT(buffer_append(&player->due, head, 4) == 0);
    EXPECT(buffer_append(&player->due, payload.data, payload.size) == 0);
}

static void worker_commit(int number)
{
    struct rig_worker *worker = &workers[number];
    struct rig_input *input = rig_worker_next(worker);
    struct bytes replies[3];
    uint32_t count = (uint32_t)rig_random(ARRAY_COUNT(replies) + 1);
    struct actor *actor;
    bool end = false;

    if (input == NULL || worker->state != RIG_WORKER_UP)
        return;
    actor =
        input->kind == ENVELOPE_OPEN ? actor_open(number, input) : actor_of(number, input->session);
    EXPECT(actor != NULL && !actor->closed);
    EXPECT(input->sequence == ++actor->sequence);
    for (uint32_t i = 0; i < count; i++)
        replies[i] = (struct bytes){bytes, 1 + rig_random(500)};
    if (input->kind == ENVELOPE_FRAME)
        actor_frame(actor, &input->payload);
    if (input->kind == ENVELOPE_CLOSE)
        count = 0;
    else
        end = rig_random(200) == 0;
    for (uint32_t i = 0; i < count; i++)
        owe(actor, replies[i]);
    if (end && player_of(actor) != NULL && player_of(actor)->cut == CUT_NOT)
        player_of(actor)->cut = CUT_SILENT;
    actor->closed = input->kind == ENVELOPE_CLOSE;
    rig_worker_commit(worker, replies, count, end);
}

// Its clients may lose what it said last. Clients that no actor of it is known for yet, and those
// whose OPEN is on its way, have nothing due.
static void worker_lost(int number)
{
    if (workers[number].state != RIG_WORKER_GONE)
        workers[number].state = RIG_WORKER_DEAF;
    for (size_t i = 0; i < ARRAY_COUNT(actors[number]); i++) {
        struct actor *actor = &actors[number][i];

        if (actor->session != 0 && player_of(actor) != NULL)
            player_of(actor)->cut = CUT_LOST;
        actor->session = 0;
    }
}

static void worker_step(int number)
{
    struct rig_worker *worker = &workers[number];

    if (worker->state == RIG_WORKER_GONE && worker->stream == NULL) {
        worker_lost(number);
        rig_worker_dial(worker);
        return;
    }
    if (worker->stream == NULL)
        return;
    switch (rig_random(600)) {
    case 0:
        rig_worker_close(worker);
        worker_lost(number);
        break;
    case 1:
        stream_fake_break(worker->stream, -EIO);
        worker_lost(number);
        break;
    case 2:
        if (worker->state == RIG_WORKER_UP) { // a lie
            rig_worker_say(worker, &(struct envelope){.kind = ENVELOPE_COMMIT, .session = 1});
            stream_flush(worker->stream);
            worker_lost(number);
        }
        break;
    case 3:
    case 4:
        stream_fake_stall(worker->stream, true);
        break;
    case 5:
    case 6:
    case 7:
        stream_fake_stall(worker->stream, false);
        break;
    case 8:
    case 9:
        lazy[number] = true;
        break;
    case 10:
    case 11:
    case 12:
        lazy[number] = false;
        break;
    default:
        for (size_t n = rig_random(lazy[number] ? 1 : 8); n > 0 && worker->state == RIG_WORKER_UP;
             n--)
            worker_commit(number);
        break;
    }
}

static void gateway_step(void)
{
    struct list *node = rig_router.links.next;

    rig_clock_ms += rig_random(4);
    if (rig_random(50) != 0 || node == &rig_router.links)
        return;
    stream_fake_stall(container_of(node, struct link, node)->stream, rig_random(3) == 0);
}

// The end: nothing stalls, everybody reads, workers answer all.
static void quiet(void)
{
    bool more = true;

    for (int i = 0; i < WORKERS; i++) {
        if (workers[i].stream == NULL && workers[i].state == RIG_WORKER_GONE) {
            worker_lost(i);
            rig_worker_dial(&workers[i]);
        }
        if (workers[i].stream != NULL)
            stream_fake_stall(workers[i].stream, false);
    }
    for (struct list *node = rig_router.links.next; node != &rig_router.links; node = node->next)
        stream_fake_stall(container_of(node, struct link, node)->stream, false);
    for (int i = 0; i < CLIENTS; i++)
        if (players[i].playing)
            conn_resume(&players[i].client.conn);
    while (more) {
        rig_settle();
        more = false;
        for (int i = 0; i < WORKERS; i++) {
            for (; workers[i].state == RIG_WORKER_UP && workers[i].count > 0; more = true)
                worker_commit(i);
        }
    }
}

static void run(uint64_t seed)
{
    seed_now = seed;
    memset(workers, 0, sizeof(workers));
    memset(actors, 0, sizeof(actors));
    memset(lazy, 0, sizeof(lazy));
    rig_router_start(&(struct rig_config){.seed = seed, .rough = true, .socket_bytes = 8192});
    for (int i = 0; i < WORKERS; i++) {
        workers[i].number = (uint32_t)i;
        workers[i].state = RIG_WORKER_GONE; // dialled by its first step
    }
    for (int step = 0; step < STEPS; step++) {
        client_step(&players[rig_random(CLIENTS)]);
        worker_step((int)rig_random(WORKERS));
        gateway_step();
        for (size_t n = rig_random(4); n > 0; n--)
            rig_poll();
    }
    for (struct list *node = rig_router.links.next; node != &rig_router.links; node = node->next)
        full_windows += !list_empty(&container_of(node, struct link, node)->waiting);
    quiet();
    for (int i = 0; i < CLIENTS; i++) {
        struct player *player = &players[i];

        // A worker may have been lost before it knew of the client; that one has ended then.
        if (player->playing && player->cut == CUT_NOT && player->client.closed == 0) {
            EXPECT(player->inputs == player->sent);
            EXPECT(buffer_size(&player->client.received) == buffer_size(&player->due));
        }
        if (player->playing)
            conn_half_close(&player->client.conn);
    }
    quiet();
    EXPECT(rig_table.used == 0);
    for (int i = 0; i < WORKERS; i++)
        for (size_t at = 0; at < ARRAY_COUNT(actors[i]); at++)
            EXPECT(actors[i][at].session == 0 || actors[i][at].closed);
    for (struct list *node = rig_router.links.next; node != &rig_router.links; node = node->next) {
        struct link *link = container_of(node, struct link, node);

        EXPECT(link->load == 0 && link->count == 0 && link->bytes == 0);
        EXPECT(list_empty(&link->bound) && list_empty(&link->waiting));
    }
    for (int i = 0; i < CLIENTS; i++)
        if (players[i].playing)
            client_forget(&players[i]);
    for (int i = 0; i < WORKERS; i++)
        rig_worker_close(&workers[i]);
    rig_router_end();
}

static void router_random_life_matches_the_model(void **state)
{
    uint64_t first = 1;

    (void)state;
    for (uint64_t seed = first; seed < first + SEEDS; seed++)
        run(seed);
    assert_true(full_windows > SEEDS / 10); // or it tests too little
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(router_random_life_matches_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
