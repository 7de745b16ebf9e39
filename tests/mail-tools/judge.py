"""Judges the mails that the tests wrote: one line for each measure, exit 1 where one is beyond its bound.

    judge.py MAILS CONFIGURATIONS NODE_MODULES SCRATCH
"""

import email.utils
import json
import pathlib
import re
import shutil
import smtplib
import subprocess
import sys
import time

import dkim

MAILS, CONFIG, NODE, LAB = (pathlib.Path(arg) for arg in sys.argv[1:5])
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
            with smtplib.SMTP("127.0.0.1", 12525, timeout=20) as relay:
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


def spam(raw):
    """The score, and each rule's share."""
    received = (
        f"Return-Path: <{ENVELOPE}>\n"
        f"Received: from mail.example.org (mail.example.org [{RELAY_IP}])\n"
        "\tby mx.example.net (Postfix) with ESMTPS id 4XYZ12345\n"
        f"\tfor <ana@example.net>; {email.utils.formatdate(time.time())}\n"
    )
    result = run(
        "spamassassin", "-t", "-C", "/usr/share/spamassassin", "--siteconfigpath=/etc/spamassassin",
        f"--prefspath={CONFIG / 'spamassassin.cf'}", data=received.encode() + raw.replace(b"\r\n", b"\n"),
    )
    answer = result.stdout.decode(errors="replace")
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
    note(f"4 DKIM of {name}", all(v == [True, True] for v in verdicts.values()), shown(verdicts))
    spf, dmarc = report["spf"]["status"]["result"], report["dmarc"]["status"]["result"]
    aligned = all(found["status"].get("aligned") for found in report["dkim"]["results"])
    note(f"6 DMARC of {name}", (spf, dmarc, aligned) == ("pass", "pass", True), f"spf={spf} dmarc={dmarc} aligned={aligned}")
    verdicts, _ = signatures(through_postfix(raw))
    note(f"4 DKIM of {name} after Postfix", all(v == [True, True] for v in verdicts.values()), shown(verdicts))

for file in spoilt:
    verdicts, _ = signatures(file.read_bytes())
    note(f"5 DKIM of {file.stem}", all(v and not any(v) for v in verdicts.values()), shown(verdicts))

def is_clean(name, score, rules):
    bad = {rule: points for rule, points in rules.items() if FAMILIES.match(rule) and points > RULE_MAX}
    # A mail of attacks is allowed to look like one, not to be badly made.
    limit = 5.0 if name == "hostile" else SCORE_MAX
    return score <= limit and not bad and "DKIM_VALID_AU" in rules and "SPF_PASS" in rules


def counted(score, rules):
    return f"{score} (" + " ".join(f"{rule}={points}" for rule, points in sorted(rules.items()) if points) + ")"


for file in whole:
    found = spam(file.read_bytes())
    note(f"15 SpamAssassin of {file.stem}", is_clean(file.stem, *found), counted(*found))
found = spam((MAILS / "spoilt-text.eml").read_bytes())
note("15 SpamAssassin refuses spoilt-text", not is_clean("spoilt-text", *found), counted(*found))



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
    note(f"16 {what}", not errors, f"{len(errors)} errors in {len(pages)} pages {errors[:3] or ''}")
    errors = judge([bad_page])
    note(f"16 {what} refuses a spoilt page", bool(errors), f"{len(errors)} errors")


def widths(browser, page):
    """How wide a page lays itself out in a window of each width, in pixels."""
    source = page.replace("&", "&amp;").replace('"', "&quot;")
    frames = "".join(f'<iframe width="{width}" height="800" srcdoc="{source}"></iframe>' for width in WINDOWS)
    tell = "onload=()=>document.title=[...document.querySelectorAll('iframe')].map(f=>f.contentDocument.documentElement.scrollWidth).join(' ')"
    file = LAB / "frames.html"
    file.write_text(f"<!DOCTYPE html><title></title><style>iframe{{border:0}}</style>{frames}<script>{tell}</script>")
    result = run(
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
        f"--user-data-dir={LAB / 'browser'}", "--window-size=900,1800", "--dump-dom", f"file://{file}",
    )
    title = re.search(r"<title>([\d ]+)</title>", result.stdout.decode(errors="replace"))
    return [int(width) for width in title.group(1).split()] if title else []


WINDOWS = [320, 375, 800]
if browser := shutil.which("chromium") or shutil.which("chromium-browser"):
    for file in pages:
        page = file.read_text()
        # Some mail programs drop the style block.
        bare = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
        found, found_bare = widths(browser, page), widths(browser, bare)
        # The narrowest phones need the style block.
        holds = found == WINDOWS and found_bare[1:] == WINDOWS[1:]
        note(f"24 width of {file.stem}, with and without styles", holds, f"{found} {found_bare} px")
    wide = pages[0].read_text().replace("</body>", f"<p style=\"white-space:nowrap\">{'wide ' * 300}</p></body>")
    found = widths(browser, wide)
    note("24 width refuses a spoilt page", bool(found) and found != WINDOWS, f"{found} px")
else:
    print("skipped 24 width: chromium is absent")

print(f"{len(failures)} failures" + ("" if not failures else ": " + "; ".join(failures)))
sys.exit(bool(failures))
