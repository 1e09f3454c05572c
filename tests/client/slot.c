#include "slot.h"

#include "os.h"

void slot_progress(struct slot_run *run)
{
    run->progress_ms = os_now_ms();
}

static void become(struct slot *slot, enum slot_state state)
{
    uint32_t *counts = slot->idle ? slot->run->silent : slot->run->talkers;

    CHECK(slot->state != SLOT_DONE && slot->state != SLOT_FAILED);
    counts[slot->state]--;
    counts[state]++;
    slot->state = state;
}

static void fail(struct slot *slot)
{
    become(slot, SLOT_FAILED);
    if (slot->conn)
        client_abort(slot->conn);
}

// How many frames this client is to send, as far as that is known.
static uint64_t target(const struct slot *slot)
{
    const struct options *options = slot->run->options;

    if (slot->run->phase == PHASE_STOP)
        return options->rate > 0 ? slot->due : slot->sent;
    if (options->mode == OPTIONS_CONNECT_EACH)
        return slot->due;
    return options->frames > 0 ? options->frames : UINT64_MAX;
}

uint64_t slot_due_ns(const struct slot_run *run, uint64_t frame)
{
    uint64_t rate = run->options->rate;

    return run->start_ns + frame / rate * 1000000000U + frame % rate * 1000000000U / rate;
}

static uint64_t born_ns(const struct slot *slot, uint64_t sequence)
{
    const struct options *options = slot->run->options;

    if (options->rate > 0)
        return slot_due_ns(slot->run, sequence * options->clients + slot->number);
    return slot->sent_ns[options->mode == OPTIONS_CONNECT_EACH ? 0 : sequence % options->window];
}

// Moves on when all is sent, and when all of that is answered.
static void settle(struct slot *slot)
{
    if (slot->state != SLOT_TALKING || slot->sent < target(slot))
        return;
    if (slot->run->options->half_close && !slot->half_closed) {
        slot->half_closed = true;
        client_half_close(slot->conn);
    }
    if (slot->received < slot->sent)
        return;
    become(slot, SLOT_ANSWERED);
    if (slot->run->options->mode == OPTIONS_CONNECT_EACH)
        client_finish(slot->conn);
}

// One frame. False when no more can be sent now.
static bool send_one(struct slot *slot)
{
    struct slot_run *run = slot->run;
    size_t size = pattern_size(&run->pattern, slot->number, slot->sent);
    int rc;

    pattern_fill(&run->pattern, slot->number, slot->sent, 0, run->scratch, size);
    rc = client_send(slot->conn, (struct bytes){run->scratch, size});
    if (rc == -EAGAIN)
        return false;
    if (rc < 0) {
        result_add_error(run->result, RESULT_LOCAL, "client %u cannot send: %s",
                         (unsigned)slot->number, error_text(rc));
        fail(slot);
        return false;
    }
    if (slot->sent_ns && run->options->mode == OPTIONS_STREAM)
        slot->sent_ns[slot->sent % run->options->window] = os_now_ns();
    slot->sent++;
    run->result->frames_sent++;
    return true;
}

void slot_pump(struct slot *slot)
{
    const struct options *options = slot->run->options;

    while (slot->state == SLOT_TALKING && slot->sent < slot->due && slot->sent < target(slot) &&
           slot->sent - slot->received < options->window && send_one(slot)) {
    }
    settle(slot);
}

static void count_reply(struct slot *slot, size_t size)
{
    struct result *result = slot->run->result;

    histogram_add(&result->latency, os_now_ns() - born_ns(slot, slot->received));
    result->frames++;
    result->bytes += size;
    slot->received++;
    slot->within = 0;
    slot_progress(slot->run);
}

// Bytes of replies, in order. False when they are wrong.
static bool check(struct slot *slot, const uint8_t *data, size_t size)
{
    struct slot_run *run = slot->run;
    size_t right = size;

    if (run->options->verify)
        right =
            pattern_match(&run->pattern, slot->number, slot->received, slot->within, data, size);
    if (right < size) {
        result_add_error(run->result, RESULT_BYTES, "client %u: reply %llu is wrong at byte %llu",
                         (unsigned)slot->number, (unsigned long long)slot->received,
                         (unsigned long long)slot->within + right);
        fail(slot);
        return false;
    }
    slot->within += size;
    return true;
}

static bool check_expected(struct slot *slot)
{
    if (!slot->idle && slot->received < slot->sent)
        return true;
    result_add_error(slot->run->result, RESULT_EXTRA, "client %u: a reply too many",
                     (unsigned)slot->number);
    fail(slot);
    return false;
}

// A stream of bytes without frames: replies end where the frames did.
static void on_stream(struct slot *slot, struct bytes body)
{
    while (body.size > 0) {
        size_t size, n;

        if (!check_expected(slot))
            return;
        size = pattern_size(&slot->run->pattern, slot->number, slot->received);
        n = size - slot->within < body.size ? size - slot->within : body.size;
        if (!check(slot, body.data, n))
            return;
        body.data += n;
        body.size -= n;
        if (slot->within == size)
            count_reply(slot, size);
    }
    slot_pump(slot);
}

static void on_frame(struct client_conn *conn, const struct frame *frame)
{
    struct slot *slot = client_owner(conn);
    size_t size = frame->prefix.size + frame->body.size;

    if (slot->state == SLOT_FAILED)
        return;
    if (slot->run->options->codec.kind == FRAME_RAW) {
        on_stream(slot, frame->body);
        return;
    }
    if (!check_expected(slot))
        return;
    if (size != pattern_size(&slot->run->pattern, slot->number, slot->received)) {
        result_add_error(
            slot->run->result, RESULT_BYTES, "client %u: reply %llu has %llu bytes, not %llu",
            (unsigned)slot->number, (unsigned long long)slot->received, (unsigned long long)size,
            (unsigned long long)pattern_size(&slot->run->pattern, slot->number, slot->received));
        fail(slot);
        return;
    }
    if (!check(slot, frame->prefix.data, frame->prefix.size) ||
        !check(slot, frame->body.data, frame->body.size))
        return;
    count_reply(slot, size);
    slot_pump(slot);
}

static void on_connected(struct client_conn *conn)
{
    struct slot *slot = client_owner(conn);

    slot->run->result->connections++;
    slot_progress(slot->run);
    if (slot->state != SLOT_CONNECTING)
        return;
    become(slot, SLOT_TALKING);
    if (slot->run->options->mode == OPTIONS_CONNECT_EACH && !slot->idle)
        slot_pump(slot);
}

static void on_sent(struct client_conn *conn)
{
    struct slot *slot = client_owner(conn);

    if (slot->run->phase != PHASE_CONNECT && !slot->idle)
        slot_pump(slot);
}

void slot_open(struct slot *slot)
{
    int rc = client_open(slot->run->client, slot, &slot->conn);

    slot->due += slot->run->options->mode == OPTIONS_CONNECT_EACH;
    if (slot->sent_ns)
        slot->sent_ns[0] = os_now_ns(); // OPTIONS_CONNECT_EACH counts from here
    if (rc == 0)
        return;
    result_add_error(slot->run->result, RESULT_LOCAL, "client %u cannot be opened: %s",
                     (unsigned)slot->number, error_text(rc));
    fail(slot);
}

// The connection of one message is over; the next one, if there is one.
static void connect_again(struct slot *slot)
{
    struct slot_run *run = slot->run;

    if (run->phase != PHASE_TALK ||
        (run->options->frames > 0 && slot->received >= run->options->frames)) {
        become(slot, SLOT_DONE);
        return;
    }
    become(slot, SLOT_CONNECTING);
    slot_open(slot);
}

static void on_closed(struct client_conn *conn, int error)
{
    struct slot *slot = client_owner(conn);
    struct slot_run *run = slot->run;

    slot->conn = NULL;
    slot_progress(run);
    if (run->phase == PHASE_OVER)
        return;
    switch (slot->state) {
    case SLOT_FAILED:
    case SLOT_DONE:
        return;
    case SLOT_ANSWERED:
        if (error == 0 && run->options->mode == OPTIONS_CONNECT_EACH) {
            connect_again(slot);
            return;
        }
        if (error == 0 && slot->half_closed) {
            become(slot, SLOT_DONE);
            return;
        }
        break;
    case SLOT_CLOSING:
        if (error == 0) {
            become(slot, SLOT_DONE);
            return;
        }
        break;
    default:
        break;
    }
    result_add_error(run->result,
                     slot->state == SLOT_CONNECTING ? RESULT_NOT_CONNECTED
                     : error == -EPROTO             ? RESULT_FRAME
                                                    : RESULT_CLOSED,
                     "%s %u %s: %s", slot->idle ? "idle client" : "client", (unsigned)slot->number,
                     slot->state == SLOT_CONNECTING ? "cannot connect" : "was closed",
                     error == 0 ? "by the server" : error_text(error));
    fail(slot);
}

const struct client_handler slot_handler = {
    .connected = on_connected,
    .frame = on_frame,
    .sent = on_sent,
    .closed = on_closed,
};

void slot_close(struct slot *slot)
{
    if (slot->state != SLOT_TALKING && slot->state != SLOT_ANSWERED)
        return;
    if (slot->half_closed)
        return; // closes by itself
    become(slot, SLOT_CLOSING);
    client_finish(slot->conn);
}
