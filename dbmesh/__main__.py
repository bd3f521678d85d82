"""``python -m dbmesh`` is the command ``dbmesh``."""

from dbmesh.cli import main

if __name__ == "__main__":
    main()
