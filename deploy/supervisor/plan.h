// plan.h - what a node consists of: its shards, its workers, and how each process is started.
// Floor 2. Pure: cores, configuration and paths in, argument vectors and environments out.
//
//   1. plan_command_split() on workers.command; look its first word up
//   2. plan_create()
//   3. plan.gateway, plan.workers[0 .. worker_count - 1]
//   4. plan_destroy()
#ifndef TROUPE_PLAN_H
#define TROUPE_PLAN_H

#include <stdio.h>

#include "base.h"
#include "config.h"

enum {
    PLAN_WORDS_MAX = 64,    // words of a command
    PLAN_SHARDS_MAX = 64,   // most that gateway.shards may be
    PLAN_WORKERS_MAX = 256, // most that workers.count may be
};

// A command in words. "..." groups what is between into a word, also within one (a"b c"d), and may
// be empty; there is no other quoting and no shell. Words end at blanks and tabs.
struct plan_command {
    char text[CONFIG_TEXT_MAX]; // the words, each with its end
    char *words[PLAN_WORDS_MAX + 1];
    size_t count; // 1 at least; words[count] is NULL
};

// 0, or -EINVAL with a static text in out_why.
int plan_command_split(const char *text, struct plan_command *out_command, const char **out_why);

// Texts that belong to the list; items[count] is NULL.
struct plan_list {
    char **items;
    size_t count;
    size_t capacity;
};

struct plan_process {
    struct plan_list arguments; // items[0] is the program
    struct plan_list environment;
};

struct plan_input {
    const struct config *config; // checked
    uint32_t cores;
    const char *gateway_program;
    const char *const *arguments; // the configuration's arguments of `troupe up`, for the gateway
    size_t argument_count;
    const char *worker_program;         // what the command's first word was found to be
    const struct plan_command *command; // of the workers
    const char *link;                   // base of the shards' nng addresses
    const char *token;                  // the node's secret, printable
};

struct plan {
    uint32_t shards;
    uint32_t worker_count;
    struct plan_process gateway;
    struct plan_process *workers;
};

uint32_t plan_shards(const struct config *config, uint32_t cores);  // auto: one for every 4 cores
uint32_t plan_workers(const struct config *config, uint32_t cores); // auto: one per core

// 0 or -ENOMEM.
int plan_create(struct plan *out_plan, const struct plan_input *input);
void plan_destroy(struct plan *plan);

// For a gateway that was told "any free port": when it is started again, it takes the one it got.
// 0 or -ENOMEM (the plan is as before).
int plan_fix_listen(struct plan *plan, const char *listen);

// The processes as comments of a YAML file, without the token.
void plan_print(const struct plan *plan, FILE *to);

#endif
