"""The table of formats; to add one, write its entry, put it here and its leaks into tests/golden/rescue. Pure.

Where several have the same opener they are tried in this order, until one understands what stands there.
"""

from typing import Final

from controlplane.protocols.rescue.base import Format
from controlplane.protocols.rescue.escaped import escaped
from controlplane.protocols.rescue.harmony import HARMONY, HARMONY_END
from controlplane.protocols.rescue.hermes import HERMES
from controlplane.protocols.rescue.llama import FUNCTION_TAG, PYTHON_TAG, WHOLE_ANSWER
from controlplane.protocols.rescue.mistral import MISTRAL
from controlplane.protocols.rescue.pythonic import PYTHONIC, PYTHONIC_TAGGED
from controlplane.protocols.rescue.think import THINK, THINK_END
from controlplane.protocols.rescue.xml import INVOKE, INVOKE_BARE, QWEN, QWEN_BARE

FORMATS: Final[tuple[Format, ...]] = (
    THINK,
    THINK_END,
    HERMES,
    QWEN,
    QWEN_BARE,
    INVOKE,
    INVOKE_BARE,
    FUNCTION_TAG,
    MISTRAL,
    PYTHON_TAG,
    PYTHONIC,
    PYTHONIC_TAGGED,
    WHOLE_ANSWER,
    HARMONY,
    HARMONY_END,
    escaped(HERMES),
    escaped(QWEN),
    escaped(QWEN_BARE),
    escaped(INVOKE),
    escaped(INVOKE_BARE),
)
