"""How the interpreter is used: imports put off, safe paths, interrupts, the garbage collector."""
