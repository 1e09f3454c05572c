# The libraries we stand on, found by header and library name, so that Debian's packages, a
# cross-compiled prefix, MSYS2 and vcpkg are all served alike: troupe_nng, troupe_msgpack,
# troupe_yaml, troupe_uthash (nothing but a header), troupe_cmocka.
find_package(Threads REQUIRED)

function(troupe_library target header)
    string(TOUPPER ${target} name)
    find_path(${name}_INCLUDE ${header} REQUIRED)
    add_library(${target} INTERFACE)
    target_include_directories(${target} SYSTEM INTERFACE ${${name}_INCLUDE})
    mark_as_advanced(${name}_INCLUDE)
    if(ARGN)
        find_library(${name}_LIBRARY NAMES ${ARGN} REQUIRED)
        target_link_libraries(${target} INTERFACE ${${name}_LIBRARY})
        mark_as_advanced(${name}_LIBRARY)
    endif()
endfunction()

troupe_library(troupe_nng nng/nng.h nng)
troupe_library(troupe_msgpack msgpack.h msgpackc msgpack-c)
troupe_library(troupe_yaml yaml.h yaml)
troupe_library(troupe_uthash uthash.h)
if(TROUPE_TESTS)
    troupe_library(troupe_cmocka cmocka.h cmocka-static cmocka)
endif()

target_link_libraries(troupe_nng INTERFACE Threads::Threads)
if(WIN32)
    target_compile_definitions(troupe_nng INTERFACE NNG_STATIC_LIB)
    target_compile_definitions(troupe_yaml INTERFACE YAML_DECLARE_STATIC)
    target_link_libraries(troupe_nng INTERFACE ws2_32 mswsock advapi32)
endif()
