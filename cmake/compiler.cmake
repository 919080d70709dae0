# SPDX-License-Identifier: Apache-2.0
# One place for the language, the warnings and the sanitizers of every room.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(BCAI_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")
option(BCAI_FUZZ "Build the *_fuzz.cc targets (needs clang)" OFF)
option(BCAI_TESTS "Build the *_test.cc files" ON)

find_program(CCACHE ccache)
if(CCACHE)
  # One build directory's objects serve another: the wheel takes those of the release build.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE})
endif()
find_program(LLD ld.lld)
if(LLD AND NOT CMAKE_CROSSCOMPILING)
  add_link_options(-fuse-ld=lld)
endif()

# A designated initialiser leaves the other members their defaults, and says so by its form.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wno-missing-field-initializers -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these inside its own std::string and std::variant (GCC bugs 105329, 105562).
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized)
  # A warning for headers: in a batch g++ takes every .cc file for one, with its Impl.
  set(in_batches $<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:$<TARGET_PROPERTY:UNITY_BUILD>>>)
  add_compile_options($<${in_batches}:-Wno-subobject-linkage>)
endif()
set(CMAKE_CXX_FLAGS_DEBUG "-g1 -O0")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")

if(BCAI_SANITIZE)
  # Not optimised: with the sanitizers -O1 takes twice as long to compile, and the tests are short.
  add_compile_options(-fsanitize=${BCAI_SANITIZE} -fno-omit-frame-pointer)
  add_compile_options(-fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BCAI_SANITIZE})
  if(BCAI_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Asio's fences, which the sanitizer does not see. Its locks order the same accesses.
    add_compile_options(-Wno-tsan)
  endif()
endif()
if(BCAI_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
