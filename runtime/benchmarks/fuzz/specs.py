"""Mutated specs: by their words, by their bytes, and as JSON documents."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

import examine
from case import Fuzzer
from mutations import ODD_TEXTS, changed_bytes, changed_json

from grainspec import GrainError, parse, to_json

ROOT = Path(__file__).parents[3]
_WORD = re.compile(
    r'"(?:\\.|[^"\\\n])*"|#[^\n]*|-?[\d.]+(?:px|%|x\d+)?|\w+|->|\.\.|\s+|.', re.DOTALL
)
_NUMBERS = "0 1 2 3 4 5 7 9 10 16 30 50 64 99 100 101 255 256 500 999 1000 4096 0.5 1.5".split()
_NUMBERS += "0.001 0.999 1000000 8192 16384 -1 -50 0.0".split()
_ODD_WORDS = [
    *"( ) { } [ ] , ; : = => -> ~ | & - + @ .. ... # // ' ` “ ” → × § \\ \\\\ \\n".split(),
    *"0 -1 -0 1 2 7 1.5 1e9 1e999 nan inf 0..0 9..3 0..10000000 0..-1 99999999999999999999".split(),
    *"0% 50% -1% 1000000% 1000001% 0px 50px -9px 1000000px 64x48 1x1 0x0 16384x16384".split(),
    *[
        "٣",
        "é",
        "e\u0301",
        "\u200d",
        "🙂",
        "ﬀ",
        "\u202e",
        "\x00",
        "\x1b[31m",
        "\r",
        "\u2028",
        "\x85",
    ],
    *[
        '""',
        '"',
        '"\\',
        '"*/**/../*.png"',
        '"/"',
        '".."',
        '"~/x"',
        '"c:\\x"',
        '"' + "x" * 3000 + '"',
    ],
    *"rest all masks box ellipse polygon track find grow shrink during of part instance".split(),
    *"class keep free add edit region without variant attention sampler video model".split(),
    *"control blend flow inject context source target negative grain invert scaled from".split(),
]


@cache
def good() -> tuple[str, ...]:
    """The examples (half of all), and the specs in the documentation with the examples' files."""
    examples = sorted((ROOT / "examples").glob("*.grain"))
    texts = [path.read_text(encoding="utf-8") for path in examples]
    shown = []
    for page in ("README.md", "cookbook.md"):
        found = (ROOT / "grammar" / page).read_text(encoding="utf-8")
        shown += re.findall(r"```grain\n(.*?)```", found, re.DOTALL)
    return tuple(texts * (len(shown) // len(texts))) + tuple(map(_with_files, shown))


def _with_files(text: str) -> str:
    text = re.sub(r'video "[^"]*"', 'video "clips/two_men.mp4"', text)
    text = re.sub(r"frames \d+\.\.\d+", "frames 0..3", text)
    sides = iter(["left", "right", "ground"] * 20)
    return re.sub(r'masks\("[^"]*"', lambda _: f'masks("masks/two_men/{next(sides)}"', text)


@cache
def _documents() -> tuple[str, ...]:
    found = []
    for text in good():
        try:
            found.append(to_json(parse(text)))
        except GrainError:
            continue  # an excerpt
    return tuple(found)


@cache
def _pool() -> tuple[str, ...]:
    words = {word for text in good() for word in _WORD.findall(text) if not word.isspace()}
    return tuple(sorted(words)) + tuple(_ODD_WORDS) * 2


def made(seed: int, index: int) -> tuple[str, bytes]:
    """The kind of a case's change, and the spec."""
    rng = random.Random(f"{seed} {index}")
    kind = rng.choice(
        ["words"] * 4 + ["values"] * 4 + ["statements", "deep", "many", "bytes", "json", "json"]
    )
    text = rng.choice(good())
    if kind == "json":
        return kind, changed_json(rng, rng.choice(_documents())).encode("utf-8", "surrogatepass")
    if kind == "bytes":
        return kind, changed_bytes(rng, text.encode())
    change = {
        "words": _words,
        "values": _values,
        "statements": _statements,
        "deep": _deep,
        "many": _many,
    }[kind]
    return kind, change(rng, text).encode("utf-8", "replace")


def _words(rng: random.Random, text: str) -> str:
    words = _WORD.findall(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3, 8])):
        at = rng.randrange(len(words) + 1)
        end = at + rng.choice([1, 1, 1, 2, 5])
        change = rng.randrange(6)
        if change == 0:
            del words[at:end]
        elif change == 1:
            words[at:at] = words[at:end]
        elif change == 2:
            words[at:end] = rng.choices(_pool(), k=rng.choice([1, 1, 2, 4]))
        elif change == 3:
            words[at:at] = [rng.choice(_pool()), " "]
        elif change == 4 and words:
            other = rng.randrange(len(words))
            words[at:end], words[other : other + 1] = words[other : other + 1], words[at:end]
        else:
            words[at:end] = [f'"{rng.choice(ODD_TEXTS)}"']
    return "".join(words)


def _values(rng: random.Random, text: str) -> str:
    """Other numbers and texts, of the same kinds."""
    words = _WORD.findall(text)
    numbers = [at for at, word in enumerate(words) if re.fullmatch(r"-?[\d.]+(px|%)?", word)]
    texts = [at for at, word in enumerate(words) if word.startswith('"')]
    for at in rng.sample(numbers, min(len(numbers), rng.choice([1, 1, 2, 5]))):
        unit = re.sub(r"[-\d.]", "", words[at])
        words[at] = rng.choice(_NUMBERS) + (unit if rng.random() < 0.9 else "")
    if texts and rng.random() < 0.3:
        words[rng.choice(texts)] = words[rng.choice(texts)]
    return "".join(words)


def _statements(rng: random.Random, text: str) -> str:
    """Statements of several specs, in any order."""
    lines = [line for other in [text, *rng.choices(good(), k=2)] for line in other.split("\n")]
    rng.shuffle(lines)
    return "grain 1\n" * rng.randint(0, 2) + "\n".join(lines[: rng.randint(1, len(lines))])


def _deep(rng: random.Random, text: str) -> str:
    """A region of nested operators."""
    expression = rng.choice(['masks("m")', "box(1%, 2%, 30%, 40%)", "all", "rest", "left"])
    for _ in range(rng.choice([3, 20, 49, 52, 400])):
        form = rng.choice(
            ["({})", "~{}", "{} | all", "all - {}", "({} & rest)", "{} grow 3px", "({})"]
        )
        expression = form.format(expression)
    return re.sub(
        r"region (\w+)[^\n]*", lambda match: f"region {match[1]} = {expression}", text, count=1
    )


def _many(rng: random.Random, text: str) -> str:
    """One line many times, with numbers in its names."""
    lines = text.split("\n")
    line = rng.choice(lines)
    copies = [
        re.sub(r"\b(left|right|r)\b", rf"\g<1>{i}", line) for i in range(rng.choice([2, 70, 600]))
    ]
    at = rng.randrange(len(lines) + 1)
    return "\n".join(lines[:at] + copies + lines[at:])


def run(seed: int, index: int, folder: Path) -> str:
    """Try one spec, beside the examples' clips and masks."""
    kind, content = made(seed, index)
    for name in ("clips", "masks"):
        (folder / name).symlink_to(ROOT / "examples" / name)
    path = folder / ("edit.json" if kind == "json" else "edit.grain")
    path.write_bytes(content)
    written = content.decode("utf-8", "replace")
    if kind == "json":
        examine.document(written)
    else:
        examine.text(written)
        examine.command("fmt", "--check", path)
    return examine.whole(path)


FUZZER = Fuzzer(run, lambda seed, index: f"spec, {made(seed, index)[0]}")
