"""Fatal edits of real answers, by kind: one place is changed, and the answer states something else."""

import json
import random
import re
from collections.abc import Callable, Iterator

Edit = Callable[[str, random.Random, str], str | None]

ANTONYMS = {
    "development": """
        increase/decrease increases/decreases increased/decreased increasing/decreasing before/after allow/prevent
        allows/prevents left/right maximum/minimum true/false always/never higher/lower more/less first/last start/stop
        enable/disable include/exclude add/remove positive/negative above/below large/small high/low easy/difficult
        best/worst inside/outside all/none success/failure strong/weak up/down long/short same/different input/output
        most/least early/late""",
    "held out": """
        reduce/increase reduces/increases improved/worsened improve/worsen top/bottom faster/slower larger/smaller
        better/worse open/close accept/reject internal/external ascending/descending begin/end safe/dangerous
        upload/download public/private expensive/cheap buy/sell greater/smaller often/rarely upper/lower import/export
        possible/impossible correct/incorrect valid/invalid new/old full/empty horizontal/vertical win/lose gain/loss
        near/far many/few deep/shallow required/optional similar/different good/bad global/local forward/backward""",
}
NAMES = {
    "development": ("Berlin", "Microsoft", "Django", "Anna Kowalski", "Toyota", "PostgreSQL", "Einstein", "Canada"),
    "held out": ("Lisbon", "Siemens", "Haskell", "Peter Novak", "Volvo", "Redis", "Darwin", "Kenya"),
}
UNITS = """
    mg/g kg/g km/m hours/minutes days/weeks minutes/seconds GB/MB MB/KB ms/s GHz/MHz million/billion years/months
    USD/EUR percent/points °C/°F"""


def _choice(matches: list[re.Match[str]], rng: random.Random) -> re.Match[str] | None:
    return rng.choice(matches) if matches else None


def _put(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def _prose(pattern: str, text: str) -> list[re.Match[str]]:
    """Matches outside of code, tables and list numbers, in sentences of six words or more."""
    masked = re.sub(
        r"(?ms)^[ \t]*```.*?(?:^[ \t]*```|\Z)|^\|.*?\|[ \t]*$|`[^`\n]*`|https?://\S+",
        lambda m: "\0" * len(m.group()),
        text,
    )
    matches = []
    for match in re.finditer(pattern, masked):
        start, end = text.rfind("\n", 0, match.start()) + 1, (text + "\n").find("\n", match.end())
        line = text[start:end]
        numbered = re.match(r"\s*[#>*-]*\s*\d+[.)]", line)
        if (
            len(line.split()) >= 6
            and "\0" not in match.group()
            and not (numbered and match.start() < start + numbered.end())
        ):
            matches.append(match)
    return matches


def _fences(text: str) -> list[tuple[str, int, int]]:
    """Language, start and end of the code in fences."""
    return [
        (m[1].lower(), m.start(2), m.end(2))
        for m in re.finditer(r"(?ms)^[ \t]*```(\w*)\n(.*?)^[ \t]*```", text)
        if len(m[2]) > 80
    ]


# numbers
def number_tenfold(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(_prose(r"(?<![\w.,/:-])[1-9]\d{0,3}(?:\.\d+)?(?![\w.,/:-]|\))(?=[\s%.,;])", text), rng)
    return (
        _put(text, match, f"{match.group()}0" if "." not in match.group() else str(float(match.group()) * 10))
        if match
        else None
    )


def number_other(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(_prose(r"(?<![\w.,/:-])\d{1,4}(?![\w.,/:-]|\))", text), rng)
    return _put(text, match, str(int(match.group()) + rng.choice((1, 2, 7, 30)))) if match else None


def number_unit(text: str, rng: random.Random, split: str) -> str | None:
    pairs = [pair.split("/") for pair in UNITS.split()]
    units = dict(pairs) | {b: a for a, b in pairs}
    match = _choice(_prose(rf"(?<=\d )(?:{'|'.join(units)})\b", text), rng)
    return _put(text, match, units[match.group()]) if match else None


def number_relation(text: str, rng: random.Random, split: str) -> str | None:
    relations = {
        "at least": "at most",
        "more than": "less than",
        "less than": "more than",
        "up to": "at least",
        "over": "under",
    }
    match = _choice(_prose(rf"\b(?:{'|'.join(relations)})\b(?= [$€]?\d)", text), rng)
    return _put(text, match, relations[match.group()]) if match else None


def number_swapped(text: str, rng: random.Random, split: str) -> str | None:
    number = r"(?<![\w.,/:-])\d{1,4}(?![\w.,/:-]|\))"
    pairs = [m for m in _prose(rf"({number})([^.\n]{{5,80}}?)({number})", text) if m[1] != m[3]]
    match = _choice(pairs, rng)
    return _put(text, match, f"{match[3]}{match[2]}{match[1]}") if match else None


def number_invented(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(_prose(r"\b(?:several|many|some|multiple|various|few)(?= [a-z]+s\b)", text), rng)
    return _put(text, match, str(rng.choice((4, 12, 37, 250)))) if match else None


def number_word(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(_prose(r"\b(?:two|three|four|five|six|ten)\b(?= [a-z])", text), rng)
    return (
        _put(text, match, rng.choice([w for w in ("two", "three", "four", "seven", "nine") if w != match.group()]))
        if match
        else None
    )


# negations
def negation_dropped(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(
        _prose(r"(?<=\b(?:is|do|as|re|ll|ay|ve|ot|ld|an|es|id|be)) not(?! only\b)(?= \w)|(?<=\w)n't\b(?= \w)", text),
        rng,
    )
    if match is None:
        return None
    edited = _put(text, match, "")
    return re.sub(r"\bca\b(?= )", "can", re.sub(r"\bwo\b(?= )", "will", edited))


def negation_inserted(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(
        _prose(r"\b(?:is|are|can|will|should|must|does|was|may|would)\b(?= (?!not |only |neither )[a-z]+\b)", text),
        rng,
    )
    return _put(text, match, f"{match.group()} {rng.choice(('not', 'never'))}") if match else None


def negation_word(text: str, rng: random.Random, split: str) -> str | None:
    words = {"without": "with", "no": "a", "never": "always", "never ": ""}
    match = _choice(_prose(r"\b(?:without|no(?= [a-z]{3})|never)\b(?! (?:more|less|longer|matter|doubt))", text), rng)
    return (
        _put(text, match, {"without": "with", "no": "some", "never": "still"}[match.group()])
        if match and words
        else None
    )


# directions
def direction(text: str, rng: random.Random, split: str) -> str | None:
    pairs = [pair.split("/") for pair in ANTONYMS[split].split()]
    words = dict(tuple(pair) for pair in pairs) | {b: a for a, b in reversed(pairs)}
    match = _choice(_prose(rf"(?<![\w-])(?:{'|'.join(words)})(?![\w-])", text), rng)
    return _put(text, match, words[match.group()]) if match else None


# names
NAME = r"(?<=[a-z,] )[A-Z][a-z]{3,}(?: [A-Z][a-z]{2,})?(?=[ ,.'’])"


def name_other(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice(_lower_elsewhere(_prose(NAME, text), text), rng)
    return _put(text, match, rng.choice([n for n in NAMES[split] if n not in text])) if match else None


def name_swapped(text: str, rng: random.Random, split: str) -> str | None:
    matches = [m for m in _prose(rf"({NAME})([^.\n]{{2,80}}?)({NAME})", text) if m[1] != m[3]]
    matches = [
        m for m in matches if all(not re.search(rf"\b{w.lower()}\b", text) for w in (*m[1].split(), *m[3].split()))
    ]
    match = _choice(matches, rng)
    return _put(text, match, f"{match[3]}{match[2]}{match[1]}") if match else None


def name_identifier(text: str, rng: random.Random, split: str) -> str | None:
    matches = list(re.finditer(r"(?<=[\w:,] `)[A-Za-z_]{4,}(?=(?:\(\))?`)", text))
    names = sorted({m.group() for m in matches})
    match = _choice(matches, rng)
    others = [name for name in names if match and name != match.group()]
    return _put(text, match, rng.choice(others or ["get_total"])) if match else None


def name_address(text: str, rng: random.Random, split: str) -> str | None:
    match = _choice([m for m in re.finditer(r"https?://[\w./-]+\w", text) if "```" not in text[: m.start()]], rng)
    return _put(text, match, match.group()[:-1] + ("x" if match.group()[-1] != "x" else "y")) if match else None


def _lower_elsewhere(matches: list[re.Match[str]], text: str) -> list[re.Match[str]]:
    return [m for m in matches if not re.search(rf"\b{m.group().split()[0].lower()}\b", text)]


# code
CODE_EDITS: dict[str, list[tuple[str, Callable[[re.Match[str]], str]]]] = {
    "literal": [
        (r"(?<![\w.\"'])\d{1,4}(?![\w.\"'])", lambda m: str(int(m.group()) + 1)),
        (r"(?<=[\"'])[a-z_]{3,12}(?=[\"'])", lambda m: m.group() + "x"),
    ],
    "operator": [
        (r" == ", lambda m: " != "),
        (r" < ", lambda m: " > "),
        (r" <= ", lambda m: " < "),
        (r" > ", lambda m: " >= "),
        (r" \+ ", lambda m: " - "),
        (r" \* ", lambda m: " / "),
        (r" && ", lambda m: " || "),
        (r" \+= ", lambda m: " -= "),
    ],
    "keyword": [
        (r"\bTrue\b", lambda m: "False"),
        (r"\bFalse\b", lambda m: "True"),
        (r"\btrue\b", lambda m: "false"),
        (r"\bfalse\b", lambda m: "true"),
        (r"\band\b(?=[^\n#\"']*:$)", lambda m: "or"),
        (r"\bif not ", lambda m: "if "),
        (r"\bbreak\b", lambda m: "continue"),
        (r"\bmin\(", lambda m: "max("),
    ],
    "call": [
        (r"(?<=\.)[a-z_]{4,}(?=\()", lambda m: "clear_" + m.group()[:3]),
        (r"(?<=\.)[a-z]{4,}[A-Z]\w+(?=\()", lambda m: "reset" + m.group()[:4].title()),
    ],
    "argument": [
        (r"(?<=\w\()([\w.]+), ([\w.]+)(?=\))", lambda m: f"{m[2]}, {m[1]}"),
        (r"(?<=\w)(\(.{2,30}), \w+=[\w.\"']+(?=\))", lambda m: m[1]),
    ],
    "attribute": [(r"(?<=\w\.)[a-z_]{4,}(?=[ ,):])", lambda m: m.group() + "_id")],
    "index": [
        (r"(?<=\w\[)\d+(?=\])", lambda m: str(int(m.group()) + 1)),
        (r"(?<=\w\[)([a-z])(?=\])", lambda m: f"{m[1]} + 1"),
    ],
}


def _code_edit(name: str) -> Edit:
    def edit(text: str, rng: random.Random, split: str) -> str | None:
        matches = []
        for language, start, end in _fences(text):
            if language in ("", "text", "bash", "sh", "html", "css", "xml", "markdown", "json", "yaml", "csv", "latex"):
                continue
            for pattern, change in CODE_EDITS[name]:
                for m in re.finditer(pattern, text[start:end]):
                    line = text[text.rfind("\n", 0, start + m.start()) + 1 : start + m.end()]
                    if (
                        not re.search(r"#|//|--|\"\"\"|/\*|^\s*\*|'''", line)
                        and line.count('"') % 2 == (pattern[4:6] == r"[\"") * 1
                    ):
                        matches.append((start, m, change))
        if not matches:
            return None
        start, match, change = rng.choice(matches)
        new = change(match)
        return None if new == match.group() else text[: start + match.start()] + new + text[start + match.end() :]

    return edit


def code_shell(text: str, rng: random.Random, split: str) -> str | None:
    matches = []
    for language, start, end in _fences(re.sub(r"(?m)^```$", "```", text)):
        if language in ("bash", "sh", "shell"):
            matches += [
                (start, m)
                for m in re.finditer(r"(?<= )(?:-{1,2}[a-z][\w-]*|/[\w/.-]+|[\w-]+\.\w+)(?=[ \n])", text[start:end])
            ]
    if not matches:
        return None
    start, match = rng.choice(matches)
    return text[: start + match.start()] + match.group() + "z" + text[start + match.end() :]


# what real answers seldom have is put into both sides
RECORD = {
    "tool": "book_trip",
    "arguments": {"order_id": 4711, "city": "Riga", "days": 4, "seats": [12, 14], "confirm": False, "amount": 480.5},
    "customer": {"name": "Ilse Maarten", "vip": True, "email": "ilse@example.org"},
    "tags": ["rail", "ferry"],
    "note": None,
}
SQL = """SELECT name, SUM(amount) AS total
FROM orders
WHERE status = 'open' AND created >= '2023-01-01' AND archived = FALSE
GROUP BY name
ORDER BY total DESC
LIMIT 20;"""
TABLE = [
    ["City", "People", "Trams", "River"],
    ["Riga", "605,000", "yes", "Daugava"],
    ["Graz", "292,000", "yes", "Mur"],
    ["Porto", "231,000", "no", "Douro"],
]


def with_json(text: str) -> str:
    """The answer with a piece of JSON at its end."""
    return f"{text}\n\n```json\n{json.dumps(RECORD, indent=2)}\n```"


def with_sql(text: str) -> str:
    """The answer with a query at its end."""
    return f"{text}\n\n```sql\n{SQL}\n```"


def with_table(text: str) -> str:
    """The answer with a table at its end."""
    return f"{text}\n\n{_table(TABLE)}"


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def json_value(text: str, rng: random.Random, split: str) -> str | None:
    edits = [
        ('"Riga"', '"Graz"'),
        ('"days": 4', '"days": 40'),
        ("false", "true"),
        ("480.5", "48.05"),
        ("12,", "13,"),
        ('"ferry"', '"bus"'),
        ('"vip": true', '"vip": false'),
        ("null", '"late"'),
        ("4711", '"4711"'),
        ("book_trip", "cancel_trip"),
        ("ilse@", "elsa@"),
    ]
    old, new = rng.choice(edits)
    head, mark, tail = text.rpartition("```json")
    return head + mark + tail.replace(old, new, 1) if old in tail else None


def json_layout(text: str, rng: random.Random) -> str:
    """Other order of keys and indentation: harmless."""

    def shuffled(value: object) -> object:
        if isinstance(value, dict):
            items = list(value.items())
            rng.shuffle(items)
            return {k: shuffled(v) for k, v in items}
        return value

    head, mark, tail = text.rpartition("```json\n")
    body, fence, rest = tail.partition("\n```")
    return head + mark + json.dumps(shuffled(json.loads(body)), indent=rng.choice((None, 1, 4))) + fence + rest


def sql_clause(text: str, rng: random.Random, split: str) -> str | None:
    edits = [
        ("orders", "invoices"),
        ("'open'", "'closed'"),
        (">=", "<"),
        (" AND archived = FALSE", ""),
        ("AND created", "OR created"),
        ("SUM", "AVG"),
        ("DESC", "ASC"),
        ("20", "200"),
        ("SELECT name", "SELECT email"),
        ("GROUP BY name", "GROUP BY status"),
        ("2023-01-01", "2021-01-01"),
    ]
    old, new = rng.choice(edits)
    head, mark, tail = text.rpartition("```sql")
    return head + mark + tail.replace(old, new, 1)


def sql_layout(text: str, rng: random.Random) -> str:
    """Other case and lines: harmless."""
    head, mark, tail = text.rpartition("```sql\n")
    body, fence, rest = tail.partition("\n```")
    for word in ("SELECT", "FROM", "WHERE", "AND", "GROUP BY", "ORDER BY", "LIMIT", "AS", "FALSE", "DESC"):
        body = re.sub(rf"\b{word}\b", word.lower(), body)
    return (
        head
        + mark
        + (body.replace("\n", " ") if rng.random() < 0.5 else body.replace(" and ", "\n  and "))
        + fence
        + rest
    )


def table_cell(text: str, rng: random.Random, split: str) -> str | None:
    rows = [list(row) for row in TABLE]
    i, j = rng.sample((1, 2, 3), 2)
    column = rng.randint(1, 3)
    if rng.random() < 0.5 and rows[i][column] != rows[j][column]:
        rows[i][column], rows[j][column] = rows[j][column], rows[i][column]
    else:
        rows[i][column] = {1: "29,200", 2: "no" if rows[i][2] == "yes" else "yes", 3: "Danube"}[column]
    return text.replace(_table(TABLE), _table(rows))


def table_layout(text: str, rng: random.Random) -> str:
    """Other padding, or the rows in another order: harmless."""
    head, mark, tail = text.rpartition("| City")
    lines = (mark + tail).split("\n")
    if rng.random() < 0.5:
        lines = [*lines[:2], *rng.sample(lines[2:], 3)]
    else:
        lines = [line.replace(" | ", "   |  ").replace("---", ":---:").replace(",000", "000") for line in lines]
    return head + "\n".join(lines)


KINDS: dict[str, list[Edit]] = {
    "number": [
        number_tenfold,
        number_other,
        number_unit,
        number_relation,
        number_swapped,
        number_invented,
        number_word,
    ],
    "negation": [negation_dropped, negation_inserted, negation_word],
    "direction": [direction],
    "name": [name_other, name_swapped, name_identifier, name_address],
    "json": [json_value],
    "code": [*map(_code_edit, CODE_EDITS), code_shell],
    "sql": [sql_clause],
    "table": [table_cell],
}
INSERTS = {"json": (with_json, json_layout), "sql": (with_sql, sql_layout), "table": (with_table, table_layout)}


def edits_of(kind: str) -> Iterator[tuple[str, Edit]]:
    """The kind's edits, by name."""
    for edit, name in zip(KINDS[kind], _names(kind), strict=True):
        yield name, edit


def _names(kind: str) -> list[str]:
    return [*CODE_EDITS, "shell"] if kind == "code" else [edit.__name__ for edit in KINDS[kind]]
