#include "child.h"

typedef enum child_action (*child_step)(struct child *child, uint64_t now_ms);

static void child_enter(struct child *child, enum child_state state, uint64_t deadline)
{
    CHECK(state < CHILD_STATE_COUNT);
    child->state = state;
    child->deadline = deadline;
}

// splitmix64: small, good enough to keep the children of one node from starting all at once.
static uint64_t next_random(struct child *child)
{
    uint64_t z = (child->random += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t back_off(struct child *child)
{
    uint64_t delay = CHILD_BACK_OFF_MIN_MS;

    for (uint32_t i = 1; i < child->streak && delay < CHILD_BACK_OFF_MAX_MS; i++)
        delay *= 2;
    if (child->failed || child->streak >= CHILD_LOOP_DEATHS || delay > CHILD_BACK_OFF_MAX_MS)
        delay = CHILD_BACK_OFF_MAX_MS;
    return delay + next_random(child) % (delay / 4 + 1);
}

static enum child_action ignore(struct child *child, uint64_t now_ms)
{
    (void)child;
    (void)now_ms;
    return CHILD_NOTHING;
}

static enum child_action wrong(struct child *child, uint64_t now_ms)
{
    (void)child;
    (void)now_ms;
    return CHILD_WRONG;
}

static enum child_action spawn(struct child *child, uint64_t now_ms)
{
    child->failed = false;
    child->ready_at = 0;
    child->spawned_at = now_ms;
    child_enter(child, CHILD_SPAWNING, CHILD_NEVER);
    return CHILD_SPAWN;
}

static enum child_action spawned(struct child *child, uint64_t now_ms)
{
    child->lives++;
    child->spawned_at = now_ms;
    child_enter(child, CHILD_STARTING, now_ms + CHILD_SLOW_MS);
    return CHILD_NOTHING;
}

static enum child_action become_ready(struct child *child, uint64_t now_ms)
{
    child->ready_at = now_ms;
    child_enter(child, CHILD_READY, CHILD_NEVER);
    return CHILD_REPORT_READY;
}

static enum child_action failed(struct child *child, uint64_t now_ms)
{
    (void)now_ms;
    child->failed = true;
    return CHILD_NOTHING;
}

static enum child_action died(struct child *child, uint64_t now_ms)
{
    if (child->ready_at != 0 && now_ms - child->ready_at >= CHILD_STEADY_MS)
        child->streak = 0;
    child->streak++;
    child->deaths++;
    if (!child->settled && (child->failed || child->streak >= child->rules.start_deaths_max)) {
        child_enter(child, CHILD_GIVEN_UP, CHILD_NEVER);
        return CHILD_GIVE_UP;
    }
    child_enter(child, CHILD_BACKING_OFF, now_ms + back_off(child));
    return child->streak == CHILD_LOOP_DEATHS ? CHILD_REPORT_LOOP : CHILD_REPORT_DEATH;
}

static enum child_action hung(struct child *child, uint64_t now_ms)
{
    (void)now_ms;
    child_enter(child, CHILD_REPLACING, CHILD_NEVER);
    return CHILD_END;
}

static enum child_action settle(struct child *child, uint64_t now_ms)
{
    (void)now_ms;
    child->settled = true;
    return CHILD_NOTHING;
}

static enum child_action ask(struct child *child, uint64_t now_ms)
{
    child_enter(child, CHILD_STOPPING, now_ms + child->rules.stop_timeout_ms);
    return CHILD_ASK;
}

// It is being killed already; not for the stop's sake, so that the stop can still be orderly.
static enum child_action await_end(struct child *child, uint64_t now_ms)
{
    child_enter(child, CHILD_STOPPING, now_ms + child->rules.stop_timeout_ms);
    return CHILD_NOTHING;
}

static enum child_action end(struct child *child, uint64_t now_ms)
{
    (void)now_ms;
    child_enter(child, CHILD_KILLED, CHILD_NEVER);
    return CHILD_END;
}

static enum child_action done(struct child *child, uint64_t now_ms)
{
    (void)now_ms;
    child_enter(child, CHILD_STOPPED, CHILD_NEVER);
    return CHILD_DONE;
}

static enum child_action tick_starting(struct child *child, uint64_t now_ms)
{
    if (now_ms < child->deadline)
        return CHILD_NOTHING;
    child_enter(child, CHILD_STARTING, CHILD_NEVER);
    return CHILD_REPORT_SLOW;
}

static enum child_action tick_backing_off(struct child *child, uint64_t now_ms)
{
    return now_ms < child->deadline ? CHILD_NOTHING : spawn(child, now_ms);
}

static enum child_action tick_stopping(struct child *child, uint64_t now_ms)
{
    return now_ms < child->deadline ? CHILD_NOTHING : end(child, now_ms);
}

// Rows in the order of enum child_event:
//  START SPAWNED SPAWN_FAILED | SAYS_READY SAYS_FAILED EXITED HUNG | SETTLE STOP KILL TICK
// Reports may come late (they travel through a queue); a process's own events may not.
static const child_step table[CHILD_STATE_COUNT][CHILD_EVENT_COUNT] = {
    [CHILD_IDLE] = {spawn, wrong, wrong, ignore, ignore, wrong, ignore, settle, done, done, ignore},
    [CHILD_SPAWNING] = {wrong, spawned, died, ignore, ignore, wrong, ignore, settle, wrong, wrong,
                        ignore},
    [CHILD_STARTING] = {wrong, wrong, wrong, become_ready, failed, died, hung, settle, ask, end,
                        tick_starting},
    [CHILD_READY] = {wrong, wrong, wrong, ignore, failed, died, hung, settle, ask, end, ignore},
    [CHILD_REPLACING] = {wrong, wrong, wrong, ignore, failed, died, ignore, settle, await_end, end,
                         ignore},
    [CHILD_BACKING_OFF] = {wrong, wrong, wrong, ignore, ignore, wrong, ignore, settle, done, done,
                           tick_backing_off},
    [CHILD_STOPPING] = {wrong, wrong, wrong, ignore, ignore, done, ignore, settle, ignore, end,
                        tick_stopping},
    [CHILD_KILLED] = {wrong, wrong, wrong, ignore, ignore, done, ignore, settle, ignore, ignore,
                      ignore},
    [CHILD_GIVEN_UP] = {wrong, wrong, wrong, ignore, ignore, wrong, ignore, settle, done, done,
                        ignore},
    [CHILD_STOPPED] = {wrong, wrong, wrong, ignore, ignore, wrong, ignore, settle, ignore, ignore,
                       ignore},
};

void child_init(struct child *child, const struct child_rules *rules)
{
    CHECK(rules->start_deaths_max >= 1);
    *child = (struct child){
        .rules = *rules,
        .state = CHILD_IDLE,
        .deadline = CHILD_NEVER,
        .random = rules->seed,
    };
}

enum child_action child_event(struct child *child, enum child_event event, uint64_t now_ms)
{
    CHECK(event < CHILD_EVENT_COUNT && child->state < CHILD_STATE_COUNT);
    return table[child->state][event](child, now_ms);
}

bool child_alive(const struct child *child)
{
    switch (child->state) {
    case CHILD_STARTING:
    case CHILD_READY:
    case CHILD_REPLACING:
    case CHILD_STOPPING:
    case CHILD_KILLED:
        return true;
    default:
        return false;
    }
}

const char *child_state_text(enum child_state state)
{
    static const char *const texts[CHILD_STATE_COUNT] = {
        [CHILD_IDLE] = "idle",           [CHILD_SPAWNING] = "spawning",
        [CHILD_STARTING] = "starting",   [CHILD_READY] = "ready",
        [CHILD_REPLACING] = "replacing", [CHILD_BACKING_OFF] = "backing off",
        [CHILD_STOPPING] = "stopping",   [CHILD_KILLED] = "killed",
        [CHILD_GIVEN_UP] = "given up",   [CHILD_STOPPED] = "stopped",
    };

    CHECK(state < CHILD_STATE_COUNT);
    return texts[state];
}
