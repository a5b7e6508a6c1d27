"""Reports on the reading of a prompt do not reach a client that did not ask for them."""

import pytest

from controlplane.gateway.stream import Progress

REPORT = b'data: {"choices":[{"index":0,"delta":{}}],"prompt_progress":{"total":9,"processed":4}}\n\n'
TOKEN = b'data: {"choices":[{"index":0,"delta":{"content":"say \\"prompt_progress\\": 1"}}]}\n\n'


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_reports_vanish_and_tokens_pass_however_the_bytes_are_cut(size: int):
    data = REPORT * 3 + TOKEN * 2 + b"data: [DONE]\n\n"
    progress = Progress(several=False)
    out = b"".join(progress.feed(data[i : i + size]) for i in range(0, len(data), size))
    assert out == TOKEN * 2 + b"data: [DONE]\n\n"


def test_reports_between_the_tokens_of_several_choices_vanish_too():
    progress = Progress(several=True)
    assert progress.feed(REPORT + TOKEN + REPORT) == TOKEN
    assert progress.feed(REPORT[:20]) == b""
    assert progress.feed(REPORT[20:] + TOKEN) == TOKEN
