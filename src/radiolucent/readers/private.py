"""Files that only the account running the study may open: they hold labels, readings and the model's opinion."""

from pathlib import Path

__all__ = ["close_to_others", "private_folder"]


def private_folder(path: Path) -> Path:
    """Make a folder, open to its owner alone (0700); one that is there is closed to others."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def close_to_others(path: Path) -> None:
    """Take from group and others every right to a file (0600), or to a folder (0700) and all that lies in it."""
    if path.is_symlink():
        return
    if path.is_dir():
        path.chmod(0o700)
        for item in path.iterdir():
            close_to_others(item)
    elif path.is_file():
        path.chmod(0o600)
