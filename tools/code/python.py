"""The Python interpreter of a process, as tools/code/interpreter.ts talks to it.

Cells come on descriptor 5 as a line with their number of bytes, the code, and 32 characters that mark the answer. These are
read only when the cell has ended, so it cannot know them. 6 and 7 are copies of standard output and error, which cells
may close; standard input is empty.
"""

# Cells may replace what everybody uses.
__builtins__ = dict(vars(__builtins__))


def main():
    import linecache
    import os
    import sys
    import types
    from ast import Expr, Expression, parse
    from json import JSONEncoder
    from os import _exit, dup2, getpid, read as read_some, write as write_some
    from traceback import format_exception

    channel, output, errors = 5, 6, 7
    max_text = 8000  # characters of a value or an error: an answer is written at once
    process = getpid()
    encode = JSONEncoder(ensure_ascii=False).encode
    for fd in (channel, output, errors):
        os.set_inheritable(fd, False)
    sys.path.insert(0, "")
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    names = module.__dict__
    own = {}

    def read(size):
        data = b""
        while len(data) < size:
            more = read_some(channel, size - len(data))
            if not more:
                _exit(0)
            data += more
        return data

    def read_size():
        line = b""
        while not line.endswith(b"\n"):
            line += read(1)
        return int(line)

    def write(fd, data):
        while data:
            data = data[write_some(fd, data) :]

    def restore_streams():
        for fd, copy, name in ((1, output, "stdout"), (2, errors, "stderr")):
            dup2(copy, fd)
            if name not in own or own[name].closed:
                own[name] = open(
                    fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
                )
            setattr(sys, name, own[name])
            setattr(sys, f"__{name}__", own[name])

    def flush():
        for stream in (sys.stdout, sys.stderr, *own.values()):
            try:
                stream.flush()
            except BaseException:
                pass

    def cut(text):
        if len(text) <= max_text:
            return text
        return f"{text[:max_text]}… ({len(text)} characters)"

    def show(value):
        try:
            return cut(repr(value))
        except BaseException as problem:
            return f"<{type(value).__name__} without repr: {type(problem).__name__}>"

    def explain(error, trace):
        """The traceback of the user's own code: `trace` begins there."""
        try:
            return cut("".join(format_exception(type(error), error, trace)).rstrip())
        except BaseException:
            return type(error).__name__

    def run(code, name):
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        try:
            tree = parse(code, name)
        except BaseException as error:
            return {"error": explain(error, None)}
        try:
            last = tree.body.pop().value if tree.body and isinstance(tree.body[-1], Expr) else None
            exec(compile(tree, name, "exec"), names)
            if last is None:
                return {}
            value = eval(compile(Expression(last), name, "eval"), names)
            return {} if value is None else {"value": show(value)}
        except SystemExit:
            raise
        except BaseException as error:
            return {"error": explain(error, error.__traceback__.tb_next)}

    number = 0
    while True:
        restore_streams()
        code = read(read_size()).decode()
        number += 1
        answer = run(code, f"<cell {number}>")
        flush()
        if getpid() != process:
            _exit(0)  # a child that the cell forked: its part is done
        mark = read(32)
        text = encode(answer).encode("utf-8", "backslashreplace")
        write(output, mark + text + mark)
        write(errors, mark)


main()
