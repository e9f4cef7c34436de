"""``python -m codebatch``."""

from codebatch.cli import main

if __name__ == "__main__":
    main()
