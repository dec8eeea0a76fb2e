"""Every recipe in the repository can be read, and nothing in it is for tests only."""

import re
import tomllib
from pathlib import Path

import pytest

from softspoken.errors import ConfigError
from softspoken.training.recipes import STUDY_COMMANDS, RecipeReference, read_data, read_recipe, rows_of
from softspoken_lab.studies.recipes import read_any_recipe
from softspoken_lab.training.config import StudyTrainConfig

REPOSITORY = Path(__file__).resolve().parents[2]
FOUND = sorted((REPOSITORY / "recipes").rglob("*.toml"))
ROWS = {path: rows_of(tomllib.loads(path.read_text(encoding="utf-8")), path) for path in FOUND}
STUDIES = [
    path for path in FOUND if any(f'task = "{task}"' in path.read_text(encoding="utf-8") for task in STUDY_COMMANDS)
]
RECIPES = [str(RecipeReference(path, row)) for path, rows in ROWS.items() for row in (rows or [None])]
NAMED = re.compile(r"recipes/[\w./-]+\.toml(?::[a-z\d][\w.-]*\b)?")
SAYING = [
    REPOSITORY / "README.md",
    *(REPOSITORY / "docs").rglob("*.md"),
    *(
        path
        for folder in ("src", "recipes")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in (".py", ".toml", ".md")
    ),
]


def test_there_are_recipes() -> None:
    assert RECIPES
    assert STUDIES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(Path(path).relative_to(REPOSITORY)))
def test_a_recipe_is_read(path: str) -> None:
    config = read_any_recipe(path)
    assert RecipeReference.of(path).path.read_text(encoding="utf-8").startswith("# ")
    assert not any("test" in str(part) for part in config.data.speech)


def test_a_study_says_how_it_is_run() -> None:
    path = next(path for path in STUDIES if path.parent.name == "noise")
    with pytest.raises(
        ConfigError, match=rf"softspoken-lab analyse study .*{path.name}'.* train one of its rows.*, m20"
    ):
        read_recipe(path)


def test_every_recipe_that_is_spoken_of_is_there() -> None:
    """In the manuals, the code and the recipes: a file with rows may be meant as a whole."""
    named = {(name, file) for file in SAYING for name in NAMED.findall(file.read_text(encoding="utf-8"))}
    assert len(named) > 10
    for name, file in named:
        path, row = RecipeReference.of(REPOSITORY / name)
        assert path in ROWS, (name, file)
        assert row is None or row in ROWS[path], (name, file)


def test_a_recipe_may_extend_another_and_say_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(
        'steps = 7\n[prompts]\nplacement = "shifted"\nencoder = { length = 4, depth = "deep" }\n'
        '[method]\nkind = "lora"\nrank = 2\n'
    )
    above = tmp_path / "above.toml"
    above.write_text('extends = "base.toml"\n[prompts]\nencoder = { length = 9 }\n[method]\nkind = "full"\n')
    config = read_any_recipe(above)
    assert isinstance(config, StudyTrainConfig)
    assert (config.steps, config.prompts.placement, config.method.kind) == (7, "shifted", "full")
    assert config.prompts.encoder is not None
    assert (config.prompts.encoder.length, config.prompts.encoder.depth) == (9, "deep")


@pytest.mark.parametrize(("base", "said"), [("absent.toml", "not beside it"), ("above.toml", "extends itself")])
def test_a_recipe_that_extends_nothing_or_itself_is_refused(tmp_path: Path, base: str, said: str) -> None:
    above = tmp_path / "above.toml"
    above.write_text(f'extends = "{base}"\n')
    with pytest.raises(ConfigError, match=said):
        read_recipe(above)


ROWED = """
[base]
extends = "shared.toml"
steps = 8
[rows.one]
prompts.encoder = "none"
method = { kind = "lora", rank = 2 }
[rows."two.en"]
extends = "one"
seed = 3
prompts = { encoder = { length = 9 } }
"""


@pytest.fixture
def rowed(tmp_path: Path) -> Path:
    (tmp_path / "shared.toml").write_text('steps = 7\n[prompts]\nencoder = { length = 4, depth = "input" }\n')
    path = tmp_path / "rowed.toml"
    path.write_text(ROWED)
    return path


def test_a_row_is_the_base_then_the_row_that_it_extends_then_its_own(rowed: Path) -> None:
    one, two = (read_any_recipe(f"{rowed}:{row}") for row in ("one", "two.en"))
    assert isinstance(one, StudyTrainConfig)
    assert isinstance(two, StudyTrainConfig)
    assert (one.steps, one.seed, one.prompts.encoder, one.method.kind) == (8, 0, None, "lora")
    assert (two.steps, two.seed, two.method) == (8, 3, one.method)
    assert two.prompts.encoder is not None
    # What `one` leaves out, `two` begins anew.
    assert (two.prompts.encoder.length, two.prompts.encoder.depth) == (9, "deep")
    assert read_any_recipe(f"{rowed}:one", {"seed": 5}).seed == 5


def test_a_recipe_may_extend_a_row(rowed: Path, tmp_path: Path) -> None:
    (tmp_path / "above.toml").write_text('extends = "rowed.toml:two.en"\nsteps = 9\n')
    (tmp_path / "study.toml").write_text('[base]\nextends = "above.toml"\n[rows.three]\nseed = 4\n')
    config = read_any_recipe(tmp_path / "study.toml:three")
    assert isinstance(config, StudyTrainConfig)
    assert (config.steps, config.seed, config.method.kind) == (9, 4, "lora")


def test_the_seeds_of_a_row_are_the_study_s_alone(rowed: Path) -> None:
    rowed.write_text(rowed.read_text().replace("seed = 3", "seeds = [1, 2]"))
    with pytest.raises(ConfigError, match="seeds"):
        read_any_recipe(f"{rowed}:two.en")
    rowed.write_text('task = "target-speaker-study"\n' + rowed.read_text())
    assert read_any_recipe(f"{rowed}:two.en").seed == 0


@pytest.mark.parametrize(
    ("change", "row", "said"),
    [
        (("", ""), ":three", r"no row 'three' in '.*rowed\.toml'; it has one, two\.en$"),
        (("", ""), "", r"holds several recipes; name one, as '.*rowed\.toml:one'; it has one, two\.en$"),
        (('extends = "one"', 'extends = "on"'), ":two.en", r"no row 'on' in '.*rowed\.toml'; it has one, two\.en$"),
        (('extends = "one"', 'extends = "two.en"'), ":two.en", r"rowed\.toml:two\.en' extends itself"),
        (('"shared.toml"', '"rowed.toml:one"'), ":one", r"rowed\.toml:one' extends itself"),
        (('"shared.toml"', '"rowed.toml"'), ":one", "holds several recipes"),
        (("[base]", "seed = 1\n[base]"), ":one", r"'seed' of .* stands outside of its rows"),
        (("[rows.one]", "[rows]\none = 1\n[rows.zero]"), ":one", r"row 'one' of .* is not a table"),
        (("[base]", "base = 1\n[below]"), ":one", "'base' of .* is not a table"),
        (("seed = 3", "sead = 3"), ":two.en", r"rowed\.toml:two\.en': sead"),
        (("[base]", "[base"), ":one", r"rowed\.toml' is not TOML"),
    ],
)
def test_a_row_that_cannot_be_is_told_in_one_line(rowed: Path, change: tuple[str, str], row: str, said: str) -> None:
    rowed.write_text(rowed.read_text().replace(*change) if change[0] else rowed.read_text())
    with pytest.raises(ConfigError, match=said) as caught:
        read_any_recipe(f"{rowed}{row}")
    assert "\n" not in str(caught.value)


def test_a_single_recipe_has_no_rows(rowed: Path) -> None:
    with pytest.raises(ConfigError, match=r"no row 'one' in '.*shared\.toml'; it has none, so give the file alone"):
        read_recipe(rowed.with_name("shared.toml:one"))


@pytest.mark.parametrize(
    "key",
    [
        'task = "transcription"',
        'method = { kind = "full" }',
        'window = "30s"',
        "mix_on_device = true",
        'data.mixtures = "manifest.jsonl"',
    ],
)
def test_a_recipe_of_a_study_is_sent_to_the_laboratory(tmp_path: Path, key: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(f'backbone = "tiny"\ndata.speech = ["speech.jsonl"]\n{key}\n')
    with pytest.raises(ConfigError, match=rf"'{key.partition(' ')[0]}'.*softspoken-lab train"):
        read_recipe(path)
    # Its speech can be taught and packed all the same.
    assert (read_data(path).backbone, read_data(path).data.speech) == ("tiny", (Path("speech.jsonl"),))
