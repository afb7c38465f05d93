"""Text that a page shows: Markdown, cleaned HTML, and formulas as MathML, which browsers draw by themselves."""

from __future__ import annotations

import html
import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

TAGS = {
    *("table", "thead", "tbody", "tr", "th", "td", "caption", "p", "ul", "ol", "li"),
    *("b", "strong", "em", "i", "code", "br", "span", "sub", "sup"),
}
MATH = {
    *("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mstyle", "mpadded", "mphantom", "menclose"),
    *("msup", "msub", "msubsup", "mfrac", "msqrt", "mroot", "munder", "mover", "munderover"),
    *("mtable", "mtr", "mtd"),
}
MATH_LOOKS = {
    *("display", "displaystyle", "scriptlevel", "mathvariant", "mathcolor", "mathsize", "notation"),
    *("stretchy", "fence", "form", "accent", "accentunder", "movablelimits", "minsize", "maxsize", "largeop"),
    *("columnalign", "columnspacing", "columnlines", "rowspacing", "rowlines", "linethickness"),
    *("width", "height", "depth", "lspace", "rspace", "voffset"),
}
LONGEST = 10_000  # characters of a formula
# Environments that the converter has under another name only; pages number no equations.
_SAME_AS_SPLIT = re.compile(r"\\(begin|end)\{(?:aligned|gathered|(?:align|gather|multline|eqnarray)\*?)\}")
_NO_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(?:equation|displaymath|math)\*?\}")
_FORMULA = re.compile(
    r"(?<!\\)\$\$(?P<block>.+?)(?<!\\)\$\$|(?<!\\)\$(?P<inline>.+?)(?<!\\)\$"
    r"|\\\[(?P<bracket>.+?)\\\]|\\\((?P<paren>.+?)\\\)"
    r"|(?P<environment>\\begin\{(?P<name>[a-z]+\*?)\}.+?\\end\{(?P=name)\})",
    re.DOTALL,
)


def markdown(source: str, *, start: int = 0) -> tuple[str, list[tuple[int, str, str]]]:
    """Render Markdown with raw HTML off and formulas; return it with its headings as (level, anchor, HTML)."""
    parser = _parser()
    tokens = parser.parse(source)
    headings: list[tuple[int, str, str]] = []
    for token, within in itertools.pairwise(tokens):
        if token.type == "heading_open":
            anchor = f"section-{start + len(headings) + 1}"
            token.attrSet("id", anchor)
            headings.append((int(token.tag[1]), anchor, inline(within.content)))
    return parser.renderer.render(tokens, parser.options, {}), headings


def inline(source: str) -> str:
    """Render a line of Markdown, such as a heading, without links: it may stand inside one."""
    return clean(_parser().renderInline(source))


def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.amsmath import amsmath_plugin
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    def drawn(tex: str, how: dict[str, Any]) -> str:
        return formula(tex, display=how["display_mode"])

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    dollarmath_plugin(parser, allow_labels=False, allow_digits=False, double_inline=True, renderer=drawn)
    amsmath_plugin(parser, renderer=lambda tex: formula(tex, display=True))
    parser.inline.ruler.at("math_inline", _formula_in_a_line())
    return parser


def _formula_in_a_line() -> Any:
    """The rule for ``$x$`` and ``$ x $``: spaces on both sides or on none, so that $5 and $10 are money."""
    from mdit_py_plugins.dollarmath.index import math_inline_dollar

    tight, spaced = (math_inline_dollar(spaces, False, True) for spaces in (False, True))

    def rule(state: Any, silent: bool) -> bool:
        inside = state.src[state.pos + 1 : state.src.find("$", state.pos + 1)]
        if "`" in inside:  # the end stands in code
            return False
        double = state.src[state.pos + 1 : state.pos + 2] == "$"
        return (spaced if double or (inside[:1].isspace() and inside[-1:].isspace()) else tight)(
            state, silent
        )

    return rule


def clean(text: str) -> str:
    """Return HTML with nothing but tables, lists, emphasis and formulas: no script, style, link, image or handler."""
    import nh3

    looks = dict.fromkeys(MATH, MATH_LOOKS)
    cells = {"th": {"colspan", "rowspan", "scope"}, "td": {"colspan", "rowspan"}}
    return nh3.clean(text, tags=TAGS | MATH, attributes={**looks, **cells}, link_rel=None)


def latex(text: str) -> str:
    """LaTeX that a cell displays as HTML: its formulas drawn, what stands between them as text."""
    pieces, at = [], 0
    for match in _FORMULA.finditer(text):
        pieces.append(html.escape(text[at : match.start()]))
        tex = next(v for k, v in match.groupdict().items() if k != "name" and v is not None)
        alone = not (text[: match.start()].strip() or text[match.end() :].strip())
        pieces.append(formula(tex, display=alone or (match["inline"] is None and match["paren"] is None)))
        at = match.end()
    return "".join([*pieces, html.escape(text[at:])])


def formula(tex: str, *, display: bool) -> str:
    """A formula as MathML, on a line of its own or in one; its source where the converter doesn't know all of it."""
    from latex2mathml.converter import convert_to_element

    try:
        if len(tex) > LONGEST:
            raise ValueError("too long")
        plain = _NO_ENVIRONMENT.sub("", _SAME_AS_SPLIT.sub(r"\\\1{split}", tex.strip()))
        root = convert_to_element(plain, display="block" if display else "inline")
        return clean(_written(root))
    except (
        Exception
    ):  # the converter's own errors have no common class, and what it can't convert it may fail on anyhow
        return f"<code>{html.escape(tex)}</code>"


def _written(root: Any) -> str:
    """The markup of what the converter made, which holds references where text is due.

    Raises
    ------
    ValueError
        A command that it doesn't know, or a misplaced &, is left as text.
    """
    from xml.etree.ElementTree import tostring

    for element in root.iter():
        element.text = html.unescape(element.text or "")
        if element.tag == "mi" and (element.text.startswith("\\") or element.text == "&"):
            raise ValueError(element.text)
    return tostring(root, encoding="unicode")
