"""What setup.cfg cannot express: a description that is complete without the files beside it."""

import re
from pathlib import Path

from setuptools import setup


def describe(readme: str) -> str:
    """Return the README for a page that stands alone, such as that of a package index.

    Pictures of the repository are left out there, and links into it become words.
    """
    readme = re.sub(r"^!\[[^]]*\]\((?!https?://)[^)]*\)\n+", "", readme, flags=re.MULTILINE)
    readme = re.sub(r"\[([^]]*)\]\((?!https?://)([^)]*)\)", _in_words, readme)
    return f"{readme}\nThe files that are named here are in the source distribution.\n"


def _in_words(link: re.Match[str]) -> str:
    text, target = link.groups()
    if target.startswith("#") or text.strip("`/") == target:
        return text
    return f"{text} ({target})"


readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(long_description=describe(readme), long_description_content_type="text/markdown")
