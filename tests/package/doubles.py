"""Reads a Maildir and names every paper that one recipient got in two digests."""
import collections
import email
import email.policy
import mailbox
import re
import sys

times = collections.Counter()
for key, message in mailbox.Maildir(sys.argv[1], create=False).items():
    mail = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    text = mail.get_body(("plain",))
    if mail["List-Unsubscribe"] and text:
        papers = re.findall(r"arxiv\.org/abs/([a-z-]*/?[0-9.]+)", text.get_content())
        times.update((mail["To"], paper) for paper in set(papers))
print(len(times), "papers in digests")
doubles = [pair for pair, n in times.items() if n > 1]
for recipient, paper in doubles:
    print("twice:", recipient, paper)
sys.exit(bool(doubles) or not times)
