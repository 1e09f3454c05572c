// timer.h - many timers in one queue, the next one to fire in front.
// Floor 1. Pure: the time comes in.
//
//   1. struct timers timers = {0}
//   2. timers_set() a timer that its owner embeds (and zeroed once); again moves it
//   3. timers_next_ms() says when to look, timers_pop() gives those that are due, oldest first
//   4. timers_fini() when none is set
//
// A binary heap of pointers: set and cancel cost the logarithm of their number. Timers that are due
// at the same time fire in the order in which they were set.
#ifndef TROUPE_TIMER_H
#define TROUPE_TIMER_H

#include "base.h"

#define TIMER_NEVER UINT64_MAX

struct timer {
    uint64_t due_ms;
    uint64_t order; // breaks ties
    uint32_t place; // in the heap, from 1; 0 = not set
};

struct timers {
    struct timer **heap; // heap[0] is unused
    uint32_t count;
    uint32_t capacity;
    uint64_t order;
};

// 0 or -ENOMEM (the timer is as it was).
int timers_set(struct timers *timers, struct timer *timer, uint64_t due_ms);

// Harmless when it is not set.
void timers_cancel(struct timers *timers, struct timer *timer);

bool timer_is_set(const struct timer *timer);

// When the first one is due, TIMER_NEVER if there is none.
uint64_t timers_next_ms(const struct timers *timers);

// The first one that is due at now_ms, no longer set; NULL when there is none.
struct timer *timers_pop(struct timers *timers, uint64_t now_ms);

void timers_fini(struct timers *timers); // none is set

#endif
