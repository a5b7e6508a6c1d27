// A load generator that keeps up with any gateway: one thread, epoll, closed loop, JSON and event streams.
//
//   load -a HOST:PORT -P /path -b BODYFILE [options]      prints one JSON object
//     -H "Name: value"  a header, repeatable        -c N  connections (1)       -T S  time limit of a request (60)
//     -w S  warm-up (1)     -t S  measured window (5)     -n N  requests in all (no limit)
//     -r MS spread the start of the connections over so long (0)
//     -e N  expect a stream of N chunks; any other number is an error (0: no stream)
//     -p PID  the gateway: its process tree's CPU and memory are measured, repeatable      -m PID  the mock engine
//
// CPU is user + system time of whole process trees over the window; "other_cpu_s" is what the rest of the machine
// used meanwhile, the noise of the measurement.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "proctree.h"
#include "reply.h"
#include "samples.h"

enum state { IDLE, SENDING, WAITING, PAUSED }; // IDLE: finished for good; PAUSED: starts again at `start_at`

struct connection {
    int fd;
    enum state state;
    bool fresh; // opened for this request, so that its end is no stale keep-alive
    size_t sent;
    uint64_t began, first_mark, last_mark, start_at;
    int marks;
    struct reply reply;
};

static struct {
    const char *path, *body_file;
    char host[64], headers[4096];
    int port, connections, expected, ramp_ms, roots[16], root_count, mock;
    double window_s, warm_s, timeout_s;
    long requests;
} options = {.path = "/", .connections = 1, .window_s = 5, .warm_s = 1, .timeout_s = 60, .requests = -1};

static struct sockaddr_in address;
static char *request;
static size_t request_len;
static long body_len, issued;
static int epoll_fd;
static struct connection *connections;
static bool counting, stopping;

static struct samples latency, first_chunk, gap, delay;
static struct {
    long ok, bad, chunks, reconnects, wrong_status, wrong_length, refused, cut, timed_out;
    int first_status;
    char first[331];
} seen;

// ── one connection ──────────────────────────────────────────────────────────────────────────────────────────

static void watch(struct connection *c, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(epoll_fd, operation, c->fd, &event);
}

static void disconnect(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

static void pause_until(struct connection *c, uint64_t when) {
    c->state = PAUSED;
    c->start_at = when;
}

static void count_failure(struct connection *c, long *kind) {
    if (!counting) return;
    (*kind)++;
    if (!seen.bad++) {
        seen.first_status = c->reply.status;
        snprintf(seen.first, sizeof seen.first, "marks=%d %.300s", c->marks, c->reply.head_len ? c->reply.head : "");
    }
}

static bool dial(struct connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
        disconnect(c);
        return false;
    }
    c->fresh = true;
    if (counting) seen.reconnects++;
    watch(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    return true;
}

static void begin(struct connection *c) {
    if (stopping || (options.requests >= 0 && issued >= options.requests)) {
        c->state = IDLE;
        disconnect(c);
        return;
    }
    issued++;
    reply_reset(&c->reply);
    c->state = SENDING;
    c->sent = c->first_mark = c->last_mark = c->marks = 0;
    c->began = now_us();
    if (c->fd < 0) {
        if (!dial(c)) {
            count_failure(c, &seen.refused);
            pause_until(c, now_us() + 20000);
        }
        return;
    }
    c->fresh = false;
    ssize_t sent = send(c->fd, request, request_len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) { // the peer closed an idle connection: no fault, try on a new one
        disconnect(c);
        issued--;
        pause_until(c, now_us());
        return;
    }
    c->sent = sent > 0 ? sent : 0;
    if (c->sent == request_len) c->state = WAITING;
    else watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void fail(struct connection *c, long *kind) {
    count_failure(c, kind);
    disconnect(c);
    pause_until(c, now_us() + 10000);
}

static void finish(struct connection *c) {
    if (c->reply.status != 200) {
        fail(c, &seen.wrong_status);
        return;
    }
    if (options.expected && c->marks != options.expected) {
        fail(c, &seen.wrong_length);
        return;
    }
    if (counting) {
        seen.ok++;
        add_sample(&latency, now_us() - c->began);
    }
    if (c->reply.closing) disconnect(c);
    begin(c);
}

static uint64_t read_at; // when the bytes now being fed were read

static void on_chunk(void *context, uint64_t stamped) {
    struct connection *c = context;
    c->marks++;
    if (counting) {
        seen.chunks++;
        add_sample(&delay, read_at > stamped ? read_at - stamped : 0);
        if (c->first_mark) add_sample(&gap, read_at - c->last_mark);
        else add_sample(&first_chunk, read_at - c->began);
    }
    if (!c->first_mark) c->first_mark = read_at;
    c->last_mark = read_at;
}

static void on_readable(struct connection *c) {
    static char bytes[262144];
    for (;;) {
        ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
        read_at = now_us();
        if (got < 0 && errno == EAGAIN) return;
        if (got > 0) {
            if (!reply_feed(&c->reply, bytes, got, options.expected ? on_chunk : NULL, c)) continue;
            finish(c);
            return;
        }
        bool until_close = c->reply.status && !c->reply.chunked && c->reply.content_length < 0;
        if (got == 0 && until_close) {
            c->reply.closing = true;
            finish(c);
        } else if (!c->fresh && !c->reply.head_len) { // a stale keep-alive
            disconnect(c);
            issued--;
            pause_until(c, read_at);
        } else {
            fail(c, &seen.cut);
        }
        return;
    }
}

static bool on_writable(struct connection *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        fail(c, &seen.refused);
        return false;
    }
    ssize_t sent = send(c->fd, request + c->sent, request_len - c->sent, MSG_NOSIGNAL);
    if (sent > 0) c->sent += sent;
    if (c->sent == request_len) {
        c->state = WAITING;
        watch(c, EPOLL_CTL_MOD, EPOLLIN);
    }
    return true;
}

// ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────

struct reading {
    uint64_t at;
    struct tree_use gateway, mock;
    double busy_s, own_s;
};

static void read_meters(struct reading *r, bool with_memory) {
    read_trees(options.roots, options.root_count, with_memory, &r->gateway);
    if (options.mock) read_trees(&options.mock, 1, false, &r->mock);
    r->busy_s = machine_busy_s();
    r->own_s = own_cpu_s();
    r->at = now_us();
}

static bool sweep(uint64_t now) { // start what is due, give up what takes too long; false when nothing is left
    bool active = false;
    for (int i = 0; i < options.connections; i++) {
        struct connection *c = &connections[i];
        if (c->state == PAUSED && stopping) c->state = IDLE;
        else if (c->state == PAUSED && c->start_at <= now) begin(c);
        else if ((c->state == SENDING || c->state == WAITING) && now > c->began + options.timeout_s * 1e6)
            fail(c, &seen.timed_out);
        active |= c->state != IDLE;
    }
    return active;
}

static void run(struct reading *first, struct reading *last) {
    uint64_t start = now_us(), warm_until = start + options.warm_s * 1e6, swept = 0, end = 0;
    memset(first, 0, sizeof *first);
    memset(last, 0, sizeof *last);
    for (int i = 0; i < options.connections; i++) {
        connections[i].fd = -1;
        pause_until(&connections[i], start + (uint64_t)options.ramp_ms * 1000 * i / options.connections);
    }
    struct epoll_event events[512];
    for (bool active = true;;) {
        uint64_t now = now_us();
        if (!first->at && now >= warm_until) {
            read_meters(first, false);
            counting = true;
            end = first->at + options.window_s * 1e6;
        }
        if (now - swept > 4000) {
            active = sweep(now);
            swept = now;
        }
        if (counting && (now >= end || !active)) {
            counting = false;
            stopping = true;
            read_meters(last, true);
        }
        if (last->at && (!active || now > last->at + 6000000)) return; // streams under way may end on their own
        int n = epoll_wait(epoll_fd, events, 512, 2);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->fd >= 0 && events[i].events & EPOLLOUT && c->state == SENDING && !on_writable(c)) continue;
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
        }
    }
}

static double used_s(const struct tree_use *before, const struct process_use *after) {
    for (int i = 0; i < before->count; i++)
        if (before->processes[i].pid == after->pid) return after->cpu_s - before->processes[i].cpu_s;
    return after->cpu_s;
}

static void report(const struct reading *first, const struct reading *last) {
    double seconds = (last->at - first->at) / 1e6;
    double gateway = last->gateway.cpu_s - first->gateway.cpu_s, mock = last->mock.cpu_s - first->mock.cpu_s;
    double own = last->own_s - first->own_s;
    printf("{\"connections\":%d,\"seconds\":%.3f,\"body_bytes\":%ld,\"ok\":%ld,\"errors\":%ld,\"requests_per_s\":%.1f",
           options.connections, seconds, body_len, seen.ok, seen.bad, seen.ok / seconds);
    print_samples("latency_ms", &latency);
    if (options.expected) {
        printf(",\"chunks\":%ld,\"chunks_per_s\":%.0f", seen.chunks, seen.chunks / seconds);
        print_samples("first_chunk_ms", &first_chunk);
        print_samples("gap_ms", &gap);
        print_samples("chunk_delay_ms", &delay);
    }
    if (options.root_count) {
        printf(",\"gateway_cpu_s\":%.2f,\"gateway_pss_mb\":%.1f,\"processes\":[", gateway, last->gateway.pss_mb);
        for (int i = 0; i < last->gateway.count; i++) {
            const struct process_use *p = &last->gateway.processes[i];
            printf("%s{\"pid\":%d,\"cpu_s\":%.2f,\"pss_mb\":%.1f}", i ? "," : "", p->pid, used_s(&first->gateway, p),
                   p->pss_mb);
        }
        printf("]");
    }
    printf(",\"mock_cpu_s\":%.2f,\"load_cpu_s\":%.2f,\"other_cpu_s\":%.2f,\"reconnects\":%ld", mock, own,
           last->busy_s - first->busy_s - gateway - mock - own, seen.reconnects);
    for (char *p = seen.first; *p; p++)
        if ((unsigned char)*p < 32 || *p == '"' || *p == '\\') *p = ' ';
    printf(",\"failures\":{\"status\":%ld,\"length\":%ld,\"refused\":%ld,\"cut\":%ld,\"timed_out\":%ld,"
           "\"first_status\":%d,\"first\":\"%s\"}}\n",
           seen.wrong_status, seen.wrong_length, seen.refused, seen.cut, seen.timed_out, seen.first_status, seen.first);
}

static void read_options(int argc, char **argv) {
    for (int option; (option = getopt(argc, argv, "a:P:b:H:c:t:w:n:e:r:p:m:T:")) != -1;) switch (option) {
        case 'a': sscanf(optarg, "%63[^:]:%d", options.host, &options.port); break;
        case 'P': options.path = optarg; break;
        case 'b': options.body_file = optarg; break;
        case 'H': {
            size_t used = strlen(options.headers);
            snprintf(options.headers + used, sizeof options.headers - used, "%s\r\n", optarg);
            break;
        }
        case 'c': options.connections = atoi(optarg); break;
        case 't': options.window_s = atof(optarg); break;
        case 'w': options.warm_s = atof(optarg); break;
        case 'n': options.requests = atol(optarg); break;
        case 'e': options.expected = atoi(optarg); break;
        case 'r': options.ramp_ms = atoi(optarg); break;
        case 'p': if (options.root_count < 16) options.roots[options.root_count++] = atoi(optarg); break;
        case 'm': options.mock = atoi(optarg); break;
        case 'T': options.timeout_s = atof(optarg); break;
        default: exit(2);
    }
}

static void prepare_request(void) {
    FILE *file = options.body_file ? fopen(options.body_file, "rb") : NULL;
    if (!file) {
        perror("load: cannot read the body");
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    body_len = ftell(file);
    rewind(file);
    request = grow(NULL, body_len + 8192);
    request_len = sprintf(request, "POST %.1024s HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: application/json\r\n"
                          "Accept: */*\r\n%sContent-Length: %ld\r\n\r\n",
                          options.path, options.host, options.port, options.headers, body_len);
    request_len += fread(request + request_len, 1, body_len, file);
    fclose(file);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    read_options(argc, argv);
    prepare_request();
    address.sin_family = AF_INET;
    address.sin_port = htons(options.port);
    if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1) {
        fprintf(stderr, "load: -a wants an IPv4 address and a port, such as 127.0.0.1:8080\n");
        return 2;
    }
    epoll_fd = epoll_create1(0);
    connections = calloc(options.connections, sizeof *connections);
    static struct reading first, last;
    run(&first, &last);
    report(&first, &last);
    return 0;
}
