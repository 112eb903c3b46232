"""What a person or a program reads on standard output."""

from __future__ import annotations

import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from polylogue.cli import wording
from polylogue.cli.following import file_names
from polylogue.cli.live import LiveView, side_by_side
from polylogue.cli.plain import JsonView, PlainView, View
from polylogue.client import Comparison
from polylogue.schemas.frames import Frame
from tests.unit.cli.frames import Script, received


def play(view: View, *frames: Frame) -> Comparison:
    comparison = Comparison(begun_at_s=0.0)
    for frame in frames:
        view.show(received(frame), comparison.apply(frame, 1.5), comparison)
    view.finish(comparison)
    return comparison


def plain(*frames: Frame, measured: bool = True) -> list[str]:
    lines: list[str] = []
    play(PlainView(measured=measured, write=lines.append, aside=lines.append), *frames)
    return lines


def test_plain_lines_begin_with_the_model_and_are_whole() -> None:
    script = Script()
    lines = plain(
        script.turn("m/a", "m/b"),
        script.start("m/a"),
        script.start("m/b"),
        script.chunk("m/a", "one\ntw"),
        script.chunk("m/b", "half "),
        script.chunk("m/a", "o\n"),
        script.chunk("m/b", "and half"),
        script.done("m/b"),
    )
    assert lines[:4] == ["> Hello", "m/a | one", "m/a | two", "m/b | half and half"]


def test_plain_shows_thoughts_apart_and_before_the_answer() -> None:
    script = Script()
    lines = plain(script.reasoning("a", "let me see"), script.chunk("a", "It is 4."), script.done("a"))
    assert lines[:2] == ["a (thinks) | let me see", "a | It is 4."]


def test_plain_shows_a_medium_with_type_size_and_link_and_cuts_the_text_where_it_stands() -> None:
    script = Script()
    lines = plain(
        script.start("a"),
        script.chunk("a", "Look:"),
        script.pending("a"),
        script.chunk("a", "Is that "),
        script.media("a"),
        script.chunk("a", "it?"),
        script.done("a"),
    )
    assert lines[:3] == ["a | Look:", "a | image/png  12.3 kB  64×48  http://s3/m1.png", "a | Is that it?"]


def test_plain_ends_with_a_summary() -> None:
    script = Script()
    lines = plain(
        script.start("a"),
        script.start("b"),
        script.chunk("a", "x"),
        script.media("a"),
        script.done("a"),
        script.done("b", error=True, message="Refused."),
        script.complete(2),
    )
    head, first, second = lines[-3:]
    assert head.split() == ["model", "first", "token", "duration", "media", "status"]
    assert first.split() == ["a", "1.5", "s", "1.5", "s", "1", "ok"]
    assert second.split() == ["b", "–", "1.5", "s", "0", "failed:", "Refused."]


def test_a_watcher_is_shown_no_times_that_it_cannot_know() -> None:
    script = Script()
    lines = plain(script.chunk("a", "x"), script.done("a"), measured=False)
    assert lines[-1].split() == ["a", "–", "–", "0", "ok"]


def test_an_unfinished_line_is_not_lost_when_the_reader_lets_go() -> None:
    script = Script()
    assert plain(script.start("a"), script.chunk("a", "cut off he"))[0] == "a | cut off he"


def test_json_is_the_frame_as_it_came_one_a_line() -> None:
    script, lines = Script(), list[str]()
    frames = [script.start("a"), script.chunk("a", "x\ny"), script.complete()]
    play(JsonView(lines.append, lines.append), *frames)
    assert [json.loads(line)["type"] for line in lines] == ["start", "chunk", "complete"]
    assert all("\n" not in line for line in lines)


def draw(comparison: Comparison, width: int, height: int | None) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=width, force_terminal=False).print(side_by_side(comparison, width, height))
    return output.getvalue().splitlines()


def three_answers(length: int = 400) -> Comparison:
    script, comparison = Script(), Comparison(begun_at_s=0.0)
    for model in ("m/a", "m/b", "m/c"):
        comparison.apply(script.chunk(model, " ".join(f"{model[-1]}{n}" for n in range(length))), 1.0)
    return comparison


def test_three_answers_stand_side_by_side_on_80_columns() -> None:
    lines = draw(three_answers(), 80, 20)
    assert all(model in lines[0] for model in ("m/a", "m/b", "m/c"))
    assert all(len(line) <= 80 for line in lines)


def test_a_live_drawing_fits_the_terminal_and_shows_the_end() -> None:
    lines = draw(three_answers(), 80, 20)
    assert len(lines) <= 20
    assert "a399" in "".join(lines)
    assert "a0 " not in "".join(lines)


def test_answers_that_do_not_fit_beside_each_other_stand_below() -> None:
    lines = draw(three_answers(), 40, 30)
    assert len(lines) <= 30
    assert sum("m/" in line for line in lines) == 3


def test_the_drawing_in_the_end_shows_everything() -> None:
    text = " ".join(draw(three_answers(), 80, None))
    assert all(word in text for word in ("a0 ", "a399", "c0 ", "c399"))


def test_a_terminal_gets_links_and_summary_and_no_colour_without_it() -> None:
    script, output = Script(), io.StringIO()
    console = Console(file=output, width=80, height=24, force_terminal=True, no_color=True, color_system=None)
    play(LiveView(console, measured=True), script.start("a"), script.media("a"), script.done("a"))
    assert "http://s3/m1.png" in output.getvalue()
    assert "first token" in output.getvalue()
    assert "\x1b[3" not in output.getvalue()


@given(st.text())
def test_no_text_of_a_model_moves_the_cursor(text: str) -> None:
    cleaned = wording.clean(text)
    assert not any(ord(letter) < 32 and letter not in "\t\n" for letter in cleaned)
    assert not any(127 <= ord(letter) < 160 for letter in cleaned)


def test_terminal_commands_in_an_answer_are_taken_out_whole() -> None:
    assert wording.clean("a\x1b[2Jb\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d") == "abcd"


def test_files_are_named_after_their_model_and_stay_in_their_folder() -> None:
    script = Script()
    comparison = Comparison(begun_at_s=0.0)
    comparison.apply(script.media("../m/a", "x/../1"), 1.0)
    comparison.apply(script.pending("b", "2"), 1.0)
    assert file_names(comparison) == [("-m-a-x-..-1.png", "http://s3/m1.png")]
