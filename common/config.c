#include "config.h"

#include <stdio.h>
#include <string.h>

#include "config_keys.h"
#include "os.h"

enum {
    FRAME_AROUND_BYTES = 32, // more than any codec puts around a payload
};

static struct bytes bytes_of(const char *text, size_t size)
{
    return (struct bytes){(const uint8_t *)text, size};
}

void config_init(struct config *config)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);

    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < count; i++) {
        const char *standard = keys[i].standard;
        const char *why;

        CHECK(config_key_parse(&keys[i], config, bytes_of(standard, strlen(standard)), &why) == 0);
    }
}

int config_set(struct config *config, const char *assignment, const char *origin,
               struct config_error *error)
{
    size_t full = strcspn(assignment, "=");
    const char *dot = memchr(assignment, '.', full);
    size_t section = dot != NULL ? (size_t)(dot - assignment) : full;
    size_t name = dot != NULL ? full - section - 1 : 0;
    const struct config_key *key =
        config_key_find(bytes_of(assignment, section), bytes_of(assignment + full - name, name));
    struct bytes value;
    const char *why;

    if (key == NULL)
        return config_refuse_key(error, origin, 0, bytes_of(assignment, full));
    if (assignment[full] != '=')
        return config_fail(error, origin, 0, "the value is missing: write %s.%s=VALUE",
                           key->section, key->name);
    value = bytes_of(assignment + full + 1, strlen(assignment + full + 1));
    if (config_key_parse(key, config, value, &why) != 0)
        return config_refuse(error, origin, 0, key, value, why);
    return 0;
}

int config_check(struct config *config, struct config_error *error)
{
    char folder[OS_PATH_MAX];
    uint64_t largest = (uint64_t)config->gateway.max_frame_bytes + FRAME_AROUND_BYTES;
    int rc;

    if (config->gateway.outbox_max_bytes < largest)
        return config_fail(error, "configuration", 0,
                           "gateway.outbox_max_bytes: '%u' does not hold one frame of "
                           "gateway.max_frame_bytes '%u': %llu at least",
                           (unsigned)config->gateway.outbox_max_bytes,
                           (unsigned)config->gateway.max_frame_bytes, (unsigned long long)largest);
    if (config->gateway.shards > config->gateway.max_sessions)
        return config_fail(error, "configuration", 0,
                           "gateway.max_sessions: '%u' is less than gateway.shards '%u'",
                           (unsigned)config->gateway.max_sessions,
                           (unsigned)config->gateway.shards);
    if (config->node.runtime_dir[0] != '\0')
        return 0;
    rc = os_runtime_dir_default(folder);
    if (rc == 0 && strlen(folder) >= sizeof(config->node.runtime_dir))
        rc = -ENAMETOOLONG;
    if (rc != 0)
        return config_fail(error, "configuration", 0,
                           "node.runtime_dir: the system's default cannot be used: %s",
                           error_text(rc));
    memcpy(config->node.runtime_dir, folder, strlen(folder) + 1);
    return 0;
}

void config_print(const struct config *config, FILE *to)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    const char *section = "";
    char allowed[CONFIG_ALLOWED_MAX];
    char value[CONFIG_VALUE_MAX];

    for (size_t i = 0; i < count; i++) {
        if (strcmp(section, keys[i].section) != 0) {
            fprintf(to, "%s%s:\n", i > 0 ? "\n" : "", keys[i].section);
            section = keys[i].section;
        }
        fprintf(to, "  # %s\n", keys[i].help);
        fprintf(to, "  # %s; default %s\n", config_key_allowed(&keys[i], allowed),
                *keys[i].standard != '\0' ? keys[i].standard : "empty");
        fprintf(to, "  %s: %s\n", keys[i].name, config_key_value(&keys[i], config, value));
    }
}

void config_print_keys(FILE *to)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    char option[CONFIG_QUOTE_MAX];
    char allowed[CONFIG_ALLOWED_MAX];

    for (size_t i = 0; i < count; i++) {
        snprintf(option, sizeof(option), "--%s.%s=%s", keys[i].section, keys[i].name,
                 keys[i].standard);
        fprintf(to, "  %-34s %s (%s)\n", option, keys[i].help,
                config_key_allowed(&keys[i], allowed));
    }
}

// "--section.key", with or without a value: other options have no dot in their name.
static bool is_assignment(const char *argument)
{
    return strncmp(argument, "--", 2) == 0 &&
           memchr(argument + 2, '.', strcspn(argument + 2, "=")) != NULL;
}

// The file that "--config FILE" or "--config=FILE" at arguments[at] names; *out_taken is how many
// arguments that are, 0 for another argument.
static const char *file_argument(int count, char **arguments, int at, int *out_taken)
{
    static const char option[] = "--config";
    const char *argument = arguments[at];

    *out_taken = 0;
    if (strncmp(argument, option, sizeof(option) - 1) != 0)
        return NULL;
    argument += sizeof(option) - 1;
    if (*argument == '=') {
        *out_taken = 1;
        return argument + 1;
    }
    if (*argument != '\0')
        return NULL;
    *out_taken = at + 1 < count ? 2 : 1;
    return at + 1 < count ? arguments[at + 1] : "";
}

// Loads the file that the arguments name, if they do.
static int load_from_arguments(struct config *config, int count, char **arguments,
                               struct config_error *error)
{
    const char *path = NULL;

    for (int i = 1; i < count && strcmp(arguments[i], "--") != 0; i++) {
        int taken;
        const char *file = file_argument(count, arguments, i, &taken);

        if (taken == 0)
            continue;
        if (*file == '\0')
            return config_fail(error, "--config", 0, "the file's name is missing");
        if (path != NULL)
            return config_fail(error, "--config", 0, "given twice");
        path = file;
        i += taken - 1;
    }
    return path != NULL ? config_load(config, path, error) : 0;
}

int config_from_arguments(struct config *config, int *in_out_count, char **arguments,
                          struct config_error *error)
{
    int count = *in_out_count;
    int kept = count > 0 ? 1 : 0;
    int rc = load_from_arguments(config, count, arguments, error);
    int i = kept;

    // What comes before "--" may be ours; the file is loaded first, wherever it stands.
    for (; rc == 0 && i < count && strcmp(arguments[i], "--") != 0; i++) {
        int taken;

        (void)file_argument(count, arguments, i, &taken);
        if (taken > 0)
            i += taken - 1;
        else if (is_assignment(arguments[i]))
            rc = config_set(config, arguments[i] + 2, arguments[i], error);
        else
            arguments[kept++] = arguments[i];
    }
    if (rc != 0)
        return rc;
    for (; i < count; i++)
        arguments[kept++] = arguments[i];
    if (kept < count)
        arguments[kept] = NULL;
    *in_out_count = kept;
    return config_check(config, error);
}
