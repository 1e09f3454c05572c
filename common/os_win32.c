#include <winsock2.h>
#include <windows.h>
#include <bcrypt.h>
#include <psapi.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "error_win32.h"

static const char stop_event_variable[] = "TROUPE_STOP_EVENT"; // process_win32.c sets it

// The start code of mingw-w64 reads it: no wildcards in arguments, or "*:7777" would be taken for a
// pattern of file names.
int _dowildcard = 0;

static struct {
    void (*fn)(void *context);
    void *context;
    HANDLE event;    // our parent's; NULL when it is not one of ours
    bool has_parent; // a program of ours started us: only it decides
} stop;

// Windows appends each write whole. Wine asks for the file's size and writes there in a second
// step, so that threads would overwrite each other's lines; its processes still may.
static SRWLOCK log_turn = SRWLOCK_INIT;

static bool has_stop_event(void)
{
    return GetEnvironmentVariableA(stop_event_variable, NULL, 0) > 0;
}

static uint64_t time_of(FILETIME time) // in 100 ns
{
    return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static HANDLE open_process(uint64_t process_id)
{
    if (process_id > UINT32_MAX)
        return NULL;
    return OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)process_id);
}

static int write_all(HANDLE file, const char *text, size_t size)
{
    while (size > 0) {
        DWORD wrote = 0;

        if (!WriteFile(file, text, size > UINT32_MAX / 2 ? UINT32_MAX / 2 : (DWORD)size, &wrote,
                       NULL))
            return error_from_windows(GetLastError());
        if (wrote == 0)
            return -EIO;
        text += wrote;
        size -= wrote;
    }
    return 0;
}

static HANDLE log_file(int descriptor)
{
    return descriptor == OS_LOG_STDERR ? GetStdHandle(STD_ERROR_HANDLE)
                                       : (HANDLE)_get_osfhandle(descriptor);
}

void os_init(void)
{
    WSADATA data;

    CHECK(WSAStartup(MAKEWORD(2, 2), &data) == 0);
    (void)_setmode(0, _O_BINARY);
    (void)_setmode(1, _O_BINARY);
    (void)_setmode(2, _O_BINARY);
    (void)SetConsoleOutputCP(CP_UTF8); // fails without a console
    // A crash ends the process, and shows no window that waits for somebody.
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
    // A new process group starts with Ctrl-C ignored: right for a child of ours, wrong otherwise.
    if (!has_stop_event())
        (void)SetConsoleCtrlHandler(NULL, FALSE);
}

uint64_t os_now_ms(void)
{
    return os_now_ns() / 1000000u;
}

uint64_t os_now_ns(void)
{
    LARGE_INTEGER frequency, now;
    uint64_t ticks, per_second;

    QueryPerformanceFrequency(&frequency); // neither fails since Windows XP
    QueryPerformanceCounter(&now);
    ticks = (uint64_t)now.QuadPart;
    per_second = (uint64_t)frequency.QuadPart;
    return ticks / per_second * 1000000000u + ticks % per_second * 1000000000u / per_second;
}

uint64_t os_now_utc_ms(void)
{
    const uint64_t unix_epoch = 116444736000000000u; // in 100 ns since 1601
    FILETIME now;

    GetSystemTimePreciseAsFileTime(&now);
    return (time_of(now) - unix_epoch) / 10000u;
}

uint32_t os_core_count(void)
{
    DWORD_PTR ours = 0, all = 0;
    uint32_t count = 0;

    // Zero for a process in several groups of 64 cores: GetProcessAffinityMask's page.
    if (!GetProcessAffinityMask(GetCurrentProcess(), &ours, &all) || ours == all)
        count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    else
        count = (uint32_t)__builtin_popcountll(ours);
    return count > 0 ? count : 1;
}

uint64_t os_process_id(void)
{
    return GetCurrentProcessId();
}

void os_random(void *out, size_t size)
{
    uint8_t *to = out;

    while (size > 0) {
        ULONG part = size > 65536 ? 65536 : (ULONG)size;

        CHECK(BCryptGenRandom(NULL, to, part, BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0);
        to += part;
        size -= part;
    }
}

void os_sleep_ms(uint32_t ms)
{
    Sleep(ms == INFINITE ? INFINITE - 1 : ms);
}

uint64_t os_resident_bytes(uint64_t process_id)
{
    HANDLE process = open_process(process_id);
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof(counters)};
    uint64_t bytes = 0;

    if (process == NULL)
        return 0;
    if (GetProcessMemoryInfo(process, &counters, sizeof(counters)))
        bytes = counters.WorkingSetSize;
    CloseHandle(process);
    return bytes;
}

uint64_t os_cpu_time_us(uint64_t process_id)
{
    HANDLE process = open_process(process_id);
    FILETIME created, ended, kernel, user;
    uint64_t us = 0;

    if (process == NULL)
        return 0;
    if (GetProcessTimes(process, &created, &ended, &kernel, &user))
        us = (time_of(kernel) + time_of(user)) / 10;
    CloseHandle(process);
    return us;
}

uint32_t os_descriptor_limit_raise(void)
{
    return UINT32_MAX;
}

static DWORD WINAPI thread_main(void *argument)
{
    struct os_thread *thread = argument;

    thread->run(thread->argument);
    return 0;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *), void *argument)
{
    HANDLE handle;

    thread->run = run;
    thread->argument = argument;
    handle = CreateThread(NULL, 0, thread_main, thread, 0, NULL);
    if (handle == NULL)
        return -EAGAIN;
    thread->handle = (uintptr_t)handle;
    return 0;
}

void os_thread_join(struct os_thread *thread)
{
    CHECK(WaitForSingleObject((HANDLE)thread->handle, INFINITE) == WAIT_OBJECT_0);
    CloseHandle((HANDLE)thread->handle);
}

static BOOL WINAPI on_console_event(DWORD event)
{
    bool is_end = event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT;

    if (!stop.has_parent)
        stop.fn(stop.context);
    // The console closes, the user logs off or the system shuts down: the process is ended as soon
    // as this returns, and after some seconds anyway: HandlerRoutine's page. main uses them.
    if (is_end)
        Sleep(INFINITE);
    return TRUE;
}

static DWORD WINAPI stop_event_main(void *unused)
{
    (void)unused;
    while (WaitForSingleObject(stop.event, INFINITE) == WAIT_OBJECT_0)
        stop.fn(stop.context);
    return 0;
}

void os_on_stop(void (*fn)(void *context), void *context)
{
    char name[128];
    DWORD length = GetEnvironmentVariableA(stop_event_variable, name, sizeof(name));

    CHECK(stop.fn == NULL);
    stop.fn = fn;
    stop.context = context;
    if (length > 0 && length < sizeof(name)) {
        stop.event = OpenEventA(SYNCHRONIZE, FALSE, name);
        stop.has_parent = stop.event != NULL;
        (void)SetEnvironmentVariableA(stop_event_variable,
                                      NULL); // not for what this process starts
    }
    if (stop.event != NULL) {
        HANDLE thread = CreateThread(NULL, 0, stop_event_main, NULL, 0, NULL);

        CHECK(thread != NULL);
        CloseHandle(thread);
    }
    CHECK(SetConsoleCtrlHandler(on_console_event, TRUE));
}

const char *os_environment(const char *name)
{
    return getenv(name);
}

void os_write_stdout(const char *text, size_t size)
{
    (void)write_all(GetStdHandle(STD_OUTPUT_HANDLE), text, size);
}

int os_log_open(const char *path)
{
    // Append access alone makes each write go to the end as it is then, also with other writers.
    HANDLE file = CreateFileA(path, FILE_APPEND_DATA | SYNCHRONIZE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    int descriptor;

    if (file == INVALID_HANDLE_VALUE)
        return error_from_windows(GetLastError());
    descriptor = _open_osfhandle((intptr_t)file, _O_APPEND | _O_BINARY | _O_NOINHERIT);
    if (descriptor < 0) {
        CloseHandle(file);
        return -EMFILE;
    }
    return descriptor;
}

int os_log_write(int descriptor, const char *text, size_t size)
{
    int rc;

    AcquireSRWLockExclusive(&log_turn);
    rc = write_all(log_file(descriptor), text, size);
    ReleaseSRWLockExclusive(&log_turn);
    return rc;
}

void os_log_close(int descriptor)
{
    (void)_close(descriptor);
}
