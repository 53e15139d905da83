"""What an error says: the line, the caret, what was found, what is allowed, the nearest known word."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.errors import NetworkError
from striate.network import Network


def refused(text: str) -> NetworkError:
    with pytest.raises(NetworkError) as raised:
        Network.parse(text)
    return raised.value


def test_the_nearest_known_layer() -> None:
    fault = refused("conv 20 5x5, relu, maxpol 2x2")
    assert (fault.line, fault.column, fault.found) == (1, 20, "maxpol")
    assert "avgpool" in fault.allowed
    told = str(fault).splitlines()
    assert told[0].startswith("line 1, column 20: maxpol is no layer; allowed: ")
    assert told[0].endswith("(did you mean maxpool?)")
    assert told[1:] == ["    conv 20 5x5, relu, maxpol 2x2", "                       ^^^^^^"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [("Conv2d", "conv"), ("linear", "dense"), ("MaxPool2d", "maxpool"), ("batch_norm", "batchnorm"), ("RELU", "relu")],
)
def test_words_of_other_tools(word: str, meant: str) -> None:
    assert f"did you mean {meant}?" in str(refused(word))


def test_arguments_are_written_by_their_place_and_nothing_is_no_name() -> None:
    assert "kernel of conv is written by its place alone; allowed: conv CHANNELS KERNEL" in str(
        refused("conv 3 kernel=3x3")
    )
    assert "conv has no option =3; allowed: stride" in str(refused("conv 3 3x3 =3"))


def test_all_faults_of_a_text_are_told_together() -> None:
    told = str(refused("input 1x28x28\nconvv 20 5x5\nrelu\nmaxpol 2x2\ndense ten\nconv 20 5x5 strid=2 bias=maybe"))
    places = [line.split(":")[0] for line in told.splitlines() if line.startswith("line")]
    assert places == [
        "line 2, column 1",
        "line 4, column 1",
        "line 5, column 7",
        "line 6, column 13",
        "line 6, column 26",
    ]


def test_at_most_ten_faults_are_told() -> None:
    told = str(refused("nonsense\n" * 1000))
    assert told.count("is no layer") == 10


@pytest.mark.parametrize(
    ("text", "line", "column", "found", "allowed"),
    [
        ("conv 20", 1, 6, "20", "a size such as 3x3"),
        ("dense", 1, 1, "dense", "a whole number from 1"),
        ("relu 3", 1, 6, "3", "relu"),
        ("conv 20 5x5 7", 1, 13, "7", "conv CHANNELS KERNEL stride= pad= dilation= groups= bias="),
        ("conv 20 5x5\nconv 0 5x5", 2, 6, "0", "a whole number from 1"),
        ("conv 20 5x5 strid=2", 1, 13, "strid=2", "stride, pad, dilation, groups, bias"),
        ("conv 20 5x5 stride=0", 1, 20, "0", "each side from 1"),
        ("conv 20 5x5 stride=2 stride=2", 1, 22, "stride=2", "once"),
        ("dropout 1.5", 1, 9, "1.5", "a number"),
        ("relu, (relu, tanh", 1, 7, "(", ") after its layers"),
        ("relu) x3", 1, 5, ")", "a layer or the end of the text"),
        ("(relu), tanh", 1, 7, ",", "how many times"),
        ("(relu) x0", 1, 8, "x0", "x1 to"),
        ("(relu | tanh) x2", 1, 7, "|", "branches only in a block"),
        ("residual relu", 1, 10, "relu", "residual( ... )"),
        ("residual(relu) tanh", 1, 16, "tanh", "a new line, a comma or ;"),
        ("relu(tanh)", 1, 5, "(", "a new line, a comma or ;"),
        ("input 28x28, relu", 1, 7, "28x28", "channels x rows x columns"),
        ("input, relu", 1, 1, "input", "channels x rows x columns"),
        ("input 0, relu", 1, 7, "0", "each from 1"),
        ("relu, input 3", 1, 7, "input", "first line, once"),
        ("", 1, 1, "the end of the text", "layers, such as"),
        ("input 3\n# nothing more\n", 3, 1, "the end of the text", "layers, such as"),
    ],
)
def test_place_found_and_allowed(text: str, line: int, column: int, found: str, allowed: str) -> None:
    fault = refused(text)
    assert (fault.line, fault.column, fault.found) == (line, column, found)
    assert allowed in fault.allowed
    assert fault.allowed in str(fault)


def test_the_nearest_option() -> None:
    assert "did you mean stride?" in str(refused("conv 20 5x5 strides=2"))


def test_shapes_that_cannot_work_name_layer_line_and_shape() -> None:
    fault = refused("input 1x28x28\nconv 20 5x5\nrelu\nmaxpool 2x2\nconv 40 13x13")
    assert (fault.line, fault.column) == (5, 1)
    assert "conv2 cannot take 20x12x12: " in str(fault)
    assert "    conv 40 13x13\n    ^^^^" in str(fault)


def test_a_misfit_inside_a_block_is_shown_where_it_stands() -> None:
    fault = refused("input 4x8x8\nresidual(\n conv 4 3x3 pad=1\n relu\n conv 4 9x9)")
    assert (fault.line, fault.column) == (5, 2)
    assert "residual1.body.conv2 cannot take 4x8x8" in str(fault)


def test_a_block_whose_branches_do_not_meet_is_shown_itself() -> None:
    fault = refused("input 4x8x8\nrelu\nconcat(conv 4 3x3 | conv 4 5x5)")
    assert (fault.line, fault.column) == (3, 1)
    assert "concat1 cannot take 4x8x8" in str(fault)


def test_a_long_line_is_shown_around_the_fault() -> None:
    fault = refused("relu, " * 100 + "rel" + ", relu" * 100)
    excerpt, caret = str(fault).splitlines()[1:]
    assert len(excerpt) <= 110
    assert excerpt[caret.index("^") : caret.rindex("^") + 1] == "rel"


def test_nothing_that_a_terminal_acts_on_is_printed() -> None:
    told = str(refused("relu\x1b[2J\x07\u202e, \ud800"))
    assert all(line.isprintable() for line in told.splitlines())


def test_a_word_that_is_no_preset_no_file_and_no_layer() -> None:
    told = r"no preset, no file and no layer vgg61 \(did you mean vgg1[16]\?\); presets: alexnet, ann"
    with pytest.raises(NetworkError, match=told) as raised:
        Network.load("vgg61")
    assert "\n" not in str(raised.value)
    with pytest.raises(NetworkError, match=r"there is no preset vanila \(did you mean vanilla\?\); presets: alexnet"):
        Network.preset("vanila")
    with pytest.raises(NetworkError, match=r"no file and no layer my nets/one\.txt"):
        Network.load("my nets/one.txt")
    with pytest.raises(NetworkError, match="line 1, column 1: dense needs its outputs"):
        Network.load("dense")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "net.txt"
    path.write_bytes("\ufeffinput 3\r\ndense 2  # zwei Ausgänge\r\n".encode())
    assert Network.read(path) == Network.load(str(path)) == Network.parse("input 3, dense 2")
    path.write_text("input 3\ndens 2")
    with pytest.raises(NetworkError, match=r"net\.txt, line 2, column 1: dens is no layer") as raised:
        Network.load(str(path))
    assert (raised.value.line, raised.value.found) == (2, "dens")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NetworkError, match="not UTF-8"):
        Network.read(path)
    for missing in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(NetworkError, match="cannot read a network from"):
            Network.read(missing)
    with pytest.raises(NetworkError, match="no preset, no file and no layer"):
        Network.load(str(tmp_path / "none.txt"))


def test_load_takes_presets_texts_and_odd_strings() -> None:
    assert Network.load("ann") == Network.preset("ann")
    assert Network.load("relu") == Network.parse("relu")
    assert Network.load("relu, dense 3", input=(3,)).outputs == 3
    for odd in ("relu\0", "a" * 5000, "", "~", ".", "/"):
        with pytest.raises(NetworkError):
            Network.load(odd)
