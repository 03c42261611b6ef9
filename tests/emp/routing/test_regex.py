"""Regular expressions: they mean what they mean to `re`, and take linear time or are refused."""

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from emp.errors import RouteError
from emp.routing import regex
from emp.routing.reading import kind_of, parsed, read
from emp.routing.straight import is_straight
from tests.emp.routing.reference import EXAMPLES, LONG

# -- time -----------------------------------------------------------------------------------------

# Each of these takes `re` years for one of the texts, or hours.
HURTS = [
    r"^(?:\w|\w\w)+$", "^(a|b|ab)*c$", r"^(\w?){40}\d{40}$", r"\s+\s+\s+$", "(a+)+$", "(a*)*!",
    "([a-z]+)*!", "(?:a|b+)*!", r"^(\w+\s?)*$", "(a|a)*$", "(?:a?){40}a{40}!", "(.*a){20}!",
    "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y", r"^(?:(?:\w+)\s?)+$", "(?i)^(k|K|ka)*$",
]  # fmt: skip
TEXTS = [
    "a" * 5000 + "!",
    " " * 5000 + "x",
    "ab" * 2500,
    "x" * 5000,
    "é" * 5000 + "\x7f",
    "k" * 5000,
]


@pytest.mark.parametrize("pattern", HURTS)
def test_what_hurts_elsewhere_is_found_in_linear_time(pattern: str) -> None:
    compiled = regex.compile_pattern(pattern)
    assert not is_straight(read(parsed(pattern, compiled.flags), pattern))
    for text in TEXTS:
        compiled.found(text)  # the time limit of a test is enough: see HURTS


def test_a_large_pattern_bounds_its_texts_instead_of_taking_long() -> None:
    compiled = regex.compile_pattern("(?:a|b|ab|ba|aab){500}x")
    assert not compiled.found("ab" * 100)
    with pytest.raises(regex.TextTooLong, match="a text of 100000 characters"):
        compiled.found("ab" * 50_000)
    with pytest.raises(regex.TextTooLong):
        compiled.matches("ab" * 50_000)
    assert regex.compile_pattern("(a|b)+!$").found("ab" * 130_000 + "!")


@pytest.mark.parametrize(
    ("pattern", "straight"),
    [
        ("spam", True), ("^!ban\\b", True), ("\\bspam\\b", True), ("^[0-9]+ +[a-z]", True),
        ("^order 7:? ", True), ("(?i)^!ban", True), ("^(!ban) (\\d+) ", True), ("s.am", True),
        ("^[^ ]+ x", True), ("^a*b", True), ("^a+$", True), ("a{3}", True), ("", True),
        ("a+b", False),  # at each place, as many as there are
        ("^a*a", False), ("^a*b*a", False), ("^\\w+\\d", False), ("^(ab)+", False), ("aa|b", False),
        ("^(aa|b)", False), ("(?m)^a+b", False), ("a{65}", False), ("^a{0,99}", False),
        ("^(?:a+)+", False),
    ],
)  # fmt: skip
def test_which_patterns_leave_no_choice(pattern: str, straight: bool) -> None:
    compiled = regex.compile_pattern(pattern)
    assert is_straight(read(parsed(pattern, compiled.flags), pattern)) is straight


@pytest.mark.parametrize("pattern", ["^a*b*c*$", "^[0-9]+ +[a-z]", "^[^ ]+ x", "^a+$", "spam"])
def test_a_straight_pattern_takes_linear_time(pattern: str) -> None:
    compiled = regex.compile_pattern(pattern)
    for character in "a0 x":
        compiled.found(character * 200_000 + "!")  # squared, it would be hours


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "flags", "message"),
    [
        ("[", "", "unterminated character set"),
        ("(", "", "missing )"),
        ("(?P<1>x)", "", "bad character in group name"),
        ("x", "q", "unknown regular expression flag 'q'"),
        ("a{1,99999999999}", "", "bad regular expression"),
    ],
)
def test_bad_patterns(pattern: str, flags: str, message: str) -> None:
    with pytest.raises(RouteError, match=re.escape(message)):
        regex.compile_pattern(pattern, flags)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(?=b)", "a look ahead or behind"), ("a(?!b)", "a look ahead or behind"),
        ("(?<=a)b", "a look ahead or behind"), ("(?<!a)b", "a look ahead or behind"),
        ("(?!)", "a look ahead or behind"), (r"(a)\1", "a reference to a group"),
        ("(?P<x>a)(?P=x)", "a reference to a group"), ("(a)?(?(1)b|c)", "a reference to a group"),
        ("a++b", "possessive"), ("(?>a|b)c", "possessive"), ("a$b", "a $ with something behind it"),
        (r"\b(?a:\b)x", "(?a) or (?u) for a part"), (r"(?a)x(?u:\w)", "(?a) or (?u) for a part"),
        ("(?i)[\U00010400x]", "ignores case"), ("(?i)[ā-\U00010428]", "ignores case"),
        ("a{1001}", "is too large"),
        ("((a{100}){100}){100}", "is too large"), ("(?:[ab]{900}c){900}", "is too large"),
    ],
)  # fmt: skip
def test_what_cannot_be_linear_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(RouteError, match=re.escape(message)) as caught:
        regex.compile_pattern(pattern)
    assert caught.value.remedy


def test_all_matches_of_a_long_text_are_bounded() -> None:
    """Each search behind a match may look at the whole rest: together, that is squared."""
    compiled = regex.compile_pattern("a(?:.*!)?")
    compiled.prepare(True)
    assert compiled.matches("a" * 100, True) == [["a"]] * 100
    with pytest.raises(regex.TextTooLong, match="is found more than"):
        compiled.matches("a" * 200_000, True)
    words = regex.compile_pattern(r"(?:\w|—)+")
    words.prepare(True)
    assert len(words.matches("été 1 " * 1000, True)) == 2000


def test_many_letters_and_a_place_inside_of_words_is_refused() -> None:
    letters = "|".join(chr(0x4E00 + number) for number in range(0, 400, 2))
    assert regex.compile_pattern(f"(?:{letters}xx|[^a]x)").found("—x")
    with pytest.raises(RouteError, match="too many characters apart"):
        regex.compile_pattern(rf"\B(?:{letters}xx|[^a]x)")


def test_what_has_too_many_kinds_of_words_is_refused() -> None:
    letters = [chr(code) for code in range(0x410, 0x450)]  # а to я: each is told from the others
    regex.compile_pattern("|".join(each * 2 for each in letters))
    regex.compile_pattern("(?i)\\b(?:" + "|".join(each * 2 for each in letters) + ")")
    with pytest.raises(RouteError, match="too many characters apart") as caught:
        regex.compile_pattern(r"\b(?:" + "|".join(each * 2 for each in letters) + ")")
    assert "(?a)" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("pattern", "every", "message"),
    [("a*", True, "may match nothing"), ("(a*)*b", False, "repeats what may match nothing")],
)
def test_matches_that_would_not_be_certain_are_refused(
    pattern: str, every: bool, message: str
) -> None:
    with pytest.raises(RouteError, match=message) as caught:
        regex.compile_pattern(pattern).prepare(every)
    assert caught.value.remedy


# -- meaning --------------------------------------------------------------------------------------


def test_patterns_are_compiled_once() -> None:
    assert regex.compile_pattern("abc", "i") is regex.compile_pattern("abc", "i")
    assert regex.compile_pattern("abc", "i").found("xABC")


def test_absent_is_not_found() -> None:
    pattern = regex.compile_pattern("")
    assert regex.found(pattern, "")
    assert not regex.found(pattern, None)


@pytest.mark.parametrize(
    "compiled",
    [
        re.compile("a.b"),
        re.compile("a.b", re.I),
        re.compile("a.b", re.I | re.S | re.M | re.X | re.A),
        re.compile("(?i)a.b", re.S),
        re.compile("(?x) a . b  # comment", re.I),
    ],
)
def test_portable_patterns_keep_their_meaning(compiled: re.Pattern[str]) -> None:
    again = regex.compile_pattern(*regex.portable(compiled))
    assert again.flags == compiled.flags
    for text in ("a.b", "A\nB", "xa-b", "é", ""):
        assert again.found(text) is bool(compiled.search(text))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(?:a|ab)$", "ab\n"), ("(?:a|ab)\\Z", "ab\n"), ("(?m)(?:xx|^b)$", "a\nb\nc"),
        (r"(?:\bspam|xx)\b", "éspam"), (r"(?:\bspam|xx)\b", "é spam"),
        (r"(?a)(?:\bspam|xx)", "éspam"),
        (r"(?:\w|!!)+\Z", "straße"), (r"(?a)^(?:\w|!!)+\Z", "straße"), (r"^(?:\d|!!)+$", "٣"),
        (r"^(?:\s|!!)+$", "\u2003"), ("(?i)^(?:straſse|xx)$", "STRASSE"), ("(?i)^(?:k|xx)$", "K"),
        ("(?i)^(?:i|xx)$", "İ"), ("(?i)^(?:ß|xx)$", "ẞ"), ("(?i)^(?:Σ|xx)+$", "σς"),
        ("(?i)^(?:[α-ω]|xx)$", "Ω"), (r"^(?:aa|\B)$", ""), ("(?:aa|^)$", ""),
        (r"(?:\u00e9|xx)", "é"),
        (r"[^\W\d_]+(?:xx|\b)", "é1"), ("(?:😀|xx)$", "😀"), ("(?:.|xx)$", "😀"),
        (r"(?:aa|[^a])", "\n"), (r"\B—??", "ΰ-ΰ—s"), (r"\B(?:—|)", "a—"), ("(?i)[😀x]+x", "😀X"),
        ("(?:.|xx)", "\n"), ("(?s)(?:.|xx)", "\n"), (r"(?x) (?: aa | b ) # c", "b"),
        ("(?:\\101|xx)", "A"),
    ],
)  # fmt: skip
def test_the_meaning_is_that_of_re(pattern: str, text: str) -> None:
    assert regex.compile_pattern(pattern).found(text) is bool(re.search(pattern, text))


def test_every_character_is_of_its_kind() -> None:
    """What the alphabet rests on: the four kinds say all that \\w, \\d and \\s can say."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    for kinds, pattern in ((("word", "digit"), r"\w"), (("digit",), r"\d"), (("space",), r"\s")):
        have = {ord(each) for each in re.findall(pattern, everything)}
        assert have == {ord(each) for each in everything if kind_of(ord(each)) in kinds}


# Few, and such that are alike in one respect or another.
_CHARACTERS = list("abAksi_0 !éÉßẞİıſK٣一—\nμςσΣаЯǆǅ\u2003😀ﬅﬆ²")
_characters = st.sampled_from(_CHARACTERS)
_classes = st.tuples(
    st.sampled_from(["", "^"]),
    st.lists(
        _characters.map(re.escape)
        | st.sampled_from(
            ["a-c", "A-Z", "0-9", r"\w", r"\d", r"\s", r"\W", r"\S", "а-я", "А-Я", "é-ü", "μ-σ"]
        ),
        min_size=1,
        max_size=3,
    ).map("".join),
).map(lambda pair: f"[{pair[0]}{pair[1]}]")
_atoms = (
    _characters.map(re.escape)
    | st.sampled_from([".", r"\w", r"\d", r"\s", r"\W", r"\D", r"\S"])
    | _classes
)
_places = st.sampled_from([r"\b", r"\B", "^", "$", r"\A", r"\Z"])
_quantifiers = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?", "+?", "??", "{0,2}?"])
_expressions = st.recursive(
    _atoms | _places,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, _quantifiers).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(_atoms, _quantifiers).map("".join),
        inner.map(lambda each: f"({each})"),
        st.tuples(st.sampled_from("ism"), inner).map(lambda pair: f"(?{pair[0]}:{pair[1]})"),
    ),
    max_leaves=6,
)
_flags = st.sampled_from(["", "", "(?i)", "(?m)", "(?a)", "(?s)", "(?ai)"])


@LONG
@settings(EXAMPLES, suppress_health_check=[HealthCheck.filter_too_much])
@given(_flags, _expressions, st.lists(st.text(_characters, max_size=7), min_size=1, max_size=6))
def test_everything_means_what_it_means_to_re(flags: str, pattern: str, texts: list[str]) -> None:
    compiled = re.compile(flags + pattern)
    try:
        ours = regex.compiled(compiled)
    except RouteError:
        assume(False)
    certain = True
    for every in (False, True):
        try:
            ours.prepare(every)
        except RouteError:
            certain = False
            break
        for text in texts if certain else ():
            wanted = [[found.group(), *found.groups("")] for found in compiled.finditer(text)]
            assert ours.matches(text, every) == (wanted if every else wanted[:1]), text
    for text in texts:
        assert ours.found(text) is bool(compiled.search(text)), text
