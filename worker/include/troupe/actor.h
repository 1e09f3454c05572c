// <troupe/actor.h> - what a worker program is written against.
//
//     #include <troupe/actor.h>
//
//     static void frame(struct troupe_turn *turn, const void *data, size_t size)
//     {
//         troupe_reply(turn, data, size);
//     }
//     static const struct troupe_actor echo = {.name = "echo", .version = "1", .frame = frame};
//
//     int main(int argc, char **argv) { return troupe_worker_main(argc, argv, &echo); }
//
// Every client of the gateway has an actor in one of the workers. An actor handles one input at a
// time, a turn. What a turn does with the functions below leaves in one commit when the callback
// returns: all of it or nothing. All callbacks run on one thread; nothing here blocks or locks.
#ifndef TROUPE_ACTOR_H
#define TROUPE_ACTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Valid until the callback returns.
struct troupe_turn;

// Callbacks may be NULL. Texts and bytes that they get are valid until they return.
struct troupe_actor {
    const char *name;    // letters, digits, "-", "_", "."; 1 to 63 bytes
    const char *version; // of the program, for logs; up to 63 bytes
    void (*open)(struct troupe_turn *turn, const char *peer); // a client has come, from "host:port"
    void (*frame)(struct troupe_turn *turn, const void *data, size_t size);
    void (*close)(struct troupe_turn *turn, const char *reason); // it is gone; replies are dropped
};

// Sends one frame to the turn's client, after those of earlier calls. The bytes are copied. 0,
// -EMSGSIZE (larger than troupe_frame_max()), -ENOBUFS (the turn has sent too much: 256 effects or
// 4 MiB and one frame), -ENOMEM; on failure nothing is sent of this call.
int troupe_reply(struct troupe_turn *turn, const void *data, size_t size);

// Closes the client's connection in order: what was replied still arrives. The actor's close
// callback follows as a turn of its own. 0 or -ENOBUFS.
int troupe_close(struct troupe_turn *turn);

// Identifies the client's session: unique while the gateway runs.
uint64_t troupe_session(const struct troupe_turn *turn);

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
