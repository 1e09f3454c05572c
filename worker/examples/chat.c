// troupe-chat: rooms for people with a line-based client (--gateway.frame=line, then telnet or nc).
//
// A room is a group; who is in it stands in each person's state, so everybody stays where they are
// when a worker is lost. A timer asks the silent whether they are still there.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <troupe/actor.h>

enum { NAME_MAX_BYTES = 16, ROOM_MAX_BYTES = 32, LINE_MAX_BYTES = 512 };
enum { SILENT_MS = 60 * 1000, TIMER_SILENT = 1 };

struct person {
    char name[NAME_MAX_BYTES];
    char room[ROOM_MAX_BYTES]; // "" = none
};

static void say(struct troupe_turn *turn, const char *text)
{
    (void)troupe_reply(turn, text, strlen(text));
}

static void say_in_room(struct troupe_turn *turn, const struct person *person, const char *text)
{
    char line[LINE_MAX_BYTES + NAME_MAX_BYTES + 8];

    snprintf(line, sizeof(line), "%s: %s", person->name, text);
    (void)troupe_publish(turn, person->room, troupe_session(turn), line, strlen(line));
}

// The word becomes a field of the state: zeroed behind its end, so that equal states have equal
// bytes.
static void set_word(char *field, size_t room, const char *word)
{
    size_t size = strlen(word);

    memset(field, 0, room);
    memcpy(field, word, size < room ? size : room - 1);
}

static void join(struct troupe_turn *turn, struct person *person, const char *room)
{
    if (person->room[0] != '\0') {
        say_in_room(turn, person, "(leaves)");
        (void)troupe_leave(turn, person->room);
    }
    set_word(person->room, sizeof(person->room), room);
    if (person->room[0] == '\0' || troupe_join(turn, person->room) != 0) {
        set_word(person->room, sizeof(person->room), "");
        say(turn, "you are in no room");
        return;
    }
    say_in_room(turn, person, "(joins)");
    say(turn, "you are in");
}

static void chat_open(struct troupe_turn *turn, void *state, const char *peer)
{
    struct person *person = state;

    (void)peer;
    snprintf(person->name, sizeof(person->name), "guest%u",
             (unsigned)(troupe_random(turn) % 10000));
    say(turn, "welcome. /name NAME, /join ROOM, /leave, /quit; anything else is said in the room");
    (void)troupe_after(turn, TIMER_SILENT, SILENT_MS, 0);
}

static void chat_frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
{
    struct person *person = state;
    char line[LINE_MAX_BYTES];
    size_t length = size < sizeof(line) - 1 ? size : sizeof(line) - 1;

    memcpy(line, data, length);
    line[length] = '\0';
    (void)troupe_after(turn, TIMER_SILENT, SILENT_MS, 0);
    if (strncmp(line, "/name ", 6) == 0 && line[6] != '\0') {
        set_word(person->name, sizeof(person->name), line + 6);
        say(turn, "so be it");
    } else if (strncmp(line, "/join ", 6) == 0) {
        join(turn, person, line + 6);
    } else if (strcmp(line, "/leave") == 0) {
        join(turn, person, "");
    } else if (strcmp(line, "/quit") == 0) {
        say(turn, "goodbye");
        (void)troupe_close(turn);
    } else if (person->room[0] == '\0') {
        say(turn, "nobody hears you: /join ROOM");
    } else {
        say_in_room(turn, person, line);
    }
}

static void chat_timer(struct troupe_turn *turn, void *state, uint64_t tag)
{
    (void)state;
    (void)tag;
    say(turn, "still there?");
}

static void chat_close(struct troupe_turn *turn, void *state, const char *reason)
{
    const struct person *person = state;

    (void)reason;
    if (person->room[0] != '\0')
        say_in_room(turn, person, "(is gone)");
}

int main(int argc, char **argv)
{
    static const struct troupe_actor chat = {.name = "chat",
                                             .version = "1",
                                             .open = chat_open,
                                             .frame = chat_frame,
                                             .timer = chat_timer,
                                             .close = chat_close,
                                             .state_size = sizeof(struct person),
                                             .state_version = 1};

    return troupe_worker_main(argc, argv, &chat);
}
