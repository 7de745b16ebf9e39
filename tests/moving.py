#!/usr/bin/env python3
"""The program, moving its state to a database and back while the days go by: replay.py's `--binary` for that trial.

    PAPERROUND_BINARY=target/release/paperround PAPERROUND_MOVES=8,16 PAPERROUND_DATABASE=postgres://… \\
        replay.py --binary tests/moving.py …

Passes its arguments on. Before the runs whose numbers PAPERROUND_MOVES names, the state is exported from the one store and
imported into the other, as the README says it: first from sled to the database, then back. The database must be empty at
the beginning.
"""
import os
import pathlib
import subprocess
import sys


def main():
    binary, database = os.environ["PAPERROUND_BINARY"], os.environ["PAPERROUND_DATABASE"]
    moves = [int(n) for n in os.environ["PAPERROUND_MOVES"].split(",")]
    arguments = sys.argv[1:]
    config = pathlib.Path(arguments[arguments.index("--config") + 1])
    counter = config.with_name("n-runs")
    n = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(n))
    # Where the state is during this run and was during the one before, as the number of moves so far.
    here, before = (sum(move <= number for move in moves) for number in (n, n - 1))
    if here != before:
        state = config.with_name(f"state-{here}.jsonl")
        command(binary, configured(config, before, database), "state", "export", "--out", state)
        if here > 1:
            # The former life of this state is over; what it knew is older than what comes back.
            for folder in ("store", "exports"):
                (config.parent / "state" / folder).rename(config.with_name(f"former-{folder}"))
        command(binary, configured(config, here, database), "state", "import", state)
        print(f"moved before run {n}", file=sys.stderr)
    arguments[arguments.index("--config") + 1] = str(configured(config, here, database))
    sys.exit(subprocess.run([binary, *arguments]).returncode)


def configured(config, n_moves, database):
    """The configuration with the store of that time."""
    if n_moves % 2 == 0:
        return config
    moved = config.with_name("on-the-database.toml")
    moved.write_text(config.read_text() + f'\n[store]\nbackend = "postgres"\nurl = "{database}"\n')
    return moved


def command(binary, config, *arguments):
    done = subprocess.run([binary, "--config", config, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"moving: {arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
