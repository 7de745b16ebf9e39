#!/usr/bin/env python3
"""Measures one run for N subscribers beside the peer and smtp-source. Called by compare.sh.

    compare.py BINARY SHARED [N…]

All three bring messages to the same smtp-sink on loopback, one after the other:

- this program: `run` against the stand-in for arXiv, two connections, no DKIM and then RSA-2048. The rate is that of
  assembling, rendering, building and sending, with the memory of each step on the disk, by the run's own report. Beneath
  it stands the whole process by stages: reading the configuration of N people and opening the state, fetching (with the
  pauses before arXiv is asked again) and matching, and the two that the rate counts.
- the peer: feedparser, regular expressions, Jinja2 and smtplib, one connection, no memory of anything. For more than
  PEER_MAX subscribers it sends to PEER_MAX and its rate is taken.
- smtp-source: N messages of the mean size of this program's, two connections, nothing made or remembered.

Everyone follows three of the peer's keywords, and the papers are so chosen that neither side cuts a section, so both put
the same papers into the same sections.
"""
import collections, importlib.util, json, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, time, urllib.parse, urllib.request

PEER_MAX = 2000
PAPERS_PER_KEYWORD = 6
CONNECTIONS = 2
# A file of the configuration may have 16 MB.
PEOPLE_PER_FILE = 100_000
DAY = "2026-02-10"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def choose(corpus, keywords):
    """Recent papers so that each keyword stands in at most PAPERS_PER_KEYWORD of them, as one day's announcement."""
    tests = {k: re.compile(r"\b%s\b" % re.escape(k), re.I) for k in keywords}
    counts, rows = collections.Counter(), []
    for line in open(corpus, encoding="utf-8"):
        row = json.loads(line)
        if row["published"] < "2026":
            continue
        hits = [k for k, test in tests.items() if test.search(row["title"]) or test.search(row["abstract"])]
        if hits and all(counts[k] < PAPERS_PER_KEYWORD for k in hits):
            counts.update(hits)
            rows.append(row)
    for n, row in enumerate(rows):
        row["published"] = row["updated"] = f"2026-02-09T{8 + n // 60:02}:{n % 60:02}:00Z"
        row["version"], row["id"] = 1, "2602.%05d" % (n + 1)
    return rows


class Arxiv:
    def __init__(self, shared, folder, rows):
        corpus, announced = folder / "corpus.jsonl", folder / "announced.tsv"
        corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        announced.write_text("".join(f"{row['id']}\t{DAY}\n" for row in rows))
        self.base = "http://127.0.0.1:%d" % free_port()
        self.process = subprocess.Popen(
            [sys.executable, shared / "sim" / "arxiv_sim.py", "--corpus", corpus, "--announced", announced, "--speed", "0",
             "--port", self.base.rsplit(":", 1)[1], "--now", f"{DAY}T12:00:00Z"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                urllib.request.urlopen(self.base + "/_control", urllib.parse.urlencode({"faults": "[]"}).encode(), timeout=10).read()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit("compare: the stand-in for arXiv does not start")


class Sink:
    """Postfix's smtp-sink, which takes everything. It does not run as root."""

    def __init__(self):
        self.port = free_port()
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen(["smtp-sink", *user, f"127.0.0.1:{self.port}", "1000"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("compare: smtp-sink does not start")

    def close(self):
        self.process.kill()
        self.process.wait()


def configure(folder, n, arxiv, port, keywords, dkim=""):
    files = []
    for first in range(0, n, PEOPLE_PER_FILE):
        files.append(f"people-{first // PEOPLE_PER_FILE}.toml")
        (folder / files[-1]).write_text("".join(
            '[[subscriber]]\nemail = "reader%d@example.net"\nkeywords = %s\n' % (i, json.dumps([keywords[(i + j * 7) % len(keywords)] for j in range(3)]))
            for i in range(first, min(n, first + PEOPLE_PER_FILE))))
    config = folder / "config.toml"
    config.write_text(f"""state_dir = "state"
timezone = "UTC"
schedule = "0 7 * * *"
include = {json.dumps(files)}
[arxiv]
source = "query"
api_url = "{arxiv.base}/api/query"
oai_url = "{arxiv.base}/oai"
rss_url = "{arxiv.base}/rss"
contact = "mailto:bench@example.org"
request_interval = "0s"
[digest]
papers_max = 100
abstracts = "full"
first_digest = "3d"
[mail]
from = "Daily papers <papers@example.org>"
transport = "smtp"
host = "127.0.0.1"
port = {port}
tls = "none"
connections = {CONNECTIONS}
{dkim}""")
    return config


def run(binary, config):
    """Seconds of the whole process, the report."""
    shutil.rmtree(config.parent / "state", ignore_errors=True)
    began = time.perf_counter()
    process = subprocess.Popen([binary, "--config", config, "--quiet", "run", "--json", "--now", f"{DAY}T12:00:00Z"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.communicate()
    took = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"compare: the run ended with {process.returncode}: {err[-2000:]}")
    return took, json.loads(out)


def mailing(report):
    """Seconds for what the others do too: assembling, rendering, building, sending."""
    return (report["stages_ms"]["assemble"] + report["stages_ms"]["deliver"]) / 1000


def peak_mb(binary, config):
    """The same once more under a parent of its own, whose children's peak is this run's."""
    shutil.rmtree(config.parent / "state", ignore_errors=True)
    reader = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", reader, binary, "--config", config, "--quiet", "run", "--now", f"{DAY}T12:00:00Z"],
                          check=True, capture_output=True, text=True)
    return int(done.stdout) / 1024


def size_mb(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def mean_size(binary, config, folder):
    """The mean size of this program's messages, from a Maildir."""
    maildir = folder / "maildir"
    shutil.rmtree(maildir, ignore_errors=True)
    shutil.rmtree(config.parent / "state", ignore_errors=True)
    text = re.sub(r"^(host|port|tls|connections) = .*\n", "", config.read_text(), flags=re.M)
    other = config.with_name("maildir.toml")
    other.write_text(text.replace('transport = "smtp"', f'transport = "maildir"\nmaildir = "{maildir}"'))
    subprocess.run([binary, "--config", other, "--quiet", "run", "--now", f"{DAY}T12:00:00Z"], check=True, stdout=subprocess.DEVNULL)
    sizes = [path.stat().st_size for path in maildir.rglob("*") if path.is_file()]
    return sum(sizes) / len(sizes)


def main():
    binary, shared = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    counts = [int(n) for n in sys.argv[3:]] or [1000, 10000]
    keywords = load(shared / "bench" / "peer_digest.py", "peer_digest").KEYWORDS
    for tool in ("smtp-sink", "smtp-source"):
        if not shutil.which(tool):
            sys.exit(f"compare: {tool} is absent; it comes with postfix")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        rows = choose(shared / "arxiv" / "corpus.jsonl", keywords)
        arxiv = Arxiv(shared, folder, rows)
        feed = folder / "feed.xml"
        subprocess.run([sys.executable, shared / "bench" / "make_feed.py", folder / "corpus.jsonl", str(len(rows)), feed], check=True)
        key = folder / "dkim.pem"
        subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key], check=True)
        dkim = f'[mail.dkim]\ndomain = "example.org"\nselector = "bench"\nkey_file = "{key}"\n'
        size = round(mean_size(binary, configure(folder, 40, arxiv, 0, keywords), folder))
        print(f"{len(rows)} papers, {os.cpu_count()} cores; seconds for all, messages per second, bytes per message\n")
        print(f"{'':34}{'N':>9}{'s':>9}{'per s':>9}{'bytes':>8}{'peak MB':>9}{'state MB':>9}")

        def line(name, n, took, size, peak="", state=""):
            print(f"{name:34}{n:>9}{took:>9.2f}{n / took:>9.0f}{size:>8}{peak:>9}{state:>9}", flush=True)
            return n / took

        for n in counts:
            sink = Sink()
            try:
                config = configure(folder, n, arxiv, sink.port, keywords)
                whole, report = run(binary, config)
                took = mailing(report)
                if report["accepted"] != n:
                    sys.exit(f"compare: {report['accepted']} of {n} digests were accepted")
                state = size_mb(folder / "state")
                ours = line("this program", n, took, size, f"{peak_mb(binary, config):.0f}", f"{state:.0f}")
                stages = report["stages_ms"]
                print(f"    of the whole {whole:.2f} s: fetch {stages['fetch'] / 1000:.2f}, assemble {stages['assemble'] / 1000:.2f}, "
                      f"deliver {stages['deliver'] / 1000:.2f}, start and end {whole - sum(stages.values()) / 1000:.2f}", flush=True)
                signed = mailing(run(binary, configure(folder, n, arxiv, sink.port, keywords, dkim))[1])
                line("this program, signing RSA-2048", n, signed, size)
                n_peer = min(n, PEER_MAX)
                done = json.loads(subprocess.run([sys.executable, shared / "bench" / "peer_digest.py", feed, "--subscribers", str(n_peer),
                                                  "--smtp", f"127.0.0.1:{sink.port}"], check=True, capture_output=True, text=True).stdout)
                peer = line("peer", n_peer, done["render_s"] + done["send_s"], done["mean_bytes"])
                began = time.perf_counter()
                subprocess.run(["smtp-source", "-s", str(CONNECTIONS), "-m", str(n), "-l", str(size), "-f", "papers@example.org",
                                "-t", "reader@example.net", f"127.0.0.1:{sink.port}"], check=True)
                wire = line("smtp-source", n, time.perf_counter() - began, size)
            finally:
                sink.close()
            print(f"{'':34}{ours / peer:.1f} times the peer, {ours / wire:.2f} of smtp-source, sizes {size / done['mean_bytes']:.2f} to 1, "
                  f"signed {signed / took:.2f} times as long\n", flush=True)
        arxiv.process.kill()


if __name__ == "__main__":
    main()
