"""Hooks of MkDocs: the generated reference pages, and files outside docs/ that pages link to."""

import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
OUTSIDE = "repository"
"""The folder of the site for files outside docs/."""
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^( *```.*?^ *```)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the reference pages, and every file of the repository that a page links to."""
    sys.path.insert(0, str(FOLDER))
    from reference import PAGES

    for name, text in PAGES.items():
        files.append(File.generated(config, f"reference/{name}", content=text()))
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        uri = waiting.pop()
        source = ROOT / _in_repository(uri)
        if not source.is_file():  # a generated page
            continue
        for path, _ in LINK.findall(source.read_text(encoding="utf-8")):
            target = _target(uri, path)
            linked = _in_site(target)
            if linked and files.get_file_from_path(linked) is None and (ROOT / target).is_file():
                files.append(File.generated(config, linked, abs_src_path=str(ROOT / target)))
                waiting += [linked] if linked.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files outside docs/ to their copies in the site."""
    uri = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        target = _in_site(_target(uri, match[1]))
        return posixpath.relpath(target, posixpath.dirname(uri) or ".") + (match[2] or "")

    texts = FENCE.split(markdown)
    return "".join(text if FENCE.match(text) else LINK.sub(moved, text) for text in texts)


def _in_repository(uri: str) -> str:
    """The path of a page's source in the repository."""
    return uri.removeprefix(f"{OUTSIDE}/") if uri.startswith(f"{OUTSIDE}/") else f"docs/{uri}"


def _in_site(path: str) -> str:
    """The path of a repository's file in the site; a folder is its list in the navigation."""
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{OUTSIDE}/{path}"


def _target(uri: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(_in_repository(uri)), link))
