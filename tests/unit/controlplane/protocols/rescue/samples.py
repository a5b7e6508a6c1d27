"""The tools that the leaks of tests/golden/rescue speak of."""

from typing import Any

import msgspec

from controlplane.protocols.ir import Tool


def tool(name: str, required: list[str], **properties: Any) -> Tool:
    schema = {"type": "object", "properties": properties, "required": required}
    return Tool(name, "", msgspec.Raw(msgspec.json.encode(schema)))


STRING = {"type": "string"}
TOOLS = {
    made.name: made
    for made in (
        tool(
            "get_weather",
            ["city"],
            city=STRING,
            days={"type": "integer"},
            units={"type": "object"},
            hourly={"type": "boolean"},
        ),
        tool("write_file", ["path", "content"], path=STRING, content=STRING, append={"type": "boolean"}),
        tool("glob", ["pattern"], pattern=STRING, root={"anyOf": [STRING, {"type": "null"}]}),
        tool("now", []),
    )
}
