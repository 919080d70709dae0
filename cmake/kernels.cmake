# SPDX-License-Identifier: Apache-2.0
# bcai_kernel_sources(TARGET FILE...): compiles each file once per SIMD level and adds the objects to
# the target. bcai_room calls it for the *_simd.cc files of a room, which therefore need no listing.
#
# Each level is a macro, BCAI_SIMD_LEVEL (portable, avx2 or avx512), which the file uses as its
# namespace, and the exact flags of that level. Never -march=native: two translation units of
# different levels must not share an inline function, and the linker would keep either.
#
# Rule R2 of docs/formats/numerics_n1.md: what the source writes is what is computed. No contraction,
# no reassociation; a fused multiply-add is one that the source asks for. errno is not set by a
# square root, so that it is one instruction; this changes no value.
set(BCAI_KERNEL_FLAGS -O3 -ffp-contract=off -fno-fast-math -fno-math-errno)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports this inside its own AVX-512 intrinsics (GCC bug 105593).
  list(APPEND BCAI_KERNEL_FLAGS -Wno-uninitialized)
endif()
set(BCAI_KERNEL_LEVELS portable)
set(BCAI_KERNEL_FLAGS_portable "")
if(BCAI_SANITIZE)
  # Addresses only, and not in portable vectors, which are loops over arrays: with every check, clang
  # takes minutes for one file of code that is unrolled by hand. The wide levels are compiled from
  # the same source and read and write at the same places.
  list(APPEND BCAI_KERNEL_FLAGS -O1 -fno-sanitize=undefined)
  if(BCAI_FUZZ)
    list(APPEND BCAI_KERNEL_FLAGS -fno-sanitize=fuzzer-no-link)
  endif()
  set(BCAI_KERNEL_FLAGS_portable -fno-sanitize=address)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND BCAI_KERNEL_LEVELS avx2 avx512)
  set(BCAI_KERNEL_FLAGS_avx2 -mavx2 -mfma)
  set(BCAI_KERNEL_FLAGS_avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma)
endif()

function(bcai_kernel_sources target)
  foreach(level IN LISTS BCAI_KERNEL_LEVELS)
    set(objects ${target}_${level})
    add_library(${objects} OBJECT ${ARGN})
    target_compile_definitions(${objects} PRIVATE BCAI_SIMD_LEVEL=${level})
    # Each file alone: every one has a run() of its own.
    set_target_properties(${objects} PROPERTIES UNITY_BUILD OFF)
    target_compile_options(${objects} PRIVATE ${BCAI_KERNEL_FLAGS} ${BCAI_KERNEL_FLAGS_${level}})
    target_include_directories(${objects} PRIVATE
                               $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
