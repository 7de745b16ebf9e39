//! What comes back by mail: delivery reports (RFC 3464), complaints (RFC 5965), requests to leave, automatic replies.
//!
//! [`read`] says only what a mail claims. Anybody can write such a mail, so nothing is settled before a token in it has
//! been verified. Only failed recipients of a report count against an address: delayed mail and absence notes do not.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _, PartType};

/// Octets of a mail that are read: a report may return the whole digest, and only its beginning matters.
const MAIL_BYTES_MAX: usize = 2 << 20;
/// Recipients of one report that are taken. Ours go to one recipient each.
const RECIPIENTS_MAX: usize = 50;
/// Characters of a text that is kept as evidence.
const EVIDENCE_MAX: usize = 500;
/// Characters of a token that is taken from an address or a subject.
const TOKEN_MAX: usize = 80;

/// What one mail says. It never fails: what cannot be read is [`Verdict::Unknown`].
pub fn read(mail: &[u8]) -> Verdict {
    let mail = &mail[..mail.len().min(MAIL_BYTES_MAX)];
    let Some(message) = MessageParser::default().parse(mail) else {
        return Verdict::Unknown;
    };
    if let Some(report) = part(&message, "message", &["delivery-status", "global-delivery-status"]) {
        return delivery_report(&message, report);
    }
    if let Some(report) = part(&message, "message", &["feedback-report"]) {
        return complaint(&message, report);
    }
    let token = leave_token(&message);
    let automatic = automatic(&message);
    // Gmail and Apple mark the mail their "unsubscribe" buttons send as generated; an absence note is a reply.
    match automatic {
        Some(Automatic::Reply) => return Verdict::AutoReply,
        Some(Automatic::Generated) if token.is_none() => return Verdict::AutoReply,
        Some(Automatic::Generated) | None => {}
    }
    unsubscribe(&message, token).map_or(Verdict::Unknown, Verdict::Unsubscribe)
}

/// What a mail turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A report in which at least one recipient has failed.
    Dsn(Dsn),
    /// A report in which none has failed: delayed, relayed or delivered. It suppresses nobody.
    Delayed(Dsn),
    /// A reader, or a provider, reports our mail as unwanted.
    Complaint(Complaint),
    /// Somebody asks to leave.
    Unsubscribe(UnsubscribeRequest),
    /// A program answered, such as an absence note. It suppresses nobody.
    AutoReply,
    /// Something else: for a person to read.
    Unknown,
}

/// A delivery report (RFC 3464).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsn {
    /// The recipients it reports on.
    pub recipients: Vec<BouncedRecipient>,
    /// The token of the envelope sender that it came to. Not verified yet.
    pub envelope_token: Option<String>,
    /// The Message-ID of the returned mail, with its angle brackets.
    pub original_message_id: Option<String>,
}

/// What a report says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BouncedRecipient {
    /// The address as we wrote to it, in lower case.
    pub address: String,
    /// What happened.
    pub action: Action,
    /// The enhanced status code (RFC 3463), `5.1.1`, when there is one.
    pub status: Option<(u8, u16, u16)>,
    /// The reply or explanation, as evidence for the operator.
    pub diagnostic: String,
}

impl BouncedRecipient {
    /// How much this says against the mailbox.
    pub fn weight(&self) -> Weight {
        if self.action != Action::Failed {
            return Weight::None;
        }
        match self.status {
            // No such mailbox, domain or syntax; moved; null MX; disabled.
            Some((5, 1, 1 | 2 | 3 | 6 | 10) | (5, 2, 1)) => Weight::Hard,
            // Full, or given up after passing failures.
            Some((5, 2, 2) | (4, _, _)) => Weight::Soft,
            // Relay, routing, protocol, content, policy: says nothing about the reader.
            _ => Weight::None,
        }
    }
}

/// How much a bounce counts against a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// There is no such mailbox.
    Hard,
    /// It did not take the mail for now, for too long.
    Soft,
    /// Nothing.
    None,
}

/// What was done with a mail for one recipient (RFC 3464, 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet.
    Delayed,
    /// In the mailbox.
    Delivered,
    /// Handed to a system that sends no reports.
    Relayed,
    /// Handed to the members of a list.
    Expanded,
}

/// A complaint in the abuse reporting format (RFC 5965).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// `abuse`, `fraud`, `opt-out`…, as the report says.
    pub kind: String,
    /// Who complains, where the provider tells it.
    pub address: Option<String>,
    /// The token of our envelope sender. Not verified yet.
    pub envelope_token: Option<String>,
    /// The token of the unsubscribe link in the reported mail. Not verified yet.
    pub link_token: Option<String>,
    /// The Message-ID of the reported mail, with its angle brackets.
    pub original_message_id: Option<String>,
}

/// Somebody asks to leave by mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubscribeRequest {
    /// The token from the address written to, of a link or a short one, or from the subject. Not verified yet; without one the sender's address is
    /// all there is, which anybody can forge.
    pub token: Option<String>,
    /// The sender, in lower case.
    pub from: Option<String>,
    /// The subject, as evidence.
    pub subject: String,
}

fn delivery_report(message: &Message<'_>, report: &MessagePart<'_>) -> Verdict {
    let text = String::from_utf8_lossy(report.contents());
    // The first group is about the message, each further one about a recipient.
    let recipients: Vec<BouncedRecipient> = groups(&text)
        .iter()
        .filter_map(recipient)
        .take(RECIPIENTS_MAX)
        .collect();
    let original = Original::find(message);
    let dsn = Dsn {
        envelope_token: envelope_token(message).or_else(|| original.header("return-path").and_then(|v| extension(&v))),
        original_message_id: original.message_id(),
        recipients,
    };
    if dsn.recipients.is_empty() {
        Verdict::Unknown
    } else if dsn
        .recipients
        .iter()
        .any(|recipient| recipient.action == Action::Failed)
    {
        Verdict::Dsn(dsn)
    } else {
        Verdict::Delayed(dsn)
    }
}

fn recipient(group: &Fields) -> Option<BouncedRecipient> {
    let action = match group.get("action")?.to_ascii_lowercase().split_whitespace().next()? {
        "failed" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" => Action::Delivered,
        "relayed" => Action::Relayed,
        "expanded" => Action::Expanded,
        _ => return None,
    };
    // The final recipient may be an address behind a forwarding that we have never heard of.
    let address = group
        .get("original-recipient")
        .or_else(|| group.get("final-recipient"))?;
    let diagnostic = group.get("diagnostic-code").unwrap_or_default();
    let stated = group.get("status").and_then(status);
    let quoted = diagnostic
        .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '#' | '-'))
        .find_map(status);
    let status = match (stated, quoted) {
        // Exim writes 5.0.0 for everything; the reply it quotes says more.
        (Some((class, 0, 0)), Some(quoted)) if quoted.0 == class => Some(quoted),
        (Some(stated), _) => Some(stated),
        (None, quoted) => quoted,
    };
    Some(BouncedRecipient {
        address: typed_value(address),
        action,
        status,
        diagnostic: evidence(diagnostic),
    })
}

fn complaint(message: &Message<'_>, report: &MessagePart<'_>) -> Verdict {
    let text = String::from_utf8_lossy(report.contents());
    let Some(fields) = groups(&text).into_iter().next() else {
        return Verdict::Unknown;
    };
    let kind = evidence(fields.get("feedback-type").unwrap_or_default()).to_ascii_lowercase();
    // `not-spam` takes a complaint back; RFC 6650 authentication reports are no reader's word.
    if kind.is_empty() || matches!(kind.as_str(), "not-spam" | "auth-failure" | "dmarc") {
        return Verdict::Unknown;
    }
    let original = Original::find(message);
    let sender = fields
        .get("original-mail-from")
        .map(str::to_owned)
        .or_else(|| original.header("return-path"));
    Verdict::Complaint(Complaint {
        kind,
        address: fields.get("original-rcpt-to").map(typed_value),
        envelope_token: envelope_token(message).or_else(|| sender.and_then(|value| extension(&value))),
        link_token: original.header("list-unsubscribe").and_then(|value| token_in(&value)),
        original_message_id: original.message_id(),
    })
}

/// A request needs a token, or a subject that says what is wanted and nothing else.
fn unsubscribe(message: &Message<'_>, token: Option<String>) -> Option<UnsubscribeRequest> {
    let subject = message.subject().unwrap_or_default();
    (token.is_some() || asks_to_leave(subject)).then(|| UnsubscribeRequest {
        token,
        from: message
            .from()
            .and_then(|from| from.first()?.address())
            .map(|address| evidence(address).to_lowercase()),
        subject: evidence(subject),
    })
}

fn asks_to_leave(subject: &str) -> bool {
    let words = subject.to_lowercase();
    matches!(
        words.trim(),
        "unsubscribe" | "unsubscribe me" | "please unsubscribe" | "leave" | "stop" | "abmelden"
    )
}

enum Automatic {
    /// An answer to a mail.
    Reply,
    /// Written by a program on its own.
    Generated,
}

/// RFC 3834's header and what programs write that do not know it.
fn automatic(message: &Message<'_>) -> Option<Automatic> {
    for (name, value) in message.headers_raw() {
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "auto-submitted" if value.starts_with("auto-replied") => return Some(Automatic::Reply),
            "auto-submitted" if !value.starts_with("no") => return Some(Automatic::Generated),
            "x-autoreply" | "x-autorespond" | "x-auto-reply" => return Some(Automatic::Reply),
            "precedence" if value == "auto_reply" => return Some(Automatic::Reply),
            _ => {}
        }
    }
    let subject = message.subject().unwrap_or_default().to_lowercase();
    let starts = [
        "automatic reply:",
        "auto:",
        "autoreply:",
        "out of office",
        "out of the office",
        "abwesenheit",
        "automatische antwort:",
    ];
    starts
        .iter()
        .any(|start| subject.trim_start().starts_with(start))
        .then_some(Automatic::Reply)
}

/// The token after the plus of the address that a mail came to. Relays keep the envelope's recipient in one of these.
fn envelope_token(message: &Message<'_>) -> Option<String> {
    recipients(message).find_map(extension)
}

/// The token of a request to leave: a link's, in the address that the mail came to or in its subject; or the short one of
/// `leave+TOKEN@…`, where the subject asks for it or says nothing. Other mail to such an address may be an answer to a bounce.
fn leave_token(message: &Message<'_>) -> Option<String> {
    let subject = message.subject().unwrap_or_default();
    recipients(message)
        .find_map(token_in)
        .or_else(|| token_in(subject))
        .or_else(|| {
            let is_asked = asks_to_leave(subject) || subject.trim().is_empty();
            is_asked.then(|| envelope_token(message)).flatten()
        })
}

fn recipients<'m>(message: &'m Message<'_>) -> impl Iterator<Item = &'m str> {
    const NAMES: [&str; 5] = ["delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to"];
    NAMES.iter().flat_map(|wanted| {
        let headers = message.headers_raw();
        headers
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
    })
}

/// What stands between the plus and the `@` of the first address that has both.
fn extension(value: &str) -> Option<String> {
    let addresses = value.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"'));
    let mut extensions =
        addresses.filter_map(|address| address.rsplit_once('@')?.0.split_once('+').map(|(_, token)| token));
    extensions
        .find(|token| (1..=TOKEN_MAX).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric()))
        .map(str::to_ascii_lowercase)
}

/// The first `v1.KID.PAYLOAD.CODE` in a text, wherever it stands.
fn token_in(text: &str) -> Option<String> {
    let mut pieces = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
    pieces
        .find(|piece| {
            piece.len() <= TOKEN_MAX
                && piece.starts_with("v1.")
                && piece.split('.').filter(|part| !part.is_empty()).count() == 4
        })
        .map(|token| token.trim_end_matches('.').to_owned())
}

/// The headers of the mail that a report returns: a whole message, or `text/rfc822-headers`.
struct Original(Vec<(String, String)>);

impl Original {
    fn find(message: &Message<'_>) -> Self {
        let headers = |message: &Message<'_>| {
            let pairs = message.headers_raw();
            pairs
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect()
        };
        let whole = message.parts.iter().find_map(|part| match &part.body {
            PartType::Message(original) => Some(headers(original)),
            _ => None,
        });
        let found = whole.or_else(|| {
            let part = part(message, "text", &["rfc822-headers"])?;
            MessageParser::default()
                .parse(part.contents())
                .map(|original| headers(&original))
        });
        Self(found.unwrap_or_default())
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
    }

    /// Ours if there is one, else the last: a relay adds its own on top when it thinks one is missing.
    fn message_id(&self) -> Option<String> {
        let ids = || {
            self.0
                .iter()
                .filter(|(name, _)| name == "message-id")
                .map(|(_, value)| value.trim())
        };
        let id = ids().find(|id| id.starts_with("<pr1.")).or_else(|| ids().next_back())?;
        Some(evidence(id))
    }
}

fn part<'m, 'x>(message: &'m Message<'x>, kind: &str, subtypes: &[&str]) -> Option<&'m MessagePart<'x>> {
    message.parts.iter().find(|part| {
        part.content_type().is_some_and(|content_type| {
            let subtype = content_type.subtype().unwrap_or_default();
            content_type.ctype().eq_ignore_ascii_case(kind)
                && subtypes.iter().any(|wanted| subtype.eq_ignore_ascii_case(wanted))
        })
    })
}

/// Fields of one group of a report, names in lower case, values unfolded.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The groups of fields of a report, which empty lines divide.
fn groups(text: &str) -> Vec<Fields> {
    let mut groups = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            if !fields.is_empty() {
                groups.push(Fields(std::mem::take(&mut fields)));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        if groups.len() > RECIPIENTS_MAX {
            return groups;
        }
    }
    if !fields.is_empty() {
        groups.push(Fields(fields));
    }
    groups
}

/// `rfc822; Gone@relay.example` or `<gone@relay.example>` → `gone@relay.example`.
fn typed_value(value: &str) -> String {
    let address = value.split_once(';').map_or(value, |(_, address)| address);
    evidence(address.trim().trim_start_matches('<').trim_end_matches('>')).to_lowercase()
}

/// Reads `5.1.1` or `5.1.1 (text)`.
fn status(text: &str) -> Option<(u8, u16, u16)> {
    let code = text.split(|c: char| !(c.is_ascii_digit() || c == '.')).next()?;
    let mut numbers = code.split('.');
    let class = numbers
        .next()?
        .parse()
        .ok()
        .filter(|class| matches!(class, 2 | 4 | 5))?;
    let mut next = || {
        numbers
            .next()
            .filter(|digits| (1..=3).contains(&digits.len()))?
            .parse()
            .ok()
    };
    let status = (class, next()?, next()?);
    numbers.next().is_none().then_some(status)
}

/// Text of a stranger, fit for a log line.
fn evidence(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(EVIDENCE_MAX).collect()
}

#[cfg(test)]
mod tests;
