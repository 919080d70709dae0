// SPDX-License-Identifier: Apache-2.0
// What engine, zygote and child say to each other: one struct over SOCK_SEQPACKET, descriptors
// beside it. C, for child.c is; both ends are always of one build.
//
//   engine → zygote   FORK, with the child's end of a socket pair; at the start, with the program
//   of
//                     the seccomp filter
//   zygote → engine   READY: libraries loaded. On the child's socket: BORN with the child's pidfd,
//                     and ENDED when the child has ended
//   engine → child    PREPARE with mounts; RUN with mounts, then stdout, stderr, control pipe
//                     and, where the job has some, the pipe of its secrets
//   child → engine    PREPARED; RUNNING, with the descriptor that tells of counted calls where the
//                     kernel has it: the next thing that runs is the job. FAILED ends it
#pragma once

#include <stdint.h>

#define BCAI_MESSAGE_MOUNTS_MAX 12
#define BCAI_MESSAGE_TARGET_BYTES 96
#define BCAI_MESSAGE_LIMITS_MAX 12
#define BCAI_MESSAGE_DESCRIPTORS_MAX 16

enum bcai_message_kind {
  BCAI_READY = 1,
  BCAI_FILTER,
  BCAI_FORK,
  BCAI_BORN,
  BCAI_PREPARE,
  BCAI_PREPARED,
  BCAI_RUN,
  BCAI_RUNNING,
  BCAI_FAILED,
  BCAI_ENDED
};

struct bcai_message_limit {
  int32_t resource;  // RLIMIT_…
  uint64_t value;    // hard and soft
};

struct bcai_message {
  uint32_t kind;
  int32_t error;      // FAILED, BORN: errno; 0 of a BORN that went well
  int32_t line;       // FAILED: where in child.c
  int32_t status;     // ENDED: the exit code, 128 + n when signal n ended it
  uint32_t uid;       // FORK: the child's, in the zygote's user namespace
  uint32_t landlock;  // READY: its version; 0 is none
  uint32_t mounts;    // detached mounts among the descriptors, first of them, and where they go
  char targets[BCAI_MESSAGE_MOUNTS_MAX][BCAI_MESSAGE_TARGET_BYTES];
  uint32_t secrets;  // RUN: 1 when a pipe with the job's secrets comes last, to be its stdin
  uint32_t limits;
  struct bcai_message_limit limit[BCAI_MESSAGE_LIMITS_MAX];
};
