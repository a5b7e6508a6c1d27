// CPU and memory of process trees, from /proc.
#ifndef PROCTREE_H
#define PROCTREE_H

struct process_use {
    int pid;
    double cpu_s; // user + system of all its threads, and of its children that have ended
    double pss_mb; // proportional set size; 0 unless asked for
};

struct tree_use {
    int count;
    struct process_use processes[256];
    double cpu_s, pss_mb; // of all of them
};

// The use of every process in the trees below `roots`; memory costs a moment and is read only when asked for.
void read_trees(const int *roots, int root_count, int with_memory, struct tree_use *use);

// CPU seconds this process has spent, and those the whole machine was busy.
double own_cpu_s(void);
double machine_busy_s(void);

#endif
