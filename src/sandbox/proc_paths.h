// SPDX-License-Identifier: Apache-2.0
// What a job does not see, or may not change, of /proc: of files that tell everybody about the
// machine and its other users. For runc (bundle.cc) and, in C, for a zygote's child (child.c).
#pragma once

static const char* const kProcMasked[] = {
    "acpi",        "asound",      "buddyinfo",   "cmdline",      "config.gz",  "diskstats",
    "interrupts",  "iomem",       "ioports",     "kallsyms",     "kcore",      "key-users",
    "keys",        "kmsg",        "kpagecgroup", "kpagecount",   "kpageflags", "latency_stats",
    "locks",       "modules",     "mtrr",        "pagetypeinfo", "partitions", "pressure",
    "sched_debug", "schedstat",   "scsi",        "slabinfo",     "swaps",      "sysvipc",
    "timer_list",  "timer_stats", "vmallocinfo", "zoneinfo"};
static const char* const kProcReadOnly[] = {"bus", "fs", "irq", "sys", "sysrq-trigger", "driver"};
