"""What a cell puts into the page."""

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display


def say(markdown: str) -> None:
    """Show Markdown from a cell: the way a number that was computed gets into the prose."""
    send({"text/markdown": markdown, "text/plain": markdown})


def send(bundle: dict[str, str]) -> None:
    """Display one thing in the richest of its forms that the page can hold; a plain script prints ``text/plain``."""
    if InteractiveShell.initialized():
        display(bundle, raw=True)
    else:
        print(bundle["text/plain"])
