// A growing list of durations in microseconds, and its percentiles.
#ifndef SAMPLES_H
#define SAMPLES_H

#include "common.h"

struct samples {
    uint32_t *values;
    size_t count, capacity;
};

static inline void add_sample(struct samples *s, uint64_t us) {
    if (s->count == s->capacity)
        s->values = grow(s->values, (s->capacity = s->capacity ? s->capacity * 2 : 65536) * sizeof *s->values);
    s->values[s->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static inline int compare_samples(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

// {"p50":…,"p95":…,"p99":…,"max":…} in milliseconds, null where there is none.
static inline void print_samples(const char *name, struct samples *s) {
    static const struct {
        const char *name;
        double share;
    } wanted[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}, {"max", 1}};
    if (s->count) qsort(s->values, s->count, sizeof *s->values, compare_samples);
    printf(",\"%s\":{", name);
    for (int i = 0; i < 4; i++) {
        printf("%s\"%s\":", i ? "," : "", wanted[i].name);
        if (s->count) printf("%.2f", s->values[(size_t)(wanted[i].share * (s->count - 1) + 0.5)] / 1000.0);
        else printf("null");
    }
    printf("}");
}

#endif
