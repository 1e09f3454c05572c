#include "rig_link.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "stream_fake.h"

struct rig_worker worker;
struct link *link;
struct link_config config;
static struct stream_listener *streams;
unsigned ups, rooms, leavings, downs;
char down_why[128];
bool down_hung, down_ours;
unsigned down_owed;
static struct ledger_actor actors[4];
bool deliver_on_commit;
uint8_t bytes[2 * 1024 * 1024];

struct told_commit commits[COMMITS_MAX];
uint32_t commit_count;

struct ledger_actor *actor(uint64_t id)
{
    size_t at = 0;

    while (actors[at].id != 0 && actors[at].id != id)
        assert_true(++at < ARRAY_COUNT(actors));
    if (actors[at].id == 0) {
        ledger_actor_init(&actors[at], id);
        ledger_bind(&actors[at], link->lane);
    }
    return &actors[at];
}

bool room(uint64_t id, size_t size)
{
    return ledger_ready(actor(id), size);
}

void deliver(enum envelope_kind kind, uint64_t id, uint64_t sequence, size_t size)
{
    struct ledger_input input = {.kind = kind, .now_ms = 1000 + sequence, .payload = {bytes, size}};

    assert_int_equal(ledger_deliver(actor(id), &input), 0);
    assert_int_equal(input.sequence, sequence);
    link_deliver(link, actor(id), &input);
}

static void on_up(struct link *at)
{
    assert_ptr_equal(at, link);
    assert_int_equal(at->state, LINK_UP);
    ups++;
}

static void on_commit(struct link *at, const struct link_commit *commit)
{
    struct told_commit *told = &commits[commit_count];

    assert_ptr_equal(at, link);
    assert_true(commit_count < COMMITS_MAX);
    told->kind = (enum envelope_kind)commit->input.kind;
    told->session = commit->actor->id;
    told->epoch = commit->actor->epoch;
    told->sequence = commit->input.sequence;
    told->bytes = commit->input.prefix.size + commit->input.payload.size;
    told->cleared = commit->cleared;
    told->effect_count = commit->effect_count;
    for (uint32_t i = 0; i < commit->effect_count; i++) {
        const struct envelope *effect = &commit->effects[i];

        if (effect->kind == ENVELOPE_STATE)
            told->state_version = effect->state_version;
        told->end = told->end || effect->kind == ENVELOPE_END;
        assert_int_equal(
            buffer_append(effect->kind == ENVELOPE_STATE ? &told->state : &told->replies,
                          effect->payload.data, effect->payload.size),
            0);
    }
    commit_count++;
    if (deliver_on_commit)
        deliver(ENVELOPE_FRAME, 7, commit_count + 1, 1);
}

static void on_room(struct link *at)
{
    assert_ptr_equal(at, link);
    rooms++;
}

static void on_leaving(struct link *at)
{
    assert_ptr_equal(at, link);
    leavings++;
}

static void on_lost(void *context, struct ledger_actor *lost, bool kept)
{
    (void)context;
    assert_true(kept);
    down_owed += lost->queue.count;
    ledger_actor_fini(lost);
    lost->id = 0;
}

static void on_down(struct link *at, const char *why)
{
    assert_ptr_equal(at, link);
    downs++;
    strcpy(down_why, why);
    down_hung = at->hung;
    down_ours = at->ours;
    ledger_lose(at->lane, true, on_lost, NULL);
    link = NULL;
}

static void on_stream(void *owner, struct stream *stream)
{
    (void)owner;
    assert_null(link);
    assert_int_equal(link_open(&link, stream, &config), 0);
}

static void turn(void)
{
    if (link != NULL)
        link_flush(link);
}

static void streams_closed(void *owner)
{
    (void)owner;
    streams = NULL;
}

void begin(const struct rig_config *rig)
{
    static const struct link_handler handler = {
        .up = on_up, .commit = on_commit, .room = on_room, .leaving = on_leaving, .down = on_down};

    rig_start(rig);
    rig_turn = turn;
    memset(&worker, 0, sizeof(worker));
    config = (struct link_config){.handler = &handler,
                                  .now_ms = rig_now_ms,
                                  .token = rig_text(RIG_TOKEN),
                                  .shard = 2,
                                  .shards = 3,
                                  .frame_max = FRAME_MAX,
                                  .state_max = STATE_MAX,
                                  .seed = 0x1122334455667788,
                                  .heartbeat_ms = HEARTBEAT_MS,
                                  .turn_timeout_ms = TURN_MS};
    link = NULL;
    ups = rooms = leavings = downs = down_owed = 0;
    memset(actors, 0, sizeof(actors));
    memset(bytes, 'a', sizeof(bytes));
    down_why[0] = '\0';
    down_hung = down_ours = deliver_on_commit = false;
    assert_int_equal(
        stream_listen(&streams, rig_port, RIG_ADDRESS, ENVELOPE_BATCH_MAX, on_stream, NULL), 0);
}

int start(void **state)
{
    (void)state;
    begin(&(struct rig_config){.seed = 1});
    return 0;
}

int end(void **state)
{
    (void)state;
    if (link != NULL)
        link_close(link, "end of test");
    rig_worker_close(&worker);
    if (streams != NULL)
        stream_listener_close(streams, streams_closed);
    rig_end();
    assert_null(link);
    while (commit_count > 0) {
        commit_count--;
        buffer_free(&commits[commit_count].replies);
        buffer_free(&commits[commit_count].state);
        commits[commit_count] = (struct told_commit){.end = false};
    }
    return 0;
}

void up(void)
{
    rig_worker_dial(&worker);
    rig_settle();
    assert_int_equal(worker.state, RIG_WORKER_UP);
    assert_int_equal(ups, 1);
}

void ended(const char *why)
{
    rig_settle();
    assert_null(link);
    assert_int_equal(downs, 1);
    assert_string_equal(down_why, why);
    assert_int_equal(worker.state, RIG_WORKER_GONE);
    assert_int_equal(worker.error, -ECONNRESET);
}

void say_commit(uint64_t session, uint32_t epoch, uint64_t sequence, uint32_t effects)
{
    rig_worker_say(&worker, &(struct envelope){.kind = ENVELOPE_COMMIT,
                                               .session = session,
                                               .epoch = epoch,
                                               .sequence = sequence,
                                               .effects = effects});
}

void say_raw(const void *data, size_t size)
{
    assert_int_equal(buffer_append(stream_outbox(worker.stream), data, size), 0);
}
