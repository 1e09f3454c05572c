#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "os.h"
#include "slot.h"

enum {
    POLL_MS_MAX = 100,
    POLL_MS_TIMED = 10, // while the clock matters
    CONNECTING_MAX = 256,
    PROGRESS_MS = 1000,
};

struct load {
    struct slot_run run;
    struct slot *slots; // clients first, then idle ones
    uint32_t slot_count;
    uint64_t due_total; // rate: frames due by now
    uint64_t show_ms;   // when progress is shown next
};

static bool load_open(struct load *load)
{
    const struct options *options = load->run.options;
    struct client_config config = {
        .to = options->connect,
        .codec = options->codec,
        .count_max = load->slot_count,
        .connecting_max = CONNECTING_MAX,
        .outbox_max = 256 * 1024,
        .handler = &slot_handler,
    };
    uint32_t i;

    load->slots = calloc(load->slot_count, sizeof *load->slots);
    load->run.scratch = malloc(options->size_max + 1);
    if (!load->slots || !load->run.scratch || client_create(&load->run.client, &config) < 0)
        return false;
    load->run.talkers[SLOT_CONNECTING] = options->clients;
    load->run.silent[SLOT_CONNECTING] = options->idle;
    for (i = 0; i < load->slot_count; i++) {
        struct slot *slot = &load->slots[i];

        slot->run = &load->run;
        slot->number = i;
        slot->idle = i >= options->clients;
        slot->due = options->rate > 0 || options->mode == OPTIONS_CONNECT_EACH ? 0 : UINT64_MAX;
        if (!slot->idle && options->rate == 0) {
            slot->sent_ns = calloc(options->window, sizeof *slot->sent_ns);
            if (!slot->sent_ns)
                return false;
        }
        // With a connection for each message the idle ones come first.
        if (slot->idle || options->mode == OPTIONS_STREAM)
            slot_open(slot);
    }
    return true;
}

// Gives up what still stands; all of that is local and ends by itself.
static void load_free(struct load *load)
{
    uint32_t i;

    load->run.phase = PHASE_OVER;
    if (load->run.client) {
        client_abort_all(load->run.client);
        CHECK(client_drain(load->run.client, 60000) == 0);
        client_destroy(load->run.client);
    }
    for (i = 0; load->slots && i < load->slot_count; i++)
        free(load->slots[i].sent_ns);
    free(load->slots);
    free(load->run.scratch);
}

// How many frames a run with a rate sends in all.
static uint64_t due_last(const struct options *options)
{
    return options->frames > 0 ? options->frames * options->clients : UINT64_MAX;
}

// Deals the frames that have come due to the clients, in turn.
static void deal_due(struct load *load, uint64_t now_ns)
{
    const struct options *options = load->run.options;

    while (load->due_total < due_last(options) &&
           slot_due_ns(&load->run, load->due_total) <= now_ns) {
        struct slot *slot = &load->slots[load->due_total % options->clients];

        load->due_total++;
        slot->due++;
        slot_pump(slot);
    }
}

static void processes_sample(struct load *load, bool end)
{
    uint32_t i;

    for (i = 0; i < load->run.options->pid_count; i++) {
        struct result_process *process = &load->run.result->processes[i];

        process->id = load->run.options->pids[i];
        process->cpu_us = os_cpu_time_us(process->id) - process->cpu_us;
        if (end)
            process->resident_bytes = os_resident_bytes(process->id);
    }
}

static void start_talking(struct load *load)
{
    uint32_t i;

    load->run.phase = PHASE_TALK;
    processes_sample(load, false);
    load->run.start_ns = os_now_ns();
    slot_progress(&load->run);
    for (i = 0; i < load->run.options->clients; i++) {
        if (load->run.options->mode == OPTIONS_CONNECT_EACH)
            slot_open(&load->slots[i]);
        else
            slot_pump(&load->slots[i]);
    }
}

static void stop_sending(struct load *load)
{
    uint32_t i;

    load->run.phase = PHASE_STOP;
    for (i = 0; i < load->run.options->clients; i++)
        slot_pump(&load->slots[i]);
}

static void start_closing(struct load *load)
{
    uint32_t i;

    load->run.phase = PHASE_CLOSE;
    load->run.result->ns = os_now_ns() - load->run.start_ns;
    processes_sample(load, true);
    for (i = 0; i < load->slot_count; i++)
        slot_close(&load->slots[i]);
}

// True when the phase's aim is reached.
static bool phase_over(const struct load *load)
{
    const struct options *options = load->run.options;
    const uint32_t *talkers = load->run.talkers;
    bool each = options->mode == OPTIONS_CONNECT_EACH;

    switch (load->run.phase) {
    case PHASE_CONNECT:
        return load->run.silent[SLOT_CONNECTING] == 0 && (each || talkers[SLOT_CONNECTING] == 0);
    case PHASE_TALK:
        if (options->seconds > 0 && load->run.result->error_count == 0)
            return false;
        // fall through
    case PHASE_STOP:
        return talkers[SLOT_CONNECTING] == 0 && talkers[SLOT_TALKING] == 0 &&
               (!each || talkers[SLOT_ANSWERED] == 0);
    default:
        return client_count(load->run.client) == 0;
    }
}

static void phase_step(struct load *load, uint64_t now_ns)
{
    const struct options *options = load->run.options;

    if (load->run.phase == PHASE_TALK && options->rate > 0)
        deal_due(load, now_ns);
    if (load->run.phase == PHASE_TALK && options->seconds > 0 &&
        now_ns - load->run.start_ns >= (uint64_t)options->seconds * 1000000000U)
        stop_sending(load);
    if (load->run.phase == PHASE_TALK && options->clients == 0)
        slot_progress(&load->run); // holding idle connections is all there is to do
    if (!phase_over(load))
        return;
    if (load->run.phase == PHASE_CONNECT)
        start_talking(load);
    else if (load->run.phase != PHASE_CLOSE)
        start_closing(load);
}

static int poll_ms(const struct load *load, uint64_t now_ns)
{
    const struct options *options = load->run.options;
    uint64_t due;

    if (load->run.phase != PHASE_TALK)
        return POLL_MS_MAX;
    if (options->rate == 0 || load->due_total == due_last(options))
        return options->seconds > 0 ? POLL_MS_TIMED : POLL_MS_MAX;
    // Below a millisecond it does not wait, so that frames leave when they are due.
    due = slot_due_ns(&load->run, load->due_total);
    if (due <= now_ns)
        return 0;
    due = (due - now_ns) / 1000000U;
    return due > POLL_MS_TIMED ? POLL_MS_TIMED : (int)due;
}

static void show_progress(struct load *load, uint64_t now_ms)
{
    const struct result *result = load->run.result;

    if (load->run.options->quiet || now_ms < load->show_ms)
        return;
    load->show_ms = now_ms + PROGRESS_MS;
    fprintf(stderr, "troupe-bench: %u connections, %llu frames answered, %llu errors\n",
            (unsigned)client_connected(load->run.client), (unsigned long long)result->frames,
            (unsigned long long)result->error_count);
}

static void loop(struct load *load)
{
    const struct options *options = load->run.options;

    slot_progress(&load->run);
    load->show_ms = os_now_ms() + 2 * PROGRESS_MS; // short runs are silent
    while (load->run.phase != PHASE_CLOSE || !phase_over(load)) {
        uint64_t now_ms;

        phase_step(load, os_now_ns());
        client_poll(load->run.client, poll_ms(load, os_now_ns()));
        now_ms = os_now_ms();
        show_progress(load, now_ms);
        if (now_ms < load->run.progress_ms + options->timeout_ms)
            continue;
        result_add_error(
            load->run.result, RESULT_TIMEOUT,
            "no progress for %u ms: %u connections stand, %llu of %llu frames answered",
            (unsigned)options->timeout_ms, (unsigned)client_connected(load->run.client),
            (unsigned long long)load->run.result->frames,
            (unsigned long long)load->run.result->frames_sent);
        if (load->run.phase == PHASE_TALK || load->run.phase == PHASE_STOP)
            start_closing(load);
        return;
    }
}

void load_run(const struct options *options, struct result *out_result)
{
    struct load load = {
        .run =
            {
                .options = options,
                .result = out_result,
                .pattern =
                    {
                        .seed = options->seed,
                        .alphabet =
                            options->codec.kind == FRAME_LINE ? PATTERN_TEXT : PATTERN_BINARY,
                        .size_min = (size_t)options->size_min,
                        .size_max = (size_t)options->size_max,
                    },
            },
        .slot_count = options->clients + options->idle,
    };

    memset(out_result, 0, sizeof *out_result);
    if (load_open(&load))
        loop(&load);
    else
        result_add_error(out_result, RESULT_LOCAL, "out of memory for %u connections",
                         (unsigned)load.slot_count);
    load_free(&load);
}
