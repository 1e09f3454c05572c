// Goal: whatever happens to actors, lanes and workers, each input of each actor is committed
// exactly once and in order, and the ledger shows what a simple model says. Method: seeded random
// steps. The model keeps no bytes and no queues: what input n of actor id holds follows from id and
// n, so an actor is three numbers - committed <= delivered <= accepted - and a lane a plain array.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ledger.h"

#ifndef LEDGER_STEPS
#define LEDGER_STEPS 300000
#endif

enum { SEED = 20240229, ACTORS = 24, LANES = 4, QUEUED_MAX = 300, POOL = 3 * LEDGER_LANE_BYTES };
enum { NO_LANE = LANES };

struct model_actor {
    uint64_t id;
    uint32_t lane; // or NO_LANE
    uint32_t epoch;
    uint64_t committed, delivered, accepted;
    bool suspect, tried, knows, awaits_lost;
    uint32_t strikes;
    uint64_t state_at; // the input whose commit set it, 0 = none
};

struct model_lane {
    uint32_t actors[LEDGER_LANE_INPUTS]; // whose inputs are under way, oldest first
    uint64_t costs[LEDGER_LANE_INPUTS];
    uint32_t count;
    uint64_t cost;
};

static struct ledger_actor actors[ACTORS];
static struct ledger_lane *lanes[LANES];
static struct model_actor model[ACTORS];
static struct model_lane model_lanes[LANES];
static uint8_t pool[POOL]; // every payload and state is a piece of it
static uint64_t random_state;
static uint64_t last_id;

static struct {
    uint64_t commits, wrong, replayed, losses, strikes_max, full_inputs, full_bytes, alone;
    uint64_t suspects_waited, ended_in_lost, bound_in_lost, restores;
} seen;

static uint64_t mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static uint32_t random_below(uint32_t limit)
{
    random_state += 0x9e3779b97f4a7c15u;
    return (uint32_t)(mix(random_state) >> 33) % limit;
}

// Sizes are the actor's habit: mostly a few bytes, some talk much, one in eight is above the window
// now and then.
static size_t size_of(uint64_t id, uint64_t hash)
{
    if (id % 8 == 7 && hash % 256 == 0)
        return hash / 256 % (2 * LEDGER_LANE_BYTES);
    if (id % 8 >= 6)
        return hash % 12000;
    return id % 8 == 0 ? hash % 3 : hash % 60;
}

static struct ledger_input input_of(uint64_t id, uint64_t number)
{
    uint64_t hash = mix(id * 1000003 + number);
    size_t size = size_of(id, hash >> 16);
    size_t prefix = hash % 5 < size ? hash % 5 : size;
    const uint8_t *data = pool + (hash >> 24) % (POOL - size);

    return (struct ledger_input){.kind = (uint32_t)(hash >> 40),
                                 .sequence = number,
                                 .now_ms = hash >> 3,
                                 .prefix = {data, prefix},
                                 .payload = {data + prefix, size - prefix}};
}

static size_t bytes_of(const struct ledger_input *input)
{
    return input->prefix.size + input->payload.size;
}

static struct bytes state_of(uint64_t id, uint64_t number)
{
    uint64_t hash = mix(id * 7919 + number);
    size_t size = hash % 8 == 0 ? hash / 8 % 5000 : hash / 8 % 3 * 100;

    return (struct bytes){pool + (hash >> 20) % (POOL - size), size};
}

static void compare_bytes(struct bytes got, struct bytes wanted)
{
    assert_int_equal(got.size, wanted.size);
    if (got.size > 0 && memcmp(got.data, wanted.data, got.size) != 0)
        fail_msg("%zu bytes differ", got.size);
}

static void compare_head(uint32_t i)
{
    struct ledger_input got, wanted = input_of(model[i].id, model[i].delivered + 1);

    assert_int_equal(actors[i].queue.count, model[i].accepted - model[i].delivered);
    if (!ledger_queue_head(&actors[i], &got)) {
        assert_int_equal(model[i].accepted, model[i].delivered);
        return;
    }
    assert_true(model[i].accepted > model[i].delivered);
    assert_int_equal(got.kind, wanted.kind);
    assert_int_equal(got.now_ms, wanted.now_ms);
    compare_bytes(got.prefix, wanted.prefix);
    compare_bytes(got.payload, wanted.payload);
}

static void compare_actor(uint32_t i)
{
    const struct ledger_actor *actor = &actors[i];
    const struct model_actor *is = &model[i];
    enum ledger_trust trust = is->tried     ? LEDGER_TRIED
                              : is->suspect ? LEDGER_SUSPECT
                                            : LEDGER_TRUSTED;

    assert_int_equal(actor->id, is->id);
    assert_ptr_equal(actor->lane, is->lane == NO_LANE ? NULL : lanes[is->lane]);
    assert_int_equal(actor->epoch, is->epoch);
    assert_int_equal(actor->committed, is->committed);
    assert_int_equal(actor->delivered, is->delivered);
    assert_int_equal(actor->trust, trust);
    assert_int_equal(actor->strikes, is->strikes);
    assert_false(actor->torn);
    assert_int_equal(ledger_restore_due(actor),
                     is->lane != NO_LANE && !is->knows && is->committed > 0);
    assert_int_equal(actor->state_version, (uint32_t)is->state_at);
    compare_bytes((struct bytes){buffer_data(&actor->state), buffer_size(&actor->state)},
                  is->state_at == 0 ? (struct bytes){NULL, 0} : state_of(is->id, is->state_at));
    compare_head(i);
}

static void compare_lane(uint32_t l)
{
    struct ledger_actor *suspect = NULL;
    uint32_t load = 0;

    for (uint32_t i = 0; i < ACTORS; i++) {
        if (model[i].lane != l)
            continue;
        load++;
        if (model[i].tried) {
            assert_null(suspect); // one at a time
            suspect = &actors[i];
        }
    }
    assert_int_equal(lanes[l]->load, load);
    assert_int_equal(lanes[l]->count, model_lanes[l].count);
    assert_int_equal(lanes[l]->cost, model_lanes[l].cost);
    assert_ptr_equal(lanes[l]->suspect, suspect);
}

static void compare_all(void)
{
    for (uint32_t i = 0; i < ACTORS; i++)
        compare_actor(i);
    for (uint32_t l = 0; l < LANES; l++)
        compare_lane(l);
}

// The state goes along once, ahead of the first input at a new worker.
static uint64_t cost_of(uint32_t i, size_t bytes)
{
    const struct model_actor *is = &model[i];
    bool state_goes = !is->knows && is->committed > 0 && is->state_at > 0;

    return bytes + LEDGER_INPUT_OVERHEAD + (state_goes ? state_of(is->id, is->state_at).size : 0);
}

static bool model_ready(uint32_t i, size_t bytes)
{
    const struct model_lane *lane = &model_lanes[model[i].lane];

    if (model[i].lane == NO_LANE)
        return false;
    if (lane->count >= LEDGER_LANE_INPUTS) {
        seen.full_inputs++;
        return false;
    }
    if (lane->count > 0 && lane->cost + cost_of(i, bytes) > LEDGER_LANE_BYTES) {
        seen.full_bytes++;
        return false;
    }
    for (uint32_t j = 0; model[i].suspect && j < ACTORS; j++) {
        if (model[j].lane == model[i].lane && model[j].tried) {
            seen.suspects_waited++;
            return false;
        }
    }
    seen.alone += bytes > LEDGER_LANE_BYTES;
    return true;
}

static void begin(uint32_t i)
{
    memset(&actors[i], 0xa5, sizeof(actors[i]));
    ledger_actor_init(&actors[i], ++last_id);
    model[i] = (struct model_actor){.id = last_id, .lane = NO_LANE};
}

static void bind(uint32_t i)
{
    model[i].lane = random_below(LANES);
    model[i].epoch++;
    model[i].knows = false;
    ledger_bind(&actors[i], lanes[model[i].lane]);
}

static void unbind(uint32_t i)
{
    ledger_unbind(&actors[i]);
    model[i].lane = NO_LANE;
}

// Input delivered + 1 goes out, from the queue or as it comes.
static bool deliver(uint32_t i)
{
    struct model_actor *is = &model[i];
    bool queued = is->accepted > is->delivered;
    struct ledger_input input = input_of(is->id, is->delivered + 1);
    bool ready = model_ready(i, bytes_of(&input));
    struct model_lane *lane = &model_lanes[is->lane];

    assert_int_equal(ledger_ready(&actors[i], bytes_of(&input)), ready);
    if (!ready)
        return false;
    if (queued)
        assert_true(ledger_queue_head(&actors[i], &input));
    seen.restores += ledger_restore_due(&actors[i]);
    lane->costs[lane->count] = cost_of(i, bytes_of(&input));
    lane->cost += lane->costs[lane->count];
    assert_int_equal(ledger_deliver(&actors[i], &input), 0);
    assert_int_equal(input.sequence, is->delivered + 1);
    lane->actors[lane->count++] = i;
    is->delivered++;
    is->knows = true;
    is->tried = is->suspect;
    if (queued) {
        seen.replayed++;
        ledger_queue_pop(&actors[i]);
    } else {
        is->accepted++;
    }
    return true;
}

static void push(uint32_t i)
{
    struct ledger_input input = input_of(model[i].id, model[i].accepted + 1);

    if (model[i].accepted - model[i].delivered >= QUEUED_MAX)
        return;
    assert_int_equal(ledger_queue_push(&actors[i], &input), 0);
    model[i].accepted++;
}

static void commit_taken(uint32_t l, const struct ledger_actor *actor,
                         const struct ledger_input *got)
{
    struct model_lane *lane = &model_lanes[l];
    uint32_t i = lane->actors[0];
    struct model_actor *is = &model[i];
    struct ledger_input wanted = input_of(is->id, ++is->committed);

    assert_ptr_equal(actor, &actors[i]);
    assert_int_equal(got->sequence, wanted.sequence);
    assert_int_equal(got->kind, wanted.kind);
    assert_int_equal(got->now_ms, wanted.now_ms);
    assert_int_equal(got->prefix.size, wanted.prefix.size);
    assert_int_equal(got->payload.size, wanted.payload.size);
    lane->count--;
    memmove(lane->actors, lane->actors + 1, lane->count * sizeof(lane->actors[0]));
    lane->cost -= lane->costs[0];
    memmove(lane->costs, lane->costs + 1, lane->count * sizeof(lane->costs[0]));
    is->suspect = is->tried = false;
    is->strikes = 0;
    seen.commits++;
    if (random_below(3) == 0) {
        is->state_at = is->committed;
        assert_int_equal(
            ledger_state_set(&actors[i], (uint32_t)is->state_at, state_of(is->id, is->state_at)),
            0);
    }
}

// As the worker should, or in one of the ways in which it should not.
static void commit(uint32_t l, bool right)
{
    uint32_t i = model_lanes[l].count > 0 ? model_lanes[l].actors[0] : random_below(ACTORS);
    uint32_t from = right ? i : random_below(ACTORS);
    uint64_t id = model[from].id;
    uint32_t epoch = model[from].epoch - (right ? 0 : random_below(3) == 0);
    uint64_t sequence = model[from].committed + (right ? 1 : random_below(3));
    bool fits = model_lanes[l].count > 0 && id == model[i].id && epoch == model[i].epoch &&
                sequence == model[i].committed + 1;
    struct ledger_actor *actor = NULL;
    struct ledger_input input;

    assert_int_equal(ledger_commit(lanes[l], id, epoch, sequence, &actor, &input), fits);
    if (fits) {
        commit_taken(l, actor, &input);
    } else {
        assert_null(actor);
        seen.wrong++;
    }
}

static void end(uint32_t i)
{
    if (model[i].lane != NO_LANE)
        unbind(i);
    ledger_actor_fini(&actors[i]);
    begin(i);
}

static void lost(void *context, struct ledger_actor *actor, bool kept)
{
    uint32_t i = (uint32_t)(actor - actors);

    assert_ptr_equal(context, &seen);
    assert_true(kept);
    assert_true(model[i].awaits_lost);
    model[i].awaits_lost = false;
    compare_actor(i);
    switch (random_below(4)) {
    case 0:
        end(i);
        seen.ended_in_lost++;
        break;
    case 1:
    case 2:
        bind(i);
        (void)deliver(i);
        seen.bound_in_lost++;
        break;
    default:
        break; // it waits
    }
}

static void lose(uint32_t l, bool died)
{
    for (uint32_t i = 0; i < ACTORS; i++) {
        struct model_actor *is = &model[i];

        if (is->lane != l)
            continue;
        is->strikes += died && is->tried;
        is->suspect |= died && is->delivered > is->committed;
        is->tried = false;
        is->delivered = is->committed;
        is->lane = NO_LANE;
        is->awaits_lost = true;
        if (is->strikes > seen.strikes_max)
            seen.strikes_max = is->strikes;
    }
    model_lanes[l].count = 0;
    model_lanes[l].cost = 0;
    seen.losses++;
    ledger_lose(lanes[l], died, lost, &seen);
    for (uint32_t i = 0; i < ACTORS; i++)
        assert_false(model[i].awaits_lost);
    compare_all();
}

// Another worker comes, with a lane of its own.
static void renew(uint32_t l)
{
    for (uint32_t i = 0; i < ACTORS; i++) {
        if (model[i].lane == l)
            return;
    }
    ledger_lane_destroy(lanes[l]);
    lanes[l] = ledger_lane_create();
    assert_non_null(lanes[l]);
}

// How fast workers are changes from time to time, so that lanes run full and run empty.
static void random_step(uint32_t pace)
{
    uint32_t i = random_below(ACTORS), l = random_below(LANES);
    uint32_t kind = random_below(1000);

    if (kind < 1) {
        lose(l, random_below(5) != 0);
    } else if (kind < 3) {
        renew(l);
    } else if (kind < 20 && model[i].delivered == model[i].committed) {
        unbind(i);
    } else if (kind < 22 && model[i].delivered == model[i].committed) {
        end(i);
    } else if (model[i].lane == NO_LANE && kind < 200) {
        bind(i);
    } else if (kind < 250) {
        push(i);
    } else if (kind < 300) {
        commit(l, false);
    } else if (kind < 600) {
        for (uint32_t n = random_below(pace); n > 0 && model_lanes[l].count > 0; n--)
            commit(l, true);
    } else {
        for (uint32_t n = 1 + random_below(12); n > 0 && deliver(i); n--)
            continue;
    }
    compare_actor(i);
    compare_lane(l);
}

// All that was accepted is committed in the end.
static void settle(void)
{
    for (uint32_t i = 0; i < ACTORS; i++) {
        if (model[i].lane == NO_LANE)
            bind(i);
        while (model[i].committed < model[i].accepted) {
            if (model[i].delivered < model[i].accepted)
                (void)deliver(i);
            commit(model[i].lane, true);
        }
    }
    compare_all();
}

// Otherwise the steps have become too tame to say much.
static void assert_everything_was_seen(void)
{
    assert_true(seen.commits > LEDGER_STEPS && seen.wrong > 0 && seen.replayed > 0);
    assert_true(seen.losses > 0 && seen.strikes_max > 1 && seen.suspects_waited > 0);
    assert_true(seen.full_inputs > 0 && seen.full_bytes > 0 && seen.alone > 0);
    assert_true(seen.ended_in_lost > 0 && seen.bound_in_lost > 0 && seen.restores > 0);
}

static void ledger_random_life_commits_each_input_once_in_order(void **state)
{
    static const uint32_t paces[] = {3, 60, 2, 12, 30};

    (void)state;
    random_state = SEED;
    for (size_t n = 0; n < POOL; n++)
        pool[n] = (uint8_t)mix(n);
    for (uint32_t l = 0; l < LANES; l++) {
        lanes[l] = ledger_lane_create();
        assert_non_null(lanes[l]);
    }
    for (uint32_t i = 0; i < ACTORS; i++)
        begin(i);
    for (uint32_t n = 0; n < LEDGER_STEPS; n++)
        random_step(paces[n / 8000 % ARRAY_COUNT(paces)]);
    settle();
    for (uint32_t i = 0; i < ACTORS; i++) {
        unbind(i);
        ledger_actor_fini(&actors[i]);
    }
    for (uint32_t l = 0; l < LANES; l++)
        ledger_lane_destroy(lanes[l]);
    assert_everything_was_seen();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ledger_random_life_commits_each_input_once_in_order),
    };

    printf("seed %d, %d steps\n", SEED, LEDGER_STEPS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
