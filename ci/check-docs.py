#!/usr/bin/env python3
"""The documents name only things that exist: functions, options, files, links."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUNCTION = re.compile(r"\boci_(?!thing_)[a-z0-9_]+(?=\()")  # oci_thing_ is the example
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*[a-z0-9])")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./-])(?:liboci|tools|ci|tests|spec|deploy)/[\w./-]*[\w/](?![\w<*{]|[/-][<*{])")
# Lines about another program: its options are not ours.
FOREIGN = re.compile(r"\b(meson|ninja|skopeo|podman|buildah|umoci|crane|ctr|oras|olot|git|pip|apt(-get)?|go|docker|"
                     r"tar|openssl|curl|kubectl|pytest|gcc|clang|test\.sh|deps\.sh|sync)\b")
FOREIGN_OPTIONS = {"preserve-digests", "all"}


def documents() -> list[Path]:
    """Markdown and manual pages that belong to the project."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md", "*.[1-9]"], cwd=ROOT,
                           capture_output=True, text=True)
    listed = [ROOT / n for n in names.stdout.splitlines()]
    found = listed if names.returncode == 0 else list(ROOT.rglob("*.md"))
    return sorted(f for f in found if f.is_file())


def sources(*tops: str) -> list[Path]:
    return sorted(f for top in tops for f in (ROOT / top).rglob("*.[ch]"))


def known_functions() -> set[str]:
    """What the code itself calls or declares: comments do not count."""
    text = "".join(re.sub(r"/\*.*?\*/", "", f.read_text(), flags=re.S) for f in sources("liboci", "tools"))
    return set(re.findall(r"\boci_[a-z0-9_]+(?=\()", text)) | set(re.findall(r"#define (oci_\w+)", text))


def known_options() -> set[str]:
    """Every string of the tables in tools/ that can be the name of an option, and those of our scripts."""
    text = "".join(f.read_text() for f in sources("tools"))
    scripts = "".join((ROOT / p).read_text() for p in (
        "tests/bench/bench.py", "tests/bench/cli.py", "tests/bench/growth.py", "deploy/image/build.py"))
    return set(re.findall(r'"(?:--)?([a-z][a-z0-9-]+)', text)) | set(re.findall(r'"--([a-z-]+)"', scripts))


def exists(path: str) -> bool:
    path = path.rstrip("./")
    return (ROOT / path).exists() or any((ROOT / path).parent.glob(Path(path).name + ".*"))


def option_is_known(name: str, options: set[str]) -> bool:
    bare = re.sub(r"^(src|dest|no)-", "", name)
    return name in options or bare in options or name in FOREIGN_OPTIONS


def check_text(where: str, text: str, functions: set[str]) -> list[str]:
    found = [f"{where}: no function {n}()" for n in FUNCTION.findall(text) if n not in functions]
    return found + [f"{where}: no file {p}" for p in PATH.findall(text) if not exists(p)]


def check_document(file: Path, functions: set[str], options: set[str]) -> list[str]:
    found = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        where = f"{file.relative_to(ROOT)}:{number}"
        found += check_text(where, re.sub(r"https?://\S+", "", line), functions)
        for link in LINK.findall(line):
            target = link.split("#")[0]
            if target and not re.match(r"[a-z]+:", target) and not (file.parent / target).exists():
                found.append(f"{where}: the link to {target} leads nowhere")
        if FOREIGN.search(line) and "modelcar " not in line:
            continue
        found += [f"{where}: no option --{o}" for o in OPTION.findall(line.replace("\\-", "-"))
                  if not option_is_known(o, options)]
    return found


def check_comments(file: Path, functions: set[str]) -> list[str]:
    text = file.read_text()
    comments = re.findall(r"/\*.*?\*/|//[^\n]*", text, flags=re.S)
    return [p for c in comments for p in check_text(str(file.relative_to(ROOT)), c, functions)]


def main() -> int:
    functions, options = known_functions(), known_options()
    docs, code = documents(), sources("liboci", "tools", "tests")
    problems = [p for f in docs for p in check_document(f, functions, options)]
    problems += [p for f in code for p in check_comments(f, functions)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"docs: {len(docs)} pages, {len(code)} sources, {len(functions)} functions")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
