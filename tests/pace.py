#!/usr/bin/env python3
"""How many requests a day of many keywords costs, and how long it takes, at the pace that arXiv asks for.

    tests/pace.py --binary target/release/paperround [--keywords 500] [--source query|harvest] [--days 2] [--interval 3s]

Walks the program through days of recorded metadata against the stand-in for arXiv in ../shared and counts from the
stand-in's own log: requests a day, the shortest gap between the end of one answer and the next request, and those that
broke arXiv's limits (one at a time, 3 s apart). Keywords are pairs of neighbouring words of recorded titles. Prints a
JSON line a day; exit 0 when every run was complete and no request broke a limit. Standard library only.
"""
import argparse, json, os, re, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request

SHARED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "shared")
DAYS = ["2026-02-09", "2026-02-10", "2026-02-11", "2026-02-12"]
KEYWORDS_EACH = 500


def keywords(corpus, n):
    found = {}
    with open(corpus, encoding="utf-8") as lines:
        for title in (json.loads(line)["title"] for line in lines):
            words = re.findall(r"[a-z]{4,}", title.lower())
            for pair in zip(words, words[1:]):
                found.setdefault(" ".join(pair))
                if len(found) == n:
                    return list(found)
    sys.exit(f"the recorded titles hold only {len(found)} pairs of words")


def configuration(base, options, words):
    text = ['schedule = "0 7 * * *"', 'state_dir = "state"', "[arxiv]", 'contact = "mailto:pace@example.org"', f'source = "{options.source}"',
            f'request_interval = "{options.interval}"', f'api_url = "{base}/api/query"', f'oai_url = "{base}/oai"', f'rss_url = "{base}/rss"',
            "[mail]", 'from = "papers@example.org"', 'transport = "maildir"', 'maildir = "out"']
    for n in range(0, len(words), KEYWORDS_EACH):
        text += ["[[subscriber]]", f'email = "reader{n}@example.net"', "keywords = " + json.dumps(words[n : n + KEYWORDS_EACH])]
    return "\n".join(text) + "\n"


def start(folder, log):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = os.path.join(SHARED, "arxiv")
    simulator = subprocess.Popen(
        [sys.executable, "-B", os.path.join(SHARED, "sim", "arxiv_sim.py"), "--corpus", os.path.join(data, "corpus.jsonl"), "--announced",
         os.path.join(data, "corpus_announced.tsv"), "--port", str(port), "--speed", "0", "--log", log, "--now", DAYS[0] + "T07:00:00Z"],
        stdout=subprocess.DEVNULL, cwd=folder)
    return simulator, f"http://127.0.0.1:{port}"


def control(base, **form):
    urllib.request.urlopen(base + "/_control", urllib.parse.urlencode(form).encode(), timeout=10).read()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--keywords", type=int, default=500)
    parser.add_argument("--source", choices=["query", "harvest", "auto"], default="query")
    parser.add_argument("--days", type=int, default=2, choices=range(1, len(DAYS) + 1))
    parser.add_argument("--interval", default="3s")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "requests.jsonl")
        simulator, base = start(folder, log)
        try:
            config = os.path.join(folder, "config.toml")
            with open(config, "w", encoding="utf-8") as file:
                file.write(configuration(base, options, keywords(os.path.join(SHARED, "arxiv", "corpus.jsonl"), options.keywords)))
            for _ in range(1200):
                try:
                    control(base)
                    break
                except OSError:
                    time.sleep(0.1)
            n_read = 0
            for day in DAYS[: options.days]:
                now = day + "T07:00:00Z"
                control(base, now=now)
                began = time.monotonic()
                run = subprocess.run([os.path.abspath(options.binary), "--config", config, "run", "--now", now, "--json"],
                                     cwd=folder, capture_output=True, text=True)
                seconds = time.monotonic() - began
                with open(log, encoding="utf-8") as lines:
                    requests = [json.loads(line) for line in lines][n_read:]
                n_read += len(requests)
                gaps = [r["gap"] for r in requests[1:] if r["gap"] is not None]
                n_bad = sum(bool(r["violation"]) for r in requests)
                report = json.loads(run.stdout) if run.stdout.strip() else {}
                print(json.dumps({
                    "day": day, "keywords": report.get("keywords"), "exit": run.returncode, "requests": len(requests), "counted": report.get("requests"),
                    "minutes": round(seconds / 60, 1), "shortest_gap_s": round(min(gaps), 3) if gaps else None, "overlaps": sum(bool(r["overlap"]) for r in requests),
                    "violations": n_bad, "incomplete": len(report.get("incomplete", [])), "matched": report.get("matched")}), flush=True)
                if run.returncode != 0:
                    print(run.stderr[-3000:], file=sys.stderr)
                good = good and run.returncode == 0 and n_bad == 0 and len(requests) == report.get("requests")
        finally:
            simulator.terminate()
            simulator.wait()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
