// The fixed texts of the mock engine.
#ifndef MOCK_TEXTS_H
#define MOCK_TEXTS_H

#define EVENT_HEAD \
    "data: {\"id\":\"chatcmpl-mock-%08ld\",\"object\":\"chat.completion.chunk\",\"created\":1700000000," \
    "\"model\":\"mock-model\","

static const char COMPLETION[] =
    "{\"id\":\"chatcmpl-mock-00000001\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock-model\","
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The function walks the tree once and "
    "keeps a running total, so its cost is linear in the number of nodes. The early return on the empty branch is what "
    "makes the base case safe. If you want to keep the signature, pass the accumulator as a keyword argument and default "
    "it to zero; the callers in the test module then need no change at all.\"},\"logprobs\":null,\"finish_reason\":"
    "\"stop\"}],\"usage\":{\"prompt_tokens\":1024,\"completion_tokens\":64,\"total_tokens\":1088}}";

// What every engine answers without a body.
static const struct {
    const char *path, *body;
} pages[] = {
    {"/v1/models", "{\"object\":\"list\",\"data\":[{\"id\":\"mock-model\",\"object\":\"model\",\"created\":1700000000,"
                   "\"owned_by\":\"llamacpp\",\"max_model_len\":262144,\"meta\":{\"n_ctx_train\":262144,"
                   "\"n_params\":1000000,\"size\":2000000}}]}"},
    {"/health", "{\"status\":\"ok\"}"},
    {"/slots", "[]"},
    {"/model_info", "{\"model_path\":\"mock-model\",\"tokenizer_path\":\"mock-model\",\"is_generation\":true}"},
    {"/get_model_info", "{\"model_path\":\"mock-model\",\"tokenizer_path\":\"mock-model\",\"is_generation\":true}"},
    {"/server_info", "{\"model_path\":\"mock-model\",\"served_model_name\":\"mock-model\",\"version\":\"mock\"}"},
    {"/get_server_info", "{\"model_path\":\"mock-model\",\"served_model_name\":\"mock-model\",\"version\":\"mock\"}"},
};

#endif
