#define _GNU_SOURCE
#include "reply.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void reply_reset(struct reply *r) {
    r->head_len = r->body_len = r->chunk_left = 0;
    r->status = r->mark_state = 0;
    r->chunked = r->closing = false;
    r->content_length = -1;
    r->chunk_state = SIZE;
}

static void scan(struct reply *r, const char *data, size_t n, on_mark *mark, void *context) {
    r->body_len += n;
    if (!mark) return;
    for (size_t i = 0; i < n; i++) { // mark_state: 1 after "@", 2 after "@@", up to 18 after its digits
        char byte = data[i];
        if (r->mark_state >= 2 && r->mark_state < 18 && byte >= '0' && byte <= '9') {
            r->mark_value = r->mark_value * 10 + (byte - '0');
            r->mark_state++;
        } else if (r->mark_state == 18 && byte == ';') {
            r->mark_state = 0;
            mark(context, r->mark_value);
        } else if (byte == '@') {
            r->mark_state = r->mark_state == 1 ? 2 : 1;
            r->mark_value = 0;
        } else {
            r->mark_state = 0;
        }
    }
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool feed_body(struct reply *r, const char *data, size_t n, on_mark *mark, void *context) {
    if (!r->chunked) {
        scan(r, data, n, mark, context);
        return r->content_length >= 0 && r->body_len >= r->content_length;
    }
    for (size_t i = 0; i < n;) {
        switch (r->chunk_state) {
        case SIZE:
        case SIZE_EXTENSION: {
            char byte = data[i++];
            if (byte == '\n') r->chunk_state = r->chunk_left ? DATA : TRAILER;
            else if (byte == ';') r->chunk_state = SIZE_EXTENSION;
            else if (r->chunk_state == SIZE && hex(byte) >= 0) r->chunk_left = r->chunk_left * 16 + hex(byte);
            break;
        }
        case DATA: {
            size_t part = n - i < (size_t)r->chunk_left ? n - i : (size_t)r->chunk_left;
            scan(r, data + i, part, mark, context);
            i += part;
            r->chunk_left -= part;
            if (!r->chunk_left) r->chunk_state = DATA_END;
            break;
        }
        case DATA_END:
            if (data[i++] == '\n') r->chunk_state = SIZE;
            break;
        case TRAILER: // our peers send no trailers: the next line end is the empty one
            if (data[i++] == '\n') return true;
            break;
        }
    }
    return false;
}

static void read_head(struct reply *r, const char *end) {
    r->status = atoi(r->head + 9);
    for (char *line = strchr(r->head, '\n') + 1; line < end + 2 && *line != '\r'; line = strchr(line, '\n') + 1) {
        if (!strncasecmp(line, "content-length:", 15)) r->content_length = atol(line + 15);
        else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) r->chunked = true;
        else if (!strncasecmp(line, "connection: close", 17)) r->closing = true;
    }
    if (r->status == 204) r->content_length = 0;
}

bool reply_feed(struct reply *r, const char *data, size_t n, on_mark *mark, void *context) {
    if (r->status) return feed_body(r, data, n, mark, context);
    size_t before = r->head_len, room = HEAD_MAX - 1 - before, part = n < room ? n : room;
    memcpy(r->head + before, data, part);
    r->head_len += part;
    r->head[r->head_len] = 0;
    char *end = memmem(r->head, r->head_len, "\r\n\r\n", 4);
    if (!end) return false;
    read_head(r, end);
    size_t used = end + 4 - r->head - before;
    if (!r->chunked && r->content_length == 0) return true;
    return feed_body(r, data + used, n - used, mark, context);
}
