"""Compiles core with mypyc where a C compiler works, and packs it as it is where none does.

LOCKSTEP_PURE=1 never compiles; LOCKSTEP_COMPILED=1 makes it an error when that fails.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent


def compiled_modules() -> list[str]:
    """The modules to compile: all of core but those that pyproject.toml excludes by name."""
    with (HERE / "pyproject.toml").open("rb") as file:
        excluded = tomllib.load(file)["tool"]["lockstep"]["not-compiled"]
    found = sorted(path.relative_to(HERE).as_posix() for path in (HERE / "core").rglob("*.py"))
    missing = [name for name in excluded if name not in found]
    if missing:
        raise SystemExit(f"pyproject.toml excludes modules that do not exist: {', '.join(missing)}")
    return [name for name in found if name not in excluded]


def compiler_problem() -> str:
    """Why no extension can be built here, in one line; nothing if one can."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "trivial.c")
        source.write_text("#include <Python.h>\nint trivial(void) { return PY_VERSION_HEX != 0; }\n")
        arguments = [f"-I{sysconfig.get_path('include')}", "-fPIC", "-shared", str(source), "-o", f"{source}.so"]
        try:
            run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        except OSError as error:
            return f"no C compiler: {command[0]}: {error.strerror}"
    lines = [line for line in run.stderr.splitlines() if "error" in line] or ["it failed"]
    return f"the C compiler {command[0]} cannot build an extension: {lines[0]}" if run.returncode else ""


def wants_compilation(arguments: list[str]) -> bool:
    """Decide by environment, command and compiler. In place nothing is compiled: a stale module would be imported."""
    if "--inplace" in arguments or "-i" in arguments:
        raise SystemExit("Lockstep is not compiled in place: `make compiled` builds and installs a wheel")
    if os.environ.get("LOCKSTEP_PURE") == "1" or not {"bdist_wheel", "build_ext", "install"} & {*arguments}:
        return False
    problem = compiler_problem()
    if problem and os.environ.get("LOCKSTEP_COMPILED") == "1":
        raise SystemExit(problem)
    if problem:
        sys.stderr.write(f"packing the interpreted build alone: {problem}\n")
    return not problem


def main() -> None:
    """Set up with or without extensions."""
    from setuptools import setup  # noqa: PLC0415  the Makefile asks compiler_problem() without it

    extensions = []
    if wants_compilation(sys.argv[1:]):
        from mypyc.build import mypycify  # noqa: PLC0415  not needed for the pure build

        extensions = mypycify(compiled_modules(), group_name="lockstep", opt_level="3")
        for extension in extensions:
            # i64 wraps like the interpreted guard expects it to; CPython's own flags differ between distributions.
            # The other two let the compiler inline between our functions: about a tenth of all instructions.
            extension.extra_compile_args += ["-fwrapv", "-fvisibility=hidden", "-fno-semantic-interposition"]
    setup(ext_modules=extensions)


if __name__ == "__main__":
    main()
