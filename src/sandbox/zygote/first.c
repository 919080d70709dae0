// SPDX-License-Identifier: Apache-2.0
// Process 1 of a child's pid namespace: waits for its end, which the zygote brings. SIGCHLD is
// ignored from before, so that the kernel collects orphans itself. No libc, no memory to speak of.
static long wait_forever(void) {
  long result;
#if defined(__x86_64__)
  register long sigset_bytes __asm__("r8") = 8;
  register long sigset __asm__("r10") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(271L /* ppoll */), "D"(0L), "S"(0L), "d"(0L), "r"(sigset),
                     "r"(sigset_bytes)
                   : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long number __asm__("x8") = 73; /* ppoll */
  register long x0 __asm__("x0") = 0;
  register long x1 __asm__("x1") = 0;
  register long x2 __asm__("x2") = 0;
  register long x3 __asm__("x3") = 0;
  register long x4 __asm__("x4") = 8;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(number), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                   : "memory");
  result = x0;
#else
#error "process 1 of a zygote's child is written for x86-64 and aarch64"
#endif
  return result;
}

void _start(void) {
  for (;;) wait_forever();
}
