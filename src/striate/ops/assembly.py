"""Kernels written for LLVM: vectors as wide as the machine's, compiled once, kept as object code.

Numba is compiled by LLVM and brings it along (llvmlite). A kernel whose speed hangs on which values
stay in which vector register is easier to write for LLVM directly than to coax out of a loop: here
is the little that such writing needs (words, vectors, loops, functions) and nothing about
convolutions. Given up: what Numba checks. A wrong address ends the process, so every kernel is run
against an oracle on odd shapes.

Example:
    >>> add = Function("add", "a b out count", lanes=4)
    >>> with add.loop(add.count, 4) as index:
    ...     total = add.load(add.a + index * 4) + add.load(add.b + index * 4)
    ...     add.store(total, add.out + index * 4)
    >>> add.text().splitlines()[0]
    'define internal void @add(i64 %a, i64 %b, i64 %out, i64 %count) noinline {'
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_AWAKE = 10_000  # looks at what is waited for before a thread gives way to others


class Word:
    """A 64-bit integer in the kernel (a count, or an address in bytes), with its arithmetic."""

    def __init__(self, code: Function, name: str) -> None:
        self.code, self.name = code, name

    def _with(self, operation: str, other: Word | int) -> Word:
        return Word(self.code, self.code.emit(f"{operation} i64 {self.name}, {_name(other)}"))

    def __add__(self, other: Word | int) -> Word:
        return self._with("add", other)

    def __sub__(self, other: Word | int) -> Word:
        return self._with("sub", other)

    def __mul__(self, other: Word | int) -> Word:
        return self._with("mul", other)

    def __floordiv__(self, other: Word | int) -> Word:
        return self._with("sdiv", other)

    def __mod__(self, other: Word | int) -> Word:
        return self._with("srem", other)

    def below(self, other: Word | int) -> str:
        """Return a condition: this is less, as signed numbers."""
        return self.code.emit(f"icmp slt i64 {self.name}, {_name(other)}")

    def within(self, other: Word | int) -> str:
        """Return a condition: this lies in 0 ... other - 1."""
        return self.code.emit(f"icmp ult i64 {self.name}, {_name(other)}")

    def where(self, condition: str, other: Word | int) -> Word:
        """Return this where the condition holds, else the other."""
        chosen = f"select i1 {condition}, i64 {self.name}, i64 {_name(other)}"
        return Word(self.code, self.code.emit(chosen))

    def least(self, other: Word | int) -> Word:
        """Return the smaller of two."""
        return self.where(self.below(other), other)


class Lanes:
    """A vector of floats in the kernel, with its arithmetic."""

    def __init__(self, code: Function, name: str) -> None:
        self.code, self.name = code, name

    def _with(self, operation: str, other: Lanes) -> Lanes:
        kind = self.code.vector
        return Lanes(self.code, self.code.emit(f"{operation} {kind} {self.name}, {other.name}"))

    def __add__(self, other: Lanes) -> Lanes:
        return self._with("fadd", other)

    def __sub__(self, other: Lanes) -> Lanes:
        return self._with("fsub", other)

    def __mul__(self, other: Lanes) -> Lanes:
        return self._with("fmul", other)

    def __truediv__(self, other: Lanes) -> Lanes:
        return self._with("fdiv", other)

    def root(self) -> Lanes:
        """Return the square root."""
        kind = self.code.vector
        function = self.code.outside(f"{kind} @llvm.sqrt.v{self.code.lanes}f32", kind)
        return Lanes(self.code, self.code.emit(f"call {function}({kind} {self.name})"))

    def times_plus(self, factor: Lanes, term: Lanes) -> Lanes:
        """Return self * factor + term, rounded once where the machine can."""
        kind = self.code.vector
        values = f"{kind} {self.name}, {kind} {factor.name}, {kind} {term.name}"
        function = self.code.outside(
            f"{kind} @llvm.fmuladd.v{self.code.lanes}f32", f"{kind}, {kind}, {kind}"
        )
        return Lanes(self.code, self.code.emit(f"call {function}({values})"))

    def at_least(self, floor: Lanes) -> Lanes:
        """Return the larger in every lane; not-a-number stays what it is."""
        below = self.code.emit(f"fcmp olt {self.code.vector} {self.name}, {floor.name}")
        return self._or(floor, below)

    def at_most(self, ceiling: Lanes) -> Lanes:
        """Return the smaller in every lane; not-a-number stays what it is."""
        above = self.code.emit(f"fcmp ogt {self.code.vector} {self.name}, {ceiling.name}")
        return self._or(ceiling, above)

    def larger(self, other: Lanes) -> Lanes:
        """Return the larger in every lane; not-a-number where either is."""
        kind, code = self.code.vector, self.code
        above = code.emit(f"fcmp ugt {kind} {other.name}, {self.name}")
        known = code.emit(f"fcmp ord {kind} {self.name}, {self.name}")
        return self._or(other, code.emit(f"and {code.booleans} {above}, {known}"))

    def passed(self, gate: Lanes) -> Lanes:
        """Return this where a gate is above zero, or not-a-number; else zero."""
        zero = self.code.constant(0.0)
        closed = self.code.emit(f"fcmp ole {self.code.vector} {gate.name}, {zero.name}")
        return self._or(zero, closed)

    def _or(self, other: Lanes, condition: str) -> Lanes:
        """Return the other where the condition holds."""
        code, kind = self.code, self.code.vector
        values = f"{kind} {other.name}, {kind} {self.name}"
        return Lanes(code, code.emit(f"select {code.booleans} {condition}, {values}"))


class Function:
    """One function being written; its parameters are words, and its attributes.

    Args:
        name: its name.
        parameters: names of its parameters, with spaces between.
        lanes: floats in a vector.
        public: whether it can be called from outside its module.
        pieces: names of more parameters, by which the work is cut into pieces.
    """

    def __init__(
        self, name: str, parameters: str, lanes: int, *, public: bool = False, pieces: str = ""
    ) -> None:
        self.name, self.pieces = name, pieces.split()
        self.parameters = [*parameters.split(), *self.pieces]
        self.lanes, self.public = lanes, public
        self.vector, self.booleans = f"<{lanes} x float>", f"<{lanes} x i1>"
        self.declared: set[str] = set()
        self._slots: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def __getattr__(self, name: str) -> Word:
        if name not in self.__dict__.get("parameters", ()):
            raise AttributeError(name)
        return Word(self, f"%{name}")

    def text(self) -> str:
        """Return the function in LLVM's language."""
        head = "define void" if self.public else "define internal void"
        names = ", ".join(f"i64 %{each}" for each in self.parameters)
        tail = "" if self.public else " noinline"
        lines = [*self._slots, *self._lines, "ret void"]
        return f"{head} @{self.name}({names}){tail} {{\n" + "\n".join(lines) + "\n}\n"

    def emit(self, line: str) -> str:
        """Write an instruction and return the name of its value."""
        self._count += 1
        self._lines.append(f"%v{self._count} = {line}")
        return f"%v{self._count}"

    def outside(self, head: str, kinds: str) -> str:
        """Note a function of LLVM's own; returns its head."""
        self.declared.add(f"declare {head}({kinds})")
        return head

    def call(self, function: Function, *arguments: Word | int) -> None:
        """Call another function of the module."""
        values = ", ".join(f"i64 {_name(each)}" for each in arguments)
        self._lines.append(f"call void @{function.name}({values})")

    def call_at(self, address: Word, *arguments: Word | int) -> None:
        """Call whatever lies at an address."""
        values = ", ".join(f"i64 {_name(each)}" for each in arguments)
        self._lines.append(f"call void {self._pointer(address)}({values})")

    # -- words -------------------------------------------------------------------------------------

    def word(self, value: int) -> Word:
        """Return a number as a word."""
        return Word(self, str(value))

    def load_word(self, at: Word) -> Word:
        """Read a word."""
        return Word(self, self.emit(f"load i64, ptr {self._pointer(at)}"))

    def store_word(self, value: Word | int, at: Word) -> None:
        """Write a word."""
        self._lines.append(f"store i64 {_name(value)}, ptr {self._pointer(at)}")

    def take_word(self, at: Word, more: int) -> Word:
        """Read a word and add to it, as one step between threads, after all that was written."""
        return Word(self, self.emit(f"atomicrmw add ptr {self._pointer(at)}, i64 {more} release"))

    def await_word(self, at: Word, least: Word) -> None:
        """Wait until other threads have made a word so large; awake, now and then giving way."""
        place, rounds = self._pointer(at), self.stack(1)
        self.store_word(0, rounds)
        self._count += 1
        head, body, rest, after = (
            f"{each}{self._count}" for each in ("see", "wait", "rest", "met")
        )
        self._lines += [f"br label %{head}", f"{head}:"]
        enough = least.within(
            Word(self, self.emit(f"load atomic i64, ptr {place} acquire, align 8")) + 1
        )
        self._lines += [f"br i1 {enough}, label %{after}, label %{body}", f"{body}:"]
        number = self.load_word(rounds) + 1
        self.store_word(number, rounds)
        early = (number % _AWAKE).within(_AWAKE - 1)
        self._lines += [f"br i1 {early}, label %{head}, label %{rest}", f"{rest}:"]
        self.emit(f"call {self.outside('i32 @sched_yield', '')}()")
        self._lines += [f"br label %{head}", f"{after}:"]

    def stack(self, words: int) -> Word:
        """Return the address of room on the stack."""
        return Word(self, self.emit(f"ptrtoint ptr {self._slot(f'[{words} x i64]')} to i64"))

    @contextmanager
    def loop(self, stop: Word | int, step: Word | int = 1, start: Word | int = 0) -> Iterator[Word]:
        """Repeat what is written inside for start, start + step, ... below stop."""
        place = self._slot("i64")
        self._count += 1
        head, body, after = (f"{each}{self._count}" for each in ("head", "body", "after"))
        self._lines += [f"store i64 {_name(start)}, ptr {place}", f"br label %{head}", f"{head}:"]
        count = Word(self, self.emit(f"load i64, ptr {place}"))
        more = count.below(stop)
        self._lines += [f"br i1 {more}, label %{body}, label %{after}", f"{body}:"]
        yield count
        following = count + step
        self._lines += [f"store i64 {following.name}, ptr {place}", f"br label %{head}"]
        self._lines.append(f"{after}:")

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Do what is written inside only where the condition holds."""
        self._count += 1
        body, after = f"then{self._count}", f"after{self._count}"
        self._lines += [f"br i1 {condition}, label %{body}, label %{after}", f"{body}:"]
        yield
        self._lines += [f"br label %{after}", f"{after}:"]

    # -- vectors -----------------------------------------------------------------------------------

    def constant(self, value: float) -> Lanes:
        """Return a vector of one number."""
        exact = struct.unpack("<f", struct.pack("<f", value))[0]
        bits = struct.unpack("<Q", struct.pack("<d", exact))[0]
        one = f"float 0x{bits:016X}"
        return Lanes(self, f"<{', '.join([one] * self.lanes)}>")

    def variable(self) -> Variable:
        """Return a vector that can be set again, for sums that live through a loop."""
        return Variable(self, self._slot(self.vector))

    def load(self, at: Word) -> Lanes:
        """Read a vector."""
        return Lanes(self, self.emit(f"load {self.vector}, ptr {self._pointer(at)}, align 4"))

    def fetch(self, at: Word) -> None:
        """Ask for a line of memory that will be read soon; any address will do."""
        head = self.outside("void @llvm.prefetch.p0", "ptr, i32, i32, i32")
        self._lines.append(f"call {head}(ptr {self._pointer(at)}, i32 0, i32 3, i32 1)")

    def store(self, value: Lanes, at: Word) -> None:
        """Write a vector."""
        place = self._pointer(at)
        self._lines.append(f"store {self.vector} {value.name}, ptr {place}, align 4")

    def move(self, at: Word, into: Word) -> None:
        """Copy one float."""
        value = self.emit(f"load float, ptr {self._pointer(at)}, align 4")
        self._lines.append(f"store float {value}, ptr {self._pointer(into)}, align 4")

    def interleaved(self, values: Sequence[Lanes]) -> list[Lanes]:
        """Return vectors side by side that hold the first lane of each, then the second, ..."""
        several, found = len(values), []
        for begun in range(0, several * self.lanes, self.lanes):
            where = [divmod(begun + lane, several) for lane in range(self.lanes)]
            mixed = values[0]
            for number in range(1, several):
                chosen = [
                    self.lanes + source if which == number else (lane if number > 1 else source)
                    for lane, (source, which) in enumerate(where)
                ]
                mixed = self.picked(mixed, values[number], chosen)
            found.append(mixed)
        return found

    def transposed(self, rows: Sequence[Lanes]) -> list[Lanes]:
        """Return the columns of as many vectors as each has lanes."""
        lanes, found, step = self.lanes, list(rows), 1
        while step < lanes:
            pairs = [number for number in range(lanes) if not number & step]
            for number in pairs:
                upper, lower = found[number], found[number + step]
                first = [lane if not lane & step else lanes + lane - step for lane in range(lanes)]
                second = [lane + step if not lane & step else lanes + lane for lane in range(lanes)]
                found[number] = self.picked(upper, lower, first)
                found[number + step] = self.picked(upper, lower, second)
            step *= 2
        return found

    def picked(self, first: Lanes, second: Lanes, lanes: Sequence[int]) -> Lanes:
        """Return lanes of two vectors by their numbers, the second's after the first's."""
        mask = ", ".join(f"i32 {each}" for each in lanes)
        two = f"{self.vector} {first.name}, {self.vector} {second.name}"
        return Lanes(self, self.emit(f"shufflevector {two}, <{self.lanes} x i32> <{mask}>"))

    def spread(self, at: Word) -> Lanes:
        """Read one float into all lanes."""
        return self._spread(self.emit(f"load float, ptr {self._pointer(at)}, align 4"), "float")

    def mask(self, count: Word) -> str:
        """Return the condition, in every lane, that it is one of the first `count`."""
        numbers = ", ".join(f"i64 {each}" for each in range(self.lanes))
        limit = self._spread(count.name, "i64").name
        return self.emit(f"icmp slt <{self.lanes} x i64> <{numbers}>, {limit}")

    def load_masked(self, at: Word, mask: str) -> Lanes:
        """Read the lanes of the mask, zeros elsewhere; memory beyond is not touched."""
        head = f"{self.vector} @llvm.masked.load.v{self.lanes}f32.p0"
        head = self.outside(head, f"ptr, i32, {self.booleans}, {self.vector}")
        place, rest = self._pointer(at), f"{self.vector} zeroinitializer"
        call = f"call {head}(ptr {place}, i32 4, {self.booleans} {mask}, {rest})"
        return Lanes(self, self.emit(call))

    def store_masked(self, value: Lanes, at: Word, mask: str) -> None:
        """Write the lanes of the mask; memory beyond is not touched."""
        head = f"void @llvm.masked.store.v{self.lanes}f32.p0"
        head = self.outside(head, f"{self.vector}, ptr, i32, {self.booleans}")
        what, where = f"{self.vector} {value.name}", f"ptr {self._pointer(at)}"
        self._lines.append(f"call {head}({what}, {where}, i32 4, {self.booleans} {mask})")

    def part(self, at: Word, mask: str | None) -> Lanes:
        """Read a vector, or the lanes of a mask."""
        return self.load(at) if mask is None else self.load_masked(at, mask)

    def store_part(self, value: Lanes, at: Word, mask: str | None) -> None:
        """Write a vector, or the lanes of a mask."""
        if mask is None:
            self.store(value, at)
        else:
            self.store_masked(value, at, mask)

    # -- what instructions need --------------------------------------------------------------------

    def _pointer(self, at: Word) -> str:
        return self.emit(f"inttoptr i64 {at.name} to ptr")

    def _slot(self, kind: str) -> str:
        self._count += 1
        self._slots.append(f"%v{self._count} = alloca {kind}, align 64")
        return f"%v{self._count}"

    def _spread(self, value: str, kind: str) -> Lanes:
        several = f"<{self.lanes} x {kind}>"
        first = self.emit(f"insertelement {several} poison, {kind} {value}, i32 0")
        where = f"<{self.lanes} x i32> zeroinitializer"
        spread = self.emit(f"shufflevector {several} {first}, {several} poison, {where}")
        return Lanes(self, spread)


class Variable:
    """A vector that can be set again."""

    def __init__(self, code: Function, place: str) -> None:
        self.code, self.place = code, place

    def get(self) -> Lanes:
        """Return what it holds."""
        return Lanes(self.code, self.code.emit(f"load {self.code.vector}, ptr {self.place}"))

    def set(self, value: Lanes) -> None:
        """Hold another vector."""
        self.code._lines.append(f"store {self.code.vector} {value.name}, ptr {self.place}")


def _name(value: Word | int) -> str:
    return value.name if isinstance(value, Word) else str(value)
