#!/usr/bin/env python3
"""Makes what workers.sh needs: a state with many digests due, as `state import` takes it, and the configuration of its subscribers.

    workers.py N DIR

Writes DIR/state.jsonl and DIR/people.toml for N subscribers who each have one digest of five papers due.
"""
import json
import sys

PAPERS_PER_DIGEST = 5
PAPERS = 200
KEYWORD = "graph neural network"
MOMENT = "2026-02-10T07:00:00Z"


def identifier(n):
    return "2602.%05d" % (n + 1)


def paper(n):
    return {
        "id": identifier(n), "version": 1, "title": "A graph neural network, part %d" % n,
        "authors": [{"name": "Author %d of %d" % (a, n)} for a in range(4)],
        "abstract_text": ("We show how a graph neural network learns what paper %d is about. " % n) * 18,
        "submitted": MOMENT, "updated": MOMENT, "categories": ["cs.LG", "stat.ML"], "comment": "%d pages" % (n % 40 + 4),
    }


def main():
    n_people, folder = int(sys.argv[1]), sys.argv[2]
    term = {"kind": "phrase", "text": KEYWORD}
    n_lines = 0
    with open(folder + "/state.jsonl", "w") as out, open(folder + "/people.toml", "w") as people:
        def line(**fields):
            nonlocal n_lines
            n_lines += 1
            out.write(json.dumps(fields) + "\n")

        line(type="paperround", format=1, exported=MOMENT)
        for n in range(PAPERS):
            line(type="paper", paper=paper(n), first_fetched=MOMENT, last_fetched=MOMENT)
        states = []
        for n in range(n_people):
            who = "reader%06d@example.net" % n
            ids = sorted({identifier((n * 7 + k * 31) % PAPERS) for k in range(PAPERS_PER_DIGEST)})
            digest = {
                "id": {"subscriber": who, "number": 1}, "kind": "digest", "address": who, "frozen_at": MOMENT, "zone": "UTC",
                "keywords": [[KEYWORD, term]],
                "sections": [{"keyword": 0, "papers": [{"id": i, "version": 1, "shown": "full"} for i in ids]}],
                "coverage": {"announcement": "2026-02-09", "current": True, "n_complete": 1, "n_keywords": 1, "n_fetched": 5,
                             "n_new": 5, "n_already_sent": 0, "n_excluded": 0},
            }
            line(type="entry", entry={"digest": digest, "message_id": "<pr1.bench%06d@example.org>" % n, "state": {"state": "due"},
                                      "next_attempt": MOMENT, "n_attempts": 0, "n_unconfirmed": 0})
            generation = {"definition": {"term": term, "cross_lists": True}, "since": MOMENT, "floor": "2602.00000"}
            states.append({
                "id": who, "latest_digest": 1, "pairs": [{"keyword": KEYWORD, "generations": [generation]}], "pruned_to": None,
                "seen": {}, "pending": {}, "queued": {i: {"digest": 1, "since": MOMENT} for i in ids}, "settled": {}, "versions": {},
                "replacements": {}, "latest_enqueued": MOMENT, "absent": False, "welcome": "never", "paused_until": None, "refused_on": [],
            })
        people.write("[[group]]\nkeywords = [\"%s\"]\nemails = [\n" % KEYWORD)
        for state in states:
            line(type="subscriber", subscriber=state)
            people.write("    \"%s\",\n" % state["id"])
        people.write("]\n")
        out.write(json.dumps({"type": "end", "lines": n_lines}) + "\n")


if __name__ == "__main__":
    main()
