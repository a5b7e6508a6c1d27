// What the mock engine and the load generator share.
#ifndef COMMON_H
#define COMMON_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

// Microseconds of CLOCK_MONOTONIC; both programs run on one machine, so their readings compare.
static inline uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline void *grow(void *old, size_t bytes) {
    void *grown = realloc(old, bytes);
    if (!grown) {
        perror("realloc");
        exit(1);
    }
    return grown;
}

// Thousands of connections need more descriptors than the usual soft limit.
static inline void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

#endif
