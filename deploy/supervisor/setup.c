#include "setup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum { TOKEN_BYTES = 16 };

static BASE_PRINTF(3, 4) int fail(struct setup_error *error, int rc, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return rc;
}

static int setup_config(struct config *config, int count, char **arguments,
                        struct setup_error *error)
{
    struct config_error config_error = {{0}};
    struct frame_codec codec;
    const char *why = NULL;
    int rc;

    config_init(config);
    rc = config_from_arguments(config, &count, arguments, &config_error);
    if (rc < 0)
        return fail(error, rc, "%s", config_error.text);
    if (count > 1)
        return fail(error, -EINVAL, "unexpected argument '%s', try 'troupe help'", arguments[1]);
    rc = frame_codec_parse(&codec, config->gateway.frame, config->gateway.max_frame_bytes, &why);
    if (rc < 0)
        return fail(error, rc, "gateway.frame: '%s': %s", config->gateway.frame, why);
    return 0;
}

// Looks a program up. what: how an error calls it.
static int find_program(const char *name, const char *what, char out[OS_PATH_MAX],
                        struct setup_error *error)
{
    int rc = os_find_program(name, out);

    if (rc == -ENOENT)
        return fail(error, rc, "%s '%s' was not found, looked for '%s'", what, name, out);
    if (rc < 0)
        return fail(error, rc, "%s '%s' cannot be run: %s", what, name, error_text(rc));
    return 0;
}

// The links' addresses, checked with the longest one.
static int find_link(const struct config *config, uint32_t shards, char out[OS_PATH_MAX],
                     struct setup_error *error)
{
    char last[sizeof(config->node.name) + 16];
    int rc;

    snprintf(last, sizeof(last), "%s-%lu", config->node.name, (unsigned long)(shards - 1));
    rc = os_ipc_address(out, config->node.runtime_dir, last);
    if (rc == 0)
        rc = os_ipc_address(out, config->node.runtime_dir, config->node.name);
    if (rc < 0)
        return fail(error, rc, "node.runtime_dir: '%s' cannot hold the sockets of node '%s': %s",
                    config->node.runtime_dir, config->node.name, error_text(rc));
    return 0;
}

static void make_token(char out[2 * TOKEN_BYTES + 1])
{
    uint8_t random[TOKEN_BYTES];

    os_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
}

static int setup_plan(struct setup *setup, int count, char **arguments, struct setup_error *error)
{
    const struct config *config = &setup->config;
    char gateway[OS_PATH_MAX];
    char worker[OS_PATH_MAX];
    char link[OS_PATH_MAX];
    char token[2 * TOKEN_BYTES + 1];
    struct plan_command command;
    const char *why = NULL;
    struct plan_input input = {
        .config = config,
        .cores = os_core_count(),
        .gateway_program = gateway,
        .arguments = (const char *const *)arguments + 1,
        .argument_count = count > 1 ? (size_t)(count - 1) : 0,
        .worker_program = worker,
        .command = &command,
        .link = link,
        .token = token,
    };
    int rc = plan_command_split(config->workers.command, &command, &why);

    if (rc < 0)
        return fail(error, rc, "workers.command: '%s': %s", config->workers.command, why);
    rc = find_program(command.words[0], "workers.command: program", worker, error);
    if (rc == 0)
        rc = find_program("troupe-gateway", "program", gateway, error);
    if (rc == 0)
        rc = find_link(config, plan_shards(config, input.cores), link, error);
    if (rc < 0)
        return rc;
    make_token(token);
    rc = plan_create(&setup->plan, &input);
    return rc < 0 ? fail(error, rc, "out of memory") : 0;
}

int setup_create(struct setup *out_setup, int count, char **arguments,
                 struct setup_error *out_error)
{
    // config_from_arguments() moves them; the gateway gets them as they were.
    char **original = calloc((size_t)count + 1, sizeof(*original));
    int rc;

    if (!original)
        return fail(out_error, -ENOMEM, "out of memory");
    memcpy(original, arguments, (size_t)count * sizeof(*original));
    rc = setup_config(&out_setup->config, count, arguments, out_error);
    if (rc == 0)
        rc = setup_plan(out_setup, count, original, out_error);
    free(original);
    return rc;
}

void setup_destroy(struct setup *setup)
{
    plan_destroy(&setup->plan);
}
