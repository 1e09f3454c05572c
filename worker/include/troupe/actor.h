// <troupe/actor.h> - what a worker program is written against.
//
//     #include <troupe/actor.h>
//
//     struct visits {
//         uint64_t frames;
//     };
//
//     static void frame(struct troupe_turn *turn, void *state, const void *data, size_t size)
//     {
//         struct visits *visits = state;
//
//         visits->frames++;
//         troupe_reply(turn, data, size);
//     }
//
//     static const struct troupe_actor actor = {
//         .name = "visits", .version = "1", .state_size = sizeof(struct visits), .frame = frame};
//
//     int main(int argc, char **argv)
//     {
//         return troupe_worker_main(argc, argv, &actor);
//     }
//
// Every client of the gateway has an actor in one of the workers. An actor handles one input at a
// time, a turn. What a turn does with the functions below leaves in one commit when the callback
// returns, together with the actor's state if that has changed: all of it or nothing.
//
// If the worker is lost before the gateway has the commit, the turn never happened: the actor goes
// on in another worker from its last committed state, and gets the same input again, with the same
// time, the same random numbers and the same turn number. So a callback must take what it needs
// from its arguments, its state and the turn, and nothing else; what it does outside of Troupe (a
// row in a database) may be done twice, and the turn number tells that it is the same.
//
// All callbacks run on one thread; nothing here blocks or locks. Numbers of errors are those of
// <errno.h>, negative.
#ifndef TROUPE_ACTOR_H
#define TROUPE_ACTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Valid until the callback returns.
struct troupe_turn;

// Callbacks may be NULL. Texts and bytes that they get are valid until they return; so is state,
// which is the actor's own: state_size bytes, zeroed when the actor is new, and what the last turn
// left in it afterwards.
struct troupe_actor {
    const char *name;    // letters, digits, "-", "_", "."; 1 to 63 bytes
    const char *version; // of the program, for logs; up to 63 bytes

    void (*open)(struct troupe_turn *turn, void *state,
                 const char *peer); // a client came, "host:port"
    void (*frame)(struct troupe_turn *turn, void *state, const void *data, size_t size);
    void (*timer)(struct troupe_turn *turn, void *state,
                  uint64_t tag); // one that the actor has set
    void (*close)(struct troupe_turn *turn, void *state,
                  const char *reason); // the last turn: only what it sends and publishes counts

    // The state travels as the bytes of the struct: no pointers in it, and no gaps that are not
    // zero.
    size_t state_size;      // bytes, 0 = no state; at most gateway.state_max_bytes
    uint32_t state_version; // grows when the struct changes

    // Only for a state that another version has committed: makes today's from it. state is zeroed.
    // 0, or anything else: the worker gives up, and says so.
    int (*migrate)(void *state, uint32_t version, const void *old, size_t old_size);

    // Only for a state that is not plain bytes (it points to memory of its own). save writes it
    // into out and returns its size in bytes; when that is more than room, nothing of out counts
    // and it is called again with more. load makes it again, 0 or anything else as for migrate;
    // there is no load for 0 bytes, which stand for a zeroed state.
    // drop frees what it points to: the actor has gone, or lives elsewhere now. All three or none.
    size_t (*save)(const void *state, void *out, size_t room);
    int (*load)(void *state, const void *saved, size_t size);
    void (*drop)(void *state);
};

// Sends one frame to the turn's client, after those of earlier calls. The bytes are copied. 0,
// -EMSGSIZE (larger than troupe_frame_max()), -ENOBUFS (the turn has done too much: 255 effects or
// 4 MiB and one frame), -ENOMEM; on failure nothing is sent of this call.
int troupe_reply(struct troupe_turn *turn, const void *data, size_t size);

// The same to another session's client, if that is still there. Frames of one actor to one client
// keep their order. One that the clients' framing cannot carry (a line with a line end in it)
// closes the sender's session, not the other's; so it is with troupe_publish().
int troupe_send(struct troupe_turn *turn, uint64_t session, const void *data, size_t size);

// Groups are sets of clients, by name (1 to 64 bytes of printable text), in the gateway: an actor
// makes its own client a member, and anybody publishes one frame to all of them. Members stay
// members when their worker is lost, until they leave or their connection ends. An actor may be in
// 64 groups; one that joins more is closed. 0, -EINVAL for a name that is none, and the errors of
// troupe_reply().
int troupe_join(struct troupe_turn *turn, const char *group);
int troupe_leave(struct troupe_turn *turn, const char *group);

// except: a session that does not get it (troupe_session() = the turn's own), 0 = everybody does.
int troupe_publish(struct troupe_turn *turn, const char *group, uint64_t except, const void *data,
                   size_t size);

// Calls the actor's timer callback with the tag after so many milliseconds, and then every so many
// (0 = once). The same tag again replaces the timer. Timers live in the gateway: they fire once, on
// time, also when the worker that set them is long gone. A repeating one whose turn is late does
// not make up for the beats it missed. One that was set anew while its last firing waits for its
// turn fires after that. An actor may have 64, those included that have fired and wait for their
// turn; one that sets more is closed. 0 and the errors of troupe_reply().
int troupe_after(struct troupe_turn *turn, uint64_t tag, uint32_t after_ms, uint32_t every_ms);

// A timer that has fired already may still be on its way.
int troupe_cancel(struct troupe_turn *turn, uint64_t tag);

// Closes the client's connection in order: what was replied still arrives. The actor's close
// callback follows as a turn of its own. 0 or -ENOBUFS.
int troupe_close(struct troupe_turn *turn);

// Milliseconds since 1970 when the input came to the gateway; the same in a replay.
uint64_t troupe_now_ms(const struct troupe_turn *turn);

// 64 random bits; each call gives the next, and a replay gives the same. Not for secrets.
uint64_t troupe_random(struct troupe_turn *turn);

// Identifies the client's session: unique while the gateway runs.
uint64_t troupe_session(const struct troupe_turn *turn);

// Number of this turn of the session: 1 for its first input. Session and turn number together name
// what is done now, also if it has to be done again.
uint64_t troupe_turn_number(const struct troupe_turn *turn);

// Largest frame in bytes that troupe_reply() takes.
size_t troupe_frame_max(const struct troupe_turn *turn);

// Runs the worker until the supervisor or Ctrl-C stops it. Handles --help and --version; other
// arguments are the program's own and are left alone. Returns main's exit code: 0 orderly stop, 1
// failure, 2 wrong usage, 3 refused by the gateway (another version of Troupe, a foreign node).
int troupe_worker_main(int argc, char **argv, const struct troupe_actor *actor);

#ifdef __cplusplus
}
#endif

#endif
