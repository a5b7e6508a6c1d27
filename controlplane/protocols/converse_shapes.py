"""What Bedrock's Converse answers, as far as it is read. Pure."""

import msgspec


class Struct(msgspec.Struct, rename="camel"):
    pass


class Tool(Struct):
    """A call: whole, or the head of one, or (`input` a string) a further piece of its arguments."""

    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    type: str = ""


class Said(Struct):
    text: str = ""


class Thought(Said):
    reasoning_text: Said | None = None


class Cited(Struct):
    content: list[Said] = []


class Block(Struct):
    """A block, the head of one, or a piece of one."""

    text: str = ""
    tool_use: Tool | None = None
    reasoning_content: Thought | None = None
    citations_content: Cited | None = None


class Part(Struct):
    content_block_index: int = 0
    start: Block | None = None
    delta: Block | None = None


class Fields(msgspec.Struct):
    stop_sequence: str | None = None


class Ended(Struct):
    stop_reason: str = ""
    additional_model_response_fields: Fields | None = None


class TokenUsage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0


class Metadata(Struct):
    usage: TokenUsage | None = None


class Begun(Struct):
    pass


class Event(Struct):
    content_block_delta: Part | None = None
    content_block_start: Part | None = None
    content_block_stop: Part | None = None
    message_start: Begun | None = None
    message_stop: Ended | None = None
    metadata: Metadata | None = None


class Message(Struct):
    content: list[Block] = []


class Output(Struct):
    message: Message | None = None


class Answer(Ended):
    output: Output | None = None
    usage: TokenUsage | None = None


class Error(Struct):
    message: str = ""
    original_message: str = ""
