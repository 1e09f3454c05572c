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
unsigned ups, rooms, downs;
char down_why[128];
bool down_hung;
bool deliver_on_commit;
uint8_t bytes[2 * 1024 * 1024];

struct told_commit commits[COMMITS_MAX];
uint32_t commit_count;

void deliver(enum envelope_kind kind, uint64_t session, uint64_t sequence, size_t size)
{
    link_deliver(link, &(struct envelope){.kind = kind,
                                          .session = session,
                                          .epoch = 1,
                                          .sequence = sequence,
                                          .payload = {bytes, size}});
}

static void on_up(struct link *at)
{
    assert_ptr_equal(at, link);
    assert_int_equal(at->state, LINK_UP);
    ups++;
}

static void on_commit(struct link *at, const struct link_commit *commit)
{
    assert_ptr_equal(at, link);
    assert_true(commit_count < COMMITS_MAX);
    commits[commit_count].commit = *commit;
    for (uint32_t i = 0; i < commit->effect_count; i++) {
        if (commit->effects[i].kind == ENVELOPE_END)
            commits[commit_count].end = true;
        else
            assert_int_equal(buffer_append(&commits[commit_count].replies,
                                           commit->effects[i].payload.data,
                                           commit->effects[i].payload.size),
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

static void on_down(struct link *at, const char *why)
{
    assert_ptr_equal(at, link);
    downs++;
    strcpy(down_why, why);
    down_hung = at->hung;
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
        .up = on_up, .commit = on_commit, .room = on_room, .down = on_down};

    rig_start(rig);
    rig_turn = turn;
    memset(&worker, 0, sizeof(worker));
    config = (struct link_config){.handler = &handler,
                                  .now_ms = rig_now_ms,
                                  .token = rig_text(RIG_TOKEN),
                                  .shard = 2,
                                  .shards = 3,
                                  .frame_max = FRAME_MAX,
                                  .heartbeat_ms = HEARTBEAT_MS,
                                  .turn_timeout_ms = TURN_MS};
    link = NULL;
    ups = rooms = downs = 0;
    down_why[0] = '\0';
    down_hung = deliver_on_commit = false;
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
        commits[commit_count].end = false;
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
