"""Makes built-in tasks fatal on marked files, in every process that finds this on its path.

``TEST_POISON`` names the tasks that are, as ``crash=parse,hang=symbols,memory=lint``; a file
that holds ``poison: crash`` then crashes the process which runs ``parse`` on it, and so on. It
is inherited by worker processes, those of a cluster too, as no fixture could be. Every death is
preceded by a line in the file that ``TEST_POISON_LOG`` names.
"""

import ctypes
import dataclasses
import os
import signal
import subprocess
import sys


def crash() -> None:
    """In this very thread: a signal to the process may let it go on for a while."""
    signal.raise_signal(signal.SIGSEGV)


def hang() -> None:
    """In C, and holding the interpreter's lock: a deadlock, which costs no processor."""
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(256)
    library.pthread_mutex_init(mutex, None)
    while True:
        library.pthread_mutex_lock(mutex)


def memory() -> None:
    portions = []
    while True:
        portions.append(bytes(2**24))


def leave() -> None:
    os._exit(0)


def pause() -> None:
    """Stopped by somebody else for longer than a limit of three seconds: the first two times."""
    with open(os.environ["TEST_POISON_LOG"], encoding="ascii") as log:
        if log.read().count("pause") > 2:
            return
    subprocess.Popen(["sh", "-c", f"sleep 4; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)


DEATHS = {"crash": crash, "hang": hang, "memory": memory, "leave": leave, "pause": pause}


def poisoned(task, words):
    marks = {f"poison: {word}".encode(): (word, DEATHS[word]) for word in words}

    def die_of(source):
        for mark, (word, death) in marks.items():
            if mark in source.content:
                with open(os.environ["TEST_POISON_LOG"], "a", encoding="ascii") as log:
                    log.write(f"{word} {task.name}\n")
                death()

    def run(file, config):
        die_of(file.source)
        return task.function(file, config)

    def prepare(sources, config):
        for source in sources:
            die_of(source)
        return task.prepare(sources, config)

    if task.prepare is None:
        return dataclasses.replace(task, function=run)
    return dataclasses.replace(task, prepare=prepare)


RUFF = """#!{python} -S
import os, signal, sys, time
for name in open("files").read().split():
    if b"poison: {word}" in open(name, "rb").read():
        open({log!r}, "a").write(f"{word} {{os.getpid()}}\\n")
        time.sleep(600) if "{word}" == "sleep" else os.kill(os.getpid(), signal.SIGABRT)
os.execv({ruff!r}, [{ruff!r}, *sys.argv[1:]])
"""


def poison_ruff(word):
    """Put a program in the place of ruff that is fatal to itself."""
    from codebatch.tasks.native_tool import NativeTool  # noqa: PLC0415 - only where it is asked for

    log = os.environ["TEST_POISON_LOG"]
    path = f"{log}.ruff"
    text = RUFF.format(python=sys.executable, word=word, log=log, ruff=NativeTool("ruff").binary())
    if not os.path.exists(path):
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as program:
            program.write(text)
        os.chmod(f"{path}.{os.getpid()}", 0o755)
        os.rename(f"{path}.{os.getpid()}", path)
    NativeTool.binary = lambda _: path


def poison_tasks(spec):
    from codebatch.tasks.registry import LOADED, find_task  # noqa: PLC0415 - only where it is asked for

    words = {}
    for part in spec.split(","):
        word, name = part.split("=")
        if name == "ruff":
            poison_ruff(word)
        else:
            words.setdefault(name, []).append(word)
    for name, those in words.items():
        LOADED[name] = poisoned(find_task(name), those)


if os.environ.get("TEST_POISON"):
    from codebatch.processes import pool

    if "sitecustomize" not in pool._BOOT:  # an isolated Python imports none on its own
        pool._BOOT = pool._BOOT.replace("; from", "; import sitecustomize; from")
    poison_tasks(os.environ["TEST_POISON"])
