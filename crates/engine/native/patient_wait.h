// Included in front of ggml's CPU code (see build.rs): makes its threads wait with patience.
//
// ggml's threads meet at a barrier after every operation, several hundred times per token, and spin
// there without end. Alone on the machine that is right: the wait is a few microseconds. Beside other
// work it is a disaster: a thread spins through its whole time slice while the one it waits for has
// no core to run on. So: spin first, and after a while leave the core, for some 50 microseconds at a time.
//
// ggml spins by `_mm_pause()` in two loops (the barrier, and polling for the next graph); the macro
// replaces just that.
#ifndef LLA_PATIENT_WAIT_H
#define LLA_PATIENT_WAIT_H

#if defined(__x86_64__) && defined(__linux__) && !defined(__cplusplus)

#include <immintrin.h>
#include <stdint.h>
#include <time.h>

// In TSC ticks (2 to 3 per nanosecond). Longer than any wait on an idle machine should be.
#ifndef LLA_SPIN_TICKS
#define LLA_SPIN_TICKS 100000
#endif
// Two calls further apart than this belong to different waits.
#define LLA_SAME_WAIT_TICKS 4000

static inline void lla_patient_pause(void) {
    static __thread uint64_t began = 0;
    static __thread uint64_t last = 0;
    __builtin_ia32_pause();
    const uint64_t now = __rdtsc();
    if (now - last > LLA_SAME_WAIT_TICKS) {
        began = now;
    }
    last = now;
    if (now - began > LLA_SPIN_TICKS) {
        const struct timespec shortly = { 0, 1 };
        nanosleep(&shortly, 0);
        // Back from sleep: still the same wait.
        last = __rdtsc();
    }
}

#define _mm_pause() lla_patient_pause()

#endif
#endif
