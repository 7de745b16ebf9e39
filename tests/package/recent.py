"""Moves the recorded days by whole weeks, so that they end now: recent.py FROM TO.

What would be announced later is left out, so that nothing new comes while the test runs.
"""
import collections
import datetime as dt
import json
import pathlib
import sys
import zoneinfo

source, target = map(pathlib.Path, sys.argv[1:])
rows = [line.split("\t") for line in (source / "corpus_announced.tsv").read_text().splitlines()]
# A few papers were recorded later than the days themselves.
n_papers = collections.Counter(dt.date.fromisoformat(row[1]) for row in rows[1:])
last = max(day for day, n in n_papers.items() if n >= 50)
now = dt.datetime.now(zoneinfo.ZoneInfo("America/New_York"))
today = now.date()
shift = dt.timedelta(weeks=(today - last).days // 7 + 1)


def moved(moment):
    return (dt.datetime.fromisoformat(moment.replace("Z", "+00:00")) + shift).strftime("%Y-%m-%dT%H:%M:%SZ")


days = {identifier: dt.date.fromisoformat(day) + shift for identifier, day, *_ in rows[1:]}
to_come = {identifier for identifier, day in days.items() if day > today}
with open(target / "announced.tsv", "w") as out:
    out.write("\t".join(rows[0]) + "\n")
    for identifier, _, *rest in rows[1:]:
        if identifier not in to_come:
            out.write("\t".join([identifier, str(days[identifier]), *rest]) + "\n")
with open(target / "corpus.jsonl", "w") as out:
    for line in open(source / "corpus.jsonl"):
        paper = json.loads(line)
        if paper["id"] in to_come:
            continue
        # Old papers stay old: only the recorded weeks are moved.
        if paper["published"][:4] == str(last.year):
            paper["published"] = moved(paper["published"])
        paper["updated"] = moved(paper["updated"]) if paper["updated"][:4] == str(last.year) else paper["updated"]
        out.write(json.dumps(paper) + "\n")
