"""The lint of English: faults, their lines, and texts that are not checked."""

import pytest

from dev.prose import faults, faults_of, main, python_files, stats

LONG = " ".join(["Word", *["word"] * 25])


def reasons(source):
    return [reason for _, reason in faults(source)]


def test_long_sentence_is_found_at_its_line():
    source = f"x = 1\n# Short.\n# {LONG}.\n"

    assert list(faults(source)) == [(3, "sentence of 26 words, at most 25")]


def test_sentence_goes_on_over_lines_of_a_comment():
    half = " ".join(["word"] * 13)

    assert reasons(f"# {half}\n# {half}.\n") == ["sentence of 26 words, at most 25"]
    assert reasons(f"# {half}\n\n# {half}.\n") == []


def test_docstring_of_a_function_is_checked():
    source = f'def f():\n    """Do it.\n\n    {LONG}.\n    """\n'

    assert list(faults(source)) == [(4, "sentence of 26 words, at most 25")]


def test_sentence_may_begin_with_code():
    half = " ".join(["word"] * 13)

    assert reasons(f"# {half}. `x` {half}.\n") == []


def test_items_of_a_list_are_sentences():
    item = " ".join(["word"] * 13)

    assert reasons(f'"""Do it.\n\n- {item}\n- {item}\n"""\n') == []


def test_long_first_line_is_found():
    words = " ".join(["word"] * 16)

    assert reasons(f'"""{words}."""\n') == ["first line of 16 words, at most 15"]


def test_third_relative_word_is_found():
    assert reasons("# A that b which c.\n") == []
    assert reasons("# A that b which c whose d.\n") == ["3 relative words, at most 2"]


@pytest.mark.parametrize("text", ["It was told.", "Take a look.", "So many rows.", "Made anew."])
def test_banned_word_is_found(text):
    assert [reason.partition(":")[0] for reason in reasons(f"# {text}\n")] == ["banned"]


@pytest.mark.parametrize(
    "source", ["x = 'told'\n", "# The flag `told`.\n", "x = 1  # noqa: S603 told\n", "told = 1\n"]
)
def test_code_is_no_prose(source):
    assert reasons(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 'A message that was told here.'\n",
        "x = f'A message of {name}, told here.'\n",
        "x = ('A message of two lines'\n     ' that was told.')\n",
    ],
)
def test_banned_word_of_a_message_is_found_once(source):
    assert list(faults(source)) == [(1, "banned: told")]


@pytest.mark.parametrize(
    "source",
    [
        "x = 'told in four words'\n",
        "x = 'SELECT what was told FROM all rows'\n",
        "x = f'in {braces} told = code of python'\n",
    ],
)
def test_names_and_code_are_no_messages(source):
    assert reasons(source) == []


def test_messages_of_tests_are_left_out(tmp_path):
    test = tmp_path / "tests" / "test_a.py"
    test.parent.mkdir()
    test.write_text("x = 'A prompt that somebody told us.'\n# told\n")

    assert faults_of(test) == [(2, "banned: told")]


def test_migrations_are_left_out(tmp_path):
    for name in ("app/a.py", "app/migrations/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("# told\n")

    files = python_files([tmp_path])

    assert files == [tmp_path / "app" / "a.py"]


def test_fault_is_printed_and_fails(tmp_path, capsys):
    (tmp_path / "pyproject.toml").write_text('[tool.prose]\nfiles = ["app"]\n')
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text("# told\n")

    by_default = main([], root=tmp_path)
    by_name = main([str(tmp_path / "app")], root=tmp_path)

    assert (by_default, by_name) == (1, 1)
    assert "app/a.py:1: banned: told\n" in capsys.readouterr().out


def test_stats_are_per_thousand_words(tmp_path):
    (tmp_path / "a.py").write_text("# It is what they told.\n")

    counts = stats([tmp_path / "a.py"])

    assert counts["words"] == 5
    assert (counts["relative words"], counts["pronouns"]) == (200.0, 400.0)
    assert (counts["private idioms"], counts["median sentence"]) == (200.0, 5)
