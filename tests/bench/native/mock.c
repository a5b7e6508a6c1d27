// A mock engine that keeps up with any gateway: one thread, epoll, the OpenAI chat surface of a llama-server.
//
//   mock PORT        listens on 127.0.0.1 only
//
// A directive anywhere in a request's body steers the answer, so it survives every gateway:
//   [[mock n=64 i=20 die=10 rst=1 st=500 ]]
//     n chunks, i milliseconds (or u microseconds) apart; die=K closes after K chunks without an end (rst=1: by a
//     TCP reset); st=CODE answers with that status.
// Each content delta carries "@@<16 digits: CLOCK_MONOTONIC in microseconds>;", from which the load generator
// knows the true delay of every chunk. A reader that stalls is not written to: the mock's memory stays bounded.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "mock_texts.h"

enum { HIGH_WATER = 65536, SLOTS = 4096, CONTEXT = 262144 };
enum step { MORE, FINISHED, DEAD };

struct connection {
    int fd;
    char *in;
    size_t in_len, in_cap, head_len; // head_len: bytes of the current request's head, 0 while unknown
    char *out;
    size_t out_start, out_len, out_cap;
    bool watching_out, close_after;
    struct {
        bool active, reset;
        long id, total, sent, die_after; // die_after < 0: never
        uint64_t interval_us;
        int timer; // index into timers, -1 when none
    } stream;
};

struct timer {
    uint64_t due;
    struct connection *connection;
};

static int epoll_fd;
static struct timer *timers;
static int timer_count, timer_cap;
static struct {
    long requests, streams, active, aborted, done, connections, bytes_in;
} stats;

// ── output ──────────────────────────────────────────────────────────────────────────────────────────────────

static void watch(struct connection *c, bool out) {
    if (c->watching_out == out) return;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | (out ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
    c->watching_out = out;
}

// Send now what the socket takes and queue the rest; false when the connection is dead.
static bool put(struct connection *c, const char *data, size_t n) {
    if (c->out_start == c->out_len) {
        c->out_start = c->out_len = 0;
        ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        if (sent > 0) data += sent, n -= sent;
        if (!n) return true;
    }
    if (c->out_len + n > c->out_cap) c->out = grow(c->out, c->out_cap = (c->out_len + n) * 2);
    memcpy(c->out + c->out_len, data, n);
    c->out_len += n;
    watch(c, true);
    return true;
}

static bool put_chunk(struct connection *c, const char *body, int n) {
    char framed[1024];
    int m = snprintf(framed, sizeof framed, "%x\r\n%.*s\r\n", n, n, body);
    return put(c, framed, m);
}

static bool put_json(struct connection *c, int status, const char *body) {
    char head[256];
    int m = snprintf(head, sizeof head, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n",
                     status, status == 200 ? "OK" : "Error", strlen(body), c->close_after ? "Connection: close\r\n" : "");
    return put(c, head, m) && put(c, body, strlen(body));
}

// ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────

static void add_timer(struct connection *c, uint64_t due) {
    if (timer_count == timer_cap) timers = grow(timers, (timer_cap = timer_cap ? timer_cap * 2 : 256) * sizeof *timers);
    c->stream.timer = timer_count;
    timers[timer_count++] = (struct timer){due, c};
}

static void drop_timer(struct connection *c) {
    if (c->stream.timer < 0) return;
    timers[c->stream.timer] = timers[--timer_count];
    timers[c->stream.timer].connection->stream.timer = c->stream.timer;
    c->stream.timer = -1;
}

static void end_stream(struct connection *c) {
    c->stream.active = false;
    stats.active--;
    stats.done++;
}

static enum step stream_step(struct connection *c) {
    char event[768];
    int n;
    if (c->stream.die_after >= 0 && c->stream.sent >= c->stream.die_after) {
        struct linger linger = {1, 0};
        if (c->stream.reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        end_stream(c);
        return DEAD;
    }
    if (c->stream.sent < c->stream.total) {
        n = snprintf(event, sizeof event,
                     EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@@%016llu; tokn\"},"
                                "\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                     c->stream.id, (unsigned long long)now_us());
        c->stream.sent++;
        return put_chunk(c, event, n) ? MORE : DEAD;
    }
    n = snprintf(event, sizeof event,
                 EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",
                 c->stream.id);
    if (!put_chunk(c, event, n)) return DEAD;
    n = snprintf(event, sizeof event,
                 EVENT_HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":1024,\"completion_tokens\":%ld,"
                            "\"total_tokens\":%ld}}\n\n",
                 c->stream.id, c->stream.total, 1024 + c->stream.total);
    if (!put_chunk(c, event, n) || !put_chunk(c, "data: [DONE]\n\n", 14) || !put(c, "0\r\n\r\n", 5)) return DEAD;
    end_stream(c);
    return FINISHED;
}

static bool stalled(const struct connection *c) { return c->out_len - c->out_start > HIGH_WATER; }

// As many chunks as are due: all of a burst until the reader stalls, one of a timed stream.
static enum step pump(struct connection *c) {
    enum step step;
    do {
        step = stream_step(c);
    } while (step == MORE && !c->stream.interval_us && !stalled(c));
    return step;
}

// ── requests ────────────────────────────────────────────────────────────────────────────────────────────────

// The number after " key=" in a directive.
static long directive(const char *start, const char *end, const char *key, long otherwise) {
    size_t n = strlen(key);
    for (const char *p = start; p + n + 1 < end; p++)
        if (*p == ' ' && !strncmp(p + 1, key, n)) return atol(p + 1 + n);
    return otherwise;
}

static bool wants_stream(const char *body, size_t n) {
    const char *p = memmem(body, n, "\"stream\"", 8), *end = body + n;
    if (!p) return false;
    for (p += 8; p < end && (*p == ' ' || *p == ':'); p++) {}
    return p < end && *p == 't';
}

static bool chat(struct connection *c, const char *body, size_t n) {
    long chunks = 64, ms = 0, us = 0, die = -1, reset = 0, status = 200;
    const char *start = memmem(body, n, "[[mock", 6);
    const char *end = start ? memmem(start, body + n - start, "]]", 2) : NULL;
    if (end) {
        chunks = directive(start, ++end, "n=", chunks);
        ms = directive(start, end, "i=", ms);
        us = directive(start, end, "u=", us);
        die = directive(start, end, "die=", die);
        reset = directive(start, end, "rst=", reset);
        status = directive(start, end, "st=", status);
    }
    if (status != 200)
        return put_json(c, status, "{\"error\":{\"message\":\"mock error\",\"type\":\"server_error\",\"code\":null}}");
    if (!wants_stream(body, n)) return put_json(c, 200, COMPLETION);

    stats.active++;
    c->stream.active = true;
    c->stream.id = ++stats.streams;
    c->stream.total = chunks;
    c->stream.sent = 0;
    c->stream.die_after = die;
    c->stream.reset = reset;
    c->stream.interval_us = us ? us : ms * 1000;
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    char event[512];
    int m = snprintf(event, sizeof event,
                     EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                                "\"logprobs\":null,\"finish_reason\":null}]}\n\n",
                     c->stream.id);
    if (!put(c, head, sizeof head - 1) || !put_chunk(c, event, m)) return false;
    enum step step = pump(c);
    if (step == MORE && c->stream.interval_us) add_timer(c, now_us() + c->stream.interval_us);
    return step != DEAD;
}

static bool handle(struct connection *c, const char *path, const char *body, size_t n) {
    char text[512];
    stats.requests++;
    stats.bytes_in += n;
    if (!strcmp(path, "/v1/chat/completions")) return chat(c, body, n);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (!strcmp(path, pages[i].path)) return put_json(c, 200, pages[i].body);
    if (!strcmp(path, "/props")) {
        snprintf(text, sizeof text,
                 "{\"default_generation_settings\":{\"n_ctx\":%d},\"total_slots\":%d,\"model_alias\":\"mock-model\","
                 "\"model_path\":\"mock-model.gguf\",\"chat_template\":\"\",\"build_info\":\"mock\"}",
                 CONTEXT, SLOTS);
        return put_json(c, 200, text);
    }
    if (!strcmp(path, "/__stats")) {
        snprintf(text, sizeof text,
                 "{\"requests\":%ld,\"streams\":%ld,\"active\":%ld,\"aborted\":%ld,\"done\":%ld,\"connections\":%ld,"
                 "\"bytes_in\":%ld}",
                 stats.requests, stats.streams, stats.active, stats.aborted, stats.done, stats.connections,
                 stats.bytes_in);
        return put_json(c, 200, text);
    }
    return put_json(c, 404, "{\"error\":{\"message\":\"not found\",\"type\":\"invalid_request_error\"}}");
}

// Join a chunked body that lies complete in [from, to); answers bytes used or 0 when it is not complete yet.
static size_t unchunk(const char *from, const char *to, char *body, size_t *n) {
    const char *p = from;
    for (*n = 0;;) {
        const char *line = memmem(p, to - p, "\r\n", 2);
        if (!line) return 0;
        size_t size = strtoul(p, NULL, 16);
        p = line + 2;
        if (size + 2 > (size_t)(to - p)) return 0;
        memcpy(body + *n, p, size);
        *n += size;
        p += size + 2;
        if (!size) return p - from;
    }
}

// Answer the complete requests in the input, one at a time; false when the connection is done for.
static bool process(struct connection *c) {
    while (c->in_len && !c->stream.active) {
        if (!c->head_len) {
            char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
            if (!end) return c->in_len <= 65536;
            c->head_len = end - c->in + 4;
        }
        char *head_end = c->in + c->head_len, *body = head_end, *joined = NULL;
        size_t length = 0, used;
        bool chunked = false;
        c->close_after = false;
        for (char *line = memchr(c->in, '\n', c->head_len) + 1; line < head_end && *line != '\r';
             line = memchr(line, '\n', head_end - line) + 1) {
            if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
            else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) chunked = true;
            else if (!strncasecmp(line, "connection: close", 17)) c->close_after = true;
        }
        if (chunked) {
            body = joined = grow(NULL, c->in_len);
            used = unchunk(head_end, c->in + c->in_len, joined, &length);
            if (!used) {
                free(joined);
                return true;
            }
            used += c->head_len;
        } else {
            used = c->head_len + length;
            if (c->in_len < used) return true;
        }
        char path[128] = "";
        sscanf(c->in, "%*15s %127[^? \r]", path);
        bool alive = handle(c, path, body, length);
        free(joined);
        if (!alive) return false;
        memmove(c->in, c->in + used, c->in_len -= used);
        c->head_len = 0;
        if (c->close_after && !c->stream.active && c->out_start == c->out_len) return false;
    }
    return true;
}

// ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────

static void hang_up(struct connection *c) {
    if (c->stream.active) stats.active--, stats.aborted++;
    drop_timer(c);
    close(c->fd);
    stats.connections--;
    free(c->in);
    free(c->out);
    free(c);
}

static bool on_readable(struct connection *c) {
    bool open = true;
    for (;;) {
        if (c->in_cap - c->in_len < 65536) c->in = grow(c->in, c->in_cap = c->in_cap * 2 + 131072);
        ssize_t got = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
        if (got > 0) {
            c->in_len += got;
            continue;
        }
        open = got < 0 && (errno == EAGAIN || errno == EINTR);
        break;
    }
    return process(c) && open;
}

static bool on_writable(struct connection *c) {
    ssize_t sent = send(c->fd, c->out + c->out_start, c->out_len - c->out_start, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    c->out_start += sent;
    if (c->out_start < c->out_len) return true;
    c->out_start = c->out_len = 0;
    watch(c, false);
    if (c->stream.active && !c->stream.interval_us && pump(c) == DEAD) return false;
    return c->stream.active || (process(c) && !(c->close_after && c->out_start == c->out_len));
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->stream.timer = -1;
        stats.connections++;
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static void run_timers(void) {
    uint64_t now = now_us();
    for (int i = 0; i < timer_count;) {
        struct connection *c = timers[i].connection;
        if (timers[i].due > now) {
            i++;
            continue;
        }
        enum step step = stalled(c) ? MORE : pump(c);
        if (step == MORE) {
            uint64_t next = timers[i].due + c->stream.interval_us;
            timers[i++].due = next < now ? now + c->stream.interval_us : next;
            continue;
        }
        drop_timer(c); // moves another timer into place i
        if (step == DEAD || !process(c) || (c->close_after && c->out_start == c->out_len)) hang_up(c);
    }
}

static int wait_for(struct epoll_event *events, int n) {
    if (!timer_count) return epoll_pwait2(epoll_fd, events, n, NULL, NULL);
    uint64_t first = ~0ull, now = now_us();
    for (int i = 0; i < timer_count; i++)
        if (timers[i].due < first) first = timers[i].due;
    uint64_t wait = first > now ? first - now : 0;
    struct timespec timeout = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    return epoll_pwait2(epoll_fd, events, n, &timeout, NULL);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: mock PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("mock: cannot listen");
        return 1;
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    struct epoll_event events[256];
    for (;;) {
        int n = wait_for(events, 256);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            uint32_t what = events[i].events;
            if (!c) {
                accept_all(listener);
                continue;
            }
            bool alive = !(what & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) || on_readable(c);
            if (alive && what & EPOLLOUT) alive = on_writable(c);
            if (!alive) hang_up(c);
        }
        run_timers();
    }
}
