"""Results as a picture: a block for each part of the run, a bar for each who took part."""
from xml.sax.saxutils import escape

import table

WIDTH, LABEL, VALUE, ROW, HEAD, GAP = 860, 230, 200, 20, 30, 14
COLOURS = {"modelcar": "#1f6feb", "peer": "#8b96a5", "other": "#cfd6de", "limit": "#d9c48f"}
LEGEND = {"modelcar": "modelcar", "peer": "peer", "other": "peer that leaves something else (layers, no files)",
          "limit": "limit: the plainest program"}
STYLE = "text{font:12px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600;font-size:13px}.v{fill:#57606a}"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def colour(party: dict) -> str:
    return COLOURS["other" if party["kind"] == "peer" and party["differs"] else party["kind"]]


def square(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.1f}" height="{height:.0f}" fill="{fill}"/>'


def bar(party: dict, longest: float, y: float) -> list[str]:
    m = party["median"]
    words = "failed"
    out = [text(LABEL - 8, y + 13, party["name"], anchor="end")]
    length = 0.0
    if m:
        length = max(1.0, (WIDTH - LABEL - VALUE) * m["wall_s"] / longest)
        words = (f"{table.number(m['wall_s'])} s · {table.number(m['cpu_s'])} CPU s · "
                 f"{m['rss_bytes'] / table.MIB:.0f} MiB")
        out.append(square(LABEL, y + 2, length, ROW - 5, colour(party)))
    return [*out, text(LABEL + length + 6, y + 13, words, "v")]


def block(cell: dict, y: float) -> tuple[list[str], float]:
    parties = sorted(cell["parties"], key=lambda p: p["median"].get("wall_s", float("inf")))
    longest = max((p["median"]["wall_s"] for p in parties if p["median"]), default=1.0)
    out = [text(12, y + 18, table.title(cell), "h")]
    y += HEAD
    for party in parties:
        out += bar(party, longest, y)
        y += ROW
    return out, y + GAP


def legend(y: float) -> list[str]:
    out, x = [], 12.0
    for kind, words in LEGEND.items():
        out += [square(x, y, 11, 11, COLOURS[kind]), text(x + 17, y + 10, words, "v")]
        x += 42 + 6.6 * len(words)
    return out


def svg(result: dict) -> str:
    body, y = legend(10), 36.0
    for cell in result["cells"]:
        drawn, y = block(cell, y)
        body += drawn
    machine = result["machine"]
    body.append(text(12, y + 12, f"Median wall time of {result['options']['rounds']} rounds, processor time and peak "
                     f"memory of the client. {machine['cores']} cores, {machine['cpu']}, {machine['date']}", "v"))
    height = y + 26
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" role="img"><style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(body) + "\n</svg>\n")
