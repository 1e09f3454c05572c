#include <stdlib.h>
#include <string.h>

#include "ledger.h"

enum {
    LEDGER_LANE_KEEP = 2 * LEDGER_LANE_BYTES, // memory of an idle lane
    LEDGER_STATE_SLACK = 256,
};

// Stands before each input in a queue.
struct ledger_head {
    uint64_t now_ms;
    uint32_t prefix;
    uint32_t bytes; // prefix included
    uint32_t kind;
};

static uint32_t ledger_bytes(const struct ledger_input *input)
{
    CHECK(input->prefix.size <= UINT32_MAX &&
          input->payload.size <= UINT32_MAX - input->prefix.size);
    return (uint32_t)(input->prefix.size + input->payload.size);
}

// 0 or -ENOMEM (nothing changed).
static int ledger_keep_bytes(struct buffer *to, const struct ledger_input *input)
{
    size_t before = buffer_size(to);

    if (buffer_append(to, input->prefix.data, input->prefix.size) != 0)
        return -ENOMEM;
    if (buffer_append(to, input->payload.data, input->payload.size) != 0) {
        buffer_truncate(to, before);
        return -ENOMEM;
    }
    return 0;
}

// 0 or -ENOMEM (nothing changed).
static int ledger_append(struct ledger_queue *queue, const struct ledger_input *input)
{
    struct ledger_head head = {.now_ms = input->now_ms,
                               .prefix = (uint32_t)input->prefix.size,
                               .bytes = ledger_bytes(input),
                               .kind = input->kind};
    size_t before = buffer_size(&queue->bytes);

    if (buffer_append(&queue->bytes, &head, sizeof(head)) != 0)
        return -ENOMEM;
    if (ledger_keep_bytes(&queue->bytes, input) != 0) {
        buffer_truncate(&queue->bytes, before);
        return -ENOMEM;
    }
    queue->count++;
    return 0;
}

static void ledger_drop(struct ledger_queue *queue)
{
    buffer_free(&queue->bytes);
    queue->count = 0;
}

bool ledger_restore_due(const struct ledger_actor *actor)
{
    return actor->lane != NULL && !actor->introduced && actor->committed > 0;
}

// What an input takes of the window: a state that goes before it takes its share, too, or the
// states of many actors that move at once would fill the batch.
static uint64_t ledger_cost(const struct ledger_actor *actor, size_t bytes)
{
    return bytes + LEDGER_INPUT_OVERHEAD +
           (ledger_restore_due(actor) ? buffer_size(&actor->state) : 0);
}

// The oldest entry is under way no more; it can still be read.
static void ledger_take_first(struct ledger_lane *lane)
{
    const struct ledger_entry *entry = &lane->entries[lane->first];

    buffer_consume(&lane->payloads, entry->bytes);
    lane->cost -= entry->cost;
    lane->first = (lane->first + 1) % LEDGER_LANE_INPUTS;
    lane->count--;
}

void ledger_actor_init(struct ledger_actor *actor, uint64_t id)
{
    *actor = (struct ledger_actor){.id = id};
    list_init(&actor->of_lane);
    list_init(&actor->waiting);
}

void ledger_actor_fini(struct ledger_actor *actor)
{
    CHECK(actor->lane == NULL);
    list_remove(&actor->of_lane);
    list_remove(&actor->waiting);
    buffer_free(&actor->state);
    ledger_drop(&actor->queue);
}

struct ledger_lane *ledger_lane_create(void)
{
    struct ledger_lane *lane = calloc(1, sizeof(*lane));

    if (lane != NULL)
        list_init(&lane->bound);
    return lane;
}

void ledger_lane_destroy(struct ledger_lane *lane)
{
    if (lane == NULL)
        return;
    CHECK(list_empty(&lane->bound) && lane->count == 0);
    buffer_free(&lane->payloads);
    free(lane);
}

void ledger_bind(struct ledger_actor *actor, struct ledger_lane *lane)
{
    // In a list without a lane: `lost` is still to be called for it.
    CHECK(actor->lane == NULL && list_empty(&actor->of_lane) && !actor->torn);
    actor->lane = lane;
    actor->epoch++;
    actor->introduced = false;
    list_push(&lane->bound, &actor->of_lane);
    lane->load++;
}

void ledger_unbind(struct ledger_actor *actor)
{
    if (actor->lane == NULL)
        return;
    CHECK(actor->delivered == actor->committed);
    actor->lane->load--;
    actor->lane = NULL;
    list_remove(&actor->of_lane);
}

bool ledger_ready(const struct ledger_actor *actor, size_t bytes)
{
    const struct ledger_lane *lane = actor->lane;

    if (lane == NULL || lane->count == LEDGER_LANE_INPUTS)
        return false;
    if (lane->count > 0 && lane->cost + ledger_cost(actor, bytes) > LEDGER_LANE_BYTES)
        return false;
    return actor->trust == LEDGER_TRUSTED ||
           (actor->trust == LEDGER_SUSPECT && lane->suspect == NULL);
}

int ledger_deliver(struct ledger_actor *actor, struct ledger_input *input)
{
    struct ledger_lane *lane = actor->lane;
    uint32_t bytes = ledger_bytes(input);

    CHECK(ledger_ready(actor, bytes));
    buffer_trim(&lane->payloads, LEDGER_LANE_KEEP);
    if (ledger_keep_bytes(&lane->payloads, input) != 0)
        return -ENOMEM;
    input->sequence = ++actor->delivered;
    lane->entries[(lane->first + lane->count) % LEDGER_LANE_INPUTS] =
        (struct ledger_entry){.actor = actor,
                              .sequence = input->sequence,
                              .now_ms = input->now_ms,
                              .prefix = (uint32_t)input->prefix.size,
                              .bytes = bytes,
                              .kind = input->kind,
                              .cost = ledger_cost(actor, bytes)};
    lane->cost += lane->entries[(lane->first + lane->count) % LEDGER_LANE_INPUTS].cost;
    lane->count++;
    actor->introduced = true;
    if (actor->trust == LEDGER_SUSPECT) {
        actor->trust = LEDGER_TRIED;
        lane->suspect = actor;
    }
    return 0;
}

int ledger_queue_push(struct ledger_actor *actor, const struct ledger_input *input)
{
    return ledger_append(&actor->queue, input);
}

bool ledger_queue_head(const struct ledger_actor *actor, struct ledger_input *out_input)
{
    const uint8_t *data = buffer_data(&actor->queue.bytes);
    struct ledger_head head;

    if (actor->queue.count == 0)
        return false;
    memcpy(&head, data, sizeof(head));
    data += sizeof(head);
    *out_input = (struct ledger_input){.kind = head.kind,
                                       .now_ms = head.now_ms,
                                       .prefix = {data, head.prefix},
                                       .payload = {data + head.prefix, head.bytes - head.prefix}};
    return true;
}

void ledger_queue_pop(struct ledger_actor *actor)
{
    struct ledger_input input;

    CHECK(ledger_queue_head(actor, &input));
    buffer_consume(&actor->queue.bytes,
                   sizeof(struct ledger_head) + input.prefix.size + input.payload.size);
    if (--actor->queue.count == 0)
        ledger_drop(&actor->queue);
}

bool ledger_commit(struct ledger_lane *lane, uint64_t id, uint32_t epoch, uint64_t sequence,
                   struct ledger_actor **out_actor, struct ledger_input *out_input)
{
    struct ledger_entry *entry = &lane->entries[lane->first];
    struct ledger_actor *actor = entry->actor;
    const uint8_t *data;

    if (lane->count == 0 || actor->id != id || actor->epoch != epoch || entry->sequence != sequence)
        return false;
    // Consumed bytes stay where they are until something is appended.
    data = buffer_data(&lane->payloads);
    ledger_take_first(lane);
    actor->committed = sequence;
    if (actor->trust == LEDGER_TRIED) {
        lane->suspect = NULL;
        actor->trust = LEDGER_TRUSTED;
        actor->strikes = 0;
    }
    *out_actor = actor;
    *out_input = (struct ledger_input){.kind = entry->kind,
                                       .sequence = sequence,
                                       .now_ms = entry->now_ms,
                                       .prefix = {data, entry->prefix},
                                       .payload = {data, entry->bytes - entry->prefix}};
    if (entry->prefix > 0) // data is NULL when all inputs so far were empty
        out_input->payload.data += entry->prefix;
    return true;
}

int ledger_state_set(struct ledger_actor *actor, uint32_t version, struct bytes state)
{
    struct buffer fresh = {0};

    // In place when it fits: a state that is committed again and again costs no allocation. One
    // that has shrunk a lot gives its memory back.
    if (state.size > 0 && state.size <= actor->state.capacity &&
        actor->state.capacity / 4 <= state.size + LEDGER_STATE_SLACK) {
        buffer_truncate(&actor->state, 0);
        CHECK(buffer_append(&actor->state, state.data, state.size) == 0);
        actor->state_version = version;
        return 0;
    }
    if (buffer_append(&fresh, state.data, state.size) != 0)
        return -ENOMEM;
    buffer_free(&actor->state);
    actor->state = fresh;
    actor->state_version = version;
    return 0;
}

// Puts every entry of the lane into its actor's queue of what comes back.
static void ledger_give_back(struct ledger_lane *lane)
{
    while (lane->count > 0) {
        const struct ledger_entry *entry = &lane->entries[lane->first];
        const uint8_t *data = buffer_data(&lane->payloads);
        struct ledger_actor *actor = entry->actor;
        struct ledger_input input = {.kind = entry->kind,
                                     .now_ms = entry->now_ms,
                                     .prefix = {data, entry->prefix},
                                     .payload = {data, entry->bytes - entry->prefix}};

        if (entry->prefix > 0) // data is NULL when all inputs so far were empty
            input.payload.data += entry->prefix;
        if (ledger_append(&actor->back, &input) != 0)
            actor->torn = true;
        ledger_take_first(lane);
    }
}

// What came back goes before what was queued already; a queue with a hole is no queue.
static void ledger_requeue(struct ledger_actor *actor)
{
    struct ledger_queue *queue = &actor->queue;
    struct ledger_queue *back = &actor->back;

    if (back->count > 0 && queue->count > 0 && !actor->torn &&
        buffer_append(&back->bytes, buffer_data(&queue->bytes), buffer_size(&queue->bytes)) != 0)
        actor->torn = true;
    if (actor->torn) {
        ledger_drop(queue);
        ledger_drop(back);
    } else if (back->count > 0) {
        back->count += queue->count;
        ledger_drop(queue);
        *queue = *back;
        *back = (struct ledger_queue){0};
    }
}

void ledger_lose(struct ledger_lane *lane, bool died,
                 void (*lost)(void *context, struct ledger_actor *actor, bool kept), void *context)
{
    struct list actors;
    struct list *node;

    ledger_give_back(lane);
    if (died && lane->suspect != NULL) {
        lane->suspect->strikes++;
        // Last in line from now on: workers that are killed from outside, each as soon as it is up,
        // strike one after another, and not the same one until it is closed.
        list_remove(&lane->suspect->of_lane);
        list_push(&lane->bound, &lane->suspect->of_lane);
    }
    lane->suspect = NULL;
    list_init(&actors);
    list_splice(&actors, &lane->bound);
    for (node = actors.next; node != &actors; node = node->next) {
        struct ledger_actor *actor = container_of(node, struct ledger_actor, of_lane);

        // Who was tried has proved nothing, even if nobody died.
        if (actor->trust == LEDGER_TRIED || (died && actor->delivered != actor->committed))
            actor->trust = LEDGER_SUSPECT;
        actor->delivered = actor->committed;
        actor->lane = NULL;
        lane->load--;
        ledger_requeue(actor);
    }
    while ((node = list_pop(&actors)) != NULL) {
        struct ledger_actor *actor = container_of(node, struct ledger_actor, of_lane);

        lost(context, actor, !actor->torn);
    }
}
