"""The user's folders: where the system says; and a user who has none keeps all but what would be kept there."""

import platformdirs

from companion.folders import user_folder
from tests.helpers import as_nobody

REMEDY = (
    "this user has no home folder, and HOME is None; set the environment variable HOME or {} to the full path of a "
    "folder that may be written"
)


def test_they_are_the_systems() -> None:
    assert user_folder("data") == platformdirs.user_data_path("slow-copy")
    assert user_folder("cache") == platformdirs.user_cache_path("slow-copy")


def test_without_a_home_exercises_are_checked_and_shown_and_a_note_says_what_was_not_kept() -> None:
    code = """
import companion
from companion.exercises import find
print(bool(companion.check("soft-update", find("soft-update").right_answer())))
companion.progress()
"""
    out = as_nobody(code)
    remedy = REMEDY.format("XDG_DATA_HOME")
    assert "The soft update, and a tied weight: passed." in out
    assert f"Your progress could not be read: {remedy}.\nTrue\n" in out
    assert out.endswith(f"\nYour progress could not be read: {remedy}.\n")
    assert "| `soft-update` |" in out


def test_without_a_home_one_variable_is_enough(tmp_path) -> None:
    code = """
import companion
from companion.exercises import find
print(companion.check("soft-update", find("soft-update").right_answer()).note)
"""
    assert as_nobody(code, XDG_DATA_HOME=str(tmp_path)).endswith("\n\n")
    assert "soft-update" in (tmp_path / "slow-copy" / "progress.json").read_text()


def test_without_a_home_what_would_be_downloaded_is_refused_with_the_remedy() -> None:
    code = """
from companion import vision
try:
    vision.cifar10()
except OSError as error:
    print(type(error).__name__, error)
"""
    out = as_nobody(code)
    assert out.startswith(
        f"OSError CIFAR-10 could not be kept: {REMEDY.format('XDG_CACHE_HOME')}; or set COMPANION_DATA"
    )
    assert as_nobody(code, COMPANION_DATA="~/pictures").startswith(
        "FileNotFoundError there is no ~/pictures/cifar-10-batches-bin/batches.meta.txt; COMPANION_DATA is '~/pictures'"
    )
    assert "HOME is 'here'; set" in as_nobody(code, HOME="here")
