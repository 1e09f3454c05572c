# The Windows build from Linux: Debian's mingw-w64 (posix threads), the libraries that
# windows-libs.sh made, and Wine to run the tests.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)

set(host x86_64-w64-mingw32)
set(CMAKE_C_COMPILER ${host}-gcc-posix)
set(CMAKE_RC_COMPILER ${host}-windres)

execute_process(
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/windows-libs.sh --print-prefix
    OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT IS_DIRECTORY ${prefix})
    message(FATAL_ERROR
        "the libraries for Windows are not in '${prefix}': run deploy/toolchain/windows-libs.sh")
endif()

set(CMAKE_FIND_ROOT_PATH ${prefix} /usr/${host})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH) # an installed Troupe is found where it is named

set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/wine.sh)
