// Included in front of ggml's CPU code (see build.rs): makes its threads wait with patience.
//
// ggml's threads meet at a barrier after every operation, several hundred times per token, and spin
// there without end. Alone on the machine that is right: the wait is a few microseconds. Beside other
// work it is a disaster: a thread spins through its whole time slice while the one that it waits for
// has no core to run on (two threads on two cores beside eight compilers: below one token per second,
// where one thread makes seventy). So: spin for some microseconds, then offer the core at every turn.
//
// Measured on two cores: alone no difference; beside one busy process 70 to 78 tokens per second
// instead of 38 to 52; beside eight, 60 to 80 instead of less than one. Shorter spinning gives the
// slice away too early (5 to 40 beside one process); sleeping instead of yielding is slower beside many.
//
// ggml spins by `_mm_pause()`, in two loops only (the barrier, and polling for the next graph); the
// macro replaces just that.
#ifndef LLA_PATIENT_WAIT_H
#define LLA_PATIENT_WAIT_H

#if defined(__x86_64__) && defined(__linux__) && !defined(__cplusplus)

#include <immintrin.h>
#include <sched.h>
#include <stdint.h>

// In TSC ticks, 2 to 4 per nanosecond: 5 to 10 microseconds, longer than nearly all waits on an idle machine.
#define LLA_SPIN_TICKS 20000
// Two turns further apart than this belong to different waits.
#define LLA_SAME_WAIT_TICKS 4000

static inline void lla_patient_pause(void) {
    static __thread uint64_t began;
    static __thread uint64_t last;
    __builtin_ia32_pause();
    const uint64_t now = __rdtsc();
    if (now - last > LLA_SAME_WAIT_TICKS) {
        began = now;
    }
    last = now;
    if (now - began > LLA_SPIN_TICKS) {
        sched_yield();
        // Back on the core, perhaps much later: still the same wait.
        last = __rdtsc();
    }
}

#define _mm_pause() lla_patient_pause()

#endif
#endif
