"""Moves the recorded days by whole weeks, so that the last of them is today or in the days to come: recent.py FROM TO."""
import collections
import datetime as dt
import json
import pathlib
import sys

source, target = map(pathlib.Path, sys.argv[1:])
rows = [line.split("\t") for line in (source / "corpus_announced.tsv").read_text().splitlines()]
# A few papers were recorded later than the days themselves.
n_papers = collections.Counter(dt.date.fromisoformat(row[1]) for row in rows[1:])
last = max(day for day, n in n_papers.items() if n >= 50)
today = dt.datetime.now(dt.timezone.utc).date()
shift = dt.timedelta(weeks=(today - last).days // 7 + 1)


def moved(moment):
    return (dt.datetime.fromisoformat(moment.replace("Z", "+00:00")) + shift).strftime("%Y-%m-%dT%H:%M:%SZ")


with open(target / "announced.tsv", "w") as out:
    out.write("\t".join(rows[0]) + "\n")
    for identifier, day, *rest in rows[1:]:
        out.write("\t".join([identifier, str(dt.date.fromisoformat(day) + shift), *rest]) + "\n")
with open(target / "corpus.jsonl", "w") as out:
    for line in open(source / "corpus.jsonl"):
        paper = json.loads(line)
        # Old papers stay old: only the recorded weeks are moved.
        if paper["published"][:4] == str(last.year):
            paper["published"] = moved(paper["published"])
        paper["updated"] = moved(paper["updated"]) if paper["updated"][:4] == str(last.year) else paper["updated"]
        out.write(json.dumps(paper) + "\n")
