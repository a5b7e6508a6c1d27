// An HTTP/1.1 reply as it arrives: status line, headers, fixed-length or chunked body, and the marks in its content.
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAD_MAX = 65536 };

struct reply {
    char head[HEAD_MAX];
    size_t head_len;
    int status; // 0 until the head is complete
    bool chunked, closing;
    long content_length, body_len; // content_length < 0: not said
    enum { SIZE, SIZE_EXTENSION, DATA, DATA_END, TRAILER } chunk_state;
    long chunk_left;
    int mark_state;
    uint64_t mark_value;
};

// Called for each mark "@@<16 digits>;" in the body with its number.
typedef void on_mark(void *context, uint64_t value);

void reply_reset(struct reply *r);

// Feed what was read; true when the reply is complete. on_mark may be NULL: the body is then only counted.
bool reply_feed(struct reply *r, const char *data, size_t n, on_mark *mark, void *context);

#endif
