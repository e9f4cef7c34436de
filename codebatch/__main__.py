"""``python -m codebatch``."""

from codebatch.runtime.programs import leave_current_folder

leave_current_folder()  # before anything is imported that the current folder may have as well

from codebatch.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
