#!/usr/bin/env python3
"""The fault campaign: the program as a process against servers, a disk and a machine that fail, and a table of it.

    tests/campaign/campaign.py --binary target/release/paperround [--short] [--only ROW …] [--seed N] [--table docs/faults.md]

Each row makes one kind of fault happen many times while digests go to many subscribers, then lets everything heal, and
judges what the relay took: `lost`, pairs of subscriber and paper that are in no mail; `doubled`, messages that came more
than once; `other bytes`, copies that are not the same; `twice`, papers in two different mails to one subscriber. How often
the fault happened is counted from a log of the other side (relay, strace, file system, exit status), not from the plan.
Needs the recorded metadata and the stand-in for arXiv in ../shared, and root for mounts; a row that cannot be done here
is named as not done. Exit 0 when nothing is lost, nothing comes twice, and every row's fault happened.
"""
import argparse, collections, ctypes, datetime as dt, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time, urllib.parse, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import sink as sinks
from sink import Sink

ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
SHARED = os.path.join(ROOT, "..", "shared")
KEYWORDS = ["graph neural network"]
FIRST = dt.date(2026, 1, 20)
RUN_TIME_MAX = 120
HEALED_WITHIN = 60
CLONE_NEWNET = 0x40000000
IFF_UP = 1


class NotDone(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Arxiv:
    """The stand-in of ../shared over recorded metadata, with a calendar that stands."""

    def __init__(self, folder):
        self.base = "http://127.0.0.1:%d" % free_port()
        data = os.path.join(SHARED, "arxiv")
        command = [sys.executable, os.path.join(SHARED, "sim", "arxiv_sim.py"), "--corpus", os.path.join(data, "corpus.jsonl"),
                   "--announced", os.path.join(data, "corpus_announced.tsv"), "--port", self.base.rsplit(":", 1)[1], "--speed", "0",
                   "--log", os.path.join(folder, "requests.jsonl"), "--now", f"{FIRST}T07:00:00Z"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                return self.control(faults=[])
            except OSError:
                time.sleep(0.1)
        raise NotDone("the stand-in for arXiv does not start")

    def control(self, **form):
        data = urllib.parse.urlencode({k: json.dumps(v) if isinstance(v, list) else v for k, v in form.items()}).encode()
        urllib.request.urlopen(self.base + "/_control", data, timeout=10).read()

    def close(self):
        self.process.terminate()
        self.process.wait()


class World:
    """One daemon's surroundings: configuration, state, relay, calendar."""

    def __init__(self, rig, name, people=40, state_dir=None, sink=None, mail=(), port=None, store=""):
        self.rig, self.arxiv, self.store = rig, rig.arxiv, store
        self.folder = tempfile.mkdtemp(prefix=name.replace(" ", "-") + ".", dir=rig.folder)
        self.sink = sink or Sink()
        self.people = [f"p{n:03}@example.net" for n in range(people)]
        self.state_dir = state_dir or os.path.join(self.folder, "state")
        self.config = os.path.join(self.folder, "config.toml")
        self.days, self.logs = 0, []
        self.write_config(mail, port)

    def write_config(self, mail=(), port=None):
        settings = {"from": '"Paper round <papers@example.org>"', "transport": '"smtp"', "host": '"127.0.0.1"', "tls": '"none"',
                    "port": str(port or self.sink.port), "connections": "2", "retry_delay": '"1s"', "stage_timeout_max": '"2s"'}
        settings.update(dict(mail))
        with open(self.config, "w") as f:
            f.write(f'state_dir = "{self.state_dir}"\ntimezone = "UTC"\nschedule = "0 7 * * *"\n[arxiv]\nsource = "query"\n')
            for key, path in (("api_url", "/api/query"), ("oai_url", "/oai"), ("rss_url", "/rss")):
                f.write(f'{key} = "{self.arxiv.base}{path}"\n')
            f.write('contact = "mailto:campaign@example.org"\nrequest_interval = "0s"\nretry_delay = "20ms"\nretry_budget = "4s"\ntimeout = "5s"\n'
                    '[digest]\npapers_max = 1000\nabstracts = "none"\n[mail]\n')
            for key, value in settings.items():
                f.write(f"{key} = {value}\n")
            f.write(self.store)
            for who in self.people:
                f.write(f'[[subscriber]]\nemail = "{who}"\nkeywords = {json.dumps(KEYWORDS)}\n')

    @property
    def now(self):
        return f"{FIRST + dt.timedelta(days=self.days)}T07:00:00Z"

    def next_day(self):
        self.days += 1
        if FIRST + dt.timedelta(days=self.days) > dt.date(2026, 2, 12):
            raise RuntimeError("the recorded days are over")

    def command(self, *words):
        return [self.rig.binary, "--config", self.config, *words]

    def start(self, *wrapper, hour=7):
        now = self.now.replace("T07", f"T{hour:02}")
        self.arxiv.control(now=now, faults=[])
        log = os.path.join(self.folder, f"run-{len(self.logs):04}.log")
        self.logs.append(log)
        with open(log, "w") as err:
            return subprocess.Popen([*wrapper, *self.command("run", "--now", now)], stdout=subprocess.DEVNULL, stderr=err, cwd=self.folder)

    def run(self, *wrapper, hour=7):
        process = self.start(*wrapper, hour=hour)
        try:
            return process.wait(RUN_TIME_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "hung"

    def heal(self):
        """Without faults from now on: runs until one is complete. How long that took."""
        self.sink.fault = lambda stage, recipient: None
        began = time.time()
        for hour in range(8, 23):
            code = self.run(hour=hour)
            if code == 0:
                took = time.time() - began
                if took > HEALED_WITHIN:
                    raise RuntimeError(f"it took {took:.0f} s to heal: {self.logs[-1]}")
                return took
        raise RuntimeError(f"it does not heal: the last run ended with {code}, {self.logs[-1]}")

    def judge(self, expected=None):
        mails = collections.defaultdict(set)
        copies, bytes_of = collections.Counter(), {}
        other = 0
        for who, message_id, sha, papers in list(self.sink.taken):
            copies[message_id] += 1
            other += bytes_of.setdefault(message_id, sha) != sha
            for paper in papers:
                mails[who, paper].add(message_id)
        everything = expected if expected is not None else self.rig.expected(self.days)
        lost = sum((who, paper) not in mails for who in self.people for paper in everything)
        twice = sum(len(ids) > 1 for ids in mails.values())
        doubled = sum(n - 1 for n in copies.values())
        panics = 0
        for log in self.logs:
            with open(log, errors="replace") as f:
                panics += "panicked" in f.read()
        return {"lost": lost, "doubled": doubled, "other": other, "twice": twice, "panics": panics, "mails": len(self.sink.taken)}


class Rig:
    def __init__(self, options):
        self.binary = os.path.abspath(options.binary)
        self.short, self.rng = options.short, random.Random(options.seed)
        self.folder = tempfile.mkdtemp(prefix="campaign.")
        self.arxiv = Arxiv(self.folder)
        self.by_days = {}

    def expected(self, days):
        """The papers that somebody gets who subscribes on the first day and reads until that day: a run without faults."""
        if not self.by_days:
            world = World(self, "control", people=1)
            while True:
                if world.run() != 0:
                    raise RuntimeError("the run without faults fails: " + world.logs[-1])
                self.by_days[world.days] = {paper for _, _, _, papers in world.sink.taken for paper in papers}
                try:
                    world.next_day()
                except RuntimeError:
                    break
        return self.by_days[days]

    def count(self, whole, short):
        return short if self.short else whole


# ---- rows: each returns (how often the fault happened, world or judgement, extra words) -------------------------------

def kill_at_random(rig):
    """kill -9 at a random moment of a run"""
    world, wanted, killed = World(rig, "kill", people=rig.count(120, 40)), rig.count(300, 15), 0
    a_run, tried = 1.0, 0
    while killed < wanted:
        tried += 1
        if tried > 4 * wanted:
            break
        began = time.time()
        process = world.start()
        try:
            process.wait(rig.rng.uniform(0.01, a_run))
            a_run = max(0.05, min(a_run, 1.2 * (time.time() - began)))
            # It was through with its day: the next one begins.
            if world.days < 20:
                world.next_day()
            a_run = 1.0
        except subprocess.TimeoutExpired:
            process.kill()
            killed += process.wait() == -9
    world.heal()
    return killed, world, ""


def kill_at_stage(rig):
    """kill -9 while the relay is at a named stage of the dialogue"""
    n, judged = 0, collections.Counter()
    for stage in ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "after"):
        world, rounds = World(rig, "stages", people=12), rig.count(10, 1)
        while rounds and world.days < 20:
            killed, processes, skip = [], [], [rig.rng.randrange(0, 2)]

            def kill_the_client(connection):
                while not processes:
                    time.sleep(0.001)
                processes[0].kill()
                killed.append(processes[0].wait())
                return True

            def fault(at, recipient, stage=stage):
                if at != stage or killed:
                    return None
                skip[0] -= 1
                return kill_the_client if skip[0] < 0 else None

            world.sink.fault = fault
            processes.append(world.start())
            try:
                processes[0].wait(RUN_TIME_MAX)
            except subprocess.TimeoutExpired:
                processes[0].kill()
            if killed[:1] == [-9]:
                n, rounds = n + 1, rounds - 1
            world.heal()
            world.next_day()
        world.heal()
        judged.update(world.judge())
    return n, dict(judged), "8 stages"


def strace(rig):
    if not shutil.which("strace"):
        raise NotDone("strace is absent")


def kill_at_call(rig):
    """SIGKILL at the Nth system call (strace): pwrite64, fdatasync, sendto, rename"""
    strace(rig)
    world, n = World(rig, "calls", people=12), 0
    calls = ["pwrite64", "fdatasync", "sendto", "write", "rename", "fsync"]
    wanted = rig.count(300, 8)
    for turn in range(4 * wanted):
        if n >= wanted:
            break
        call = calls[turn % len(calls)]
        when = 1 + rig.rng.randrange(0, 60 if call in ("pwrite64", "fdatasync") else 12)
        trace = os.path.join(world.folder, "strace.log")
        world.run("strace", "-f", "-qq", "-o", trace, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={when}")
        with open(trace, errors="replace") as f:
            hit = "killed by SIGKILL" in f.read()
        n += hit
        if not hit and world.days < 20:
            world.next_day()
    world.heal()
    return n, world, ""


def failing_sync(rig):
    """EIO from fdatasync, fsync or sync_file_range (strace)"""
    strace(rig)
    world, n, codes = World(rig, "eio", people=12), 0, collections.Counter()
    calls = ["fdatasync", "sync_file_range", "fsync"]
    wanted = rig.count(45, 3)
    for turn in range(4 * wanted):
        if n >= wanted:
            break
        call = calls[turn % 3]
        trace = os.path.join(world.folder, "strace.log")
        when = 1 + rig.rng.randrange(0, 40 if call != "fsync" else 3)
        code = world.run("strace", "-f", "-qq", "-o", trace, "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={when}")
        with open(trace, errors="replace") as f:
            hit = "(INJECTED)" in f.read()
        n += hit
        if hit:
            codes[code] += 1
        elif world.days < 20:
            world.next_day()
    world.heal()
    return n, world, "exit " + ", ".join(f"{code}: {times}" for code, times in sorted(codes.items(), key=str))


def root():
    if os.geteuid() != 0:
        raise NotDone("mounts need root")


def mount(kind, folder, *options):
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["mount", "-t", kind, *options, kind, folder], capture_output=True, text=True)
    if done.returncode:
        raise NotDone(f"mount -t {kind}: {done.stderr.strip()}")


def unmount(folder):
    subprocess.run(["umount", "-l", folder], capture_output=True)


def full_disk(rig):
    """no space left on the disk in the middle of a run (tmpfs)"""
    root()
    disk = tempfile.mkdtemp(dir=rig.folder)
    mount("tmpfs", disk, "-o", "size=24m")
    try:
        world, n, codes = World(rig, "full", people=40, state_dir=os.path.join(disk, "state")), 0, collections.Counter()
        wanted = rig.count(20, 2)
        for _ in range(5 * wanted):
            if n >= wanted:
                break
            process = world.start()
            time.sleep(rig.rng.uniform(0.0, 0.15))
            try:
                with open(os.path.join(disk, "filler"), "wb") as f:
                    while True:
                        f.write(b"x" * 65536)
                        f.flush()
            except OSError:
                pass
            code = process.wait(RUN_TIME_MAX)
            with open(world.logs[-1], errors="replace") as f:
                hit = "No space left" in f.read()
            n += hit
            codes[code] += hit
            os.remove(os.path.join(disk, "filler"))
            if code == 0 and world.days < 20:
                world.next_day()
        world.heal()
        return n, world.judge(), "exit " + ", ".join(f"{code}: {times}" for code, times in codes.items() if times)
    finally:
        unmount(disk)


def no_inodes(rig):
    """no inode left on the disk in the middle of a run (tmpfs)"""
    root()
    disk = tempfile.mkdtemp(dir=rig.folder)
    mount("tmpfs", disk, "-o", "size=200m,nr_inodes=400")
    try:
        world, n, codes = World(rig, "inodes", people=12, state_dir=os.path.join(disk, "state")), 0, collections.Counter()
        for turn in range(rig.count(20, 2)):
            filler = os.path.join(disk, "filler")
            process = world.start() if turn % 2 else None
            os.makedirs(filler)
            made = 0
            try:
                while True:
                    open(os.path.join(filler, str(made)), "w").close()
                    made += 1
            except OSError:
                pass
            # It was full from here on; whether the run needs a new file in that time is its own affair.
            full = os.statvfs(disk).f_ffree == 0
            code = process.wait(RUN_TIME_MAX) if process else world.run()
            with open(world.logs[-1], errors="replace") as f:
                said = "No space left" in f.read()
            n += full
            codes[f"{code}{', told' if said else ''}"] += full
            shutil.rmtree(filler)
            if code == 0 and world.days < 20:
                world.next_day()
        world.heal()
        return n, world.judge(), "exit " + "; ".join(f"{code}: {times}" for code, times in sorted(codes.items()))
    finally:
        unmount(disk)


def read_only(rig):
    """the file system becomes read-only in the middle of a run (remount)"""
    root()
    disk = tempfile.mkdtemp(dir=rig.folder)
    mount("tmpfs", disk, "-o", "size=200m")
    try:
        world, n, codes = World(rig, "read-only", people=40, state_dir=os.path.join(disk, "state")), 0, collections.Counter()
        world.run()
        for _ in range(rig.count(10, 1)):
            if world.days < 20:
                world.next_day()
            # A file that is open for writing keeps a remount from happening, so the mount begins so.
            if subprocess.run(["mount", "-o", "remount,ro", disk], capture_output=True).returncode:
                continue
            code = world.run()
            with open(world.logs[-1], errors="replace") as f:
                hit = "Read-only file system" in f.read()
            n += hit
            codes[code] += hit
            subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
            world.run(hour=8)
        world.heal()
        return n, world.judge(), "exit " + ", ".join(f"{code}: {times}" for code, times in codes.items() if times)
    finally:
        unmount(disk)


def power_cut(rig):
    """power cut on a file system that forgets what was not synced (FUSE)"""
    root()
    if subprocess.run(["/usr/bin/python3", "-c", "import fusepy"], capture_output=True).returncode or not os.path.exists("/dev/fuse"):
        raise NotDone("/dev/fuse or python3-fusepy is absent")
    disk = tempfile.mkdtemp(dir=rig.folder)
    errors = os.path.join(rig.folder, "lossyfs.log")
    with open(errors, "w") as err:
        fs = subprocess.Popen(["/usr/bin/python3", os.path.join(SHARED, "fault-lab", "lossyfs.py"), disk], stderr=err, stdout=err)
    try:
        for _ in range(100):
            if os.path.ismount(disk):
                break
            time.sleep(0.1)
        else:
            raise NotDone("the FUSE file system cannot be mounted")
        world = World(rig, "power", people=20, state_dir=os.path.join(disk, "state"))
        world.run()
        for _ in range(rig.count(100, 4)):
            process = world.start()
            try:
                process.wait(rig.rng.uniform(0.05, 2.5))
                if world.days < 20:
                    world.next_day()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            fs.send_signal(signal.SIGUSR1)
            time.sleep(0.05)
        world.heal()
        with open(errors) as f:
            cuts = re.findall(r"POWER CUT: files with lost data=(\d+)", f.read())
        judged = world.judge()
        return len(cuts), judged, f"{sum(int(c) > 0 for c in cuts)} of them lost data that was not synced"
    finally:
        unmount(disk)
        fs.kill()
        fs.wait()


def broken_state(rig):
    """the state's file damaged, cut or gone between two runs; restored from the export"""
    world, n = World(rig, "damage", people=12), 0
    world.run()
    for turn in range(rig.count(40, 4)):
        if world.days < 20 and turn % 2 == 0:
            world.next_day()
        world.run(hour=8)
        store = os.path.join(world.state_dir, "store")
        db = os.path.join(store, "db")
        size = os.path.getsize(db)
        kind = turn % 4
        if kind == 0:
            os.truncate(db, rig.rng.randrange(0, 3000))
        elif kind == 1:
            with open(db, "r+b") as f:
                f.seek(rig.rng.randrange(0, min(size, 60_000)))
                f.write(bytes(rig.rng.randrange(256) for _ in range(4000)))
        elif kind == 2:
            shutil.rmtree(store)
        else:
            with open(db, "r+b") as f:
                for _ in range(20):
                    f.seek(rig.rng.randrange(0, size))
                    f.write(b"\xff")
        world.run(hour=9)
        with open(world.logs[-1], errors="replace") as f:
            n += "was restored from the export" in f.read()
    world.heal()
    return n, world, "the other damage left the state readable"


def at_each_stage(action, stages, title, words=""):
    def row(rig):
        n, judged = 0, collections.Counter()
        for stage in stages:
            world = World(rig, title, people=6)
            for _ in range(rig.count(5, 1)):
                before, left = len(world.sink.events), [2]

                def fault(at, recipient, stage=stage):
                    if at != stage or left[0] == 0:
                        return None
                    left[0] -= 1
                    return action

                world.sink.fault = fault
                code = world.run()
                if code == "hung":
                    raise RuntimeError(f"a run hangs at {stage}: {world.logs[-1]}")
                n += len(world.sink.events) - before
                world.heal()
                world.next_day()
            world.heal()
            judged.update(world.judge())
        return n, dict(judged), words
    row.__doc__ = title
    return row


STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot")


def cut_before_taking(connection):
    return sinks.close(connection)


cut_before_taking.loses = True


def refused_for_good(rig):
    """550 5.1.1 to one recipient, for ever"""
    world = World(rig, "gone", people=8)
    gone = world.people[3]
    world.sink.fault = lambda stage, recipient: "550 5.1.1 no such user" if stage == "rcpt" and recipient == gone else None
    for _ in range(4):
        world.run()
        world.next_day()
    n = len(world.sink.events)
    world.people.remove(gone)
    world.days -= 1
    return n, world.judge(), "one attempt a digest, suppressed on the second day"


def two_instances(rig):
    """a second process while one has the state"""
    world, n = World(rig, "two", people=40), 0
    world.sink.fault = lambda stage, recipient: (lambda c: time.sleep(0.05)) if stage == "mail" else None
    for _ in range(rig.count(10, 2)):
        first = world.start()
        time.sleep(0.3)
        second = subprocess.run(world.command("run", "--now", world.now), capture_output=True, text=True)
        n += second.returncode == 75 and "another instance" in second.stderr
        first.wait(RUN_TIME_MAX)
        if world.days < 20:
            world.next_day()
    world.heal()
    return n, world, "exit 75"


def no_relay(rig):
    """nobody listens where the relay should be"""
    world = World(rig, "refused", people=6, port=free_port())
    n = 0
    for _ in range(rig.count(5, 1)):
        world.run()
        with open(world.logs[-1], errors="replace") as f:
            n += "refused" in f.read().lower()
        world.next_day()
    world.write_config()
    world.heal()
    return n, world, ""


def no_name(rig):
    """the relay's name does not resolve"""
    world = World(rig, "dns", people=6, mail=[("host", '"relay.invalid"'), ("tls", '"starttls"')])
    n = 0
    for _ in range(rig.count(5, 1)):
        world.run()
        with open(world.logs[-1], errors="replace") as f:
            n += "relay.invalid" in f.read()
        world.next_day()
    world.write_config()
    world.heal()
    return n, world, ""


class Cable:
    """A machine of its own for the relay, behind a cable that can be pulled: a network namespace and a veth pair."""

    NEAR, FAR = "10.77.3.1", "10.77.3.2"

    def __init__(self):
        root()
        for tool in ("ip", "nft", "unshare", "nsenter"):
            if not shutil.which(tool):
                raise NotDone(f"{tool} is absent")
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "3600"])
        try:
            for _ in range(100):
                if os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"):
                    break
                time.sleep(0.05)
            else:
                raise NotDone("unshare makes no network namespace")
            self.near("ip", "link", "add", "pr-near", "type", "veth", "peer", "name", "pr-far", "netns", str(self.holder.pid))
            self.near("ip", "address", "add", f"{self.NEAR}/24", "dev", "pr-near")
            self.near("ip", "link", "set", "pr-near", "up")
            self.far("ip", "address", "add", f"{self.FAR}/24", "dev", "pr-far")
            self.far("ip", "link", "set", "pr-far", "up")
        except NotDone:
            self.close()
            raise

    def near(self, *command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NotDone(f"{' '.join(command[:4])}: {done.stderr.strip()}")
        return done.stdout

    def far(self, *command):
        return self.near("nsenter", "--target", str(self.holder.pid), "--net", "--", *command)

    def relay(self):
        """A socket stays in the namespace of the thread that made it."""
        made = []

        def make():
            with open(f"/proc/{self.holder.pid}/ns/net") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) == 0:
                    made.append(socket.create_server((self.FAR, 0), backlog=64))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise NotDone("setns is refused")
        return Sink(listener=made[0])

    def world(self, rig, name, people):
        return World(rig, name, people=people, sink=self.relay(), mail=[("host", f'"{self.FAR}"')])

    def pull(self):
        """Returns whether it is out."""
        self.near("ip", "link", "set", "pr-near", "down")
        with open("/sys/class/net/pr-near/flags") as f:
            return int(f.read(), 16) & IFF_UP == 0

    def plug(self):
        self.near("ip", "link", "set", "pr-near", "up")

    def lose(self, one_in):
        self.far("nft", "add", "table", "ip", "loss")
        for hook in ("input", "output"):
            self.far("nft", f"add chain ip loss {hook} {{ type filter hook {hook} priority 0; }}")
            self.far("nft", f"add rule ip loss {hook} numgen random mod {one_in} == 0 counter drop")

    def n_lost(self):
        return sum(int(n) for n in re.findall(r"counter packets (\d+)", self.far("nft", "list", "table", "ip", "loss")))

    def keep_all(self):
        self.far("nft", "delete", "table", "ip", "loss")

    def close(self):
        subprocess.run(["ip", "link", "delete", "pr-near"], capture_output=True)
        self.holder.kill()
        self.holder.wait()


def half_open(rig):
    """the cable is pulled in the middle of the dialogue: neither side learns that the other is gone (network namespace)"""
    cable = Cable()
    try:
        n, judged = 0, collections.Counter()
        for stage in ("ehlo", "mail", "rcpt", "data", "body", "dot", "after"):
            world = cable.world(rig, "half-open", 6)
            for _ in range(rig.count(5, 1)):
                pulled = []

                def pull(connection, stage=stage):
                    pulled.append(cable.pull())
                    # The relay has taken what came before the cable was out, and does not hear of it either.
                    return stage != "dot"

                world.sink.fault = lambda at, recipient, stage=stage: pull if at == stage and not pulled else None
                code = world.run()
                cable.plug()
                if code == "hung":
                    raise RuntimeError(f"a run hangs behind the cable at {stage}: {world.logs[-1]}")
                n += any(pulled)
                world.heal()
                world.next_day()
            world.heal()
            judged.update(world.judge())
        return n, dict(judged), "7 stages"
    finally:
        cable.close()


def lossy(rig):
    """a network that loses every fifth packet, both ways (nftables)"""
    cable = Cable()
    try:
        world = cable.world(rig, "loss", 12)
        cable.lose(5)
        for _ in range(rig.count(12, 2)):
            if world.run() == "hung":
                raise RuntimeError(f"a run hangs: {world.logs[-1]}")
            world.next_day()
        n = cable.n_lost()
        cable.keep_all()
        world.heal()
        return n, world.judge(), "packets"
    finally:
        cable.close()


class Postgres:
    """A PostgreSQL of the campaign's own."""

    def __init__(self, rig):
        self.folder = tempfile.mkdtemp(prefix="campaign-postgres.")
        os.chmod(self.folder, 0o711)
        done = subprocess.run([os.path.join(ROOT, ".ci", "postgres"), "start", self.folder], capture_output=True, text=True)
        if done.returncode:
            raise NotDone(done.stderr.strip().splitlines()[-1])
        self.url = re.search(r"^PAPERROUND_TEST_POSTGRES=(.*)$", done.stdout, re.M)[1]

    def store(self, lease="1s"):
        return f'[store]\nbackend = "postgres"\nurl = "{self.url}?sslmode=disable"\nlease = "{lease}"\n'

    def restart(self):
        return subprocess.run([os.path.join(ROOT, ".ci", "postgres"), "restart", self.folder], capture_output=True).returncode == 0

    def close(self):
        subprocess.run([os.path.join(ROOT, ".ci", "postgres"), "stop", self.folder], capture_output=True)


def postgres_kill(rig):
    """PostgreSQL as the store: kill -9 at a random moment of a run"""
    postgres = Postgres(rig)
    try:
        world, killed = World(rig, "postgres-kill", people=40, store=postgres.store()), 0
        wanted, a_run = rig.count(100, 5), 2.0
        for _ in range(4 * wanted):
            if killed >= wanted:
                break
            began = time.time()
            process = world.start()
            try:
                process.wait(rig.rng.uniform(0.02, a_run))
                a_run = max(0.3, min(a_run, 1.2 * (time.time() - began)))
                if process.returncode == 0 and world.days < 20:
                    world.next_day()
            except subprocess.TimeoutExpired:
                process.kill()
                killed += process.wait() == -9
                a_run = 2.0
                # What the dead one had in hand is another's after its lease.
                time.sleep(1.1)
        world.heal()
        return killed, world.judge(), "a lease of one second"
    finally:
        postgres.close()


def postgres_restart(rig):
    """PostgreSQL as the store: the server ends at once in the middle of a run, and comes back"""
    postgres = Postgres(rig)
    try:
        world, n, codes = World(rig, "postgres-restart", people=40, store=postgres.store()), 0, collections.Counter()
        world.run()
        for _ in range(rig.count(20, 2)):
            if world.days < 20:
                world.next_day()
            process = world.start()
            time.sleep(rig.rng.uniform(0.02, 0.5))
            was_running = process.poll() is None
            n += postgres.restart() and was_running
            codes[process.wait(RUN_TIME_MAX)] += was_running
            world.heal()
        return n, world.judge(), "exit " + ", ".join(f"{code}: {times}" for code, times in sorted(codes.items()) if times)
    finally:
        postgres.close()


def bad_tls(rig):
    """TLS: self-signed, expired, for another host, not offered, cut in the handshake; with a password configured"""
    import ssl
    n, in_clear, judged = 0, 0, collections.Counter()
    for kind in ("self-signed", "expired", "other host", "not offered", "cut"):
        folder = tempfile.mkdtemp(dir=rig.folder)
        key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
        name = "elsewhere.example.org" if kind == "other host" else "localhost"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                   "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
        if kind == "expired":
            if not shutil.which("faketime"):
                raise NotDone("faketime is absent, and with it certificates that have expired")
            command = ["faketime", "2026-01-01 00:00:00", *command]
        if subprocess.run(command, capture_output=True).returncode:
            raise NotDone("openssl cannot make certificates")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        sink = Sink(tls=None if kind == "not offered" else context, offers=("8BITMIME", "AUTH PLAIN LOGIN"))
        password = os.path.join(folder, "password")
        with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write("secret\n")
        mail = [("host", '"localhost"'), ("tls", '"starttls"'), ("username", '"u"'), ("password_file", f'"{password}"')]
        # The certificate is trusted where something else about it is wrong.
        if kind in ("expired", "other host"):
            mail.append(("ca_file", f'"{cert}"'))
        world = World(rig, "tls", people=4, sink=sink, mail=mail)
        if kind == "cut":
            def cut_the_handshake(connection):
                connection.sendall(b"220 go\r\n")
                return sinks.close(connection)
            sink.fault = lambda stage, recipient: cut_the_handshake if stage == "starttls" else None
        for _ in range(rig.count(3, 1)):
            code = world.run()
            with open(world.logs[-1], errors="replace") as f:
                said = f.read().lower()
            n += code == 75 and ("tls" in said or "certificate" in said)
        in_clear += sink.auth_in_clear
        if sink.taken:
            raise RuntimeError(f"mail went out over TLS that was {kind}")
        world.write_config()
        sink.tls, sink.offers = None, ("8BITMIME", "SIZE 50000000")
        world.heal()
        judged.update(world.judge())
    return n, dict(judged), f"5 kinds; passwords sent in the clear: {in_clear}"


def arxiv_faults(rig):
    """arXiv: 429, 503, HTML, empty, cut, reset, garbage, missing entries"""
    world, n = World(rig, "arxiv", people=4), 0
    requests = os.path.join(rig.folder, "requests.jsonl")
    kinds = ["429", "503", "html", "empty", "zero_total", "truncate", "garbage", "reset", "error_feed", "hole"]
    read = os.path.getsize(requests)
    for kind in kinds[:rig.count(10, 4)]:
        now = world.now
        world.arxiv.control(now=now, faults=[{"path": "/api/query", "do": kind, "times": 3, "retry_after": 0}])
        log = os.path.join(world.folder, f"run-{len(world.logs):04}.log")
        world.logs.append(log)
        with open(log, "w") as err:
            subprocess.run(world.command("run", "--now", now), stdout=subprocess.DEVNULL, stderr=err, timeout=RUN_TIME_MAX)
        world.next_day()
    with open(requests) as f:
        f.seek(read)
        n = sum(bool(json.loads(line).get("fault")) for line in f)
    world.heal()
    return n, world, ""


def clock_jumps(rig):
    """the machine's clock jumps while `serve` runs: half an hour back, a day on (libfaketime)"""
    library = next((p for p in ("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1") if os.path.exists(p)), None)
    if not library:
        raise NotDone("libfaketime is absent")
    world = World(rig, "clock", people=6)
    shift = os.path.join(world.folder, "shift")

    def set_clock(moment):
        offset = (moment - dt.datetime.now(dt.timezone.utc)).total_seconds()
        with open(shift + ".new", "w") as f:
            f.write(f"{offset:+.0f}\n")
        os.rename(shift + ".new", shift)

    day = dt.datetime(FIRST.year, FIRST.month, FIRST.day, 6, 59, 50, tzinfo=dt.timezone.utc)
    world.arxiv.control(now=day.isoformat().replace("+00:00", "Z"), faults=[])
    set_clock(day)
    environment = dict(os.environ, LD_PRELOAD=library, FAKETIME_TIMESTAMP_FILE=shift, FAKETIME_NO_CACHE="1", DONT_FAKE_MONOTONIC="1")
    log = os.path.join(world.folder, "serve.log")
    world.logs.append(log)
    jumps = 0
    with open(log, "w") as err:
        serve = subprocess.Popen(world.command("serve"), stdout=subprocess.DEVNULL, stderr=err, env=environment, cwd=world.folder)
        try:
            def wait_for(n_mails, what):
                for _ in range(900):
                    if len(world.sink.taken) >= n_mails:
                        return
                    if serve.poll() is not None:
                        raise RuntimeError(f"serve ended while {what}: {log}")
                    time.sleep(0.1)
                raise RuntimeError(f"no mail while {what}: {log}")
            wait_for(6, "the first slot came")
            for _ in range(rig.count(4, 1)):
                world.next_day()
                morning = day + dt.timedelta(days=world.days)
                # Back by half an hour: nothing comes twice. Then on by a day: one digest for each, not two.
                set_clock(morning - dt.timedelta(days=1) - dt.timedelta(minutes=30) + dt.timedelta(minutes=5))
                jumps += 1
                time.sleep(5)
                before = len(world.sink.taken)
                world.arxiv.control(now=(morning + dt.timedelta(minutes=1)).isoformat().replace("+00:00", "Z"), faults=[])
                set_clock(morning + dt.timedelta(minutes=1))
                jumps += 1
                wait_for(before + (6 if rig.expected(world.days) != rig.expected(world.days - 1) else 0), "the clock was a day on")
        finally:
            serve.terminate()
            serve.wait(120)
    return jumps, world.judge(), ""


ROWS = {
    "kill": kill_at_random,
    "stage": kill_at_stage,
    "call": kill_at_call,
    "power": power_cut,
    "eio": failing_sync,
    "full": full_disk,
    "inodes": no_inodes,
    "read-only": read_only,
    "damage": broken_state,
    "silent": at_each_stage(sinks.silence, STAGES, "the relay says nothing at a stage", "7 stages"),
    "slow": at_each_stage(sinks.trickle, ("connect", "ehlo", "rcpt", "dot"), "a reply of which a byte comes at a time", "4 stages"),
    "reset": at_each_stage(sinks.reset, STAGES, "the connection is reset at a stage", "7 stages"),
    "cut": at_each_stage(sinks.close, ("connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "after"), "the connection ends at a stage", "8 stages"),
    "dropped": at_each_stage(cut_before_taking, ("dot",), "the connection ends after the dot, the message is not kept"),
    "endless": at_each_stage(sinks.endless, ("connect", "ehlo", "rcpt"), "a reply without end", "3 stages"),
    "garbage": at_each_stage(sinks.garbage, ("connect", "ehlo", "rcpt", "data"), "bytes that are no reply", "4 stages"),
    "transient": at_each_stage("451 4.3.0 later", ("ehlo", "mail", "rcpt", "data", "dot"), "4yz at a stage", "5 stages"),
    "shutdown": at_each_stage("421 4.3.2 shutting down", ("connect", "ehlo", "mail", "rcpt", "dot"), "421 at a stage", "5 stages"),
    "gone": refused_for_good,
    "down": no_relay,
    "dns": no_name,
    "half-open": half_open,
    "loss": lossy,
    "tls": bad_tls,
    "arxiv": arxiv_faults,
    "two": two_instances,
    "clock": clock_jumps,
    "postgres-kill": postgres_kill,
    "postgres-restart": postgres_restart,
}
# What is tried elsewhere, with real parts that this rig does not have.
ELSEWHERE = [
    ("several workers on one database, killed, stopped past their lease, the database restarted", "`cargo test --test it many_workers`"),
    ("a worker that is cut off from its database", "`tests/postgres-cuts.sh`"),
    ("watchdog, kill, reload, sandbox, upgrade of the package while it sends, in a booted Debian", "`tests/package.sh`"),
    ("daylight saving time over 8 zones and two years, slots counted one by one", "`cargo test schedule::`"),
    ("deaths, refusals and lost replies by seed, thousands of days in one process", "`cargo test simulator`"),
    ("weeks of recorded days with faults of arXiv and of the relay", "`../shared/sim/replay.py`"),
]
# A message may come again only where an acceptance was in doubt.
MAY_DOUBLE = {"kill", "stage", "call", "power", "eio", "full", "inodes", "read-only", "damage", "silent", "slow", "reset", "cut", "half-open", "loss",
              "postgres-kill", "postgres-restart"}
SHORT = ["kill", "stage", "call", "power", "eio", "full", "reset", "cut", "tls"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(ROWS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    options = parser.parse_args()
    if not os.path.exists(os.path.join(SHARED, "sim", "arxiv_sim.py")):
        print("skipped: ../shared is absent")
        return 0
    rig = Rig(options)
    lines, bad = [], []
    try:
        for name in options.only or (SHORT if options.short else list(ROWS)):
            row, began = ROWS[name], time.time()
            try:
                n, judged, words = row(rig)
                if isinstance(judged, World):
                    judged = judged.judge()
            except NotDone as why:
                lines.append((row.__doc__, "not done", "", "", "", "", "", str(why)))
                print(f"{name}: not done: {why}", flush=True)
                continue
            except (RuntimeError, subprocess.TimeoutExpired) as why:
                bad.append(f"{name}: {why}")
                print(f"{name}: FAILED: {why}", flush=True)
                continue
            took = time.time() - began
            lines.append((row.__doc__, n, judged["mails"], judged["lost"], judged["doubled"], judged["other"], judged["twice"], words))
            print(f"{name}: {n} times in {took:.0f} s, {judged['mails']} mails: lost {judged['lost']}, doubled {judged['doubled']}, "
                  f"other bytes {judged['other']}, twice {judged['twice']}, panics {judged['panics']} {words}", flush=True)
            if n == 0 or judged["lost"] or judged["other"] or judged["twice"] or judged["panics"] or (judged["doubled"] and name not in MAY_DOUBLE) or judged["doubled"] > 2 * n:
                bad.append(f"{name}: {judged}, happened {n} times")
    finally:
        rig.arxiv.close()
        if not options.keep and not bad:
            shutil.rmtree(rig.folder, ignore_errors=True)
        else:
            print(f"logs: {rig.folder}")
    if options.table and not bad:
        write_table(options, lines)
    for line in bad:
        print("wrong:", line)
    return bool(bad)


def write_table(options, lines):
    """Rows that were not run this time stay as they are, so that one can be run again by itself."""
    version = subprocess.run([options.binary, "--version"], capture_output=True, text=True).stdout.split(" (")[0].strip()
    seen = f"{version}, seed {options.seed}, {dt.date.today()}"
    rows = {}
    if os.path.exists(options.table):
        with open(options.table) as f:
            rows = {line.split(" | ")[0].removeprefix("| "): line for line in f if line.startswith("| ") and not line.startswith("| fault")}
    rows.update((line[0], "| " + " | ".join(str(cell) for cell in (*line, seen)) + " |\n") for line in lines)
    with open(options.table, "w") as f:
        f.write(f"""# Faults

What was done to the program, how often, and what became of the mails: lost pairs of subscriber and paper, messages that
came once more, copies with other bytes, papers that came in two different mails. A message may come once more where its
acceptance was in doubt: the relay had it and the answer got lost, or the process died in that moment.

`tests/campaign/campaign.py --binary target/release/paperround --table docs/faults.md` does all of it again and writes this;
`--only ROW` does one row. How often a fault happened is counted from the log of whoever made it happen. {os.cpu_count()} cores,
{os.uname().sysname}.

| fault | happened | mails | lost | doubled | other bytes | in two mails | notes | seen with |
|---|---|---|---|---|---|---|---|---|
""")
        f.writelines(rows[row.__doc__] for row in ROWS.values() if row.__doc__ in rows)
        missing = [row.__doc__ for row in ROWS.values() if row.__doc__ not in rows]
        if missing:
            f.write("\nNot seen to pass with these numbers yet:\n\n")
            f.writelines(f"- {what}\n" for what in missing)
        f.write("\nTried elsewhere, with the same judgement:\n\n")
        f.writelines(f"- {what}: {where}\n" for what, where in ELSEWHERE)


if __name__ == "__main__":
    sys.exit(main())
