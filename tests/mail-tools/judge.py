"""Judges the mails that the tests wrote: one line for each measure, exit 1 where one is beyond its bound.

    judge.py MAILS CONFIGURATIONS NODE_MODULES SCRATCH
"""

import email.utils
import functools
import json
import pathlib
import re
import shutil
import smtplib
import subprocess
import sys
import time

import dkim
from PIL import Image

MAILS, CONFIG, NODE, LAB = (pathlib.Path(arg) for arg in sys.argv[1:5])
PORT = int(sys.argv[5])
PICTURES = NODE.parent / "pictures"
RELAY_IP = "5.9.9.9"
ENVELOPE = "bounces@example.org"
SCORE_MAX = 0.0
# Rules of these families tell of a mail that is badly made; above this score one of them fails the mail.
FAMILIES = re.compile(r"MPART_ALT_DIFF|MIME_|HTML_|MSGID_|DATE_")
RULE_MAX = 0.1

RECORDS = {
    name + ".": "".join(kinds["TXT"][0]) for name, kinds in json.loads((MAILS / "dns.json").read_text()).items()
}
failures = []


def note(what, holds, measured):
    print(f"{'ok    ' if holds else 'FAILED'}  {what}: {measured}", flush=True)
    if not holds:
        failures.append(what)


def run(*command, data=None):
    return subprocess.run(command, input=data, capture_output=True, check=False, timeout=300)


def by_dkimpy(raw):
    lookup = lambda name, timeout=5: RECORDS.get(name.decode(), "").encode() or None
    message = dkim.DKIM(raw)
    n = raw.split(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    valid = []
    for index in range(n):
        try:
            valid.append(bool(message.verify(idx=index, dnsfunc=lookup)))
        except dkim.DKIMException:
            valid.append(False)
    return valid


def by_opendkim(raw):
    file = LAB / "opendkim.eml"
    file.write_bytes(raw.replace(b"\r\n", b"\n"))
    result = run("opendkim", "-x", str(CONFIG / "opendkim.conf"), "-t", str(file), "-vvv")
    answer = (result.stdout + result.stderr).decode(errors="replace")
    return [verdict == "pass" for verdict in re.findall(r"\bdkim=(\w+)", answer)]


def by_mailauth(raw):
    file = LAB / "mailauth.eml"
    file.write_bytes(raw)
    result = run(
        str(NODE / ".bin/mailauth"), "report", "-n", str(MAILS / "dns.json"), "-i", RELAY_IP, "-e", "mail.example.org",
        "-f", ENVELOPE, "-m", "mx.example.net", str(file),
    )
    return json.loads(result.stdout)


def signatures(raw):
    """Each verifier's verdicts."""
    report = by_mailauth(raw)
    third = [found["status"]["result"] == "pass" for found in report["dkim"]["results"]]
    return {"dkimpy": by_dkimpy(raw), "OpenDKIM": by_opendkim(raw), "mailauth": third}, report


def shown(verdicts):
    return ", ".join(f"{name} {sum(valid)} of {len(valid)}" for name, valid in verdicts.items())


def through_postfix(raw):
    """What a reader's server stores of a mail that a real Postfix took in and delivered."""
    inbox = LAB / "mail/all/new"
    before = set(inbox.glob("*")) if inbox.exists() else set()
    for _ in range(50):
        try:
            with smtplib.SMTP("127.0.0.1", PORT, timeout=20) as relay:
                relay.sendmail(ENVELOPE, ["ana@example.net"], raw)
            break
        except ConnectionRefusedError:
            time.sleep(0.2)
    for _ in range(100):
        new = set(inbox.glob("*")) - before if inbox.exists() else set()
        if new:
            return new.pop().read_bytes().replace(b"\n", b"\r\n")
        time.sleep(0.1)
    sys.exit("Postfix did not deliver; see its log:\n" + (LAB / "postfix.log").read_text()[-2000:])


def spam(files):
    """The score of each mail, and each rule's share; one start for all, since reading the rules takes longest."""
    received = (
        f"Return-Path: <{ENVELOPE}>\n"
        f"Received: from mail.example.org (mail.example.org [{RELAY_IP}])\n"
        "\tby mx.example.net (Postfix) with ESMTPS id 4XYZ12345\n"
        f"\tfor <ana@example.net>; {email.utils.formatdate(time.time())}\n"
    )
    arrived = [LAB / f"{file.stem}.arrived" for file in files]
    for file, copy in zip(files, arrived):
        copy.write_bytes(received.encode() + file.read_bytes().replace(b"\r\n", b"\n"))
    result = run(
        "spamassassin", "-t", "-C", "/usr/share/spamassassin", "--siteconfigpath=/etc/spamassassin",
        f"--prefspath={CONFIG / 'spamassassin.cf'}", *map(str, arrived),
    )
    # A mail comes out with a header in front of it and an analysis behind it.
    answers = re.split(r"^X-Spam-Checker-Version: ", result.stdout.decode(errors="replace"), flags=re.M)[1:]
    if len(answers) != len(files):
        sys.exit(f"SpamAssassin judged {len(answers)} of {len(files)} mails: {result.stderr.decode(errors='replace')}")
    return dict(zip(files, map(score_and_rules, answers)))


def score_and_rules(answer):
    score = float(re.search(r"X-Spam-Status: .*?score=(-?[\d.]+)", answer, re.S).group(1))
    analysis = answer[answer.rindex("Content analysis details"):]
    rules = {name: float(points) for points, name in re.findall(r"^\s*(-?\d+\.\d+) ([A-Z][A-Z0-9_]+)", analysis, re.M)}
    return score, rules


whole = sorted(file for file in MAILS.glob("*.eml") if not file.name.startswith("spoilt"))
spoilt = sorted(MAILS.glob("spoilt-*.eml"))
if not whole or not spoilt:
    sys.exit(f"{MAILS} holds no mails")

for file in whole:
    raw, name = file.read_bytes(), file.stem
    verdicts, report = signatures(raw)
    note(f"check_04 DKIM of {name}", all(v == [True, True] for v in verdicts.values()), shown(verdicts))
    spf, dmarc = report["spf"]["status"]["result"], report["dmarc"]["status"]["result"]
    aligned = all(found["status"].get("aligned") for found in report["dkim"]["results"])
    note(f"check_06 DMARC of {name}", (spf, dmarc, aligned) == ("pass", "pass", True), f"spf={spf} dmarc={dmarc} aligned={aligned}")
    verdicts, _ = signatures(through_postfix(raw))
    note(f"check_04 DKIM of {name} after Postfix", all(v == [True, True] for v in verdicts.values()), shown(verdicts))

for file in spoilt:
    verdicts, report = signatures(file.read_bytes())
    note(f"check_05 DKIM of {file.stem}", all(v and not any(v) for v in verdicts.values()), shown(verdicts))
    if file.stem == "spoilt-from":
        dmarc = report["dmarc"]["status"]["result"]
        note(f"check_06 DMARC refuses {file.stem}", dmarc != "pass", f"dmarc={dmarc}")

def is_clean(score, rules):
    bad = {rule: points for rule, points in rules.items() if FAMILIES.match(rule) and points > RULE_MAX}
    return score <= SCORE_MAX and not bad and "DKIM_VALID_AU" in rules and "SPF_PASS" in rules


def counted(score, rules):
    return f"{score} (" + " ".join(f"{rule}={points}" for rule, points in sorted(rules.items()) if points) + ")"


plain = MAILS / "spoilt-text.eml"
judged = spam([*whole, plain])
for file in whole:
    found = judged[file]
    note(f"check_15 SpamAssassin of {file.stem}", is_clean(*found), counted(*found))
found = judged[plain]
note("check_15 SpamAssassin refuses spoilt-text", not is_clean(*found), counted(*found))


def by_vnu(files):
    jar = NODE / "vnu-jar/build/dist/vnu.jar"
    result = run("java", "-jar", str(jar), "--errors-only", "--format", "json", *map(str, files))
    return [message["message"] for message in json.loads(result.stderr)["messages"]]


def by_html_validate(files):
    config = str(CONFIG / "html-validate.json")
    command = [str(NODE / ".bin/html-validate"), "--config", config, "--formatter", "json", *map(str, files)]
    reports = json.loads(run(*command).stdout)
    return [f"{message['ruleId']}: {message['message']}" for report in reports for message in report["messages"]]


pages = sorted(MAILS.glob("*.html"))
bad_page = LAB / "bad.html"
bad_page.write_text(pages[0].read_text().replace("</body>", "<p><img src=x></div></body>"))
for what, judge in (("vnu", by_vnu), ("html-validate", by_html_validate)):
    errors = judge(pages)
    note(f"check_16 {what}", not errors, f"{len(errors)} errors in {len(pages)} pages {errors[:3] or ''}")
    errors = judge([bad_page])
    note(f"check_16 {what} refuses a spoilt page", bool(errors), f"{len(errors)} errors")


class Browser:
    """One Chromium for all pages; it is asked by a line and answers by one."""

    def __init__(self, program):
        command = ["node", str(CONFIG / "look.mjs"), program, str(NODE)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def look(self, page, looks, scheme="light"):
        """What a page looks like at each width and height, with a picture where there is one."""
        file = LAB / "seen.html"
        file.write_text(page)
        looks = [dict(zip(("width", "height", "picture"), look)) for look in looks]
        self.process.stdin.write(json.dumps({"page": str(file), "scheme": scheme, "looks": looks}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline() or sys.exit("the browser has ended"))

    def close(self):
        self.process.stdin.close()
        if self.process.wait(60) != 0:
            sys.exit("the browser has failed")


def widths(page):
    """How wide a page lays itself out in a window of each width, in pixels."""
    return [seen["width"] for seen in browser.look(page, [(width, 800) for width in WINDOWS])]


def bare(page):
    """As mail programs show it that drop the style block."""
    return re.sub(r"<style>.*?</style>|<meta name=\"(supported-)?color-schemes?\"[^>]*>", "", page, flags=re.S)


WINDOWS = [320, 375, 800]
HEIGHT = 6000
# Light, dark by the page's own rules, and dark because the program turns the colours of a page that has none around.
SCHEMES = {"light": lambda page: page, "dark": lambda page: page, "forced dark": bare}
# Between the darkest and the brightest pixel of a word; smoothing takes a little from the 4.5 of the colours.
PIXEL_RATIO_MIN = 4.0


@functools.cache
def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour[:3])]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def unreadable(name, page, width, scheme):
    """How many words were looked at, and those that do not stand out from what is behind them."""
    picture = PICTURES / f"{name}-{width}-{scheme.replace(' ', '-')}.png"
    [seen] = browser.look(SCHEMES[scheme](page), [(width, HEIGHT, str(picture))], scheme)
    image = Image.open(picture).convert("RGB")
    pale, n_looked_at = [], 0
    for left, top, right, bottom, text in seen["words"]:
        box = (max(0, int(left)), int(top), min(width, int(right) + 1), int(bottom) + 1)
        if bottom > HEIGHT or box[2] <= box[0]:
            continue
        n_looked_at += 1
        # Of as many colours as pixels at most: the table that is made for them costs more than the looking.
        n_pixels = (box[2] - box[0]) * (box[3] - box[1])
        shades = [luminance(colour) for _, colour in image.crop(box).getcolors(n_pixels)]
        ratio = (max(shades) + 0.05) / (min(shades) + 0.05)
        if ratio < PIXEL_RATIO_MIN:
            pale.append(f"{text!r} {ratio:.1f}")
    return n_looked_at, pale


LOOKED_AT = ["recorded-0", "recorded-12", "scripts", "hostile", "welcome", "notice"]
if program := shutil.which("chromium") or shutil.which("chromium-browser"):
    browser = Browser(program)
    for file in pages:
        page = file.read_text()
        found, found_bare = widths(page), widths(bare(page))
        # The narrowest phones need the style block.
        holds = found == WINDOWS and found_bare[1:] == WINDOWS[1:]
        note(f"check_24 width of {file.stem}, with and without styles", holds, f"{found} {found_bare} px")
    wide = pages[0].read_text().replace("</body>", f"<p style=\"white-space:nowrap\">{'wide ' * 300}</p></body>")
    found = widths(wide)
    note("check_24 width refuses a spoilt page", bool(found) and found != WINDOWS, f"{found} px")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in LOOKED_AT:
        page = (MAILS / f"{name}.html").read_text()
        for width in WINDOWS[1:]:
            for scheme in SCHEMES:
                n, pale = unreadable(name, page, width, scheme)
                note(f"check_24 {name} at {width} px, {scheme}", n > 20 and not pale, f"{n} words, unreadable: {pale[:3]}")
    # A pale colour, and dark ink that no rule for the dark turns bright.
    page = (MAILS / "recorded-12.html").read_text()
    for scheme, style in [("light", "color:#b0b0b0"), ("dark", "color:#1b2026")]:
        spoilt_page = page.replace("<h1", f'<p style="margin:0;{style}">Pale words</p><h1', 1)
        _, pale = unreadable("spoilt", spoilt_page, 375, scheme)
        note(f"check_24 {scheme} refuses a spoilt page", len(pale) == 2, f"unreadable: {pale}")
    browser.close()
    print(f"pictures to look at: {PICTURES}")
else:
    print("skipped check_24: chromium is absent")

print(f"{len(failures)} failures" + ("" if not failures else ": " + "; ".join(failures)))
sys.exit(bool(failures))
