#!/usr/bin/env python3
"""Measures reading and rendering beside what a user would write instead (feedparser, Jinja2, email), one after the other
on this machine: an answer of 2,000 entries, and the same 20 papers for the same thousand subscribers.

    benches/beside_peer.py PEER_DIRECTORY CORPUS      e.g. ../shared/bench ../shared/arxiv/corpus.jsonl

PEER_DIRECTORY holds make_feed.py and peer_digest.py, which needs feedparser and Jinja2. Prints both sides and their
ratios; exits with 1 if this program is not at least 30 times as fast at both.
"""
import importlib.util, json, os, pathlib, re, subprocess, sys, tempfile, time

import feedparser

N_PAPERS, N_SUBSCRIBERS, N_ENTRIES, RATIO_MIN = 20, 1000, 2000, 30


def main():
    peer, corpus = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    spec = importlib.util.spec_from_file_location("peer_digest", peer / "peer_digest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["published"] >= "2026"][:N_PAPERS]
    # Everybody's keywords stand in every paper, so that all get the same 20.
    for row in rows:
        row["abstract"] += " On " + ", ".join(module.KEYWORDS) + "."
    with tempfile.TemporaryDirectory() as scratch:
        papers, feed = pathlib.Path(scratch) / "papers.jsonl", pathlib.Path(scratch) / "feed.xml"
        papers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        subprocess.run([sys.executable, peer / "make_feed.py", papers, str(N_PAPERS), feed], check=True)
        theirs = [measure_peer(peer, feed) for _ in range(3)]
        rendered = bench("render", "a_thousand", feed)
        subprocess.run([sys.executable, peer / "make_feed.py", corpus, str(N_ENTRIES), feed], check=True)
        peer_ms = min(measure_feedparser(feed) for _ in range(3))
        parsed = bench("parsing", "papers_of", feed)
    print(parsed)
    our_ms = float(re.search(r"MB in ([\d.]+) ms", parsed)[1])
    print(f"feedparser: {peer_ms:.0f} ms; this program: {our_ms:.1f} ms; {peer_ms / our_ms:.1f} times\n")
    ours = [float(rate) for rate in re.findall(r"^(\d+) digests of", rendered, re.M)]
    peer_rate = max(theirs)
    print(rendered)
    for rate, words in zip(ours, ("on one thread", "on all cores, as it sends")):
        print(f"peer: {peer_rate:.0f} digests per second; this program: {rate:.0f} {words}; {rate / peer_rate:.1f} times")
    sys.exit(max(ours) < RATIO_MIN * peer_rate or peer_ms < RATIO_MIN * our_ms)


def bench(name, filter, feed):
    project = pathlib.Path(__file__).resolve().parent.parent
    done = subprocess.run(["cargo", "bench", "--locked", "--bench", name, "--", filter], cwd=project,
                          env={**os.environ, "PAPERROUND_BENCH_FEED": str(feed)}, check=True, capture_output=True, text=True)
    return done.stdout


def measure_feedparser(feed):
    began = time.perf_counter()
    parsed = feedparser.parse(feed.read_bytes())
    took = time.perf_counter() - began
    if len(parsed.entries) != N_ENTRIES:
        sys.exit(f"feedparser found {len(parsed.entries)} of {N_ENTRIES} entries")
    return took * 1e3


def measure_peer(peer, feed):
    done = subprocess.run([sys.executable, peer / "peer_digest.py", feed, "--subscribers", str(N_SUBSCRIBERS)],
                          check=True, capture_output=True, text=True)
    return N_SUBSCRIBERS / json.loads(done.stdout)["render_s"]


if __name__ == "__main__":
    main()
