"""The dialects of XML calls: Qwen3-Coder's, and the one of Claude's prompts that MiniMax and others have learnt. Pure.

``<tool_call><function=name><parameter=key>value</parameter></function></tool_call>``, often without the first tag, and
``<minimax:tool_call><invoke name="name"><parameter name="key">value</parameter></invoke></minimax:tool_call>``.
"""

from collections.abc import Callable
from typing import Final

from controlplane.protocols.rescue.base import Format, Place, Reader
from controlplane.protocols.rescue.offered import Offered
from controlplane.protocols.rescue.xmlcall import Dialect, XmlCall

_QWEN: Final = Dialect(("<tool_call>",), "<function=", "<parameter=", "</function>", padded=True)
_INVOKE: Final = Dialect(
    ("<minimax:tool_call>", "<function_calls>", "<tool_calls>"),
    "<invoke name=",
    "<parameter name=",
    "</invoke>",
    padded=False,
)


def _reader(dialect: Dialect) -> Callable[[Offered, Place, str], Reader]:
    return lambda offered, place, opener: XmlCall(offered, dialect)


QWEN: Final = Format("qwen_xml", _QWEN.wrappers, _reader(_QWEN))
QWEN_BARE: Final = Format("qwen_xml", (_QWEN.call,), _reader(_QWEN), where="line")
INVOKE: Final = Format("invoke_xml", _INVOKE.wrappers, _reader(_INVOKE))
INVOKE_BARE: Final = Format("invoke_xml", (_INVOKE.call,), _reader(_INVOKE), where="line")
