// e2e-raw: a worker made of stream and envelope alone, that breaks the protocol on purpose.
//
//   e2e-raw version        says hello with another protocol version
//   e2e-raw token          says hello with another node's token
//   e2e-raw silent         never says hello
//   e2e-raw lies           echoes, but a frame "lie session", "lie epoch", "lie sequence", "lie
//                          early", "lie bytes", "lie kind" or "lie twice" is answered with that lie
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "envelope.h"
#include "os.h"
#include "port.h"
#include "stream.h"

struct raw {
    const char *mode;
    struct stream *stream;
    struct envelope_reader reader;
    bool over;
};

static struct bytes text(const char *value)
{
    return (struct bytes){(const uint8_t *)value, strlen(value)};
}

static void say(struct raw *raw, const struct envelope *envelope)
{
    CHECK(envelope_encode(stream_outbox(raw->stream), envelope) == 0);
}

static void say_line(const char *line)
{
    os_write_stdout(line, strlen(line));
}

static void on_opened(void *owner)
{
    struct raw *raw = owner;
    const char *token = os_environment("TROUPE_TOKEN");
    bool other = strcmp(raw->mode, "version") == 0;

    if (strcmp(raw->mode, "silent") == 0)
        return;
    if (strcmp(raw->mode, "token") == 0 || !token)
        token = "00";
    say(raw, &(struct envelope){.kind = ENVELOPE_HELLO,
                                .version = other ? ENVELOPE_VERSION + 1 : ENVELOPE_VERSION,
                                .token = text(token),
                                .worker = (uint32_t)atoi(os_environment("TROUPE_WORKER")),
                                .process_id = os_process_id(),
                                .text = text("raw"),
                                .text2 = text("1"),
                                .types = text("raw")});
    stream_flush(raw->stream);
}

static bool is(const struct envelope *input, const char *what)
{
    return input->payload.size == strlen(what) &&
           memcmp(input->payload.data, what, strlen(what)) == 0;
}

static void answer(struct raw *raw, const struct envelope *input)
{
    struct envelope commit = {.kind = ENVELOPE_COMMIT,
                              .session = input->session,
                              .epoch = input->epoch,
                              .sequence = input->sequence};
    struct envelope reply = {.kind = ENVELOPE_REPLY, .payload = input->payload};

    commit.effects = input->kind == ENVELOPE_FRAME;
    if (is(input, "lie session"))
        commit.session += 1;
    if (is(input, "lie epoch"))
        commit.epoch += 1;
    if (is(input, "lie sequence"))
        commit.sequence -= 1;
    if (is(input, "lie bytes")) {
        CHECK(buffer_append(stream_outbox(raw->stream), "\xc1\xff\x00garbage", 10) == 0);
        return;
    }
    if (is(input, "lie kind")) {
        say(raw, &(struct envelope){.kind = ENVELOPE_HELLO, .text = text("again")});
        return;
    }
    say(raw, &commit);
    if (is(input, "lie early"))
        return; // the effect that was announced never comes
    if (commit.effects > 0)
        say(raw, &reply);
    if (is(input, "lie twice")) {
        say(raw, &commit);
        say(raw, &reply);
    }
}

static void on_batch(void *owner, struct bytes body)
{
    struct raw *raw = owner;
    struct envelope input;

    envelope_reader_start(&raw->reader, body);
    while (envelope_next(&raw->reader, &input) == ENVELOPE_READY) {
        switch (input.kind) {
        case ENVELOPE_WELCOME:
            say_line("troupe: ready\n");
            break;
        case ENVELOPE_REFUSED:
            fprintf(stderr, "raw: refused: %.*s\n", (int)input.text.size,
                    (const char *)input.text.data);
            say_line("troupe: failed refused by the gateway\n");
            break;
        case ENVELOPE_OPEN:
        case ENVELOPE_FRAME:
        case ENVELOPE_CLOSE:
            answer(raw, &input);
            break;
        case ENVELOPE_PING:
            say(raw, &(struct envelope){.kind = ENVELOPE_PONG, .serial = input.serial});
            break;
        default:
            break;
        }
    }
    stream_next(raw->stream);
    stream_flush(raw->stream);
}

static void on_closed(void *owner, int error)
{
    struct raw *raw = owner;

    (void)error;
    raw->over = true;
}

static struct port *port;
static struct port_op stop_op;
static bool stopped;

static void stop_done(struct port_op *op)
{
    (void)op;
    stopped = true;
}

static void on_stop(void *context)
{
    (void)context;
    port_post(port, &stop_op);
}

int main(int argc, char **argv)
{
    static const struct stream_handler handler = {
        .opened = on_opened, .batch = on_batch, .closed = on_closed};
    struct raw raw = {.mode = argc > 1 ? argv[1] : "lies"};
    const char *base = os_environment("TROUPE_LINK");
    char address[OS_PATH_MAX];

    os_init();
    CHECK(base && os_environment("TROUPE_WORKER"));
    CHECK(port_create(&port, &(struct port_config){.op_count_max = 16}) == 0);
    stop_op.done = stop_done;
    os_on_stop(on_stop, NULL);
    CHECK(envelope_reader_create(&raw.reader, ENVELOPE_FROM_GATEWAY) == 0);
    snprintf(address, sizeof address, "%.1000s-0", base);
    CHECK(stream_dial(&raw.stream, port, address, ENVELOPE_BATCH_MAX, &handler, &raw) == 0);
    while (!raw.over && !stopped)
        port_poll(port, -1);
    envelope_reader_destroy(&raw.reader);
    return stopped ? 0 : 1; // the system takes back the rest
}
