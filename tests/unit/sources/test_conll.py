"""CoNLL files: whatever the scheme, entities are spans of the joined tokens; what is malformed is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparknlp_ft.config import SourceConfig
from sparknlp_ft.sources.conll import conll_records, entities_of
from sparknlp_ft.sources.files import BadRecord, Part

SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = st.sampled_from(["PER", "LOC", "creative-work"])
TAGS = st.one_of(st.just("O"), st.builds("{}-{}".format, st.sampled_from("BIESLU"), KINDS))
# Any characters but those that part columns and lines.
TOKENS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6)
SENTENCES = st.lists(st.tuples(TOKENS, TAGS), min_size=1, max_size=12)


def read(path: Path, content: str, **options: object) -> list[tuple[int, list]]:
    path.write_text(content, encoding="utf-8", newline="")
    source = SourceConfig(**{"format": "conll", "path": str(path), **options})
    return list(conll_records(Part(str(path), 0), source))


def spans(tokens: str, tags: str) -> list[tuple[str, str]]:
    text, entities = entities_of(tokens.split(), tags.split())
    return [(text[entity["start"] : entity["end"]], entity["label"]) for entity in entities]


@SETTINGS
@given(st.lists(SENTENCES, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\t", "  "]))
def test_any_tags_give_whole_tokens_in_order(tmp_path: Path, sentences: list[list[tuple[str, str]]], end: str, gap: str) -> None:
    content = "".join("".join(f"{token}\t{tag}{end}" for token, tag in sentence) + gap + end for sentence in sentences)
    read_back = [values for _, values in read(tmp_path / "a.conll", content)]
    expected = [sentence for sentence in sentences if sentence]
    assert [text for text, _ in read_back] == [" ".join(token for token, _ in sentence) for sentence in expected]
    for (text, entities), sentence in zip(read_back, expected, strict=True):
        tokens = [token for token, _ in sentence]
        starts = [sum(len(token) + 1 for token in tokens[:place]) for place in range(len(tokens))]
        covered: list[int] = []
        for entity in entities:
            inside = [place for place, start in enumerate(starts) if entity["start"] <= start < entity["end"]]
            assert text[entity["start"] : entity["end"]] == " ".join(tokens[place] for place in inside)
            assert {sentence[place][1][2:] for place in inside} == {entity["label"]}
            covered += inside
        # Every tagged token is in one entity, and no other is in any.
        assert covered == [place for place, (_, tag) in enumerate(sentence) if tag != "O"]


@SETTINGS
@given(st.lists(st.tuples(st.integers(1, 4), st.one_of(st.none(), KINDS)), min_size=1, max_size=8))
def test_all_schemes_mean_the_same(pieces: list[tuple[int, str | None]]) -> None:
    schemes: dict[str, list[str]] = {"BIO": [], "BIOES": [], "BILOU": [], "IOB1": []}
    before: str | None = None
    for length, kind in pieces:
        if kind is None:
            for tags in schemes.values():
                tags += ["O"] * length
        else:
            schemes["BIO"] += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
            schemes["IOB1"] += [f"{'B' if before == kind else 'I'}-{kind}"] + [f"I-{kind}"] * (length - 1)
            for name, single, last in (("BIOES", "S", "E"), ("BILOU", "U", "L")):
                whole = [f"B-{kind}"] + [f"I-{kind}"] * (length - 2) + [f"{last}-{kind}"]
                schemes[name] += [f"{single}-{kind}"] if length == 1 else whole
        before = kind
    found = [entities_of(["x"] * len(tags), tags) for tags in schemes.values()]
    assert all(one == found[0] for one in found)
    assert len(found[0][1]) == sum(kind is not None for _, kind in pieces)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-PER I-PER O", [("b c", "PER")]),
        ("B-PER B-PER I-LOC O", [("a", "PER"), ("b", "PER"), ("c", "LOC")]),
        ("S-PER I-PER E-PER I-PER", [("a", "PER"), ("b c", "PER"), ("d", "PER")]),
        ("U-PER L-PER U-LOC B-LOC", [("a", "PER"), ("b", "PER"), ("c", "LOC"), ("d", "LOC")]),
    ],
)
def test_tags_are_read_as_the_scorer_reads_them(tags: str, expected: list[tuple[str, str]]) -> None:
    assert spans("a b c d", tags) == expected


def test_offsets_count_characters_not_bytes() -> None:
    assert spans("🙂 Ærø 日本", "O B-LOC B-LOC") == [("Ærø", "LOC"), ("日本", "LOC")]
    assert entities_of(["🙂", "Ærø"], ["O", "B-LOC"])[1] == [{"start": 2, "end": 5, "label": "LOC"}]


def test_columns_docstarts_and_the_first_line_of_each_sentence(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects  VBZ B-VP O \n\t \n\nGerman JJ B-NP B-MISC"
    path = tmp_path / "a.txt"
    expected = [(3, ["EU rejects", [{"start": 0, "end": 2, "label": "ORG"}]]), (7, ["German", [{"start": 0, "end": 6, "label": "MISC"}]])]
    assert read(path, content) == expected
    chunks = read(path, content, columns=["token", "pos", "chunk", "ner"], tag="chunk")
    assert [[entity["label"] for entity in entities] for _, (_, entities) in chunks] == [["NP", "VP"], ["NP"]]
    turned = read(path, "O a\nB-X b\n", columns=["tag", "token"], tag="tag")
    assert turned == [(1, ["a b", [{"start": 2, "end": 3, "label": "X"}]])]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("a\tO\n\nb\tX\tO\n", 3, "3 column.*expected 2"),
        ("a O\nb\n", 2, "1 column"),
        ("a\n", 1, "1 column.*expected token and tag"),
        ("a b c d e\n", 1, "5 column"),
        ("a\tO\nb\tPER\n", 2, "tag 'PER', expected O, or B-TYPE"),
        ("a\tO\nb\tB-\n", 2, "tag 'B-'"),
        ("a\tO\n\tO\n", 2, "column 1 is empty"),
        ("a\tO\nb\tb-PER\n", 2, "tag 'b-PER'"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: str, line: int, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason) as caught:
        read(tmp_path / "a.conll", content)
    assert caught.value.line == line


def test_a_tag_column_must_be_among_the_columns(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ner' is not among the columns"):
        read(tmp_path / "a.conll", "a O\n", tag="ner")
