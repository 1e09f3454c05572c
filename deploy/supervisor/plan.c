#include "plan.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_NAME  "TROUPE_TOKEN="
#define LISTEN_NAME "--gateway.listen="

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void list_free(struct plan_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct plan_list){0};
}

// Room for one more text and the NULL at the end. 0 or -ENOMEM.
static int list_reserve(struct plan_list *list)
{
    size_t capacity = list->capacity ? list->capacity * 2 : 8;
    char **items;

    if (list->count + 2 <= list->capacity)
        return 0;
    items = realloc(list->items, capacity * sizeof(*items));
    if (!items)
        return -ENOMEM;
    list->items = items;
    list->capacity = capacity;
    return 0;
}

// Appends "name" and "value" as one text. 0 or -ENOMEM (the list is as before).
static int list_add(struct plan_list *list, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 1;
    char *item = malloc(size);

    if (!item || list_reserve(list) < 0) {
        free(item);
        return -ENOMEM;
    }
    snprintf(item, size, "%s%s", name, value);
    list->items[list->count++] = item;
    list->items[list->count] = NULL;
    return 0;
}

static int list_add_number(struct plan_list *list, const char *name, uint32_t value)
{
    char text[16];

    snprintf(text, sizeof(text), "%lu", (unsigned long)value);
    return list_add(list, name, text);
}

static void process_free(struct plan_process *process)
{
    list_free(&process->arguments);
    list_free(&process->environment);
}

static int plan_gateway(struct plan *plan, const struct plan_input *input)
{
    struct plan_list *arguments = &plan->gateway.arguments;
    int rc = list_add(arguments, input->gateway_program, "");

    for (size_t i = 0; rc == 0 && i < input->argument_count; i++)
        rc = list_add(arguments, input->arguments[i], "");
    if (rc == 0)
        rc = list_add_number(arguments, "--gateway.shards=", plan->shards);
    if (rc == 0)
        rc = list_add(&plan->gateway.environment, TOKEN_NAME, input->token);
    return rc;
}

static int plan_worker(struct plan *plan, const struct plan_input *input, uint32_t number)
{
    struct plan_process *worker = &plan->workers[number];
    struct plan_list *environment = &worker->environment;
    const struct config *config = input->config;
    int rc = list_add(&worker->arguments, input->worker_program, "");

    for (size_t i = 1; rc == 0 && i < input->command->count; i++)
        rc = list_add(&worker->arguments, input->command->words[i], "");
    if (rc == 0)
        rc = list_add(environment, TOKEN_NAME, input->token);
    if (rc == 0)
        rc = list_add(environment, "TROUPE_LINK=", input->link);
    if (rc == 0)
        rc = list_add_number(environment, "TROUPE_SHARDS=", plan->shards);
    if (rc == 0)
        rc = list_add_number(environment, "TROUPE_WORKER=", number);
    if (rc == 0) // also when it is empty: one that we inherited is not meant
        rc = list_add(environment, "TROUPE_LOG_FILE=", config->node.log_file);
    if (rc == 0)
        rc = list_add(environment, "TROUPE_LOG_LEVEL=", log_level_text(config->node.log_level));
    return rc;
}

// A word as it could stand in a command.
static void print_word(const char *word, FILE *to)
{
    bool quotes = word[0] == '\0' || strpbrk(word, " \t") != NULL;

    fprintf(to, quotes ? " \"%s\"" : " %s", word);
}

static void print_process(const struct plan_process *process, FILE *to)
{
    for (size_t i = 0; i < process->arguments.count; i++)
        print_word(process->arguments.items[i], to);
    fputc('\n', to);
}

int plan_command_split(const char *text, struct plan_command *out_command, const char **out_why)
{
    struct plan_command command = {.count = 0};
    const char *why = NULL;
    char *to = command.text;
    bool quoted = false;

    if (strlen(text) >= sizeof(command.text))
        why = "it is too long";
    while (!why) {
        while (is_blank(*text))
            text++;
        if (*text == '\0')
            break;
        if (command.count == PLAN_WORDS_MAX) {
            why = "it has more than 64 words";
            break;
        }
        command.words[command.count++] = to;
        for (; *text != '\0' && (quoted || !is_blank(*text)); text++) {
            if (*text == '"')
                quoted = !quoted;
            else
                *to++ = *text;
        }
        // A word and the blank after it took at least as much of the text as the word and its end.
        *to++ = '\0';
        if (quoted)
            why = "a quote (\") is not closed";
    }
    if (!why && (command.count == 0 || command.words[0][0] == '\0'))
        why = "it names no program";
    if (why) {
        *out_why = why;
        return -EINVAL;
    }
    *out_command = command;
    for (size_t i = 0; i < command.count; i++) // the words moved with the text
        out_command->words[i] = out_command->text + (command.words[i] - command.text);
    out_command->words[command.count] = NULL;
    return 0;
}

uint32_t plan_shards(const struct config *config, uint32_t cores)
{
    uint32_t shards = cores / 4;

    if (config->gateway.shards != CONFIG_AUTO)
        return config->gateway.shards;
    // What gateway.shards would be refused for: above its range, or more shards than sessions.
    if (shards > PLAN_SHARDS_MAX)
        shards = PLAN_SHARDS_MAX;
    if (shards > config->gateway.max_sessions)
        shards = config->gateway.max_sessions;
    return shards < 1 ? 1 : shards;
}

uint32_t plan_workers(const struct config *config, uint32_t cores)
{
    if (config->workers.count != CONFIG_AUTO)
        return config->workers.count;
    if (cores > PLAN_WORKERS_MAX)
        return PLAN_WORKERS_MAX;
    return cores < 1 ? 1 : cores;
}

int plan_create(struct plan *out_plan, const struct plan_input *input)
{
    struct plan plan = {
        .shards = plan_shards(input->config, input->cores),
        .worker_count = plan_workers(input->config, input->cores),
    };
    int rc;

    plan.workers = calloc(plan.worker_count, sizeof(*plan.workers));
    if (!plan.workers)
        return -ENOMEM;
    rc = plan_gateway(&plan, input);
    for (uint32_t i = 0; rc == 0 && i < plan.worker_count; i++)
        rc = plan_worker(&plan, input, i);
    if (rc < 0) {
        plan_destroy(&plan);
        return rc;
    }
    *out_plan = plan;
    return 0;
}

void plan_destroy(struct plan *plan)
{
    process_free(&plan->gateway);
    for (uint32_t i = 0; i < plan->worker_count; i++)
        process_free(&plan->workers[i]);
    free(plan->workers);
    *plan = (struct plan){0};
}

int plan_fix_listen(struct plan *plan, const char *listen)
{
    struct plan_list *arguments = &plan->gateway.arguments;
    const char *last = arguments->items[arguments->count - 1];

    if (strncmp(last, LISTEN_NAME, strlen(LISTEN_NAME)) == 0 &&
        strcmp(last + strlen(LISTEN_NAME), listen) == 0)
        return 0;
    return list_add(arguments, LISTEN_NAME, listen); // the last one of a key counts
}

void plan_print(const struct plan *plan, FILE *to)
{
    const struct plan_list *environment = &plan->workers[0].environment;

    fprintf(to, "\n# processes: 1 gateway of %lu shard%s, %lu worker%s\n",
            (unsigned long)plan->shards, plan->shards == 1 ? "" : "s",
            (unsigned long)plan->worker_count, plan->worker_count == 1 ? "" : "s");
    fprintf(to, "# gateway:");
    print_process(&plan->gateway, to);
    fprintf(to, "# each worker:");
    print_process(&plan->workers[0], to);
    fprintf(to, "# environment of worker 0:");
    for (size_t i = 0; i < environment->count; i++) {
        if (strncmp(environment->items[i], TOKEN_NAME, strlen(TOKEN_NAME)) != 0)
            print_word(environment->items[i], to);
    }
    fputc('\n', to);
}
