"""What core may not contain, found in its syntax: whatever would make two replays of one journal differ.

Ruff bans modules by name; this finds the rest, in the places where a reader would not look twice.
"""

import ast
from collections.abc import Iterator

IMPORTS = {
    "__future__", "collections.abc", "enum", "functools", "hashlib", "librt", "mypy_extensions", "sortedcontainers", "struct", "typing",
}  # fmt: skip
MSGSPEC_MODULES = {"core/layout.py", "core/rows.py"}

CALLS = {
    "compile": "code is what the release says",
    "eval": "code is what the release says",
    "exec": "code is what the release says",
    "__import__": "code is what the release says",
    "float": "count in integers",
    "complex": "count in integers",
    "round": "count in integers: use quotient and remainder",
    "hash": "differs between processes: use hashlib",
    "id": "differs between processes: use a number of the row",
    "set": "has no order: use a dict or a list",
    "frozenset": "has no order: use a tuple",
    "open": "core reads no file: it is given bytes",
    "input": "core asks nobody",
    "print": "core says it in an event row",
    "globals": "state lives in the engine",
}
PURE = {
    "abs",
    "all",
    "any",
    "bool",
    "divmod",
    "int",
    "isinstance",
    "len",
    "max",
    "min",
    "read_i64_le",
    "sorted",
    "sum",
    "type",
}
VIEWS = {"items", "keys", "values"}

UNSORTED = {"enumerate", "iter", "list", "reversed", "tuple", "zip"}
BANNED = {
    ast.Set: "set: it has no order",
    ast.SetComp: "set comprehension: it has no order",
    ast.Global: "global: state lives in the engine",
    ast.AsyncFunctionDef: "async: core waits for nothing",
    ast.AsyncFor: "async: core waits for nothing",
    ast.AsyncWith: "async: core waits for nothing",
    ast.Await: "await: core waits for nothing",
}

DICT_ORDER_ALLOWED: dict[str, str] = {}
"""Modules of core that may iterate over a dict as it lies, with the reason why nobody can see the order."""

ASSERTING_MODULES = {
    "core/check.py": "it asserts every invariant through functions that only look, and changes nothing"
}
"""Modules whose assertions may call ours: leaving them all out with python -O changes nothing."""


class Finding(ast.NodeVisitor):
    """Walks one module and collects `line: what is wrong`."""

    def __init__(self, name: str) -> None:
        """Take the module's path from the root of the checkout."""
        self.name = name
        self.found: list[str] = []

    def add(self, node: ast.AST, text: str) -> None:
        """Report a node."""
        self.found.append(f"{self.name}:{node.lineno}: {text}")

    def visit(self, node: ast.AST) -> None:
        """Some syntax has no place at all; the rest has a method of its own below, or is harmless."""
        if type(node) in BANNED:
            self.add(node, BANNED[type(node)])
        super().visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.check_import(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.check_import(node, "." * node.level + (node.module or ""))

    def check_import(self, node: ast.AST, module: str) -> None:
        """Imports come from a short list."""
        top = module.split(".", maxsplit=1)[0]
        allowed = module in IMPORTS or top in IMPORTS or top == "core"
        if not allowed and not (top == "msgspec" and self.name in MSGSPEC_MODULES):
            self.add(node, f"imports {module}")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            self.add(node, f"calls {node.func.id}(): {CALLS[node.func.id]}")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, float | complex):
            self.add(node, f"float literal {node.value}: count in integers")

    def check_arithmetic(self, node: ast.BinOp | ast.AugAssign, right: ast.expr) -> None:
        """Division and powers stay within the integers."""
        if isinstance(node.op, ast.Div):
            self.add(node, "true division: use // and %")
        whole = isinstance(right, ast.Constant) and isinstance(right.value, int) and right.value >= 0
        if isinstance(node.op, ast.Pow) and not whole:
            self.add(node, "power whose exponent is not a literal: it may become a fraction")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.check_arithmetic(node, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.check_arithmetic(node, node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in {"__del__", "__hash__"}:
            self.add(node, f"{node.name}: nothing may depend on the collector or on addresses")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for kind in kinds:
            if kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}):
                self.add(node, "broad except: what core cannot do it refuses, what it does not expect must be seen")
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        for inner in ast.walk(node) if self.name not in ASSERTING_MODULES else ():
            walrus = isinstance(inner, ast.NamedExpr)
            impure = isinstance(inner, ast.Call) and not (isinstance(inner.func, ast.Name) and inner.func.id in PURE)
            if walrus or impure:
                self.add(inner, "assert that may do something: python -O leaves it out")
        self.generic_visit(node)

    def check_order(self, iterated: ast.expr) -> None:
        """A dict's order is the history of its insertions, which a restored snapshot does not have."""
        view = iterated
        while isinstance(view, ast.Call) and isinstance(view.func, ast.Name) and view.func.id in UNSORTED and view.args:
            view = view.args[0]
        is_view = isinstance(view, ast.Call) and isinstance(view.func, ast.Attribute) and view.func.attr in VIEWS
        if is_view and not view.args and self.name not in DICT_ORDER_ALLOWED:
            self.add(iterated, f"iterates over .{view.func.attr}() as it lies: use sorted()")

    def visit_For(self, node: ast.For) -> None:
        self.check_order(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.check_order(node.iter)
        self.generic_visit(node)


def findings(name: str, source: str) -> Iterator[str]:
    """All that is wrong with a module of core."""
    visitor = Finding(name)
    visitor.visit(ast.parse(source))
    yield from visitor.found
