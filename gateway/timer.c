#include <stdlib.h>

#include "timer.h"

enum { TIMERS_ROOM_MIN = 64 };

static bool timer_before(const struct timer *a, const struct timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void timers_put(struct timers *timers, struct timer *timer, uint32_t place)
{
    timers->heap[place] = timer;
    timer->place = place;
}

// Moves the timer from a free place to where it belongs, up or down.
static void timers_settle(struct timers *timers, struct timer *timer, uint32_t place)
{
    while (place > 1 && timer_before(timer, timers->heap[place / 2])) {
        timers_put(timers, timers->heap[place / 2], place);
        place /= 2;
    }
    for (;;) {
        uint32_t child = place * 2;

        if (child < timers->count && timer_before(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (child > timers->count || !timer_before(timers->heap[child], timer))
            break;
        timers_put(timers, timers->heap[child], place);
        place = child;
    }
    timers_put(timers, timer, place);
}

static int timers_grow(struct timers *timers)
{
    uint32_t capacity = timers->capacity == 0 ? TIMERS_ROOM_MIN : timers->capacity * 2;
    struct timer **heap;

    if (timers->count + 1 < timers->capacity)
        return 0;
    heap = realloc(timers->heap, capacity * sizeof(struct timer *));
    if (heap == NULL)
        return -ENOMEM;
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int timers_set(struct timers *timers, struct timer *timer, uint64_t due_ms)
{
    if (timer->place == 0) {
        if (timers_grow(timers) != 0)
            return -ENOMEM;
        timer->place = ++timers->count;
        timers->heap[timer->place] = timer;
    }
    timer->due_ms = due_ms;
    timer->order = ++timers->order;
    timers_settle(timers, timer, timer->place);
    return 0;
}

void timers_cancel(struct timers *timers, struct timer *timer)
{
    struct timer *last;
    uint32_t place = timer->place;

    if (place == 0)
        return;
    CHECK(place <= timers->count && timers->heap[place] == timer);
    last = timers->heap[timers->count--];
    timer->place = 0;
    if (last != timer)
        timers_settle(timers, last, place);
}

bool timer_is_set(const struct timer *timer)
{
    return timer->place != 0;
}

uint64_t timers_next_ms(const struct timers *timers)
{
    return timers->count == 0 ? TIMER_NEVER : timers->heap[1]->due_ms;
}

struct timer *timers_pop(struct timers *timers, uint64_t now_ms)
{
    struct timer *timer;

    if (timers->count == 0 || timers->heap[1]->due_ms > now_ms)
        return NULL;
    timer = timers->heap[1];
    timers_cancel(timers, timer);
    return timer;
}

void timers_fini(struct timers *timers)
{
    CHECK(timers->count == 0);
    free(timers->heap);
    *timers = (struct timers){0};
}
