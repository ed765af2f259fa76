"""The rules of the house: who may import whom, and what a file is.

Everything is read from the source, so that a rule is broken where the line is written and not where it first hurts.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

from source import FILES, ROOT, name, parsed

PACKAGES = sorted(path.parent for path in FILES if path.name == "__init__.py")

MATHEMATICS = {
    "attention": set(),
    "condition_parts": set(),
    "condition": {"attention", "condition_parts"},
    "captions": {"condition_parts"},
    "types": {"attention", "condition_parts", "condition"},
    "noise": set(),
    "buffers": set(),
    "sharding": {"buffers"},
    "process": {"types"},
    "schedules": {"types", "process"},
    "parameterizations": {"types", "process", "schedules"},
    "variances": {"types", "process"},
    "networks": {"types", "former_names"},  # a network knows no diffusion
    "pictures": set(),
    "spaces": {"types", "noise", "networks", "pictures"},
    "noise_conditioning": {"types"},
    "noisy_model": {"types", "schedules", "parameterizations", "networks", "noise_conditioning"},
    "denoiser": {
        "types",
        "process",
        "schedules",
        "parameterizations",
        "variances",
        "networks",
        "noisy_model",
        "noise_conditioning",
        "former_names",
    },
    "binomial": {"process"},
    "binary_denoiser": {
        "types",
        "binomial",
        "process",
        "schedules",
        "parameterizations",
        "networks",
        "noisy_model",
        "noise_conditioning",
    },
    "classifier": {
        "types",
        "process",
        "schedules",
        "parameterizations",
        "networks",
        "noisy_model",
        "noise_conditioning",
        "former_names",
    },
    "objectives": {
        "types",
        "noise",
        "process",
        "schedules",
        "variances",
        "noisy_model",
        "denoiser",
        "classifier",
        "samplers",
        "binomial",
        "binary_denoiser",
    },
    # these two see a DenoiseFn and not the denoiser, hence take any guided form of it
    "guidance": {"types", "attention", "process", "schedules", "variances", "former_names"},
    "samplers": {"types", "noise", "process", "schedules", "variances", "former_names", "binomial"},
    "editing": {"types", "noise", "process", "schedules", "samplers", "binomial", "variances"},
    "likelihoods": {"types", "noise", "process", "schedules", "objectives", "samplers"},
    "ema": {"sharding", "buffers"},
    "conditioning": {"types", "noise", "process", "schedules"},
    # whole methods, each in one file: model, objective and networks
    "rivals": {
        "types",
        "noise",
        "process",
        "schedules",
        "parameterizations",
        "networks",
        "noisy_model",
        "objectives",
        "likelihoods",
    },
}
TEXT_AND_FILES = {"files", "formatting", "reading", "former_names", "on_demand", "suggest"}
BELOW_DATA = {*TEXT_AND_FILES, "runtime", "types", "noise"}
NUMBERS = {*BELOW_DATA, "distributed", "data", "features", "metrics"}
MODELS = {*MATHEMATICS, *NUMBERS, "runs", "config", "training", "adapters", "checkpoints"}
MACHINERY = {
    "files": {"reading"},
    "formatting": set(),
    "suggest": set(),
    "reading": set(),
    "former_names": set(),
    "on_demand": set(),
    "runtime": TEXT_AND_FILES,
    "cluster": {*TEXT_AND_FILES, "runtime", "distributed"},
    "distributed": {*TEXT_AND_FILES, "runtime"},
    "data": {*BELOW_DATA, "spaces", "captions"},
    "features": {*BELOW_DATA, "distributed", "data"},
    "metrics": {*BELOW_DATA, "distributed", "features"},  # the bootstrap draws weights
    "runs": {*TEXT_AND_FILES, "runtime", "distributed", "sharding", "ema", "networks"},
    "cluster.doctor": {*TEXT_AND_FILES, "types", "runtime", "distributed", "data", "runs", "config"},
    "config": {*BELOW_DATA, "distributed", "data", "runs", "cluster"},
    "training": {*MATHEMATICS, *TEXT_AND_FILES, "runtime", "distributed"},
    "adapters": {"suggest", "runtime"},
    "checkpoints": MODELS - {"checkpoints"},
    "sampling": MODELS,
    "evaluation": {*MODELS, "sampling"},
    "training.run": {*MODELS, "sampling", "evaluation", "cluster"},
    "pages": TEXT_AND_FILES,
    "explaining": {*MODELS, "sampling", "evaluation", "pages"},
    "studies": {*MODELS, "sampling", "evaluation", "cluster", "pages", "explaining"},
}
EVERYTHING = {*MATHEMATICS, *MACHINERY}
MAY_IMPORT = MATHEMATICS | MACHINERY | {"cli": EVERYTHING, "__main__": {"cli", "runtime"}}
"""Room -> rooms whose modules it may import."""

FRAMEWORKS = {
    "pytorch_lightning": {"data", "runs", "config", "training", "evaluation", "training.run"},
    "lightning_fabric": {"distributed", "runs"},
    "lightning": set(),
    "torchmetrics": {"metrics"},
    "torch_fidelity": {"features", "evaluation"},
    "hydra": {"config"},
    "omegaconf": {"config"},
    "submitit": {"cluster", "studies", "config"},
    "wandb": {"runs", "studies"},
    "deepspeed": {"training"},
    "peft": {"adapters"},
    "matplotlib": {"evaluation", "studies", "explaining"},
    "statsmodels": set(),
    "jinja2": {"studies", "pages"},
    "wandb_workspaces": {"studies"},
    "torchvision": {"data", "features", "sampling", "evaluation"},
    "datasets": {"data"},
    "pyarrow": {"data"},
    "sklearn": {"data"},
}
"""Library -> rooms that may import it."""


def room_of(module: str) -> str:
    """Of a dotted name below difflab: the longest room that it begins with."""
    parts = module.split(".")
    inner = ".".join(parts[:2])
    return inner if inner in MAY_IMPORT else parts[0]


def room(path: Path) -> str:
    return room_of(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of every import in a file, wherever it stands."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}:{node.lineno}: imports are absolute"
            found.append((node.lineno, node.module or ""))
    return found


def test_rooms_import_only_what_lies_below_them():
    wrong = []
    for path in FILES:
        own = room(path)
        if own == "__init__":
            continue
        assert own in MAY_IMPORT, f"{own} is a new room: say here what it may import"
        for line, module in imports(path):
            other = room_of(module.removeprefix("difflab."))
            if module.startswith("difflab.") and other not in {own, *MAY_IMPORT[own]}:
                wrong.append(f"{name(path)}:{line}: {own} must not import {other}")
    assert not wrong, "\n".join(wrong)


def test_the_rooms_form_no_circle():
    placed: set[str] = set()
    while len(placed) < len(MAY_IMPORT):
        ready = {own for own, below in MAY_IMPORT.items() if own not in placed and below <= placed}
        assert ready, f"in a circle: {sorted(set(MAY_IMPORT) - placed)}"
        placed |= ready


def test_libraries_stay_in_their_rooms():
    wrong = []
    for path in FILES:
        for line, module in imports(path):
            library = module.split(".")[0]
            if room(path) not in FRAMEWORKS.get(library, {room(path)}):
                wrong.append(f"{name(path)}:{line}: {room(path)} must not import {library}")
    assert not wrong, "\n".join(wrong)


def test_images_of_users_are_opened_in_one_place():
    """So that all are decoded, scaled and refused alike. The others open what difflab or a package wrote."""
    own = {"studies/report/grids.py", "data/named_sets.py"}
    opening = {name(path) for path in FILES if "Image.open(" in path.read_text(encoding="utf-8")}
    assert opening == {"data/image_file.py", *own}


def test_what_was_read_back_is_built_in_one_way_alone():
    """Hydra calls whatever a configuration names.

    One that lies in a file of a run, or in a header, goes through config/trust.py; what else is made into a configuration says here where
    it is from.
    """
    known = {
        "config/trust.py": "the way",
        "config/run.py": "conf/'s own files, of which keys are compared and nothing is built",
        "config/build.py": "a model of config/trust.py, with what a command has chosen",
    }
    making, building, reading = set(), set(), set()
    for path in FILES:
        called = {ast.unparse(node.func) for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)}
        making |= {name(path) for one in ("create", "load", "structured") if f"OmegaConf.{one}" in called}
        building |= {name(path)} if {"instantiate", "get_object", "get_class", "get_method"} & called else set()
        reading |= (
            {name(path)}
            if {"read_yaml", "parse_yaml", "checked_yaml", "yaml.load", "yaml.safe_load"} & called
            else set()
        )
    assert making == set(known)
    assert not building & reading, "what reads YAML builds nothing of it"


def test_what_strangers_wrote_is_read_in_one_room():
    """With bounds of size, depth and time, by difflab.reading. What else calls these says here why it need not."""
    calls = {
        "json.load": set[str](),
        "json.loads": {
            "runtime/foreign_code.py",  # pip's own note of a package
            "runs/metrics_file.py",  # a line of at most a mebibyte, millions of them
            *(
                "distributed/group.py",
                "training/run/pulse.py",
                "distributed/meeting.py",
            ),  # words between the processes of a run
        },
    }
    for call in (
        *(
            "yaml.load",
            "yaml.safe_load",
            "yaml.full_load",
            "OmegaConf.load",
            "np.load",
            "numpy.load",
            "pickle.load",
            "pickle.loads",
        ),
        *("torch.load", "safe_open", "load_file", "safetensors.torch.load"),
    ):
        calls[call] = set()
    found = dict[str, set[str]]()
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in calls:
                found.setdefault(called, set()).add(name(path))
    for call, files in found.items():
        others = {file for file in files if not file.startswith("reading/")}
        assert others == calls[call], f"{call}: read by difflab.reading, or say here why not"


def test_the_mathematics_needs_torch_alone():
    rooms = ", ".join(f"difflab.{own}" for own in MATHEMATICS)
    code = f"import sys, {rooms}; print([m for m in {sorted(FRAMEWORKS)} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=ROOT.parent
    )
    assert loaded.stdout.strip() == "[]"


def test_target_is_the_only_registry():
    wrong = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            word = ""
            if isinstance(node, ast.Name):
                word = node.id
            elif isinstance(node, ast.Attribute):
                word = node.attr if ast.unparse(node) != "atexit.register" else ""
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                word = node.name
            registry = "registry" in word.lower() or word in ("ConfigStore", "__import__", "globals")
            registers = word.startswith("register") and word not in (
                "register_buffer",
                "register_parameter",
                "register_forward_hook",
                "register_at_fork",
                "register_new_resolver",
                "register_signal_handlers",
            )
            if registry or registers:
                wrong.append(f"{name(path)}:{node.lineno}: {word}")  # type: ignore[attr-defined]
    assert not wrong, "\n".join(wrong)


def test_a_file_is_one_idea():
    vague = {"util", "utils", "common", "helper", "helpers", "misc", "base", "core", "tools", "manager"}
    wrong = []
    for path in FILES:
        tree, length = parsed(path), len(path.read_text(encoding="utf-8").splitlines())
        if path.stem in vague:
            wrong.append(f"{name(path)}:1: a file is named after its idea")
        if not ast.get_docstring(tree):
            wrong.append(f"{name(path)}:1: a module says in a docstring what it is")
        if length > 300:
            wrong.append(f"{name(path)}:{length}: over 300 lines are more than one idea")
        if room(path) == "cli" and length > 150:
            wrong.append(f"{name(path)}:{length}: a command parses, composes, calls and prints, in 150 lines at most")
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Helper", "Util", "Utils")):
                wrong.append(f"{name(path)}:{node.lineno}: {node.name} says nothing")
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "hasattr":
                wrong.append(f"{name(path)}:{node.lineno}: ask for a type, not for an attribute")
    assert not wrong, "\n".join(wrong)


SHORT = {
    "data/errors.py": "a line for the user, without torch",
    "suggest.py": "near words, for all packages",
}
"""Files below 40 lines that are no choice of a group, and why they stand alone."""


def test_a_paragraph_stands_with_its_neighbours():
    """A file has 40 lines, unless it holds a part that conf/ names: that is what a reader looks for alone."""
    texts = [file.read_text(encoding="utf-8") for file in (ROOT.parents[1] / "conf").rglob("*.yaml")]
    named = set(re.findall(r"_target_: difflab\.([\w.]+)", "\n".join(texts)))
    packages = {target.rpartition(".")[2] for target in named}
    short = set()
    for path in FILES:
        if path.stem in ("__init__", "__main__") or len(path.read_text(encoding="utf-8").splitlines()) >= 40:
            continue
        defined = {node.name for node in parsed(path).body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        if not defined & packages:
            short.add(name(path))
    assert short == set(SHORT)


def test_arguments_are_not_passed_on_unseen():
    wrong = []
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                passed = [k.value.id for k in node.keywords if k.arg is None and isinstance(k.value, ast.Name)]
                if "kwargs" in passed:
                    wrong.append(f"{name(path)}:{node.lineno}: name the arguments")
    assert not wrong, "\n".join(wrong)


ALL_SOURCE = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "scripts", "slurm")
    for path in (ROOT.parents[1] / folder).rglob("*.py")
)


def _reads_text_without_encoding(call: ast.Call) -> bool:
    """Whether a call opens a file or a pipe as text in the locale's encoding."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in given:
        return False
    called = ast.unparse(call.func)
    method = called.rpartition(".")[2]
    if method in ("read_text", "write_text"):
        return len(call.args) == (method == "write_text")
    if called.startswith("subprocess."):
        return "text" in given or "universal_newlines" in given
    place = {"open": 1 if called == "open" else 0, "NamedTemporaryFile": 0, "TemporaryFile": 0, "fdopen": 1}.get(method)
    opens_otherwise = called.startswith(("Image.", "os.open", "tarfile.", "archive.", "wheel."))
    if place is None or opens_otherwise:
        return False
    mode = given.get("mode", call.args[place] if len(call.args) > place else None)
    text = "b" not in ast.unparse(mode) if mode is not None else "TemporaryFile" not in method
    return text


def test_text_is_utf_8_and_not_what_the_locale_says():
    wrong = []
    for path in ALL_SOURCE:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and _reads_text_without_encoding(node):
                wrong.append(f'{path}:{node.lineno}: encoding="utf-8" is missing')
    assert not wrong, "\n".join(wrong)


WRITTEN_ELSEWHERE = {
    "files.py": "the one way in which files are written",
    "data/packing/formats.py": "a shard beside its place, which pack.py moves there",
    "features/pretrained.py": "a download that goes on where it was interrupted, until it is moved to its place",
    "runs/wandb/sync.py": "what another program says, into a temporary folder",
    "studies/execution/local.py": "the log of a process, which it writes itself",
    "studies/execution/worker.py": "the log of a process, which it writes itself",
}
"""Files that write other than by difflab.files, and what they write."""


def _writes(call: ast.Call) -> bool:
    """Whether a call makes, changes or renames a file."""
    called = ast.unparse(call.func)
    method = called.rpartition(".")[2]
    if method in ("write_text", "write_bytes"):
        return isinstance(call.func, ast.Attribute)
    if method in ("open", "fdopen", "TarFile", "ZipFile") and not called.startswith("archive."):
        mode = next((k.value for k in call.keywords if k.arg == "mode"), None)
        modes = [
            ast.unparse(arg) for arg in (*call.args[:2], *([mode] if mode else [])) if isinstance(arg, ast.Constant)
        ]
        return (called == "os.open" and "O_WRONLY" in ast.unparse(call)) or any(
            re.fullmatch(r"'[wax]b?\+?t?(:\w*)?'", m) for m in modes
        )
    if called in (
        "os.replace",
        "os.rename",
        "os.fsync",
        "os.link",
        "torch.save",
        "np.savez",
        "OmegaConf.save",
        "shutil.copyfile",
    ):
        return True
    if called.startswith("shutil."):
        return method in ("copy", "copy2", "move", "copytree")
    return method in (
        "rename",
        "save_file",
        "save_image",
        "savefig",
        "NamedTemporaryFile",
        "mkstemp",
        "symlink_to",
        "hardlink_to",
    )


def _written_in_place(tree: ast.Module) -> list[int]:
    """Lines that write a file, but for those inside a `with atomic_file(...)` or `with atomic_folder(...)`."""
    atomic = [
        range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any("atomic_f" in ast.unparse(item.context_expr).partition("(")[0] for item in node.items)
    ]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _writes(node)]
    return sorted(call.lineno for call in calls if not any(call.lineno in lines for lines in atomic))


def test_files_are_written_in_one_way():
    """So that all are complete or absent, on the disk, in order, and readable by whom the umask lets."""
    found = {name(path): lines for path in FILES if (lines := _written_in_place(parsed(path)))}
    wrong = [f"{file}:{line}: by difflab.files" for file, lines in found.items() for line in lines]
    assert found.keys() == WRITTEN_ELSEWHERE.keys(), "\n".join(
        w for w in wrong if w.partition(":")[0] not in WRITTEN_ELSEWHERE
    )


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("path.write_text(text)", [1]),
        ("write_text(path, text)", []),
        ("with path.open('wb') as file:\n    file.write(b'')", [1]),
        ("with path.open('rb') as file:\n    file.read()", []),
        ("os.replace(a, b)", [1]),
        ("text.replace(a, b)", []),
        ("with atomic_file(path) as aside:\n    torch.save(x, aside)", []),
        ("torch.save(x, path)", [1]),
        ("zipfile.ZipFile(path, 'w')", [1]),
    ],
)
def test_a_line_that_writes_is_found(code, lines):
    assert _written_in_place(ast.parse(code)) == lines


INDEXLESS = {
    "": "difflab itself holds the version",
    "cli": "a command is imported when it is run, so that --help answers at once",
    "interop": "one module per foreign project, imported by its name",
}
"""Packages without a list of public names, and why."""


def _index_faults(package: Path) -> list[tuple[int, str]]:
    """(line, what is wrong) of a package's __init__.py."""
    tree = parsed(package / "__init__.py")
    wrong = [] if ast.get_docstring(tree) else [(1, "a package says in a docstring what it is")]
    if package.relative_to(ROOT).as_posix().removeprefix(".") in INDEXLESS:
        return wrong
    on_demand = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    above = {"TYPE_CHECKING", "on_demand"} if on_demand else set()
    nodes = [*tree.body, *(inner for node in on_demand for inner in node.body)]
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names} - above
    lists = [node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]  # type: ignore[attr-defined]
    listed = ast.literal_eval(lists[0].value) if lists else []
    if sorted(listed) != sorted(imported):
        differing = sorted({*listed} ^ imported) or "a name twice"
        wrong.append((lists[0].lineno if lists else 1, f"__all__ is not what is imported: {differing}"))
    called = [node for node in tree.body if on_demand and ast.unparse(node) == "on_demand(__name__)"]
    if len(called) != len(on_demand):
        wrong.append((on_demand[0].lineno, "what is imported on demand is asked for by on_demand(__name__)"))
    known = [*lists, *on_demand, *called]
    others = [node for node in nodes[1:] if not isinstance(node, ast.ImportFrom) and node not in known]
    return wrong + [(node.lineno, "an __init__ holds imports and __all__ only") for node in others]


def test_a_package_lists_its_public_names():
    wrong = [
        f"{name(package / '__init__.py')}:{line}: {what}"
        for package in PACKAGES
        for line, what in _index_faults(package)
    ]
    assert not wrong, "\n".join(wrong)


def classes() -> list[type]:
    """Every class of difflab."""
    found = set()
    for info in pkgutil.walk_packages([str(ROOT)], "difflab."):
        if info.name.endswith("__main__"):
            continue  # runs when it is imported
        module = importlib.import_module(info.name)
        found |= {c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == info.name}
    return sorted(found, key=lambda c: (c.__module__, c.__qualname__))


def test_classes_are_abstract_or_final():
    """A method of ours that has a body is not overridden: tweak by wrapping. Constructors are no such methods."""
    wrong = []
    for cls in classes():
        for attribute, value in vars(cls).items():
            if not inspect.isfunction(value) or (attribute.startswith("__") and attribute != "__call__"):
                continue
            for parent in cls.__mro__[1:]:
                above = vars(parent).get(attribute)
                ours = parent.__module__.startswith("difflab") and inspect.isfunction(above)
                if (
                    ours
                    and not getattr(above, "__isabstractmethod__", False)
                    and not getattr(parent, "_is_protocol", 0)
                ):
                    wrong.append(f"{cls.__module__}.{cls.__qualname__}.{attribute} overrides that of {parent.__name__}")
    assert not wrong, "\n".join(wrong)
