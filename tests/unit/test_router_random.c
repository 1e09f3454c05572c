// Goal: whatever happens to clients and workers, each frame is answered exactly once and in order,
// each actor goes on from what it committed last, no session is closed because a worker was lost,
// and in the end nothing is left.
// Method: seeded random steps over both fakes at their roughest. What a frame is answered depends
// on that frame and on all before it by way of the actor's state, so the client's side of the model
// can say which bytes must come, whatever workers do. Workers end in every way, with inputs under
// way, commits on their way and commits cut off after any envelope; a record of each session says
// that what comes again is what came before.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "rig_router.h"
#include "stream_fake.h"

enum {
    CLIENTS = 24,
    WORKERS = 3,
    STEPS = 2500,
    SEEDS = 100,
    PAYLOAD_MIN = 16,
    RECORDS = 8192, // a power of two, far above the sessions of a run
    REPLIES_MAX = 3,
    STATE_SIZE = 16,
};

// What an actor remembers. sum is over all frames so far.
struct memory {
    uint64_t sum;
    uint32_t frames;
};

static struct player {
    struct rig_client client;
    bool playing;
    uint32_t life;        // number of this use of the slot
    uint32_t sent;        // frames
    bool half;            // has said its FIN
    bool aborted;         // what has arrived is the front of what was due
    bool over;            // a frame was sent that makes its actor close the session
    struct memory memory; // of its actor, after all that was sent
    struct buffer due;    // all replies to all of it, framed
} players[CLIENTS];

// An input as it came first.
struct past {
    enum envelope_kind kind;
    uint64_t now_ms;
    uint64_t hash;
    struct memory after; // it
};

static struct record {
    uint64_t session; // 0 = free
    uint32_t life;    // of its client, from the first frame
    struct buffer pasts;
} records[RECORDS];

// A worker's actors, by the place of their records.
struct actor {
    uint32_t epoch; // 0 = it does not know it
    uint64_t sequence;
    struct memory memory;
};

static struct rig_worker workers[WORKERS];
static struct actor actors[WORKERS][RECORDS];
static bool lazy[WORKERS]; // answers nothing for a while: windows and inboxes fill up
static bool leaving[WORKERS];
static uint32_t lives;
static uint64_t seed_now;
static uint8_t bytes[80000];

// What has happened, or the test would test too little.
static struct {
    unsigned full_windows; // steps that began with one
    unsigned owed;         // workers lost with inputs that they had not answered
    unsigned torn;         // commits
    unsigned drained;      // workers that left with all moved
    uint64_t lost;
    uint64_t replayed;
    uint64_t restored;
    uint64_t hung;
} seen;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %u: %s", (unsigned)seed_now, #condition);                               \
    } while (0)

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
    return sum ^ sum >> 29;
}

static uint64_t hash(const uint8_t *data, size_t size)
{
    uint64_t sum = size;
    uint64_t word = 0;

    for (; size >= sizeof(word); data += sizeof(word), size -= sizeof(word)) {
        memcpy(&word, data, sizeof(word));
        sum = mix(sum, word);
    }
    word = 0;
    if (size > 0)
        memcpy(&word, data, size);
    return mix(sum, word);
}

static void append(struct buffer *to, const void *data, size_t size)
{
    EXPECT(buffer_append(to, data, size) == 0);
}

// The actor, as pure functions.

static void think(struct memory *memory, const uint8_t *data, size_t size)
{
    memory->sum = mix(memory->sum, hash(data, size));
    memory->frames++;
}

static uint32_t reply_count(const struct memory *memory)
{
    return memory->frames == 0 ? 1 : (uint32_t)(memory->sum >> 7) % (REPLIES_MAX + 1);
}

static bool ends(const struct memory *memory)
{
    return memory->frames > 0 && memory->sum >> 20 & 1 && (memory->sum >> 21) % 60 == 0;
}

// Reply k after the last input; its size depends on it, too.
static size_t reply(const struct memory *memory, uint32_t k, uint8_t out[600])
{
    uint64_t words[2] = {memory->sum, (uint64_t)memory->frames << 32 | k};
    size_t size = sizeof(words) + mix(memory->sum, k) % 500;

    memset(out, (int)k, size);
    memcpy(out, words, sizeof(words));
    return size;
}

static void state_encode(const struct memory *memory, uint8_t out[STATE_SIZE])
{
    memset(out, 0, STATE_SIZE);
    memcpy(out, &memory->sum, 8);
    memcpy(out + 8, &memory->frames, 4);
}

static struct memory state_decode(const struct buffer *state)
{
    struct memory memory = {0};

    if (buffer_size(state) == 0)
        return memory; // OPEN leaves none
    EXPECT(buffer_size(state) == STATE_SIZE);
    memcpy(&memory.sum, buffer_data(state), 8);
    memcpy(&memory.frames, buffer_data(state) + 8, 4);
    return memory;
}

// Clients.

static void client_owe(struct player *player)
{
    uint8_t data[600];

    for (uint32_t k = 0; k < reply_count(&player->memory); k++) {
        size_t size = reply(&player->memory, k, data);
        uint8_t head[4] = {0, 0, (uint8_t)(size >> 8), (uint8_t)size};

        append(&player->due, head, sizeof(head));
        append(&player->due, data, size);
    }
}

static void client_connect(struct player *player)
{
    player->playing = true;
    player->life = ++lives;
    player->sent = 0;
    player->half = player->aborted = player->over = false;
    player->memory = (struct memory){0};
    client_owe(player); // the greeting
    rig_connect(&player->client);
}

// One that closes before it has said anything may never have been opened.
static bool client_may_have_nothing(const struct player *player)
{
    return player->half && player->sent == 0 && buffer_size(&player->client.received) == 0;
}

static void client_check(const struct player *player, bool all)
{
    size_t got = buffer_size(&player->client.received);

    EXPECT(got <= buffer_size(&player->due));
    EXPECT(got == 0 ||
           memcmp(buffer_data(&player->client.received), buffer_data(&player->due), got) == 0);
    EXPECT(!all || got == buffer_size(&player->due));
}

static void client_forget(struct player *player)
{
    EXPECT(player->client.closed == 1);
    EXPECT(player->half || player->aborted || player->over); // nobody else closes
    client_check(player, !player->aborted && !client_may_have_nothing(player));
    buffer_free(&player->due);
    rig_client_free(&player->client);
    player->playing = false;
}

static void client_say(struct player *player)
{
    size_t size = PAYLOAD_MIN + (rig_random(4) == 0 ? rig_random(70000) : rig_random(300));
    uint32_t dice = (uint32_t)rig_random(1U << 30);

    if (player->client.conn.state != CONN_OPEN || player->half)
        return;
    player->sent++;
    memcpy(bytes, &player->life, 4);
    memcpy(bytes + 4, &player->sent, 4);
    memcpy(bytes + 8, &dice, 4);
    rig_send_frame(&player->client, (struct bytes){bytes, size});
    if (player->over)
        return;
    think(&player->memory, bytes, size);
    client_owe(player);
    player->over = ends(&player->memory);
}

static void client_step(struct player *player)
{
    if (!player->playing) {
        if (rig_table.used + CLIENTS <= RIG_SESSIONS) // accepts may be on their way
            client_connect(player);
        return;
    }
    switch (rig_random(40)) {
    case 0:
        player->half = player->half || player->client.conn.state == CONN_OPEN;
        if (player->half)
            conn_half_close(&player->client.conn);
        break;
    case 1:
        player->aborted = true;
        conn_abort(&player->client.conn);
        break;
    case 2:
    case 3:
        conn_pause(&player->client.conn);
        break;
    case 4:
    case 5:
    case 6:
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

static size_t record_of(uint64_t session)
{
    size_t at = (size_t)(mix(7, session) % RECORDS);

    while (records[at].session != 0 && records[at].session != session)
        at = (at + 1) % RECORDS;
    records[at].session = session;
    return at;
}

static size_t past_count(const struct record *record)
{
    return buffer_size(&record->pasts) / sizeof(struct past);
}

static struct past past_at(const struct record *record, uint64_t sequence)
{
    struct past past;

    EXPECT(sequence >= 1 && sequence <= past_count(record));
    memcpy(&past, buffer_data(&record->pasts) + (size_t)(sequence - 1) * sizeof(past),
           sizeof(past));
    return past;
}

// In order, OPEN first, nothing after CLOSE; and the same again when it comes again.
static void record_input(struct record *record, const struct rig_input *input,
                         const struct memory *after)
{
    const struct buffer *payload = &input->payload;
    size_t count = past_count(record);
    struct past now = {input->kind, input->now_ms, 0, *after};
    struct past past;

    now.hash = hash(buffer_data(payload), buffer_size(payload)) ^
               hash((const uint8_t *)input->text, strlen(input->text));
    EXPECT((input->kind == ENVELOPE_OPEN) == (input->sequence == 1));
    if (input->sequence == count + 1) {
        EXPECT(count == 0 || past_at(record, count).kind != ENVELOPE_CLOSE);
        append(&record->pasts, &now, sizeof(now));
        return;
    }
    past = past_at(record, input->sequence);
    EXPECT(past.kind == now.kind && past.now_ms == now.now_ms && past.hash == now.hash);
    EXPECT(past.after.sum == now.after.sum && past.after.frames == now.after.frames);
}

// Finds what the worker's actor knows; a worker that had not had it gets what it committed last.
static struct actor *actor_find(int number, const struct rig_input *input, size_t at)
{
    struct actor *actor = &actors[number][at];

    if (input->kind == ENVELOPE_OPEN) {
        EXPECT(!input->restored);
        *actor = (struct actor){.epoch = input->epoch};
    } else if (input->restored) {
        struct memory memory = state_decode(&input->state);
        struct past past = past_at(&records[at], input->sequence - 1);

        EXPECT(memory.sum == past.after.sum && memory.frames == past.after.frames);
        EXPECT(input->state_version == memory.frames);
        *actor = (struct actor){input->epoch, input->sequence - 1, memory};
        seen.restored++;
    }
    EXPECT(actor->epoch == input->epoch && actor->sequence + 1 == input->sequence);
    actor->sequence = input->sequence;
    return actor;
}

static void actor_frame(struct actor *actor, struct record *record, const struct buffer *payload)
{
    uint32_t life;
    uint32_t number;

    EXPECT(buffer_size(payload) >= PAYLOAD_MIN);
    memcpy(&life, buffer_data(payload), 4);
    memcpy(&number, buffer_data(payload) + 4, 4);
    EXPECT(record->life == 0 || record->life == life);
    record->life = life;
    think(&actor->memory, buffer_data(payload), buffer_size(payload));
    EXPECT(actor->memory.frames == number);
}

// Answers the oldest input, or what comes through of the answer.
static void worker_commit(int number, bool torn)
{
    struct rig_worker *worker = &workers[number];
    struct rig_input *input = rig_worker_next(worker);
    struct envelope effects[REPLIES_MAX + 2];
    uint8_t replies[REPLIES_MAX][600];
    uint8_t state[STATE_SIZE];
    struct actor *actor;
    uint32_t count = 0;
    size_t at;

    if (input == NULL || worker->state != RIG_WORKER_UP)
        return;
    at = record_of(input->session);
    actor = actor_find(number, input, at);
    if (input->kind == ENVELOPE_FRAME)
        actor_frame(actor, &records[at], &input->payload);
    record_input(&records[at], input, &actor->memory);
    for (; count < reply_count(&actor->memory); count++) // those to CLOSE are for nobody
        effects[count] = (struct envelope){
            .kind = ENVELOPE_REPLY,
            .payload = {replies[count], reply(&actor->memory, count, replies[count])}};
    if (input->kind == ENVELOPE_FRAME) {
        state_encode(&actor->memory, state);
        effects[count++] = (struct envelope){.kind = ENVELOPE_STATE,
                                             .state_version = actor->memory.frames,
                                             .payload = {state, sizeof(state)}};
    }
    if (input->kind == ENVELOPE_FRAME && ends(&actor->memory))
        effects[count++] = (struct envelope){.kind = ENVELOPE_END};
    if (torn && count > 0) {
        seen.torn++;
        rig_worker_commit_torn(worker, effects, count, 1 + (uint32_t)rig_random(count));
    } else {
        rig_worker_commit_effects(worker, effects, count);
    }
}

static void worker_lost(int number)
{
    seen.owed += workers[number].count > 0;
    if (workers[number].state != RIG_WORKER_GONE)
        workers[number].state = RIG_WORKER_DEAF;
}

static void worker_dial(int number)
{
    memset(actors[number], 0, sizeof(actors[number]));
    lazy[number] = leaving[number] = false;
    rig_worker_dial(&workers[number]);
}

// Some commits, the last of which is cut off; they travel as one batch when the stream is busy.
static void worker_tear(int number)
{
    struct rig_worker *worker = &workers[number];
    unsigned torn = seen.torn;

    stream_fake_stall(worker->stream, rig_random(2) == 0);
    for (size_t n = rig_random(6); n > 0 && worker->count > 1; n--)
        worker_commit(number, false);
    if (worker->count == 0)
        return;
    worker_commit(number, true);
    stream_fake_stall(worker->stream, false);
    worker_lost(number);
    if (seen.torn == torn || rig_random(2) == 0) // else the gateway is to notice
        rig_worker_close(worker);
}

static void worker_leave(int number)
{
    leaving[number] = true;
    rig_worker_say(&workers[number], &(struct envelope){.kind = ENVELOPE_LEAVING});
    stream_flush(workers[number].stream);
}

static void worker_end(int number)
{
    rig_worker_close(&workers[number]);
    worker_lost(number);
}

static void worker_up_step(int number)
{
    struct rig_worker *worker = &workers[number];

    if (worker->drains > 0) {
        seen.drained += worker->count == 0;
        worker_end(number);
        return;
    }
    switch (rig_random(seed_now % 2 == 0 ? 400 : 2500)) {
    case 0:
        worker_end(number);
        break;
    case 1:
        stream_fake_break(worker->stream, -EIO);
        worker_lost(number);
        break;
    case 2: // a lie
        rig_worker_say(worker, &(struct envelope){.kind = ENVELOPE_COMMIT, .session = 1});
        stream_flush(worker->stream);
        worker_lost(number);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        worker_tear(number);
        break;
    case 7:
        if (!leaving[number])
            worker_leave(number);
        break;
    default:
        for (size_t n = rig_random(lazy[number] ? 1 : 8); n > 0; n--)
            worker_commit(number, false);
        break;
    }
}

static void worker_step(int number)
{
    struct rig_worker *worker = &workers[number];

    if (worker->stream == NULL) {
        worker_lost(number);
        worker_dial(number);
        return;
    }
    switch (rig_random(100)) {
    case 0:
        stream_fake_stall(worker->stream, true);
        break;
    case 1:
        stream_fake_stall(worker->stream, false);
        break;
    case 2:
        lazy[number] = true;
        break;
    case 3:
    case 4:
        lazy[number] = false;
        break;
    default:
        if (worker->state == RIG_WORKER_UP)
            worker_up_step(number);
        break;
    }
}

static void gateway_step(void)
{
    struct list *node = rig_router.links.next;
    struct link *link;

    rig_clock_ms += rig_random(1000) == 0 ? RIG_TURN_MS : rig_random(4);
    if (node == &rig_router.links)
        return;
    link = container_of(node, struct link, node);
    seen.full_windows += !list_empty(&link->waiting);
    if (rig_random(50) != 0)
        return;
    if (rig_random(12) == 0)
        link_drop(link, "it is the gateway's wish");
    else
        stream_fake_stall(link->stream, rig_random(3) == 0);
}

// The end: nothing stalls, everybody reads, workers answer all.
static bool quiet_worker(int number)
{
    struct rig_worker *worker = &workers[number];

    if (worker->stream == NULL) {
        worker_dial(number);
        return true;
    }
    if (leaving[number] && worker->state == RIG_WORKER_UP) {
        worker_end(number);
        return true;
    }
    if (worker->state != RIG_WORKER_UP || worker->count == 0)
        return false;
    while (worker->count > 0)
        worker_commit(number, false);
    return true;
}

static void quiet(void)
{
    bool more = true;
    unsigned rounds = 0;

    for (int i = 0; i < CLIENTS; i++)
        if (players[i].playing)
            conn_resume(&players[i].client.conn);
    while (more) {
        EXPECT(++rounds < 1000000);
        for (struct list *node = rig_router.links.next; node != &rig_router.links;
             node = node->next)
            stream_fake_stall(container_of(node, struct link, node)->stream, false);
        for (int i = 0; i < WORKERS; i++)
            if (workers[i].stream != NULL)
                stream_fake_stall(workers[i].stream, false);
        rig_settle();
        more = false;
        for (int i = 0; i < WORKERS; i++)
            more = quiet_worker(i) || more;
    }
}

// All that was said has been answered, also to those who go on.
static void check_answers(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct player *player = &players[i];

        if (!player->playing)
            continue;
        EXPECT(player->client.closed == 0 || player->half || player->aborted || player->over);
        client_check(player, !player->aborted && !client_may_have_nothing(player));
        if (!player->half) {
            player->half = true;
            conn_half_close(&player->client.conn);
        }
    }
}

// Each input has been committed once, and the last one of each actor is CLOSE.
static void check_records(void)
{
    uint64_t inputs = 0;

    for (size_t i = 0; i < RECORDS; i++) {
        if (records[i].session == 0)
            continue;
        inputs += past_count(&records[i]);
        EXPECT(past_at(&records[i], past_count(&records[i])).kind == ENVELOPE_CLOSE);
        buffer_free(&records[i].pasts);
    }
    EXPECT(rig_router.counts.commits == inputs);
}

static void check_end(void)
{
    EXPECT(rig_table.used == 0);
    EXPECT(list_empty(&rig_router.waiting));
    for (struct list *node = rig_router.links.next; node != &rig_router.links; node = node->next) {
        struct link *link = container_of(node, struct link, node);

        EXPECT(link->lane->load == 0 && link->lane->count == 0 && link->lane->cost == 0);
        EXPECT(list_empty(&link->lane->bound) && link->lane->suspect == NULL);
        EXPECT(list_empty(&link->waiting) && list_empty(&link->suspects));
    }
    for (int reason = 0; reason < REASON_COUNT; reason++)
        EXPECT(reason == REASON_CLIENT_CLOSED || reason == REASON_CLIENT_LOST ||
               reason == REASON_ACTOR_CLOSED || rig_sessions.counts.closed[reason] == 0);
    EXPECT(rig_poisoned.count == 0);
}

static void run(uint64_t seed)
{
    seed_now = seed;
    memset(workers, 0, sizeof(workers));
    memset(records, 0, sizeof(records));
    rig_router_start(&(struct rig_config){.seed = seed, .rough = true, .socket_bytes = 8192});
    rig_router.config.poison_strikes = UINT32_MAX; // here it is never the input
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
    quiet();
    check_answers();
    quiet();
    check_end();
    check_records();
    seen.lost += rig_router.counts.links_lost;
    seen.replayed += rig_router.counts.replayed;
    seen.hung += rig_hung;
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
    print_message("%u lost (%u owed, %u hung), %u replayed, %u restored, %u torn, %u drained, "
                  "%u full\n",
                  (unsigned)seen.lost, seen.owed, (unsigned)seen.hung, (unsigned)seen.replayed,
                  (unsigned)seen.restored, seen.torn, seen.drained, seen.full_windows);
    // Or it tests too little.
    assert_true(seen.full_windows > 10 * SEEDS);
    assert_true(seen.lost > 5 * SEEDS && seen.owed > SEEDS && seen.hung > SEEDS / 10);
    assert_true(seen.replayed > 20 * SEEDS && seen.restored > 10 * SEEDS);
    assert_true(seen.torn > SEEDS / 2 && seen.drained > SEEDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(router_random_life_matches_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
