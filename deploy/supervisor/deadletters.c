#include "deadletters.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "deadletter.h"
#include "os.h"

enum { EXIT_USAGE = 2, DUMP_COLUMNS = 16 };

struct page {
    const struct deadletters_request *request;
    FILE *to;
    uint32_t count; // of records so far
};

static void print_text(FILE *to, struct bytes text)
{
    if (text.size > 0)
        (void)fwrite(text.data, 1, text.size, to);
}

static void print_json_text(FILE *to, const char *name, struct bytes text)
{
    fprintf(to, "\"%s\": \"", name);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            putc('\\', to);
        putc(text.data[i], to);
    }
    fprintf(to, "\", ");
}

// The session is a text: it has more digits than many a JSON reader's numbers.
static void print_json(FILE *to, uint32_t line, const struct deadletter *letter)
{
    fprintf(to, "  {\"line\": %" PRIu32 ", ", line);
    print_json_text(to, "time", letter->time);
    fprintf(to, "\"session\": \"%" PRIu64 "\", \"sequence\": %" PRIu64 ", ", letter->session,
            letter->sequence);
    print_json_text(to, "kind", letter->kind);
    print_json_text(to, "app", letter->app);
    print_json_text(to, "peer", letter->peer);
    print_json_text(to, "why", letter->why);
    fprintf(to, "\"size\": %" PRIu64 ", \"payload\": \"", letter->size);
    for (size_t i = 0; i < letter->payload.size; i++)
        fprintf(to, "%02x", letter->payload.data[i]);
    fprintf(to, "\"}");
}

static void print_dump(FILE *to, struct bytes bytes)
{
    for (size_t at = 0; at < bytes.size; at += DUMP_COLUMNS) {
        size_t end = bytes.size - at < DUMP_COLUMNS ? bytes.size : at + DUMP_COLUMNS;

        fprintf(to, "  %08zx ", at);
        for (size_t i = at; i < at + DUMP_COLUMNS; i++) {
            if (i < end)
                fprintf(to, " %02x", bytes.data[i]);
            else
                fprintf(to, "   ");
        }
        fprintf(to, "  ");
        for (size_t i = at; i < end; i++)
            putc(bytes.data[i] >= ' ' && bytes.data[i] <= '~' ? bytes.data[i] : '.', to);
        putc('\n', to);
    }
}

static void print_named(FILE *to, const char *name, struct bytes text)
{
    fprintf(to, "%-9s ", name);
    print_text(to, text);
    putc('\n', to);
}

static void print_whole(FILE *to, uint32_t line, const struct deadletter *letter)
{
    fprintf(to, "line      %" PRIu32 "\n", line);
    print_named(to, "time", letter->time);
    fprintf(to, "session   %" PRIu64 "\nsequence  %" PRIu64 "\n", letter->session,
            letter->sequence);
    print_named(to, "kind", letter->kind);
    print_named(to, "app", letter->app);
    print_named(to, "peer", letter->peer);
    print_named(to, "why", letter->why);
    fprintf(to, "size      %" PRIu64 " bytes", letter->size);
    if (letter->payload.size < letter->size)
        fprintf(to, ", of which the first %zu were kept", letter->payload.size);
    putc('\n', to);
    print_dump(to, letter->payload);
}

static void print_row(FILE *to, uint32_t line, const struct deadletter *letter)
{
    fprintf(to, "%4" PRIu32 "  ", line);
    print_text(to, letter->time);
    fprintf(to, "  session %" PRIu64 " sequence %" PRIu64 ": ", letter->session, letter->sequence);
    print_text(to, letter->kind);
    fprintf(to, " of %" PRIu64 " bytes from '", letter->size);
    print_text(to, letter->peer);
    fprintf(to, "' to '");
    print_text(to, letter->app);
    fprintf(to, "': ");
    print_text(to, letter->why);
    putc('\n', to);
}

static void print_letter(struct page *page, uint32_t line, const struct deadletter *letter)
{
    page->count++;
    if (page->request->json) {
        fprintf(page->to, page->count == 1 ? "\n" : ",\n");
        print_json(page->to, line, letter);
    } else if (page->request->line > 0) {
        print_whole(page->to, line, letter);
    } else {
        print_row(page->to, line, letter);
    }
}

int deadletters_print(const struct deadletters_request *request, const char *name, uint8_t *data,
                      size_t size, FILE *to, FILE *complaints)
{
    struct page page = {.request = request, .to = to};
    struct deadletter_reader reader;
    struct deadletter letter;
    enum deadletter_result result;

    deadletter_reader_init(&reader, data, size);
    if (request->json)
        putc('[', to);
    while ((result = deadletter_next(&reader, &letter)) != DEADLETTER_END) {
        if (request->line > 0 && request->line != reader.line)
            continue;
        if (result == DEADLETTER_READY)
            print_letter(&page, reader.line, &letter);
        else
            fprintf(complaints, "troupe: %s:%" PRIu32 ": damaged, skipped: %s\n", name, reader.line,
                    reader.why);
    }
    if (request->json)
        fprintf(to, page.count == 0 ? "]\n" : "\n]\n");
    else if (page.count == 0 && request->line == 0)
        fprintf(to, "no dead letters in '%s'\n", name);
    if (page.count > 0 || request->line == 0)
        return 0;
    fprintf(complaints, "troupe: no dead letter in line %" PRIu32 " of '%s'\n", request->line,
            name);
    return -ENOENT;
}

// What config_from_arguments() has left. False: it is wrong, and said so.
static bool parse_request(int count, char **arguments, struct deadletters_request *request)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--json") == 0) {
            request->json = true;
        } else if (strcmp(arguments[i], "--show") == 0 && i + 1 < count) {
            const char *text = arguments[++i];
            size_t digits = strspn(text, "0123456789");
            unsigned long long line = strtoull(text, NULL, 10);

            if (digits == 0 || digits > 10 || text[digits] != '\0' || line == 0 ||
                line > UINT32_MAX) {
                fprintf(stderr, "troupe: --show: '%s' is not a line's number\n", text);
                return false;
            }
            request->line = (uint32_t)line;
        } else {
            fprintf(stderr, "troupe: unexpected argument '%s', try 'troupe deadletters --help'\n",
                    arguments[i]);
            return false;
        }
    }
    return true;
}

int deadletters_command(int count, char **arguments)
{
    static struct config config;
    struct config_error error = {{0}};
    struct deadletters_request request = {0};
    char path[OS_PATH_MAX];
    uint8_t *data = NULL;
    size_t size = 0;
    int rc;

    config_init(&config);
    if (config_from_arguments(&config, &count, arguments, &error) != 0) {
        fprintf(stderr, "troupe: %s\n", error.text);
        return EXIT_USAGE;
    }
    if (!parse_request(count, arguments, &request))
        return EXIT_USAGE;
    rc = deadletter_path(path, sizeof(path), config.node.runtime_dir, config.node.name);
    if (rc == 0)
        rc = os_file_read(path, DEADLETTER_FILE_MAX, &data, &size);
    if (rc != 0 && rc != -ENOENT) {
        fprintf(stderr, "troupe: '%s' cannot be read: %s\n", path, error_text(rc));
        return EXIT_FAILURE;
    }
    rc = deadletters_print(&request, path, data, size, stdout, stderr);
    free(data);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "troupe: cannot write to standard output\n");
        return EXIT_FAILURE;
    }
    return rc == 0 ? 0 : EXIT_FAILURE;
}
