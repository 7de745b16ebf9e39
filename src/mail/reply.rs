//! A reply of the relay, and what it means for the mail: the one place where codes are judged.
//!
//! The code alone does not say whose fault a refusal is: a 550 can mean a dead mailbox, a daily limit or a
//! sender without permission. So the stage and the enhanced status code (RFC 3463, RFC 2034) decide
//! together with it, and only codes that speak of the recipient are ever held against the recipient.

use std::fmt;

use lettre::transport::smtp::response::Response;

use crate::model::{Outcome, Stage};

/// How many characters of a reply are kept.
pub const REPLY_CHARS_MAX: usize = 500;

/// An enhanced status code (RFC 3463): class, subject, detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedCode {
    /// 2 success, 4 transient, 5 permanent.
    pub class: u8,
    /// What it is about: 1 address, 2 mailbox, 3 mail system, 4 routing, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// Which condition.
    pub detail: u16,
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// What the relay said, in one clean line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 200 to 559.
    pub code: u16,
    /// The enhanced status code, if the reply begins with one that agrees with its code.
    pub enhanced: Option<EnhancedCode>,
    /// The text after both codes: one line, no control characters, at most [`REPLY_CHARS_MAX`] characters.
    pub text: String,
}

impl Reply {
    /// The reply with its lines joined and cleaned.
    pub fn new(response: &Response) -> Self {
        let code = u16::from(response.code());
        let first = response.first_word().and_then(|word| enhanced_code(word, code));
        let prefix = first.and_then(|_| response.first_word());
        // Multi-line replies repeat the enhanced code on every line (RFC 2034, section 4); once is enough.
        let lines: Vec<&str> = response
            .message()
            .map(|line| {
                prefix
                    .and_then(|prefix| line.trim_start().strip_prefix(prefix))
                    .unwrap_or(line)
            })
            .collect();
        Self {
            code,
            enhanced: first,
            text: clean(&lines.join(" ")),
        }
    }

    /// Whether the relay said yes (2yz).
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether the relay waits for more (3yz).
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// Whether the relay closes the connection with this reply (RFC 5321, section 3.8).
    pub fn is_closing(&self) -> bool {
        self.code == 421
    }

    /// What this refusal at `stage` means for the mail.
    pub fn judge(&self, stage: Stage) -> Outcome {
        let reply = self.to_string();
        match self.verdict(stage) {
            Verdict::Relay => Outcome::TransientRelay { stage, reply },
            Verdict::Later => Outcome::TransientRecipient { stage, reply },
            Verdict::Recipient { no_such_mailbox } => Outcome::PermanentRecipient {
                stage,
                reply,
                no_such_mailbox,
            },
            Verdict::Message => Outcome::PermanentMessage { stage, reply },
            Verdict::Configuration(hint) => Outcome::Configuration {
                stage,
                reply: format!("{reply}; {hint}"),
            },
        }
    }

    fn verdict(&self, stage: Stage) -> Verdict {
        if self.is_closing() {
            return Verdict::Relay;
        }
        match stage {
            Stage::Connect | Stage::Greeting => match self.code {
                500.. => Verdict::Configuration(HINT_REFUSES_US),
                _ => Verdict::Relay,
            },
            Stage::Tls => match self.code {
                500.. => Verdict::Configuration(HINT_TLS),
                _ => Verdict::Relay,
            },
            Stage::Hello => match self.code {
                500.. => Verdict::Configuration(HINT_HELLO),
                _ => Verdict::Relay,
            },
            Stage::Auth => self.verdict_on_login(),
            Stage::Mail => self.verdict_on_system().unwrap_or(match self.code {
                ..500 => Verdict::Relay,
                552 => Verdict::Message,
                _ if self.is_about_content() => Verdict::Message,
                _ => Verdict::Configuration(HINT_SENDER),
            }),
            Stage::Recipient => self
                .verdict_on_system()
                .or_else(|| self.verdict_on_relaying())
                .unwrap_or_else(|| self.verdict_on_recipient()),
            Stage::Data | Stage::Body | Stage::FinalReply => {
                self.verdict_on_system().unwrap_or_else(|| self.verdict_on_message())
            }
        }
    }

    /// AUTH: nothing said here is about a recipient, and every further try may lock the account.
    fn verdict_on_login(&self) -> Verdict {
        match (self.code, self.enhanced_pair()) {
            (538, _) | (_, Some((7, 11))) => Verdict::Configuration(HINT_TLS),
            (504, _) | (_, Some((5, 4))) => Verdict::Configuration(HINT_MECHANISM),
            (432 | 454, _) => Verdict::Configuration(HINT_LOGIN_LATER),
            (..500, _) => Verdict::Relay,
            _ => Verdict::Configuration(HINT_LOGIN),
        }
    }

    /// What concerns this sender as a whole, whatever the command that met it.
    fn verdict_on_system(&self) -> Option<Verdict> {
        let verdict = match (self.code, self.enhanced_pair()) {
            // 530 5.7.0 "Must issue a STARTTLS command first" (RFC 3207) and 538 (RFC 4954) ask for TLS, not for a login.
            (530, _) if self.text_has("starttls") => Verdict::Configuration(HINT_TLS),
            (538, _) | (_, Some((7, 11))) => Verdict::Configuration(HINT_TLS),
            (530 | 534 | 535, _) | (500.., Some((7, 8 | 9))) => Verdict::Configuration(HINT_LOGIN),
            (454, _) => Verdict::Configuration(HINT_LOGIN_LATER),
            (500.., Some((4, 5))) => Verdict::Configuration(HINT_QUOTA),
            (500.., Some((7, 60))) => Verdict::Configuration(HINT_SENDER),
            // The sender's address is refused; many relays delay that to RCPT.
            (500.., Some((1, 7 | 8))) => Verdict::Configuration(HINT_SENDER),
            // SPF, DKIM, DMARC, reverse DNS (RFC 7372, Gmail 5.7.23 to 32) and Outlook's codes about the sender.
            (500.., Some((7, 20..=32 | 500..=999))) => Verdict::Configuration(HINT_AUTHENTICATION),
            // The same conditions while they only slow us down: they hold for all our mail.
            (..500, Some((7, 20..=32))) => Verdict::Relay,
            // Out of step: a new connection starts clean.
            (503, _) => Verdict::Relay,
            _ => return None,
        };
        Some(verdict)
    }

    /// The relay does not carry our mail at all: said at RCPT, but no fault of the recipient.
    fn verdict_on_relaying(&self) -> Option<Verdict> {
        let is_policy = match self.enhanced_pair() {
            None => matches!(self.code, 550 | 551 | 553 | 554),
            Some((7, 54 | 64)) => return Some(Verdict::Configuration(HINT_RELAYING)),
            Some((subject, _)) => subject == 7 && self.code >= 500,
        };
        (is_policy && self.text_has("relay")).then_some(Verdict::Configuration(HINT_RELAYING))
    }

    fn verdict_on_recipient(&self) -> Verdict {
        if self.code < 500 {
            return Verdict::Later;
        }
        match self.enhanced_pair() {
            Some((1, 1 | 2 | 3 | 6 | 10) | (2, 1)) => Verdict::Recipient { no_such_mailbox: true },
            // Mailbox full: RFC 3463 calls it a persistent transient condition.
            Some((2, 2)) => Verdict::Later,
            _ if self.is_about_content() => Verdict::Message,
            // A bare 552 at RCPT is to be treated as 452 (RFC 5321, section 4.5.3.1.10).
            None if self.code == 552 => Verdict::Later,
            _ => Verdict::Recipient { no_such_mailbox: false },
        }
    }

    fn verdict_on_message(&self) -> Verdict {
        if self.code < 500 {
            return Verdict::Later;
        }
        match self.enhanced_pair() {
            Some((1, _) | (2, 0..=2 | 4..)) => self.verdict_on_recipient(),
            _ => Verdict::Message,
        }
    }

    /// Too long for the mailbox or the system, or refused for what it holds; 5.6.7 is about the address (RFC 6531).
    fn is_about_content(&self) -> bool {
        match self.enhanced_pair() {
            Some((2, 3) | (3, 4)) => true,
            Some((6, detail)) => detail != 7,
            _ => false,
        }
    }

    fn enhanced_pair(&self) -> Option<(u16, u16)> {
        self.enhanced.map(|code| (code.subject, code.detail))
    }

    fn text_has(&self, word: &str) -> bool {
        self.text.to_ascii_lowercase().contains(word)
    }
}

impl fmt::Display for Reply {
    /// `550 5.1.1 No such user`, as the relay said it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

/// The classes of DESIGN 3, "Ends", before the stage and the words are added.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Relay,
    Later,
    Recipient { no_such_mailbox: bool },
    Message,
    Configuration(&'static str),
}

const HINT_REFUSES_US: &str = "the relay does not take mail from this machine: check `mail.host`, or ask its operator";
const HINT_TLS: &str = "check `mail.tls`: starttls (port 587) or implicit (port 465)";
const HINT_HELLO: &str = "set `mail.hello` to this machine's full host name";
const HINT_LOGIN: &str = "check `mail.username` and the password; many providers want an app password instead of the \
                          account's own";
const HINT_LOGIN_LATER: &str = "the relay cannot check logins at present, or wants one; check `mail.username` and the \
                                password if it lasts";
const HINT_MECHANISM: &str = "the relay does not know this way to log in: set `mail.auth`";
const HINT_SENDER: &str = "the relay does not let this login send as this address: check `mail.from`, \
                           `mail.envelope_sender` and `mail.username`";
const HINT_QUOTA: &str =
    "the sending limit of this account is used up: lower `mail.messages_per_minute` or raise the limit";
const HINT_AUTHENTICATION: &str = "the sender is not trusted: check SPF, DKIM, DMARC and reverse DNS of the domain in \
                                   `mail.from`";
const HINT_RELAYING: &str = "the relay does not carry mail for this sender: set `mail.username`, or allow this machine at \
                             the relay";

/// One line for logs, mails and terminals: no control or invisible direction characters, white space folded,
/// at most [`REPLY_CHARS_MAX`] characters.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::new();
    let mut n_chars = 0;
    let mut gap = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = n_chars > 0;
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        let needed = 1 + usize::from(gap);
        if n_chars + needed > REPLY_CHARS_MAX - 1 {
            cleaned.push('…');
            break;
        }
        if std::mem::take(&mut gap) {
            cleaned.push(' ');
        }
        cleaned.push(c);
        n_chars += needed;
    }
    cleaned
}

/// Characters that reorder or hide text without being control characters (category Cf, as far as they can mislead).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// Reads `5.1.1`; the class must agree with the reply code (RFC 2034, section 4).
fn enhanced_code(word: &str, code: u16) -> Option<EnhancedCode> {
    let mut parts = word.splitn(3, '.');
    let class: u8 = parts.next().filter(|part| part.len() == 1)?.parse().ok()?;
    let mut number = || -> Option<u16> {
        let part = parts.next()?;
        let is_number = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    };
    let (subject, detail) = (number()?, number()?);
    (matches!(class, 2 | 4 | 5) && u16::from(class) == code / 100).then_some(EnhancedCode { class, subject, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply::new(&text.parse::<Response>().unwrap())
    }

    /// The class, with the two facts that matter beside it.
    fn class(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Accepted { .. } => "accepted".into(),
            Outcome::TransientRecipient { .. } => "later".into(),
            Outcome::TransientRelay { .. } => "relay".into(),
            Outcome::PermanentRecipient { no_such_mailbox, .. } if *no_such_mailbox => "no mailbox".into(),
            Outcome::PermanentRecipient { .. } => "recipient".into(),
            Outcome::PermanentMessage { .. } => "message".into(),
            Outcome::Configuration { reply, .. } => {
                let (_, hint) = reply.rsplit_once("; ").unwrap();
                let named = [
                    "hello",
                    "auth`",
                    "tls",
                    "SPF",
                    "messages_per_minute",
                    "app password",
                    "if it lasts",
                ];
                let key = named.iter().find(|word| hint.contains(*word));
                match key {
                    Some(key) => format!("configuration {key}"),
                    None if hint.contains("envelope_sender") => "configuration sender".into(),
                    None if hint.contains("carry") => "configuration relaying".into(),
                    None => "configuration".into(),
                }
            }
            Outcome::Unconfirmed { .. } => "unconfirmed".into(),
        }
    }

    #[test]
    fn stage_and_codes_decide_together_whose_fault_a_refusal_is() {
        #[track_caller]
        fn check(stage: Stage, text: &str, expected: &str) {
            let outcome = reply(&format!("{text}\r\n")).judge(stage);
            assert_eq!(class(&outcome), expected, "{stage:?} {text:?} gave {outcome:?}");
        }
        use Stage::{Auth, Data, FinalReply, Greeting, Hello, Mail, Recipient, Tls};

        // 421 closes the connection, wherever it comes.
        for stage in [Greeting, Tls, Hello, Auth, Mail, Recipient, Data, FinalReply] {
            check(stage, "421 4.3.2 shutting down", "relay");
        }
        check(Recipient, "421 4.7.28 unusual rate of mail", "relay");

        // Before the login.
        check(Greeting, "450 busy", "relay");
        check(Greeting, "554 5.7.1 no service for you", "configuration");
        check(Tls, "454 4.7.0 TLS not available", "relay");
        check(Tls, "502 5.5.1 not implemented", "configuration tls");
        check(
            Hello,
            "504 5.5.2 <vm>: need fully-qualified hostname",
            "configuration hello",
        );
        check(Hello, "501 syntax", "configuration hello");
        check(Hello, "550 5.7.1 Helo rejected", "configuration hello");
        check(Hello, "450 4.7.1 later", "relay");

        // The login.
        check(Auth, "535 5.7.8 not accepted", "configuration app password");
        check(
            Auth,
            "534 5.7.9 Application-specific password required",
            "configuration app password",
        );
        check(Auth, "535 authentication failed", "configuration app password");
        check(Auth, "530 5.7.0 authentication required", "configuration app password");
        check(
            Auth,
            "454 4.7.0 Temporary authentication failure",
            "configuration if it lasts",
        );
        check(Auth, "432 4.7.12 transition needed", "configuration if it lasts");
        check(Auth, "538 5.7.11 encryption required", "configuration tls");
        check(Auth, "504 5.5.4 unrecognized mechanism", "configuration auth`");
        check(Auth, "451 4.3.0 database is down", "relay");

        // MAIL: no recipient is known yet.
        check(
            Mail,
            "501 mail from address must be same as authorization user",
            "configuration sender",
        );
        check(Mail, "553 5.7.1 sender address rejected", "configuration sender");
        check(Mail, "550 5.1.8 sender domain does not exist", "configuration sender");
        check(Mail, "550 5.1.7 bad sender", "configuration sender");
        check(
            Mail,
            "550 5.7.60 client does not have permissions to send as this sender",
            "configuration sender",
        );
        check(Mail, "530 5.7.0 Authentication Required", "configuration app password");
        check(
            Mail,
            "530 5.7.0 Must issue a STARTTLS command first",
            "configuration tls",
        );
        check(
            Mail,
            "550 5.4.5 Daily sending quota exceeded",
            "configuration messages_per_minute",
        );
        check(Mail, "552 5.3.4 message too big", "message");
        check(Mail, "552 too big", "message");
        check(Mail, "554 5.6.1 content", "message");
        check(Mail, "555 5.5.4 unsupported parameter", "configuration sender");
        check(Mail, "503 5.5.1 nested MAIL command", "relay");
        check(Mail, "450 4.7.1 slow down", "relay");
        check(Mail, "451 4.3.0 queue", "relay");
        check(Mail, "452 4.3.1 insufficient storage", "relay");
        check(Mail, "454 4.7.0 log in", "configuration if it lasts");

        // RCPT: for the moment.
        check(Recipient, "450 4.7.1 greylisted, try again in 300 seconds", "later");
        check(Recipient, "450 4.7.0 too many requests", "later");
        check(Recipient, "451 4.3.0 lookup failed", "later");
        check(Recipient, "452 4.2.2 over quota", "later");
        check(Recipient, "450 ", "later");
        check(Recipient, "552 5.2.2 mailbox full", "later");
        check(Recipient, "554 5.2.2 mailbox full", "later");
        check(Recipient, "552 storage allocation exceeded", "later");
        check(Recipient, "454 4.7.1 Relay access denied", "configuration if it lasts");
        check(Recipient, "451 4.7.26 unauthenticated", "relay");
        check(Recipient, "503 5.5.1 need MAIL", "relay");

        // RCPT: for good.
        for text in [
            "550 5.1.1 no such user",
            "550 5.1.2 bad destination system",
            "501 5.1.3 bad address syntax",
            "551 5.1.6 moved",
            "550 5.1.10 null MX",
            "550 5.2.1 disabled",
        ] {
            check(Recipient, text, "no mailbox");
        }
        for text in [
            "550 5.1.0 address rejected",
            "550 mailbox unavailable",
            "551 user not local",
            "553 mailbox name not allowed",
            "501 syntax",
            "550 5.7.1 not authorised to send to this list",
            "550 5.7.133 sender not authenticated for group",
            "550 5.4.1 access denied",
            "550 5.3.0 something",
            "553 5.6.7 non-ASCII address",
        ] {
            check(Recipient, text, "recipient");
        }
        check(Recipient, "552 5.3.4 message too big", "message");
        check(Recipient, "552 5.2.3 message too long for this mailbox", "message");
        check(
            Recipient,
            "554 5.7.1 <x@example.org>: Relay access denied",
            "configuration relaying",
        );
        check(Recipient, "550 Relaying denied", "configuration relaying");
        check(Recipient, "550 5.7.54 SMTP; unable to accept", "configuration relaying");
        check(Recipient, "553 5.1.8 sender refused", "configuration sender");
        check(Recipient, "550 5.7.26 unauthenticated", "configuration SPF");
        check(Recipient, "550 5.7.515 Access denied", "configuration SPF");
        check(Recipient, "550 5.7.60 send as", "configuration sender");
        check(Recipient, "550 5.4.5 daily limit", "configuration messages_per_minute");
        check(Recipient, "530 5.7.1 log in first", "configuration app password");

        // The message.
        for stage in [Data, Stage::Body, FinalReply] {
            check(stage, "450 4.7.1 greylisted", "later");
            check(stage, "451 4.3.0 later", "later");
            check(stage, "452 4.3.1 disk", "later");
            check(stage, "552 5.3.4 too big", "message");
            check(stage, "552 too big", "message");
            check(stage, "554 5.6.0 content", "message");
            check(stage, "550 5.7.1 spam", "message");
            check(stage, "554 transaction failed", "message");
            check(stage, "550 5.2.3 too long", "message");
            check(stage, "550 5.1.1 no such user", "no mailbox");
            check(stage, "550 5.1.0 odd", "recipient");
            check(stage, "552 5.2.2 full", "later");
            check(stage, "550 5.4.5 quota", "configuration messages_per_minute");
            check(stage, "550 5.7.26 DMARC", "configuration SPF");
            check(stage, "550 5.7.515 Access denied", "configuration SPF");
            check(stage, "550 5.7.60 send as", "configuration sender");
            check(stage, "535 5.7.8 login", "configuration app password");
            check(stage, "503 5.5.1 RCPT first", "relay");
        }
    }

    #[test]
    fn a_reply_is_kept_as_one_clean_line() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(reply(text).to_string(), expected);
        }
        check("250 2.0.0 Ok: queued as 4ABC\r\n", "250 2.0.0 Ok: queued as 4ABC");
        check(
            "535-5.7.8 Username and Password not accepted. For more, go to\r\n535 5.7.8  https://support.example/ - gsmtp\r\n",
            "535 5.7.8 Username and Password not accepted. For more, go to https://support.example/ - gsmtp",
        );
        check(
            "550 4.1.1 class and code disagree\r\n",
            "550 4.1.1 class and code disagree",
        );
        check(
            "550 \u{1b}[31mred\u{7}\tand \u{202e}back\u{2028}x\r\n",
            "550 [31mred and back x",
        );
        check("250 \r\n", "250");
        assert_eq!(reply("550 4.1.1 x\r\n").enhanced, None);
        assert_eq!(reply("550 5.1.1234 x\r\n").enhanced, None);
        let long = reply(&format!("550 {}\r\n", "é ".repeat(900)));
        assert_eq!(long.text.chars().count(), REPLY_CHARS_MAX);
        assert!(long.text.ends_with('…'));
    }
}
