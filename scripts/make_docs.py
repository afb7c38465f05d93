"""Write the documentation as pages: README, docs/*.md, and a page a method, made from the registry.

``python scripts/make_docs.py FOLDER`` (``make docs``) needs nothing but what the workbench itself needs, and the pages load
nothing: they work from disk.
"""

from __future__ import annotations

import html
import itertools
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment

from workbench.calibrating.ledger import lines, read
from workbench.commands.catalogue import example, heading
from workbench.core.method import Method
from workbench.core.registry import methods
from workbench.core.storage import writing
from workbench.report.markup import inline, markdown
from workbench.report.points import asset

ROOT = Path(__file__).parent.parent
INDEX = "index.html"
_LINK = re.compile(r'(href|src)="([^"#:]+)(#[^"]*)?"')
_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
STYLE = """
.shell { max-width: 1240px; margin: 0 auto; padding: 0 24px; display: grid; grid-template-columns: 210px minmax(0, 1fr); gap: 40px; }
main { padding: 24px 0 60px; }
main img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
main > p, main > ul, main > ol { max-width: 80ch; }
main h1 code { font-size: inherit; }
main pre { white-space: pre; overflow-x: auto; }
dl.entries { display: block; }
dl.entries dd { margin: 0 0 10px 24px; }
dl.entries p { margin: 2px 0; }
main table { display: block; overflow-x: auto; }
nav h2 a { color: var(--soft); }
nav [aria-current] { color: var(--accent); }
@media (max-width: 760px) { .shell { grid-template-columns: minmax(0, 1fr); gap: 0; } nav { position: static; max-height: none; } }
"""
PAGE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:">
<title>{{ title }} · workbench</title><style>{{ style | safe }}</style></head>
<body><a class="skip" href="#main">To the text</a><div class="shell">
<nav aria-label="Pages"><h2>workbench</h2><ol>
{% for name, page in pages %}<li><a href="{{ up }}{{ page }}"{% if page == here %} aria-current="page"{% endif %}>{{ name }}</a></li>
{% endfor %}</ol>
{% if headings %}<h2>On this page</h2><ol>{% for level, anchor, text in headings %}
<li class="level-{{ level }}"><a href="#{{ anchor }}">{{ text | safe }}</a></li>{% endfor %}</ol>{% endif %}</nav>
<main id="main">{{ body | safe }}</main></div></body></html>
"""
)


@dataclass(frozen=True)
class Page:
    """One page: its address, its title, its text as HTML, and its headings as (level, anchor, HTML)."""

    path: str
    title: str
    body: str
    headings: list[tuple[int, str, str]]


def main(folder: Path) -> Path:
    """Write all pages to a folder, in place of what was there."""
    pages = [*texts(), catalogue(methods()), *map(about, methods())]
    linked = [(p.title, p.path) for p in pages if "/" not in p.path]
    with writing(folder) as temporary:
        temporary.mkdir()
        for page in pages:
            target = temporary / page.path
            target.parent.mkdir(parents=True, exist_ok=True)
            up = "../" * page.path.count("/")
            target.write_text(
                PAGE.render(
                    title=page.title,
                    style=asset("page.css") + STYLE,
                    pages=linked,
                    here=page.path,
                    up=up,
                    headings=[h for h in page.headings if h[0] in (2, 3)],
                    body=page.body,
                ),
                encoding="utf-8",
            )
        for picture in sorted((ROOT / "docs").glob("*.png")):
            shutil.copyfile(picture, temporary / picture.name)
    return folder / INDEX


def texts() -> list[Page]:
    """README as the first page, and every Markdown file of docs/."""
    return [
        _text(ROOT / "README.md", INDEX),
        *(_text(p, _address(p)) for p in sorted((ROOT / "docs").glob("*.md"))),
    ]


def _address(path: Path) -> str:
    return f"{path.stem.lower()}.html"


def _text(path: Path, address: str) -> Page:
    body, headings = markdown(path.read_text("utf-8"))
    title = next(
        (html.unescape(re.sub("<[^>]*>", "", text)) for level, _, text in headings if level == 1), path.stem
    )
    return Page(address, title, _LINK.sub(_local, body), headings)


def _local(match: re.Match[str]) -> str:
    """A link to a file of the repository, as a link to its page."""
    kind, target, anchor = match[1], match[2], match[3] or ""
    name = Path(target).name
    if target.endswith(".md"):
        name = INDEX if name == "README.md" else _address(Path(name))
    return f'{kind}="{name}{anchor}"'


def catalogue(all_methods: list[Method]) -> Page:
    """Every method in a line, family by family."""
    body, headings = ["<h1>Methods</h1>"], []
    for number, (said, members) in enumerate(itertools.groupby(all_methods, key=heading)):
        anchor = f"family-{number}"
        headings.append((2, anchor, html.escape(said)))
        rows = "".join(
            f'<tr><td><a href="methods/{m.name}.html"><code>{m.name}</code></a></td><td>{html.escape(m.summary)}</td></tr>'
            for m in members
        )
        body.append(f'<h2 id="{anchor}">{html.escape(said)}</h2><table><tbody>{rows}</tbody></table>')
    return Page("methods.html", "Methods", "\n".join(body), headings)


def about(method: Method) -> Page:
    """One method: what it does, takes and gives, from its declaration."""
    prose, *sections = _SECTION.split(f"\n{method.__doc__ or ''}".lstrip("\n"))
    summary, _, rest = prose.partition("\n\n")
    body = [
        f"<h1><code>{method.name}</code></h1><p>{inline(summary)}</p>",
        *map(_paragraph, rest.split("\n\n")),
    ]
    body.append(
        f"<pre>{html.escape(example(method))}\nwb.{method.name}({', '.join(i.name for i in method.inputs)})</pre>"
    )
    headings = []
    for title, text in zip(sections[::2], sections[1::2], strict=True):
        anchor = title.lower().replace(" ", "-")
        headings.append((2, anchor, html.escape(title)))
        told = _paragraph(text) if title in ("References", "Notes") else _entries(text)
        body.append(f'<h2 id="{anchor}">{html.escape(title)}</h2>{told}')
    if method.verb == "analysis" and (measured := read(method.name)):
        said = html.escape("\n".join(lines(measured.values())))
        headings.append((2, "calibration", "Calibration"))
        body.append(f'<h2 id="calibration">Calibration</h2><pre>{said}</pre>')
    return Page(f"methods/{method.name}.html", method.name, "\n".join(filter(None, body)), headings)


def _paragraph(text: str) -> str:
    said = " ".join(text.split())
    return f"<p>{inline(said.replace('``', '`'))}</p>" if said else ""


def _entries(text: str) -> str:
    """A section's entries: a line each, and what is said of it below, indented."""
    out = []
    for entry in re.split(r"\n(?=\S)", text.strip("\n")):
        first, _, rest = entry.partition("\n")
        out.append(f"<dt><code>{html.escape(first)}</code></dt><dd>{_paragraph(rest)}</dd>")
    return f'<dl class="entries">{"".join(out)}</dl>'


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
