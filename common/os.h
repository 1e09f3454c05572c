// os.h - what else is asked of the operating system: clock, cores, threads, paths, stop signals.
// Floor 0. Child processes: process.h.
//
// Twins: os_linux.c, os_win32.c, and those that begin like them. Any thread may call these unless a
// comment says otherwise.
#ifndef TROUPE_OS_H
#define TROUPE_OS_H

#include "base.h"

enum { OS_PATH_MAX = 1024 }; // bytes of any path we build, with its end

// First call of every main: sockets (WSAStartup), UTF-8 and binary standard streams, no SIGPIPE,
// and no inherited stop signal. Main thread, once, before other threads start.
void os_init(void);

uint64_t os_now_ms(void);     // monotonic, from an unknown start
uint64_t os_now_ns(void);     // the same clock
uint64_t os_now_utc_ms(void); // since 1970-01-01T00:00:00Z
uint32_t os_core_count(void); // cores this process may use (affinity, cgroup), at least 1
uint64_t os_process_id(void);
void os_random(void *out,
               size_t size);   // from the system's strong source; aborts when there is none
void os_sleep_ms(uint32_t ms); // for tools; a server waits in port_poll()

// Bytes of memory that a process has resident, and CPU time it has used; 0 when not known.
uint64_t os_resident_bytes(uint64_t process_id);
uint64_t os_cpu_time_us(uint64_t process_id); // user and system

// Raises the limit of open descriptors as far as the system allows; returns the limit in force.
// Windows has none and returns UINT32_MAX.
uint32_t os_descriptor_limit_raise(void);

// Threads. An os_thread lives in its owner's memory from start to join.
struct os_thread {
    void (*run)(void *argument);
    void *argument;
    uintptr_t handle;
};
int os_thread_start(struct os_thread *thread, void (*run)(void *), void *argument); // 0 or -EAGAIN
void os_thread_join(struct os_thread *thread);

// Calls fn(context) on a thread of its own each time this process is asked to stop: SIGINT and
// SIGTERM; Ctrl-C, Ctrl-Break, closing the console; the stop event that process.h signals. fn may
// only post. Call once, on the main thread, before other threads start (Linux blocks the signals in
// all of them).
void os_on_stop(void (*fn)(void *context), void *context);

// The folder that holds the running program, without a final separator. 0 or -ENAMETOOLONG.
int os_program_folder(char out[OS_PATH_MAX]);

// A program to run: "name" is looked for beside the running program, a path is taken as it is; on
// Windows ".exe" is added where it lacks. 0, -ENOENT (out then holds where it was looked for),
// -EACCES (not executable), -ENAMETOOLONG.
int os_find_program(const char *name, char out[OS_PATH_MAX]);

// Where a node keeps its sockets and lock when the configuration does not say: one folder a user.
int os_runtime_dir_default(char out[OS_PATH_MAX]);

// Makes the folder, readable for this user only; fine when it is there and is ours (-EACCES when it
// belongs to somebody else). 0 or negative errno.
int os_make_private_folder(const char *path);

// The nng address of an ipc end point of this name: "ipc:///run/.../NAME" on Linux, on Windows a
// pipe name made from both. -ENAMETOOLONG when the system's limit (107 bytes of path on Linux, 240
// on Windows) would be passed.
int os_ipc_address(char out[OS_PATH_MAX], const char *runtime_dir, const char *name);

// A lock that ends with the process: "<runtime_dir>/<name>.lock", locked with flock on Linux, open
// exclusively on Windows. 0, or -EBUSY with the holder's process id (0 = not known) in out_holder.
// It is never given back.
int os_lock(const char *runtime_dir, const char *name, uint64_t *out_holder);

// An environment variable's value, or NULL. Valid until the environment is changed.
const char *os_environment(const char *name);

// One write of all bytes to a standard stream; errors are ignored (nobody listens any more).
void os_write_stdout(const char *text, size_t size);

// Log files. A descriptor, or a negative errno; one write: 0 or a negative errno (-ENOSPC).
int os_log_open(const char *path);
int os_log_write(int descriptor, const char *text, size_t size);
void os_log_close(int descriptor);
enum { OS_LOG_STDERR = 2 };

// Small files. Appends, all of it or nothing, whatever other threads and processes append at the
// same time; makes the file, for this user only, if there is none. 0; -EFBIG when the file would
// grow past max bytes; -EAGAIN when somebody holds its lock for 100 ms; -ENOSPC and others.
int os_file_append(const char *path, const void *data, size_t size, uint64_t max);

// The whole file, as it is now, in memory that the caller frees. 0; -EFBIG when it has more than
// max bytes; -ENOENT, -ENOMEM and others.
int os_file_read(const char *path, size_t max, uint8_t **out_data, size_t *out_size);

#endif
