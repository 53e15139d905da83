"""ES modules joined into one: each stands after those it imports, without imports and exports.

A page that is opened from the disk may not load modules, but may hold one. The modules are plain ones that also run as
they lie there; how they import and export is checked here, so that joining them cannot change what they mean.
"""

from __future__ import annotations

import re
from pathlib import Path

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:const|let|class|function))", re.MULTILINE)
DECLARED = re.compile(r"^(export )?(?:async )?(?:const|let|class|function\*?) (\w+|\{)", re.MULTILINE)


def bundled(folder: Path, entry: str) -> str:
    """The module `entry` and all that it imports, directly or not, as one module.

    Raises:
        ValueError: if the modules cannot be joined as they are: a circle of imports, a name that is imported but not
            exported, a name that two modules declare, or a way of importing or exporting that is not
            `import { names } from "./module.js"` and `export` before a declaration.
    """
    sources: dict[str, str] = {}
    _collect(folder, entry, sources, ())
    _check_names(sources)
    parts = [f"// --- {name}\n{_joined(source)}" for name, source in sources.items()]
    return "\n".join(parts).replace("</script", "<\\/script")


def _collect(folder: Path, name: str, sources: dict[str, str], above: tuple[str, ...]) -> None:
    """Puts a module into `sources` after those it imports."""
    if name in above:
        raise ValueError(f"modules import each other in a circle: {' -> '.join([*above, name])}")
    if name in sources:
        return
    source = (folder / name).read_text(encoding="utf-8")
    for _, imported in IMPORT.findall(source):
        _collect(folder, imported, sources, (*above, name))
    sources[name] = source


def _check_names(sources: dict[str, str]) -> None:
    owners: dict[str, str] = {}
    for name, source in sources.items():
        for exported, declared in DECLARED.findall(source):
            if declared == "{":
                raise ValueError(f"{name} takes a value apart at its top, which cannot be joined")
            if declared in owners:
                raise ValueError(f"{name} and {owners[declared].split()[0]} both declare {declared}")
            owners[declared] = f"{name} exported" if exported else name
    for name, source in sources.items():
        for names, imported in IMPORT.findall(source):
            for wanted in filter(None, (word.strip() for word in names.split(","))):
                if owners.get(wanted) != f"{imported} exported":
                    raise ValueError(f"{name} imports {wanted} from {imported}, which does not export it")


def _joined(source: str) -> str:
    plain = EXPORT.sub("", IMPORT.sub("", source))
    left = re.search(r"^(import|export)\b.*", plain, re.MULTILINE)
    if left:
        raise ValueError(f"this way of importing or exporting cannot be joined: {left.group()}")
    return plain.strip() + "\n"
