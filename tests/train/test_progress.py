"""Progress on a terminal and off it; and that it costs nearly nothing."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from striate.train.events import Evaluated, Event, Finished, Saved, Started, Stepped
from striate.train.progress import REDRAW_SECONDS, Progress

OUT = Path("run")


def told(steps: int = 10) -> list[Event]:
    begun = Started(OUT, 2, steps, 5000, 1234, "cpu", epoch=1, step=0, resumed=False, validation=500, test=10_000)
    stepped = [Stepped(1, step, 0.5, 0.01, 256 * step, 9000.0, True) for step in range(1, steps + 1)]
    ended = [
        Evaluated(1, 0.1, 0.987, 0.4, True, 12.5),
        Saved(OUT / "last.safetensors", "last", 1, steps),
        Finished(OUT, "all epochs done", 2, 1, 0.9876, 0.09, 25.0),
    ]
    return [begun, *stepped, *ended]


def shown(events: list[Event], *, terminal: bool) -> tuple[str, Progress]:
    file = io.StringIO()
    with Progress(Console(file=file, force_terminal=terminal, width=120, color_system=None)) as progress:
        for event in events:
            progress(event)
    return file.getvalue(), progress


def test_plain_lines_where_there_is_no_terminal() -> None:
    text, _ = shown(told(), terminal=False)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert len(lines) == 4
    assert "5,000 images, 1,234 parameters, 2 epochs" in lines[0]
    assert lines[2] == "epoch 1/2: training loss 0.4, validation accuracy 98.7%, best so far; 12.5 s, 9,000 images/s"
    assert lines[3] == "all epochs done: test accuracy 98.76% with the weights of epoch 1; 25.0 s of training"


def test_a_score_of_few_images_has_no_decimals_that_none_of_them_tells() -> None:
    begun = Started(OUT, 1, 4, 64, 10, "cpu", epoch=1, step=0, resumed=False, validation=32, test=1000)
    scored = Evaluated(1, 2.1, 7 / 32, 2.2, True, 1.0)
    ended = Finished(OUT, "all epochs done", 1, 1, 0.219, 2.0, 1.0)
    text, _ = shown([begun, scored, ended], terminal=False)
    assert "validation accuracy 21.9%," in text  # 7 of 32 is 21.875%, and 8 are 25%
    assert "test accuracy 21.9% with" in text


def test_one_bar_with_loss_accuracy_speed_and_time_left() -> None:
    text, progress = shown([*told()[:11], told()[11], told()[10]], terminal=True)
    assert progress.drawn == 1  # the others came within a quarter of a second
    assert "loss 0.500" in text
    assert "9,000 images/s" in text
    assert "epoch 1/2" in text


def test_the_bar_of_a_finished_run_is_full_though_its_last_steps_came_too_soon_to_be_drawn() -> None:
    begun, *rest = told()
    text, progress = shown([replace(begun, epochs=1), *rest], terminal=True)
    assert progress.drawn == 1
    last = text.splitlines()[-2]
    assert "100% validation accuracy 98.7%" in last
    begun, *rest = told()
    assert " 50% validation accuracy 98.7%" in shown([begun, *rest], terminal=True)[0].splitlines()[-2], "stopped early"


def test_drawing_costs_under_one_percent_of_the_time_it_shows() -> None:
    events = told(20_000)
    began = time.perf_counter()
    _, progress = shown(events, terminal=True)
    seconds = time.perf_counter() - began
    assert progress.drawn <= 1 + seconds / REDRAW_SECONDS
    # An event between drawings: well under 1% of the fifth of a second between two of them.
    assert seconds / len(events) < 0.01 * 0.2


def test_a_resumed_run_says_where_it_goes_on() -> None:
    begun = Started(OUT, 5, 100, 10, 10, "cpu", epoch=3, step=40, resumed=True)
    assert "going on at epoch 3, step 40" in shown([begun], terminal=False)[0]


def test_a_finished_run_has_nothing_to_go_on_with() -> None:
    begun = Started(OUT, 1, 100, 10, 10, "cpu", epoch=2, step=0, resumed=True)
    text = shown([begun], terminal=True)[0]
    assert "1 epoch\n" in text
    assert "nothing is left to train" in text
    assert "epoch 2" not in text


def test_without_test_images_there_is_no_score() -> None:
    text = shown([Finished(OUT, "all epochs done", 2, 1, None, None, 2.0)], terminal=False)[0]
    assert "the weights of epoch 1 are kept, and no test images to score them on" in text


def test_regression_has_no_accuracy() -> None:
    events: list[Event] = [
        Evaluated(1, 0.125, None, 0.4, False, 1.0),
        Finished(OUT, "all epochs done", 2, 1, None, 0.35, 2.0),
    ]
    text, _ = shown(events, terminal=False)
    assert "validation loss 0.125" in text
    assert "test error 0.35" in text
