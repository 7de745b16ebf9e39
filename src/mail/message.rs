//! A letter in its final bytes: headers in a fixed order, 7-bit body, nothing left for a relay to change.
//!
//! [`build`] is pure: the same [`Letter`] gives the same bytes, so that a repeated attempt sends the same mail and a
//! signature stays valid. What a feed or a configuration brings in can neither add a header nor break a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use lettre::Address;
use memchr::memmem;
use ring::digest::{SHA256, digest};

use self::header::{HeaderWriter, clean};
use crate::render::Body;

mod header;

/// User-visible characters of the longest subject. Rendering keeps it far shorter; this bounds the header.
pub const SUBJECT_MAX: usize = 300;
/// User-visible characters of the longest display name or list label.
pub const NAME_MAX: usize = 100;
/// Characters of the longest address (RFC 5321, 4.5.3.1.3).
const ADDRESS_MAX: usize = 254;
/// Characters of the longest address of a web page or mailbox in a header: one line of at most 998 octets holds it.
const URI_MAX: usize = 900;
/// Characters of the longest Message-ID, with its brackets.
const MESSAGE_ID_MAX: usize = 320;
/// Characters of the longest boundary (RFC 2046, 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// The bytes to hand to the relay: CRLF lines, pure ASCII, no line over 998 octets and none over 76 in the body.
///
/// Names and subject are cleaned and cut ([`NAME_MAX`], [`SUBJECT_MAX`]); control characters in text and HTML are
/// dropped. Everything else that does not fit is an error, since it cannot be repaired without changing its meaning.
pub fn build(letter: &Letter) -> Result<Vec<u8>, MessageError> {
    let mut headers = HeaderWriter::default();
    mailbox(&mut headers, "From", &letter.from)?;
    mailbox(&mut headers, "To", &letter.to)?;
    headers.text("Subject", &clean(&letter.subject, SUBJECT_MAX));
    word(
        &mut headers,
        "Date",
        &letter.date.format("%a, %d %b %Y %H:%M:%S +0000").to_string(),
    );
    word(&mut headers, "Message-ID", message_id(&letter.message_id)?);
    word(&mut headers, "MIME-Version", "1.0");
    if let Some(reply_to) = &letter.reply_to {
        mailbox(&mut headers, "Reply-To", reply_to)?;
    }
    if let Some(list) = &letter.list {
        list_headers(&mut headers, list)?;
    }
    // RFC 3834: no vacation replies.
    word(&mut headers, "Auto-Submitted", "auto-generated");
    if let Some(list) = &letter.list {
        word(&mut headers, "Precedence", "bulk");
        if let Some(id) = &list.feedback_id {
            word(&mut headers, "Feedback-ID", feedback_id(id)?);
        }
    }
    word(&mut headers, "X-Auto-Response-Suppress", "All");
    let mut bytes = headers.finish().into_bytes();
    write_body(&mut bytes, letter)?;
    Ok(bytes)
}

/// Everything that enters the bytes of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The sender, whose domain signs.
    pub from: Mailbox,
    /// The one recipient.
    pub to: Mailbox,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<Mailbox>,
    /// The subject, in Unicode.
    pub subject: String,
    /// When the content was frozen: the same for every attempt.
    pub date: DateTime<Utc>,
    /// With its angle brackets.
    pub message_id: String,
    /// What divides the parts: characters of `A-Za-z0-9._-` that occur in neither part.
    pub boundary: String,
    /// The plain part.
    pub text: Body,
    /// The HTML part; without it the mail has one part only.
    pub html: Option<Body>,
    /// The headers of list mail; without them the mail is a single one (a report, a test).
    pub list: Option<ListHeaders>,
}

impl Letter {
    /// A single mail that belongs to no list, such as a report to the operator.
    pub fn notice(
        from: Mailbox,
        to: Mailbox,
        subject: String,
        (text, html): (Body, Option<Body>),
        date: DateTime<Utc>,
        message_id: String,
    ) -> Self {
        let boundary = notice_boundary(&message_id);
        Self {
            from,
            to,
            reply_to: None,
            subject,
            date,
            message_id,
            boundary,
            text,
            html,
            list: None,
        }
    }
}

/// A name and an address in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, in Unicode.
    pub name: Option<String>,
    /// The address, in ASCII.
    pub address: String,
}

impl Mailbox {
    /// An address with or without a name.
    pub fn new(name: Option<&str>, address: impl Into<String>) -> Self {
        Self {
            name: name.map(str::to_owned),
            address: address.into(),
        }
    }
}

/// What tells mail programs that this is list mail, and how to leave the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListHeaders {
    /// The list's name for people.
    pub label: String,
    /// The list's identity, for ever the same (RFC 2919): `digests.example.org`.
    pub id: String,
    /// The `https:` address that unsubscribes.
    pub unsubscribe_https: Option<String>,
    /// The `mailto:` address that unsubscribes.
    pub unsubscribe_mailto: Option<String>,
    /// Whether the `https:` address takes the POST of RFC 8058.
    pub one_click: bool,
    /// `campaign:list:kind:SenderId` for Gmail's statistics, constant: nothing of it tells recipients apart.
    pub feedback_id: Option<String>,
    /// Where help is found: `https:` or `mailto:` (RFC 2369).
    pub help: Option<String>,
    /// Whom to write to about the list: `mailto:` (RFC 2369).
    pub owner: Option<String>,
}

/// Why there are no bytes. The letter cannot be sent as it is, now or later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// An address is not one.
    #[error("{header}: {address:?} is not a mail address; write it as name@example.org")]
    Address {
        /// In which header.
        header: &'static str,
        /// What was found, shortened.
        address: String,
    },
    /// An address has letters that need SMTPUTF8 (RFC 6531), which few relays offer.
    #[error(
        "{header}: {address:?} has characters outside ASCII, which relays refuse; ask the reader for an address without"
    )]
    NonAsciiAddress {
        /// In which header.
        header: &'static str,
        /// What was found, shortened.
        address: String,
    },
    /// A value that must be ready for a header is not.
    #[error("{header}: {value:?} cannot stand in this header; expected {expected}")]
    Value {
        /// In which header.
        header: &'static str,
        /// What was found, shortened.
        value: String,
        /// What it must look like.
        expected: &'static str,
    },
}

fn mailbox(headers: &mut HeaderWriter, header: &'static str, mailbox: &Mailbox) -> Result<(), MessageError> {
    let address = &mailbox.address;
    if !address.is_ascii() {
        let address = shorten(address);
        return Err(MessageError::NonAsciiAddress { header, address });
    }
    // lettre's grammar admits neither white space nor controls nor brackets; its length limit is per part only.
    let well_formed = address.len() <= ADDRESS_MAX && is_graphic(address) && address.parse::<Address>().is_ok();
    if !well_formed {
        let address = shorten(address);
        return Err(MessageError::Address { header, address });
    }
    let name = mailbox.name.as_deref().map(|name| clean(name, NAME_MAX));
    headers.phrase(header, name.as_deref(), address);
    Ok(())
}

fn list_headers(headers: &mut HeaderWriter, list: &ListHeaders) -> Result<(), MessageError> {
    let is_id = is_graphic(&list.id)
        && list.id.len() <= ADDRESS_MAX
        && list.id.split('.').all(|part| !part.is_empty())
        && list
            .id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_id {
        return Err(bad_value("List-Id", &list.id, "a name like digests.example.org"));
    }
    headers.phrase("List-Id", Some(&clean(&list.label, NAME_MAX)), &list.id);
    let https = uri("List-Unsubscribe", list.unsubscribe_https.as_deref(), &["https://"])?;
    let mailto = uri("List-Unsubscribe", list.unsubscribe_mailto.as_deref(), &["mailto:"])?;
    let ways: Vec<&str> = https.into_iter().chain(mailto).collect();
    if !ways.is_empty() {
        let last = ways.len() - 1;
        let tokens = ways.iter().enumerate();
        headers.tokens(
            "List-Unsubscribe",
            tokens.map(|(index, way)| format!("<{way}>{}", if index < last { "," } else { "" })),
        );
    }
    // RFC 8058: only together with exactly one https address.
    if https.is_some() && list.one_click {
        word(headers, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
    }
    if let Some(help) = uri("List-Help", list.help.as_deref(), &["https://", "mailto:"])? {
        word(headers, "List-Help", &format!("<{help}>"));
    }
    if let Some(owner) = uri("List-Owner", list.owner.as_deref(), &["mailto:"])? {
        word(headers, "List-Owner", &format!("<{owner}>"));
    }
    Ok(())
}

fn word(headers: &mut HeaderWriter, name: &str, value: &str) {
    headers.tokens(name, [value.to_owned()]);
}

fn message_id(id: &str) -> Result<&str, MessageError> {
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>'));
    let well_formed = inner.is_some_and(|inner| {
        inner.len() + 2 <= MESSAGE_ID_MAX
            && inner
                .split_once('@')
                .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
            && inner.matches('@').count() == 1
            && is_graphic(inner)
            && !inner.contains(['<', '>', '"', '\\', '(', ')', ','])
    });
    well_formed
        .then_some(id)
        .ok_or_else(|| bad_value("Message-ID", id, "<unique@example.org>"))
}

/// Gmail's rule: up to four fields, the last one, SenderId, of 5 to 15 characters.
fn feedback_id(id: &str) -> Result<&str, MessageError> {
    let fields: Vec<&str> = id.split(':').collect();
    let well_formed = (2..=4).contains(&fields.len())
        && fields.iter().all(|field| field.len() <= 40)
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        && fields.last().is_some_and(|sender| (5..=15).contains(&sender.len()));
    let expected = "a:b:c:SenderId, whose SenderId has 5 to 15 letters or digits";
    well_formed
        .then_some(id)
        .ok_or_else(|| bad_value("Feedback-ID", id, expected))
}

fn uri<'t>(header: &'static str, uri: Option<&'t str>, schemes: &[&str]) -> Result<Option<&'t str>, MessageError> {
    let Some(uri) = uri else { return Ok(None) };
    let well_formed = uri.len() <= URI_MAX
        && is_graphic(uri)
        && !uri.contains(['<', '>', '"', ',', '\\'])
        && schemes
            .iter()
            .any(|scheme| uri.len() > scheme.len() && uri.starts_with(scheme));
    if well_formed {
        Ok(Some(uri))
    } else {
        Err(bad_value(
            header,
            uri,
            "an https: or mailto: address without spaces, commas or brackets",
        ))
    }
}

/// Appends the body with its Content-Type, which so stands last among the headers.
fn write_body(out: &mut Vec<u8>, letter: &Letter) -> Result<(), MessageError> {
    let Some(html) = &letter.html else {
        write_part(out, "text/plain", &letter.text);
        return Ok(());
    };
    let boundary = &letter.boundary;
    let well_formed = (1..=BOUNDARY_MAX).contains(&boundary.len())
        && boundary
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let bad = || {
        bad_value(
            "Content-Type",
            boundary,
            "a boundary of at most 70 letters, digits, `.`, `_` and `-` that stands in neither part",
        )
    };
    if !well_formed {
        return Err(bad());
    }
    let head = format!("Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    for (content_type, part) in [("text/plain", &letter.text), ("text/html", html)] {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        let begin = out.len();
        write_part(out, content_type, part);
        if memmem::find(&out[begin..], boundary.as_bytes()).is_some() {
            return Err(bad());
        }
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(())
}

/// Appends one part in the shorter of the two 7-bit encodings; both keep lines within 76 characters. Plain 7bit is never
/// used: a relay might fold its lines, and a line that begins with `From ` would be altered on its way into some
/// mailboxes.
fn write_part(out: &mut Vec<u8>, content_type: &str, body: &Body) {
    // An escaped byte takes two more characters; base64 takes a third more for every byte.
    let is_mostly_ascii = body.n_escaped() * 2 <= body.len() / 3;
    let encoding = if is_mostly_ascii { "quoted-printable" } else { "base64" };
    let head = format!("Content-Type: {content_type}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    if is_mostly_ascii {
        body.write_quoted_printable(out);
    } else {
        write_base64(out, &body.to_string().replace('\n', "\r\n"));
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends text in base64 in lines of 76 characters (RFC 2045, 6.8), without the last one's end.
fn write_base64(out: &mut Vec<u8>, text: &str) {
    /// Makes 76 characters.
    const LINE_BYTES: usize = 57;
    for (index, bytes) in text.as_bytes().chunks(LINE_BYTES).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    }
}

/// A boundary for mail that belongs to no digest: made from the Message-ID, which is unique.
fn notice_boundary(message_id: &str) -> String {
    let hash = digest(&SHA256, message_id.as_bytes());
    let hex: String = hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("pr1-{hex}")
}

fn is_graphic(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn bad_value(header: &'static str, value: &str, expected: &'static str) -> MessageError {
    MessageError::Value {
        header,
        value: shorten(value),
        expected,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
pub(super) mod tests;
