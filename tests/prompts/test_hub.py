"""Where prompts come from and go to: shipped ones, folders, and a hub (played by a folder)."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from prompt_samples import assert_equal, contents, prompts_of

from softspoken.errors import PromptError
from softspoken.prompts import checkpoint as checkpoint_module
from softspoken.prompts.checkpoint import load_prompts
from softspoken.prompts.folder import CONFIG_FILE, PROMPT_FILES, upload_prompts


@pytest.fixture
def shipped(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One prompt in the package's data, for tiny.en."""
    folder = tmp_path / "assets"
    shutil.copytree(stored, folder / "tiny.en")
    monkeypatch.setattr(checkpoint_module, "SHIPPED", folder)
    return folder


def test_shipped_prompts_have_names(shipped: Path) -> None:
    for name in ("shipped", "tiny.en"):
        assert_equal(load_prompts(name).prompts, prompts_of().fold())


@pytest.mark.parametrize("name", ["base", "nothing", "./owner/name", "owner/name/more"])
def test_an_unknown_reference_says_what_there_is(shipped: Path, name: str) -> None:
    with pytest.raises(PromptError, match=r"no prompt '.*shipped one \('tiny\.en'\)") as caught:
        load_prompts(name)
    assert "\n" not in str(caught.value)


def test_a_package_without_shipped_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_module, "SHIPPED", tmp_path / "missing")
    with pytest.raises(PromptError, match=r"no prompt 'shipped'.*\(none\)"):
        load_prompts("shipped")


def test_prompts_of_another_kind_have_their_folder_in_their_names(shipped: Path, stored: Path) -> None:
    shutil.copytree(stored, shipped / "other" / "tiny.en")
    assert checkpoint_module.shipped_prompts() == ["other/tiny.en", "tiny.en"]
    assert checkpoint_module.find_prompts("other/tiny.en") == shipped / "other" / "tiny.en"
    assert checkpoint_module.find_prompts("shipped") == shipped / "tiny.en"


def test_a_file_is_no_reference(stored: Path) -> None:
    with pytest.raises(PromptError, match="is a file; expected a prompt folder"):
        load_prompts(stored / CONFIG_FILE)


def test_what_is_shipped_is_whole() -> None:
    names = checkpoint_module.shipped_prompts()
    assert {"tiny.en", "base"} <= set(names)
    for name in names:
        info = load_prompts(name).info
        kind, _, backbone = name.rpartition("/")
        assert info.backbone.name == backbone
        assert info.task == ("transcription" if kind == "short" else "target-speaker")
        assert info.share_percent is not None
        assert info.share_percent < 1.0


# The hub, played by a folder


def test_from_the_hub_only_the_three_files_are_fetched(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def snapshot_download(repository: str, *, allow_patterns: list[str]) -> str:
        asked.append((repository, sorted(allow_patterns)))
        return str(stored)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert_equal(load_prompts("owner/name").prompts, prompts_of().fold())
    assert asked == [("owner/name", sorted(PROMPT_FILES))]


def test_a_local_folder_wins_over_the_hub(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: pytest.fail("the hub was asked"))
    shutil.copytree(stored, tmp_path / "owner" / "name")
    monkeypatch.chdir(tmp_path)
    load_prompts("owner/name")


def hub_errors() -> list[Exception]:
    from huggingface_hub import errors

    return [
        errors.LocalEntryNotFoundError("two\nlines"),
        errors.OfflineModeIsEnabled("offline"),
        errors.HFValidationError("bad"),
        ConnectionError("no route\nto host"),
        TimeoutError(),
    ]


@pytest.mark.parametrize("problem", hub_errors(), ids=lambda error: type(error).__name__)
def test_hub_problems_are_one_line(monkeypatch: pytest.MonkeyPatch, problem: Exception) -> None:
    def snapshot_download(*args: object, **options: object) -> str:
        raise problem

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(PromptError, match=r"cannot download 'owner/name'.*local folder") as caught:
        load_prompts("owner/name")
    assert "\n" not in str(caught.value)


class FakeHub:
    """Keeps what is uploaded."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem = problem
        self.files: dict[str, bytes] = {}
        self.private: bool | None = None

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> "FakeAddress":
        assert exist_ok
        if self.problem is not None:
            raise self.problem
        self.private = private
        return FakeAddress(repo_id=repo_id)

    def upload_folder(self, *, folder_path: Path, repo_id: str, allow_patterns: list[str], commit_message: str) -> None:
        assert repo_id == "owner/name"
        assert commit_message
        self.files = {name: data for name, data in contents(Path(folder_path)).items() if name in allow_patterns}


class FakeAddress(SimpleNamespace):
    def __str__(self) -> str:
        return f"hub/{self.repo_id}"


def test_a_push_uploads_what_was_saved(stored: Path) -> None:
    hub = FakeHub()
    address = upload_prompts(stored, "owner/name", private=True, api=hub)  # type: ignore[arg-type]
    assert address == "hub/owner/name"
    assert hub.files == contents(stored)
    assert hub.private is True


def test_a_refused_push_is_one_line(stored: Path) -> None:
    hub = FakeHub(PermissionError("you may\nnot"))
    with pytest.raises(PromptError, match="cannot upload 'owner/name': you may not") as caught:
        upload_prompts(stored, "owner/name", api=hub)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
