#define _GNU_SOURCE
#include "proctree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST = 8192 };

struct entry {
    int pid, parent, inside;
    unsigned long ticks;
};

static int read_entry(const char *pid, struct entry *entry) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    char *after_name = strrchr(text, ')');
    unsigned long user, system;
    long children_user, children_system;
    if (!after_name ||
        sscanf(after_name + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &entry->parent, &user,
               &system, &children_user, &children_system) != 5)
        return 0;
    entry->pid = atoi(pid);
    entry->inside = 0;
    entry->ticks = user + system + children_user + children_system;
    return 1;
}

static double pss_mb(int pid) {
    char path[64], line[256];
    long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kilobytes) == 1) break;
    fclose(file);
    return kilobytes / 1024.0;
}

static void mark(struct entry *entries, int count, const int *roots, int root_count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < root_count; j++)
            if (entries[i].pid == roots[j]) entries[i].inside = 1;
    for (int changed = 1; changed;) {
        changed = 0;
        for (int i = 0; i < count; i++)
            for (int j = 0; !entries[i].inside && j < count; j++)
                if (entries[j].inside && entries[i].parent == entries[j].pid) entries[i].inside = changed = 1;
    }
}

void read_trees(const int *roots, int root_count, int with_memory, struct tree_use *use) {
    static struct entry entries[MOST];
    int count = 0;
    DIR *directory = opendir("/proc");
    for (struct dirent *file; directory && count < MOST && (file = readdir(directory));)
        if (file->d_name[0] >= '1' && file->d_name[0] <= '9') count += read_entry(file->d_name, &entries[count]);
    if (directory) closedir(directory);
    mark(entries, count, roots, root_count);

    memset(use, 0, sizeof *use);
    double hz = sysconf(_SC_CLK_TCK);
    for (int i = 0; i < count && use->count < 256; i++) {
        if (!entries[i].inside) continue;
        struct process_use *process = &use->processes[use->count++];
        process->pid = entries[i].pid;
        process->cpu_s = entries[i].ticks / hz;
        process->pss_mb = with_memory ? pss_mb(process->pid) : 0;
        use->cpu_s += process->cpu_s;
        use->pss_mb += process->pss_mb;
    }
}

double own_cpu_s(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

double machine_busy_s(void) {
    unsigned long user, nice, system, idle, wait, irq, soft_irq;
    FILE *file = fopen("/proc/stat", "r");
    int n = file ? fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu", &user, &nice, &system, &idle, &wait, &irq, &soft_irq) : 0;
    if (file) fclose(file);
    return n == 7 ? (double)(user + nice + system + irq + soft_irq) / sysconf(_SC_CLK_TCK) : 0;
}
