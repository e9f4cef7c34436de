"""Use of the interpreter: imports put off, safe paths, interrupts, the garbage collector."""
