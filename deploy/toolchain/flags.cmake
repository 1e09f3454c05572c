# Compiler flags for everything that is ours, in one target: troupe_flags.
add_library(troupe_flags INTERFACE)

target_compile_options(troupe_flags INTERFACE
    -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wwrite-strings -Wvla
    -fno-strict-aliasing -fno-omit-frame-pointer -fstack-protector-strong)
target_compile_definitions(troupe_flags INTERFACE TROUPE_VERSION="${PROJECT_VERSION}")

if(WIN32)
    # Windows 10: what GetQueuedCompletionStatusEx, job lists and the rest of our twins need.
    target_compile_definitions(troupe_flags INTERFACE
        _WIN32_WINNT=0x0A00 WIN32_LEAN_AND_MEAN __USE_MINGW_ANSI_STDIO=1)
    # To the linker -fstack-protector means the library behind it, where there is one.
    target_link_options(troupe_flags INTERFACE
        -static -fstack-protector-strong -Wl,--dynamicbase -Wl,--nxcompat -Wl,--high-entropy-va)
    # Every program, and no library, carries the manifest.
    enable_language(RC)
    target_sources(troupe_flags INTERFACE
        $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${CMAKE_CURRENT_LIST_DIR}/windows.rc>)
else()
    target_compile_definitions(troupe_flags INTERFACE _GNU_SOURCE)
    target_compile_options(troupe_flags INTERFACE -fPIE)
    target_link_options(troupe_flags INTERFACE -pie -Wl,-z,relro -Wl,-z,now)
endif()

if(TROUPE_SANITIZE STREQUAL "address")
    set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(TROUPE_SANITIZE STREQUAL "thread")
    set(sanitizers -fsanitize=thread)
else()
    # The runtime checks of _FORTIFY_SOURCE and those of the sanitizers do not go together.
    target_compile_definitions(troupe_flags INTERFACE
        $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
endif()
if(sanitizers)
    target_compile_options(troupe_flags INTERFACE ${sanitizers})
    target_link_options(troupe_flags INTERFACE ${sanitizers})
endif()
