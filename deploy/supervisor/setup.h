// setup.h - what must stand before a node starts: configuration, codec, programs, the plan.
// Floor 3.
//
// `troupe up` and `troupe check` do this alike; nothing is started and nothing is written.
#ifndef TROUPE_SETUP_H
#define TROUPE_SETUP_H

#include "base.h"
#include "config.h"
#include "os.h"
#include "plan.h"

struct setup {
    struct config config;
    struct plan plan;
};

struct setup_error {
    char text[OS_PATH_MAX + CONFIG_TEXT_MAX + 128]; // one line
};

// arguments[1..count-1] are [--config FILE] [--section.key=value ...]; reordered. 0; a negative
// errno with out_error filled, -ENOMEM when it is not the user's fault.
int setup_create(struct setup *out_setup, int count, char **arguments,
                 struct setup_error *out_error);
void setup_destroy(struct setup *setup);

#endif
