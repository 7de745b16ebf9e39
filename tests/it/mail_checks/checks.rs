//! What a good mail keeps to. Each check reads the raw bytes and says what is wrong with them.

use std::collections::BTreeMap;

use mail_parser::{MessageParser, MimeHeaders as _, PartType};

use super::{corpus::Mail, html};

pub(super) type Verdict = Result<(), String>;

pub(super) fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

pub(super) fn single_headers(mail: &Mail) -> Verdict {
    for name in [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "List-Id",
    ] {
        mail.header(name)?;
    }
    for name in ["Bcc", "Authentication-Results", "Return-Path", "Received", "Cc"] {
        let names = mail.headers();
        let stands = names.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        expect(!stands, || format!("{name} stands in the mail"))?;
    }
    Ok(())
}

pub(super) fn message_id(mail: &Mail) -> Verdict {
    let id = mail.header("Message-ID")?;
    expect(id == id.to_lowercase(), || format!("{id} is not lower-case"))?;
    let from = mail.header("From")?;
    let domain = from.trim_end_matches('>').rsplit('@').next().unwrap_or_default();
    expect(id.ends_with(&format!("@{domain}>")), || {
        format!("{id} is not in {domain}")
    })
}

pub(super) fn oversigned(mail: &Mail) -> Verdict {
    const COVERED: [&str; 12] = [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "reply-to",
        "mime-version",
        "content-type",
        "list-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "feedback-id",
    ];
    let headers = mail.headers();
    let signatures: Vec<&str> = headers
        .iter()
        .filter(|(name, _)| name == "DKIM-Signature")
        .map(|(_, value)| value.as_str())
        .collect();
    expect(signatures.len() == 2, || format!("{} signatures", signatures.len()))?;
    for signature in signatures {
        let tags: BTreeMap<String, String> = signature
            .split(';')
            .filter_map(|tag| tag.split_once('='))
            .map(|(tag, value)| (tag.trim().to_owned(), value.replace(' ', "")))
            .collect();
        let covered = tags.get("h").ok_or("a signature has no h=")?;
        for name in COVERED {
            let n_present = headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).count();
            let n_covered = covered.split(':').filter(|own| *own == name).count();
            expect(n_covered == n_present + 1, || {
                format!("{name} stands {n_present} times and is covered {n_covered} times")
            })?;
        }
        expect(tags.get("c").is_some_and(|c| c == "relaxed/relaxed"), || {
            "a signature is not relaxed/relaxed".to_owned()
        })?;
    }
    Ok(())
}

pub(super) fn signing_domain(mail: &Mail) -> Verdict {
    let from = mail.header("From")?;
    let domain = from
        .trim_end_matches('>')
        .rsplit('@')
        .next()
        .unwrap_or_default()
        .to_owned();
    for (_, value) in mail.headers().iter().filter(|(name, _)| name == "DKIM-Signature") {
        // Strict alignment, adkim=s.
        expect(value.contains(&format!("d={domain};")), || {
            format!("{value} is not of {domain}")
        })?;
    }
    Ok(())
}

pub(super) fn one_click(mail: &Mail) -> Verdict {
    let ways = mail.header("List-Unsubscribe")?;
    let uris: Vec<&str> = ways
        .split(',')
        .filter_map(|uri| uri.trim().strip_prefix('<')?.strip_suffix('>'))
        .collect();
    let n = |scheme: &str| uris.iter().filter(|uri| uri.starts_with(scheme)).count();
    // Without an address on the web there is nothing to click, and a header that offers it would be a lie.
    let n_https = usize::from(mail.is_on_the_web);
    expect(
        n("https://") == n_https && n("mailto:") == 1 && uris.len() == n_https + 1,
        || ways.clone(),
    )?;
    let post: Vec<String> = mail
        .headers()
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("List-Unsubscribe-Post"))
        .map(|(_, value)| value)
        .collect();
    let expected: &[&str] = if mail.is_on_the_web {
        &["List-Unsubscribe=One-Click"]
    } else {
        &[]
    };
    expect(post == expected, || format!("List-Unsubscribe-Post: {post:?}"))?;
    expect(!ways.contains("ana%40") && !ways.contains("ana@"), || {
        format!("{ways} names the reader")
    })
}

pub(super) fn bulk_headers(mail: &Mail) -> Verdict {
    for (name, expected) in [("Auto-Submitted", "auto-generated"), ("Precedence", "bulk")] {
        let value = mail.header(name)?;
        expect(value == expected, || format!("{name}: {value}"))?;
    }
    let id = mail.header("Feedback-ID")?;
    let fields: Vec<&str> = id.split(':').collect();
    let sender_len = fields.last().map_or(0, |sender| sender.len());
    expect(fields.len() == 4 && (5..=15).contains(&sender_len), || id.clone())?;
    // Constant: nothing of it tells two mails apart.
    expect(id == "daily:papers:digest:exampleorg", || id.clone())
}

pub(super) fn envelope_sender(address: &str) -> Verdict {
    let (local, _) = address.rsplit_once('@').ok_or("no address")?;
    // RFC 5321, 4.5.3.1.1.
    expect(local.len() <= 64, || format!("{} characters before the @", local.len()))?;
    expect(
        local.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-_.".contains(&b)),
        || address.to_owned(),
    )
}

pub(super) fn plain_lines(mail: &Mail) -> Verdict {
    expect(mail.raw.is_ascii(), || "a byte above 127".to_owned())?;
    let raw = String::from_utf8_lossy(&mail.raw);
    let bare = raw.replace("\r\n", "");
    expect(!bare.contains(['\r', '\n']), || "a bare CR or LF".to_owned())?;
    let (head, body) = raw.split_once("\r\n\r\n").ok_or("no body")?;
    for (part, len_max) in [(head, 998), (body, 76)] {
        if let Some(line) = part.split("\r\n").find(|line| line.len() > len_max) {
            return Err(format!("a line of {} octets: {line}", line.len()));
        }
    }
    let message = MessageParser::default().parse(&mail.raw).ok_or("no mail")?;
    let subject = message.subject().unwrap_or_default().to_owned();
    let names = [message.from(), message.to()].into_iter().flatten();
    let names: Vec<String> = names.filter_map(|a| Some(a.first()?.name()?.to_owned())).collect();
    let (text, html) = mail.parts();
    for decoded in names.iter().chain([&subject, &text, &html]) {
        if let Some(c) = decoded.chars().find(|c| *c != '\n' && c.is_control()) {
            return Err(format!("U+{:04X} after decoding", u32::from(c)));
        }
    }
    Ok(())
}

pub(super) fn known_headers(mail: &Mail) -> Verdict {
    let names: Vec<String> = mail.headers().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "DKIM-Signature",
        "DKIM-Signature",
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Reply-To",
        "List-Id",
        "List-Unsubscribe",
        "List-Unsubscribe-Post",
        "List-Help",
        "List-Owner",
        "Auto-Submitted",
        "Precedence",
        "Feedback-ID",
        "X-Auto-Response-Suppress",
        "Content-Type",
    ];
    let only_on_the_web = ["List-Unsubscribe-Post", "List-Help"];
    let expected: Vec<&str> = expected
        .into_iter()
        .filter(|name| mail.is_on_the_web || !only_on_the_web.contains(name))
        .collect();
    expect(names == expected, || format!("{names:?}"))
}

pub(super) fn size(mail: &Mail) -> Verdict {
    const HTML_BYTES_MAX: usize = 90_000;
    let message = MessageParser::default().parse(&mail.raw).ok_or("no mail")?;
    let part = message.html_part(0).ok_or("no HTML part")?;
    let encoded = (part.raw_end_offset() - part.raw_body_offset()) as usize;
    expect(encoded <= HTML_BYTES_MAX, || format!("{encoded} bytes of HTML"))?;
    let (text, html) = mail.parts();
    let seen = html::visible(&html)?;
    let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let n_cut = mail.n_cut;
    let verb = if n_cut == 1 { "paper waits" } else { "papers wait" };
    let expected = format!("{n_cut} more {verb} for the next digest.");
    for part in [&seen, &folded] {
        expect(part.contains("for the next digest.") == (n_cut > 0), || {
            format!("{n_cut} papers were cut")
        })?;
        expect(n_cut == 0 || part.contains(&expected), || {
            format!("{expected:?} is missing")
        })?;
    }
    Ok(())
}

pub(super) fn charset(mail: &Mail) -> Verdict {
    let message = MessageParser::default().parse(&mail.raw).ok_or("no mail")?;
    let mut n_parts = 0;
    for part in &message.parts {
        if matches!(part.body, PartType::Text(_) | PartType::Html(_)) {
            let charset = part.content_type().and_then(|kind| kind.attribute("charset"));
            expect(charset.is_some_and(|name| name.eq_ignore_ascii_case("utf-8")), || {
                format!("{charset:?}")
            })?;
            n_parts += 1;
        }
    }
    expect(n_parts == 2, || format!("{n_parts} parts"))?;
    let (text, html) = mail.parts();
    expect(text.trim_end() == mail.text.trim_end(), || {
        "the text part reads otherwise".to_owned()
    })?;
    expect(html.trim_end() == mail.html.trim_end(), || {
        "the HTML part reads otherwise".to_owned()
    })
}
