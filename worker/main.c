// troupe_worker_main(): arguments and environment of a worker program.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <troupe/actor.h>

#include "log.h"
#include "os.h"
#include "runtime.h"

enum { MAIN_EXIT_USAGE = 2 };

// A number from the environment; `absent` when it is not set. False: it is none, or above max.
static bool main_number(const char *name, uint32_t absent, uint32_t max, uint32_t *out_number)
{
    const char *text = os_environment(name);
    uint32_t number = 0;

    if (text == NULL) {
        *out_number = absent;
        return true;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || number > max / 10)
            return false;
        number = number * 10 + (uint32_t)(*c - '0');
    }
    if (*text == '\0' || number > max)
        return false;
    *out_number = number;
    return true;
}

static void main_usage(const struct troupe_actor *actor)
{
    printf("%s - a worker of a Troupe node\n"
           "\n"
           "It is started by 'troupe up' (workers.command) and serves the clients of the gateway.\n"
           "By itself it has nothing to do; proto/PROTOCOL.md lists the environment it expects.\n"
           "\n"
           "exit codes: 0 stopped in order, 1 failure, 2 wrong usage, 3 refused by the gateway\n",
           actor->name);
}

static bool main_name_is_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t size = name == NULL ? 0 : strlen(name);

    return size >= 1 && size <= 63 && strspn(name, allowed) == size;
}

int troupe_worker_main(int argc, char **argv, const struct troupe_actor *actor)
{
    const char *address = os_environment("TROUPE_LINK");
    const char *token = os_environment("TROUPE_TOKEN");
    const char *level_text = os_environment("TROUPE_LOG_LEVEL");
    struct runtime_config config = {.actor = actor};
    enum log_level level = LOG_INFO;
    char program[32];
    int code;

    os_init();
    CHECK(main_name_is_valid(actor->name));
    CHECK(actor->version == NULL || strlen(actor->version) <= 63);
    CHECK((actor->save == NULL) == (actor->load == NULL) &&
          (actor->save == NULL) == (actor->drop == NULL));
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        main_usage(actor);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("%s %s, troupe %s\n", actor->name, actor->version ? actor->version : "",
               TROUPE_VERSION);
        return 0;
    }
    if (address == NULL) {
        fprintf(stderr, "%s: TROUPE_LINK is not set: a worker is started by 'troupe up'\n",
                actor->name);
        return MAIN_EXIT_USAGE;
    }
    if (!main_number("TROUPE_SHARDS", 1, RUNTIME_SHARDS_MAX, &config.shards) ||
        config.shards == 0 ||
        !main_number("TROUPE_WORKER", 0, UINT32_MAX / 16, &config.uplink.worker)) {
        fprintf(stderr, "%s: TROUPE_SHARDS or TROUPE_WORKER is no number in its range\n",
                actor->name);
        return MAIN_EXIT_USAGE;
    }
    if (level_text != NULL)
        (void)log_level_parse(level_text, &level);
    snprintf(program, sizeof(program), "worker %u", (unsigned)config.uplink.worker);
    (void)log_init(&(struct log_config){
        .program = program, .level = level, .file = os_environment("TROUPE_LOG_FILE")});
    config.uplink.address = address;
    config.uplink.token = token != NULL ? token : "";
    config.uplink.app = actor->name;
    config.uplink.app_version = actor->version != NULL ? actor->version : "";
    config.uplink.process_id = os_process_id();
    code = runtime_run(&config);
    log_fini();
    return code;
}
