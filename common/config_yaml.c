#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config_keys.h"

enum { FILE_BYTES_MAX = 1024 * 1024 };

// Walks libyaml's events, one at a time. The file may hold two plain levels and nothing else.
struct loader {
    yaml_parser_t parser;
    yaml_event_t event;
    struct config *config;
    struct config_error *error;
    const char *name;
    const struct config_key *key; // whose value is read; NULL elsewhere
    struct bytes text;
    unsigned long key_lines[CONFIG_KEYS_MAX]; // where a key was given; 0 = not yet
    const char *sections[CONFIG_KEYS_MAX];    // those met so far, as the table's texts
    size_t section_count;
};

static unsigned long line_of(const struct loader *loader)
{
    return (unsigned long)loader->event.start_mark.line + 1;
}

static struct bytes scalar_of(const struct loader *loader)
{
    return (struct bytes){loader->event.data.scalar.value, loader->event.data.scalar.length};
}

// A value left out, as in "key:" and "key: ~"; "" in quotes is a value.
static bool is_missing(const struct loader *loader)
{
    struct bytes text = scalar_of(loader);

    if (loader->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    return text.size == 0 || (text.size == 1 && text.data[0] == '~') ||
           (text.size == 4 && memcmp(text.data, "null", 4) == 0);
}

// Names the key too when its value is what is wrong.
static int refuse(struct loader *loader, const char *what)
{
    const struct config_key *key = loader->key;

    return config_fail(loader->error, loader->name, line_of(loader), "%s%s%s%s%s",
                       key != NULL ? key->section : "", key != NULL ? "." : "",
                       key != NULL ? key->name : "", key != NULL ? ": " : "", what);
}

static int syntax_error(struct loader *loader)
{
    const yaml_parser_t *parser = &loader->parser;
    unsigned long line = (unsigned long)parser->problem_mark.line + 1;
    const char *problem = parser->problem != NULL ? parser->problem : "it cannot be read";

    if (parser->error == YAML_MEMORY_ERROR) {
        config_fail(loader->error, loader->name, 0, "out of memory");
        return -ENOMEM;
    }
    if (parser->error == YAML_READER_ERROR) { // it knows the place in bytes only
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < loader->text.size; i++)
            line += loader->text.data[i] == '\n';
    }
    return config_fail(loader->error, loader->name, line, "not valid YAML: %s", problem);
}

// The next event; what no place in the file may have is refused here.
static int next(struct loader *loader)
{
    yaml_event_t *event = &loader->event;
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;

    yaml_event_delete(event);
    if (!yaml_parser_parse(&loader->parser, event)) {
        memset(event, 0, sizeof(*event));
        return syntax_error(loader);
    }
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return refuse(loader, "an alias ('*') is not allowed: write the value");
    case YAML_SEQUENCE_START_EVENT:
        return refuse(loader, "a list is not allowed: a value is one text or number");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor != NULL)
        return refuse(loader, "an anchor ('&') is not allowed");
    if (tag != NULL)
        return refuse(loader, "a tag ('!') is not allowed");
    return 0;
}

static int unknown_key(struct loader *loader, const char *section, struct bytes name)
{
    char full[CONFIG_QUOTE_MAX];
    int length = snprintf(full, sizeof(full), "%s.", section);

    for (size_t i = 0; i < name.size && (size_t)length < sizeof(full); i++)
        full[length++] = (char)name.data[i];
    return config_refuse_key(loader->error, loader->name, line_of(loader),
                             (struct bytes){(const uint8_t *)full, (size_t)length});
}

// The event is the key's name; takes it and its value.
static int load_key(struct loader *loader, const char *section)
{
    struct bytes name = scalar_of(loader);
    const struct config_key *key =
        config_key_find((struct bytes){(const uint8_t *)section, strlen(section)}, name);
    unsigned long line = line_of(loader);
    size_t count;
    size_t number;
    const char *why;
    int rc;

    if (key == NULL)
        return unknown_key(loader, section, name);
    number = (size_t)(key - config_keys(&count));
    if (loader->key_lines[number] != 0)
        return config_fail(loader->error, loader->name, line,
                           "%s.%s: given twice, first in line %lu", section, key->name,
                           loader->key_lines[number]);
    loader->key_lines[number] = line;
    loader->key = key;
    rc = next(loader);
    if (rc != 0)
        return rc;
    if (loader->event.type != YAML_SCALAR_EVENT)
        return refuse(loader, "a value is expected, not keys of its own");
    if (is_missing(loader))
        return refuse(loader, "the value is missing");
    if (config_key_parse(key, loader->config, scalar_of(loader), &why) != 0)
        return config_refuse(loader->error, loader->name, line_of(loader), key, scalar_of(loader),
                             why);
    loader->key = NULL;
    return 0;
}

// The event is the section's name; takes it and all its keys.
static int load_section(struct loader *loader)
{
    struct bytes name = scalar_of(loader);
    const char *section = config_section_find(name);
    unsigned long line = line_of(loader);
    char quoted[CONFIG_QUOTE_MAX];
    int rc;

    if (section == NULL)
        return config_fail(loader->error, loader->name, line,
                           "unknown section '%s': node, gateway, workers and admin are known",
                           config_quote(name, quoted));
    for (size_t i = 0; i < loader->section_count; i++) {
        if (strcmp(loader->sections[i], section) == 0)
            return config_fail(loader->error, loader->name, line, "section '%s' is given twice",
                               section);
    }
    loader->sections[loader->section_count++] = section;
    rc = next(loader);
    if (rc != 0 || (loader->event.type == YAML_SCALAR_EVENT && is_missing(loader)))
        return rc; // a section whose keys are all commented out is fine
    if (loader->event.type != YAML_MAPPING_START_EVENT)
        return config_fail(loader->error, loader->name, line,
                           "section '%s' holds keys, not a value", section);
    for (;;) {
        rc = next(loader);
        if (rc != 0 || loader->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (loader->event.type != YAML_SCALAR_EVENT)
            return refuse(loader, "a key is a plain text");
        rc = load_key(loader, section);
        if (rc != 0)
            return rc;
    }
}

// The event is the first of the document's content.
static int load_sections(struct loader *loader)
{
    int rc;

    if (loader->event.type == YAML_SCALAR_EVENT && is_missing(loader))
        return 0;
    if (loader->event.type != YAML_MAPPING_START_EVENT)
        return refuse(loader, "sections are expected, such as 'gateway:'");
    for (;;) {
        rc = next(loader);
        if (rc != 0 || loader->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (loader->event.type != YAML_SCALAR_EVENT)
            return refuse(loader, "a section's name is a plain text");
        rc = load_section(loader);
        if (rc != 0)
            return rc;
    }
}

static int load_stream(struct loader *loader)
{
    int rc = next(loader); // start of the stream

    if (rc == 0)
        rc = next(loader);
    if (rc != 0 || loader->event.type == YAML_STREAM_END_EVENT)
        return rc; // nothing but comments
    rc = next(loader);
    if (rc == 0)
        rc = load_sections(loader);
    if (rc == 0)
        rc = next(loader); // end of the document
    if (rc == 0)
        rc = next(loader);
    if (rc == 0 && loader->event.type != YAML_STREAM_END_EVENT)
        return refuse(loader, "a second document is not allowed");
    return rc;
}

// Reads at most one byte more than is allowed. 0 or a negative errno.
static int read_file(const char *path, uint8_t *out_text, size_t *out_size)
{
    FILE *file = fopen(path, "rb");
    size_t size;
    int rc = 0;

    if (file == NULL)
        return -errno;
    errno = 0;
    size = fread(out_text, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        rc = errno != 0 ? -errno : -EIO;
    fclose(file);
    if (rc == 0)
        *out_size = size;
    return rc;
}

int config_load(struct config *config, const char *path, struct config_error *error)
{
    uint8_t *text = malloc(FILE_BYTES_MAX + 1);
    size_t size = 0;
    int rc = text != NULL ? read_file(path, text, &size) : -ENOMEM;

    if (rc != 0)
        config_fail(error, path, 0, "cannot be read: %s", error_text(rc));
    else
        rc = config_load_text(config, path, text, size, error);
    free(text);
    return rc;
}

int config_load_text(struct config *config, const char *name, const void *text, size_t size,
                     struct config_error *error)
{
    struct loader loader = {
        .config = config, .error = error, .name = name, .text = {.data = text, .size = size}};
    int rc;

    if (size > FILE_BYTES_MAX)
        return config_fail(error, name, 0, "larger than a configuration may be (%d bytes)",
                           FILE_BYTES_MAX);
    if (!yaml_parser_initialize(&loader.parser)) {
        config_fail(error, name, 0, "out of memory");
        return -ENOMEM;
    }
    yaml_parser_set_input_string(&loader.parser, text, size);
    rc = load_stream(&loader);
    yaml_event_delete(&loader.event);
    yaml_parser_delete(&loader.parser);
    return rc;
}
