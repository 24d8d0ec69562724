"""Conflicts: fatal edits are seen and called by their kind, harmless changes aren't."""

import time

import pytest

from fidelity.text.conflicts import compare_texts

PROSE = (
    "Velorin is started at 25 mg every 12 hours, and the dose is reviewed after 9 weeks. It should not be taken "
    "together with grapefruit, because that strains the liver. In the first trial, published in 1971, Marta Lindqvist "
    "reported that blood pressure increased in most patients, whereas Tomas Ferrari found no change in the older group."
)
JSON = (
    '{"tool": "book", "arguments": {"city": "Riga", "days": 4, "tags": ["a", "b"], "confirm": false}, "note": "Trip 7"}'
)
PYTHON = """```python
def purge(path, keep_days=8, dry_run=True):
    removed = 0
    for entry in sorted(path.iterdir()):
        age = (now() - entry.stat().st_mtime) / 86400
        if age > keep_days and entry.suffix == ".csv":
            if not dry_run:
                entry.unlink()
            removed += 1
    return removed
```"""
SQL = """```sql
DELETE FROM devices
WHERE tier = 'closed' AND last_seen < '2020-01-01' AND archived = TRUE;
```"""
TABLE = (
    "| City | People | Trams |\n|---|---|---|\n| Riga | 605,000 | yes |\n| Graz | 292,000 | yes |\n"
    "| Porto | 231,000 | no |"
)


def kinds(baseline, candidate, **options):
    return {conflict.kind for conflict in compare_texts(baseline, candidate, **options).conflicts}


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("25 mg", "250 mg", "number"),
        ("25 mg", "25 g", "number"),
        ("1971", "1917", "number"),
        (
            "12 hours, and the dose is reviewed after 9 weeks",
            "9 hours, and the dose is reviewed after 12 weeks",
            "number",
        ),
        ("in most patients", "in 62 % of the patients", "number"),
        ("should not be", "should be", "negation"),
        ("found no change", "found a change", "negation"),
        ("increased", "decreased", "direction"),
        ("after 9 weeks", "before 9 weeks", "direction"),
        ("Marta Lindqvist", "Olga Petrenko", "name"),
    ],
)
def test_fatal_edits_of_prose(old, new, kind):
    assert old in PROSE
    assert kinds(PROSE, PROSE.replace(old, new)) == {kind}
    assert kinds(PROSE.replace(old, new), PROSE) == {kind}


def test_exchanged_names():
    swapped = (
        PROSE.replace("Marta Lindqvist", "X").replace("Tomas Ferrari", "Marta Lindqvist").replace("X", "Tomas Ferrari")
    )
    assert kinds(PROSE, swapped) == {"name"}


def test_where_a_conflict_is():
    candidate = PROSE.replace("25 mg", "**250** mg")
    (conflict,) = compare_texts(PROSE, candidate).conflicts
    assert PROSE[slice(*conflict.baseline)] == "25 mg"
    assert candidate[slice(*conflict.candidate)] == "**250** mg"
    dropped = PROSE.replace("should not be", "should be")
    (conflict,) = compare_texts(PROSE, dropped).conflicts
    assert PROSE[slice(*conflict.baseline)] == "not"
    assert conflict.candidate.start == conflict.candidate.end == dropped.index("be taken")


@pytest.mark.parametrize(
    "candidate",
    [
        "Treatment with Velorin normally begins with 25 mg, repeated every 12 hours; the doctor looks at this again 9 "
        "weeks later. Avoid combining it with grapefruit: the two do not go together and put a burden on the liver. "
        "When the first study came out in 1971, Marta Lindqvist described an increase of blood pressure for the "
        "majority, while Tomas Ferrari saw no difference among the elderly.",
        PROSE.replace("should not", "shouldn't").replace("25 mg", "25mg").replace("9 weeks", "nine weeks"),
        PROSE.replace(". ", ".\n\n- ").replace("25 mg", "**25 mg**"),
        PROSE.replace("12 hours, and the dose", "12 hours. The dose"),
        " ".join(sorted(PROSE.split(". "))),
        "In short, here is what matters. " + PROSE + " Please ask your doctor if anything is unclear.",
    ],
    ids=["paraphrase", "spelling", "layout", "split", "order", "added"],
)
def test_harmless_changes_of_prose(candidate):
    assert kinds(PROSE, candidate) == set()
    assert kinds(candidate, PROSE) == set()


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        ("It is not possible to undo this step.", "It is impossible to undo this step."),
        ("You must not use it with alcohol.", "You must avoid using it with alcohol."),
        ("The rate does not decrease with time.", "The rate doesn't decrease with time."),
        ("The cache is emptied before the index is built.", "The index is built after the cache is emptied."),
        ("No more than 5 users may log in.", "At most 5 users may log in."),
        ("Not only the cost but also the time falls.", "The cost and also the time falls."),
        ("The World Health Organization approved it.", "The WHO approved it."),
    ],
)
def test_other_words_for_the_same(baseline, candidate):
    assert kinds(baseline, candidate) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [("false", "true"), ('"Riga"', '"Graz"'), (": 4", ": 40"), (": 4", ': "4"'), ('"b"', '"c"'), ("Trip 7", "Trip 8")],
)
def test_json_values(old, new):
    assert kinds(JSON, JSON.replace(old, new)) == {"json"}
    fenced = f"Here it is:\n\n```json\n{JSON}\n```\n"
    assert kinds(fenced, fenced.replace(old, new)) == {"json"}


def test_json_layout_is_none():
    other = '{"note":"Trip 7","arguments":{"confirm":false,\n"tags":["a","b"],"days":4.0,"city":"Riga"},"tool":"book"}'
    assert kinds(JSON, other) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("entry.unlink()", "path.rmtree()"),
        ("unlink", "rename"),
        ("86400", "3600"),
        ("if not dry_run", "if dry_run"),
        ("dry_run=True", "dry_run=False"),
        ("age > keep_days", "age < keep_days"),
        ("keep_days and", "keep_days or"),
        ('".csv"', '".txt"'),
        ("return removed", "return age"),
        ("+= 1", "-= 1"),
    ],
)
def test_fatal_edits_of_code(old, new):
    assert old in PYTHON
    assert kinds(PYTHON, PYTHON.replace(old, new)) == {"code"}


def test_harmless_changes_of_code():
    renamed = PYTHON.replace("entry", "item").replace("removed", "count").replace("age", "days_old")
    assert kinds(PYTHON, renamed) == set()
    commented = PYTHON.replace("removed = 0", "removed = 0  # not 5").replace("    ", "  ").replace('".csv"', "'.csv'")
    assert kinds(PYTHON, commented) == set()


@pytest.mark.parametrize(
    ("old", "new"),
    [("devices", "users"), ("'closed'", "'open'"), ("<", ">"), ("AND last", "OR last"), (" AND archived = TRUE", "")],
)
def test_fatal_edits_of_sql(old, new):
    assert kinds(SQL, SQL.replace(old, new)) == {"code"}


def test_harmless_changes_of_sql():
    assert kinds(SQL, SQL.replace("\nWHERE", " where").replace("DELETE FROM", "delete from")) == set()
    assert (
        kinds(
            SQL,
            SQL.replace("tier = 'closed' AND last_seen < '2020-01-01'", "last_seen < '2020-01-01' AND tier = 'closed'"),
        )
        == set()
    )


def test_commands():
    shell = "```bash\nsudo rm -r /var/log/old\ngrep -v error log.txt\n```"
    assert kinds(shell, shell.replace("/var/log/old", "/var/log")) == {"code"}
    assert kinds(shell, shell.replace("grep -v", "grep")) == {"code"}


def test_cells():
    assert kinds(TABLE, TABLE.replace("292,000", "29,000")) == {"table", "number"}
    assert kinds(TABLE, TABLE.replace("| Riga | 605,000", "| Riga | 292,000").replace("Graz | 292", "Graz | 605")) == {
        "table"
    }
    assert kinds(TABLE, TABLE.replace("231,000 | no", "231,000 | yes")) == {"table"}
    assert kinds(TABLE, TABLE.replace("605,000", "605000").replace("|---|---|---|", "| --- | :---: | ---: |")) == set()


def test_languages():
    german = "Das Medikament darf nicht mit Alkohol eingenommen werden, und die Dosis wird erhöht."
    assert kinds(german, german.replace("darf nicht", "darf")) == {"negation"}
    assert kinds(german, german.replace("erhöht", "gesenkt")) == {"direction"}
    hindi = "यह दवा शराब के साथ नहीं लेनी चाहिए और इसे रोज़ लेना है।"
    assert kinds(hindi, hindi.replace("नहीं ", "")) == {"negation"}
    polish = "Tego leku nie wolno brać razem z alkoholem, ponieważ szkodzi to wątrobie."
    compared = compare_texts(polish, polish.replace("nie ", ""))
    assert compared.uncovered("negation") == "baseline"
    assert compared.uncovered("number") is None


def test_own_antonyms():
    text = "Analysts are bullish about the shares of this company."
    assert kinds("The plan is frobbed in May.", "The plan is grokked in May.") == set()
    assert kinds("The plan is frobbed in May.", "The plan is grokked in May.", antonyms=[("frobbed", "grokked")]) == {
        "direction"
    }
    assert kinds(text, text.replace("bullish", "bearish")) == {"direction"}


def test_what_is_aligned():
    compared = compare_texts(
        "One is here. Two is there. Three is gone.", "One is here. Three is gone. Nine new things came up."
    )
    assert compared.aligned == pytest.approx(2 / 3)
    assert compared.added == pytest.approx(1 / 3)
    assert compare_texts("Cats sleep all day.", "Το τρένο φεύγει στις εννέα.").aligned == 0


@pytest.mark.parametrize("mark", [">", ">>>>", " > ", "> \r", "- ", "#", "> - "])
def test_a_line_of_a_mark_alone_is_an_empty_line(mark):
    """A model of the study looped such lines: quotation marks of Markdown without a text."""
    quoted = f"{mark}\n  A dose of 5 mg is safe.\n{mark}\nIt stays so.\n{mark}"
    assert kinds(quoted, quoted) == set()
    assert kinds(quoted, quoted.replace("5 mg", "50 mg")) == {"number"}


def test_time_is_linear():
    words = [f"Sentence {i} speaks of thing {i * 7} and of its use in the house." for i in range(300)]
    baseline, candidate = "\n".join(words), "\n".join(word.replace("house", "garden") for word in words)
    started = time.process_time()
    compare_texts(baseline, candidate)
    assert time.process_time() - started < 3
