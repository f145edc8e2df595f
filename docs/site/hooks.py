"""What the site holds besides `docs/`: files from elsewhere in the repository, and one page a package.

Every page lies in the site where it lies in the repository (`README.md`, `docs/models.md`), so that links between them
are right in both, and MkDocs itself checks them.
"""

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
PACKAGE = ROOT / "workflow" / "dixonflow"
# Files outside `docs/` that are pages, or that pages link to.
OUTSIDE = ["README.md", "CHANGELOG.md", "LICENSE", "CITATION.cff", "config.yaml", "CONTRIBUTING.md"]


def packages() -> list[Path]:
    """Folders of all packages, `dixonflow` first."""
    return sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def dotted(path: Path) -> str:
    """Name by which a package or module is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def summary(package: Path) -> str:
    """First line of a package's docstring."""
    source = (package / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def package_page(package: Path) -> str:
    """Page of a package: its docstring, then each of its modules."""
    name = dotted(package)
    lines = [
        f"# {name}",
        "",
        f"::: {name}",
        "    options: {show_root_heading: false, show_root_toc_entry: false, members: []}",
    ]
    for module in sorted(package.glob("[!_]*.py")):
        lines += ["", f"::: {dotted(module)}"]
    return "\n".join(lines)


def overview() -> str:
    """Page that lists all packages, with the first line of each."""
    rows = [f"| [{dotted(each)}]({dotted(each)}.md) | {summary(each)} |" for each in packages()]
    return "\n".join(["# Packages", "", "| package | what it holds |", "|---|---|", *rows])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the pages of the packages to the last section of the navigation."""
    section = next(iter(config.nav[-1].values()))
    section.append({"Packages": ["reference/index.md", *(f"reference/{dotted(each)}.md" for each in packages())]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put each file of `docs/` where it lies in the repository, and add those from elsewhere."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
        if not file.inclusion.is_excluded():
            files.append(File.generated(config, f"docs/{file.src_uri}", abs_src_path=file.abs_src_path))
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name in ("iframe-worker.js", "site.css"):
        files.append(File.generated(config, f"assets/{name}", abs_src_path=str(SITE / name)))
    files.append(File.generated(config, "reference/index.md", content=overview()))
    for package in packages():
        files.append(File.generated(config, f"reference/{dotted(package)}.md", content=package_page(package)))
    return files
