#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"
#include "os.h"
#include "error_win32.h"
#include "process_launch_win32.h"

enum {
    PIPE_BYTES = 64 * 1024,
    KILLED = 137, // the exit code of what is killed, as on Linux
    NAME_MAX_BYTES = 128,
};

// One thread a child: it reads the lines, waits for the end and calls back. Each child has a job of
// its own, which takes what the child started with it, and ends it all when our handle closes,
// however this process ends.
struct process {
    HANDLE handle;
    uint32_t id;
    HANDLE job;
    HANDLE stop;   // named event; os_on_stop() of the child waits for it
    HANDLE output; // read end of the child's standard output, overlapped
    HANDLE read_done;
    OVERLAPPED reading;
    void (*line)(void *owner, const char *text);
    void (*exited)(void *owner, const struct process_exit *how);
    void *owner;
    struct os_thread reader;
    char data[4096]; // the system's while a read is pending
    char text[PROCESS_LINE_MAX];
    size_t size;
};

// Of a named object that nobody else has: process id, and the count in this process.
static void make_name(char out[NAME_MAX_BYTES], const char *prefix)
{
    static volatile LONG count;

    snprintf(out, NAME_MAX_BYTES, "%s%lu-%ld", prefix, GetCurrentProcessId(),
             InterlockedIncrement(&count));
}

static void emit(struct process *process)
{
    process->text[process->size] = '\0';
    process->size = 0;
    process->line(process->owner, process->text);
}

static void feed(struct process *process, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = process->data[i];

        if (c == '\n') {
            if (process->size > 0 && process->text[process->size - 1] == '\r')
                process->size--;
            emit(process);
            continue;
        }
        if (process->size == sizeof(process->text) - 1)
            emit(process);
        process->text[process->size++] = c == '\0' ? '?' : c;
    }
}

// True when a read is under way, or done and not yet fetched; false at the end of the pipe.
static bool read_start(struct process *process, DWORD most)
{
    memset(&process->reading, 0, sizeof(process->reading));
    process->reading.hEvent = process->read_done;
    return ReadFile(process->output, process->data, most, NULL, &process->reading) ||
           GetLastError() == ERROR_IO_PENDING;
}

// Waits for the read and takes its bytes. False when it brought none.
static bool read_finish(struct process *process)
{
    DWORD got = 0;

    if (!GetOverlappedResult(process->output, &process->reading, &got, TRUE) || got == 0)
        return false;
    feed(process, got);
    return true;
}

// The child has ended: what it wrote is in the pipe. A process that it left behind may hold the
// other end, so the end of the pipe is not waited for.
static void read_rest(struct process *process)
{
    DWORD waiting = 0;

    (void)CancelIoEx(process->output, &process->reading);
    (void)read_finish(process);
    if (!PeekNamedPipe(process->output, NULL, 0, NULL, &waiting, NULL))
        return;
    while (waiting > 0) {
        DWORD most = waiting < sizeof(process->data) ? waiting : sizeof(process->data);
        DWORD got = 0;

        if (!read_start(process, most) ||
            !GetOverlappedResult(process->output, &process->reading, &got, TRUE) || got == 0)
            return;
        feed(process, got);
        waiting -= got;
    }
}

static void read_lines(struct process *process)
{
    HANDLE handles[2] = {process->handle, process->read_done};
    bool is_open = read_start(process, sizeof(process->data));

    while (WaitForMultipleObjects(is_open ? 2 : 1, handles, FALSE, INFINITE) != WAIT_OBJECT_0)
        is_open = read_finish(process) && read_start(process, sizeof(process->data));
    (void)TerminateJobObject(process->job, KILLED); // what the child left behind goes with it
    if (is_open)
        read_rest(process);
    if (process->size > 0)
        emit(process);
}

static struct process_exit describe(HANDLE handle)
{
    struct process_exit how = {0};
    DWORD code = 0;

    CHECK(GetExitCodeProcess(handle, &code));
    how.code = (int)code;
    // Severities "error" and "warning" of an NTSTATUS; -1 and its neighbours are plain exit codes.
    if (code >> 28 == 0xC || code >> 28 == 0x8)
        snprintf(how.text, sizeof(how.text), "exception 0x%08lX", code);
    else
        snprintf(how.text, sizeof(how.text), "exit code %d", how.code);
    return how;
}

static void reader_run(void *argument)
{
    struct process *process = argument;
    struct process_exit how;

    read_lines(process);
    how = describe(process->handle);
    process->exited(process->owner, &how);
}

static void close_handle(HANDLE handle)
{
    if (handle != NULL && handle != INVALID_HANDLE_VALUE)
        CloseHandle(handle);
}

static void process_free(struct process *process)
{
    close_handle(process->handle);
    close_handle(process->job);
    close_handle(process->stop);
    close_handle(process->output);
    close_handle(process->read_done);
    free(process);
}

static int open_job(struct process *process)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation = {.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
                                                JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION}};

    process->job = CreateJobObjectA(NULL, NULL);
    if (process->job == NULL ||
        !SetInformationJobObject(process->job, JobObjectExtendedLimitInformation, &limits,
                                 sizeof(limits)))
        return error_from_windows(GetLastError());
    return 0;
}

// A pipe whose read end can be waited for together with the process: CreatePipe's cannot.
static int open_output(struct process *process, HANDLE *out_write_end)
{
    SECURITY_ATTRIBUTES inheritable = {.nLength = sizeof(inheritable), .bInheritHandle = TRUE};
    char name[NAME_MAX_BYTES];
    HANDLE write_end;

    make_name(name, "\\\\.\\pipe\\troupe-output-");
    process->output = CreateNamedPipeA(
        name, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE,
        PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_BYTES,
        PIPE_BYTES, 0, NULL);
    if (process->output == INVALID_HANDLE_VALUE)
        return error_from_windows(GetLastError());
    process->read_done = CreateEventA(NULL, TRUE, FALSE, NULL);
    write_end = CreateFileA(name, GENERIC_WRITE, 0, &inheritable, OPEN_EXISTING, 0, NULL);
    if (process->read_done == NULL || write_end == INVALID_HANDLE_VALUE) {
        int rc = error_from_windows(GetLastError());

        close_handle(write_end);
        return rc;
    }
    *out_write_end = write_end;
    return 0;
}

// `own`, and the name of the event that asks the child to stop, in `variable`. The array is to
// free, the entries are borrowed.
static const char **make_environment(const char *const *own, const char *variable)
{
    const char **all;
    size_t count = 0;

    while (own != NULL && own[count] != NULL)
        count++;
    all = calloc(count + 2, sizeof(*all));
    for (size_t i = 0; all != NULL && i < count; i++)
        all[i] = own[i];
    if (all != NULL)
        all[count] = variable;
    return all;
}

static int launch(struct process *process, const struct process_config *config)
{
    char variable[NAME_MAX_BYTES + 32];
    char event[NAME_MAX_BYTES];
    HANDLE write_end = NULL;
    const char **environment;
    int rc;

    make_name(event, "Local\\troupe-stop-");
    snprintf(variable, sizeof(variable), "TROUPE_STOP_EVENT=%s", event);
    environment = make_environment(config->environment, variable);
    if (environment == NULL)
        return -ENOMEM;
    process->stop = CreateEventA(NULL, FALSE, FALSE, event);
    rc = process->stop != NULL ? open_job(process) : error_from_windows(GetLastError());
    if (rc == 0)
        rc = open_output(process, &write_end);
    if (rc == 0) {
        rc = process_launch(&(struct process_launch){.arguments = config->arguments,
                                                     .environment = environment,
                                                     .output = write_end,
                                                     .job = process->job},
                            &process->handle, &process->id);
        CloseHandle(write_end);
    }
    free(environment);
    return rc;
}

int process_start(struct process **out_process, const struct process_config *config)
{
    struct process *process = calloc(1, sizeof(*process));
    int rc;

    if (process == NULL)
        return -ENOMEM;
    process->line = config->line;
    process->exited = config->exited;
    process->owner = config->owner;
    rc = launch(process, config);
    if (rc == 0)
        rc = os_thread_start(&process->reader, reader_run, process);
    if (rc != 0) {
        process_free(process); // closes the job, which ends a child that has no reader
        return rc;
    }
    *out_process = process;
    return 0;
}

void process_stop(struct process *process)
{
    (void)SetEvent(process->stop);
}

void process_kill(struct process *process)
{
    (void)TerminateJobObject(process->job, KILLED);
}

uint64_t process_id(const struct process *process)
{
    return process->id;
}

void process_destroy(struct process *process)
{
    if (process == NULL)
        return;
    os_thread_join(&process->reader);
    process_free(process);
}
