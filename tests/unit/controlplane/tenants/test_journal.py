"""The journal's files: made ahead, read back whole, torn tails left out, nothing lost at a change of segment."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.tenants.accounts import Position
from controlplane.tenants.journal import Journal
from controlplane.tenants.lines import closed_in, lines_of
from tests.unit.controlplane.helpers import a_record

SIZE = 4096
START = Position()


def line(number: int) -> bytes:
    return lines_of((a_record(f"req_{number}"),))


def everything(journal: Journal, start: Position = START) -> list[str]:
    found: list[str] = []
    while (chunk := journal.read(start)).after != start:
        found += [record.request_id for record in closed_in(chunk.payloads)]
        start = chunk.after
    return found


def a_journal(path: Path, carried: bytes = b"") -> Journal:
    return Journal(path, lambda: carried, SIZE)


def names(path: Path) -> set[str]:
    return {file.name for file in path.iterdir()}


def test_what_is_written_is_read_by_the_same_and_by_the_next_process(tmp_path: Path):
    journal = a_journal(tmp_path / "j")
    for number in range(30):
        journal.append(line(number))
    expected = [f"req_{number}" for number in range(30)]
    assert len(journal.segments()) > 1
    assert everything(journal) == expected
    later = a_journal(tmp_path / "j")
    assert everything(later) == expected
    later.append(line(30))
    assert everything(later) == [*expected, "req_30"]
    assert everything(journal) == expected, "its end is where it wrote last"
    journal.close()
    later.close()


def test_segments_are_private_and_allocated_whole_before_use(tmp_path: Path):
    journal = a_journal(tmp_path / "j")
    journal.tidy(0)
    journal.append(line(1))
    segment = tmp_path / "j" / "00000001.journal"
    assert segment.stat().st_size == SIZE
    assert segment.stat().st_blocks * 512 >= SIZE
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "j").iterdir()} == {0o600}
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o700
    journal.close()


def test_a_reader_stops_where_it_is_told(tmp_path: Path):
    journal = a_journal(tmp_path / "j")
    journal.append(line(1))
    middle = journal.end
    for number in range(2, 20):
        journal.append(line(number))
    assert [r.request_id for r in closed_in(journal.read(Position(1, 0), middle).payloads)] == ["req_1"]
    assert journal.read(middle, middle).after == middle
    journal.close()


def test_a_given_up_segment_becomes_the_spare_and_is_blank(tmp_path: Path):
    journal = a_journal(tmp_path / "j")
    for number in range(30):
        journal.append(line(number))
    journal.tidy(journal.end.segment)
    assert names(tmp_path / "j") == {f"{journal.end.segment:08}.journal", "spare"}
    assert (tmp_path / "j" / "spare").read_bytes() == bytes(SIZE)
    before = journal.end
    for number in range(30, 60):
        journal.append(line(number))
    assert everything(journal, before) == [f"req_{number}" for number in range(30, 60)]
    journal.close()


def test_a_new_segment_begins_with_what_is_carried(tmp_path: Path):
    journal = a_journal(tmp_path / "j", carried=line(0))
    for number in range(1, 20):
        journal.append(line(number))
    starts = [everything(journal, Position(n, 0))[0] for n in journal.segments()]
    assert set(starts) == {"req_0"}
    journal.close()


@given(st.integers(0, len(line(2)) - 1), st.binary(max_size=20).filter(lambda junk: b"\0" not in junk))
@settings(max_examples=60)
def test_a_tail_torn_at_any_byte_costs_only_the_torn_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
):
    path = tmp_path_factory.mktemp("torn")
    journal = a_journal(path)
    journal.append(line(1))
    whole = journal.end.offset
    journal.append(line(2))
    journal.close()
    segment = path / "00000001.journal"
    content = segment.read_bytes()[: whole + cut] + junk
    segment.write_bytes(content.ljust(SIZE, b"\0"))
    later = a_journal(path)
    later.append(line(3))
    mended = junk.startswith(line(2)[cut:])
    assert everything(later) == ["req_1", *(["req_2"] * mended), "req_3"]
    later.close()


def test_a_damaged_line_is_counted_and_the_rest_is_read(tmp_path: Path):
    journal = a_journal(tmp_path / "j")
    for number in range(3):
        journal.append(line(number))
    segment = tmp_path / "j" / "00000001.journal"
    content = bytearray(segment.read_bytes())
    content[len(line(0)) + 30] ^= 1
    segment.write_bytes(content)
    chunk = journal.read(Position(1, 0))
    assert [record.request_id for record in closed_in(chunk.payloads)] == ["req_0", "req_2"]
    assert chunk.damaged == 1
    journal.close()


@pytest.mark.parametrize("fault", ["pwrite", "short", "open", "rename", "allocate"])
@pytest.mark.parametrize("written", [0, 1, 12], ids=["first line", "same segment", "next segment"])
def test_a_write_that_fails_counts_for_nothing_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, written: int
):
    journal = a_journal(tmp_path / "j")
    for number in range(written):
        journal.append(line(number))
    expected = [f"req_{number}" for number in range(written)]
    failed = 0
    real = os.pwrite

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def short(descriptor: int, text: bytes, offset: int) -> int:
        return real(descriptor, text[: len(text) // 2], offset)

    with monkeypatch.context() as patch:
        match fault:
            case "pwrite":
                patch.setattr(os, "pwrite", full)
            case "short":
                patch.setattr(os, "pwrite", short)
            case "open":
                patch.setattr(os, "open", full)
            case "rename":
                patch.setattr(Path, "rename", full)
            case _:
                patch.setattr(os, "posix_fallocate", full)
        for _ in range(3):
            try:
                journal.append(line(written))
            except OSError:
                failed += 1
            else:
                break
    assert everything(journal) == expected + [f"req_{written}"] * (failed < 3)
    if failed == 3:
        journal.append(line(written))
    assert everything(journal) == [*expected, f"req_{written}"]
    journal.close()


def test_after_it_was_closed_another_line_harms_none_before(tmp_path: Path):
    journal = a_journal(tmp_path / "j")
    journal.append(line(1))
    journal.close()
    journal.append(line(2))
    assert everything(journal) == ["req_1", "req_2"]
    journal.close()


def test_a_spare_that_an_older_process_left_is_not_trusted(tmp_path: Path):
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "spare").write_bytes((line(8) * 3).ljust(SIZE, b"\0"))
    journal = a_journal(tmp_path / "j")
    journal.tidy(0)
    journal.append(line(1))
    assert everything(a_journal(tmp_path / "j")) == ["req_1"]
    journal.close()


def test_where_space_cannot_be_reserved_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "posix_fallocate")
    journal = a_journal(tmp_path / "j")
    journal.append(line(1))
    assert (tmp_path / "j" / "00000001.journal").stat().st_blocks * 512 >= SIZE
    assert everything(journal) == ["req_1"]
    journal.close()


def test_without_room_for_another_segment_a_later_process_goes_on_in_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = a_journal(tmp_path / "j")
    journal.append(line(1))
    journal.append(line(2)[:-9])
    journal.close()
    (tmp_path / "j" / "spare").unlink(missing_ok=True)

    def no_space(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    later = a_journal(tmp_path / "j")
    assert later.end == Position(1, len(line(1)))
    later.append(line(3))
    assert everything(later) == everything(a_journal(tmp_path / "j")) == ["req_1", "req_3"]
    assert later.segments() == [1]
    later.close()
