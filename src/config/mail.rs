//! `[mail]`: who sends, and through what.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    dkim::Dkim,
    environment::{Base, Environment},
    mailbox::{Mailbox, parse_address},
    problems::quote,
    relay::{self, Relays},
    section::Section,
    units::{HOUR, MINUTE},
};

/// How mail leaves this machine.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Through a relay by SMTP.
    Smtp(Relays),
    /// Through a local program that reads the message, as sendmail does.
    Sendmail {
        /// The program.
        program: PathBuf,
    },
    /// Into a maildir: nothing leaves, no account is needed.
    Maildir {
        /// The folder.
        dir: PathBuf,
    },
}

/// What is done when the relay died between our final dot and its 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The digest is sent again under the same Message-ID.
    Resend,
    /// It is held for the operator.
    Hold,
}

/// The settings of `[mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Whom the mail is from.
    pub from: Mailbox,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
    /// How mail leaves.
    pub transport: Transport,
    /// Where bounces go; the address of `from` unless configured.
    pub envelope_sender: String,
    /// Whether the envelope sender carries a token that names the subscriber.
    pub verp: bool,
    /// The wait after a transient failure; it grows, with jitter.
    pub retry_delay: Duration,
    /// What is done with an unconfirmed digest.
    pub unconfirmed: Unconfirmed,
    /// Where readers write to leave.
    pub unsubscribe_address: Option<String>,
    /// A maildir from which bounces and requests to leave are read.
    pub bounce_maildir: Option<PathBuf>,
    /// The key that signs tokens and Message-IDs; made on first start where it is absent.
    pub token_key_file: PathBuf,
    /// The signature, if mail is signed here.
    pub dkim: Option<Dkim>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Smtp,
    Sendmail,
    Maildir,
}

/// What `[mail]` needs to know besides its own table.
pub(super) struct Context<'a> {
    pub(super) base: &'a Base,
    pub(super) environment: &'a Environment,
    pub(super) state_dir: &'a Path,
    pub(super) config_file: &'a Path,
}

impl Mail {
    pub(super) fn read(section: Section<'_>, context: &Context<'_>) -> Self {
        let base = context.base;
        let kind = section.choice(
            "transport",
            Kind::Maildir,
            &[
                ("smtp", Kind::Smtp),
                ("sendmail", Kind::Sendmail),
                ("maildir", Kind::Maildir),
            ],
        );
        let path = |key, default: &str| {
            let path = base.written(&section.string(key).unwrap_or_else(|| default.to_owned()));
            section.note(key, Some(path.display().to_string()));
            path
        };
        let maildir = path("maildir", "outbox");
        let program = section
            .string("sendmail")
            .unwrap_or_else(|| "/usr/sbin/sendmail".to_owned());
        // A bare name is looked up in PATH by the system.
        let program = if program.contains('/') {
            base.read(&program)
        } else {
            PathBuf::from(program)
        };
        section.note("sendmail", Some(program.display().to_string()));
        // The relays' keys are checked whichever the transport, so that a switch brings no surprise.
        let relays = Relays::read(&section, context, kind == Kind::Smtp);
        let transport = match kind {
            Kind::Smtp => Transport::Smtp(relays),
            Kind::Sendmail => Transport::Sendmail { program },
            Kind::Maildir => Transport::Maildir { dir: maildir },
        };

        let from = read_mailbox(&section, "from");
        if from.is_none() && section.get("from").is_none() {
            section.sink().refuse(
                &section.place_of("from"),
                "is missing",
                "write from = \"Paper round <papers@your-domain>\" below [mail]",
            );
        }
        // The stand-in is never used: a problem was reported.
        let from = from.unwrap_or_else(|| Mailbox {
            name: None,
            address: "papers@invalid".to_owned(),
        });
        let envelope_sender = read_address(&section, "envelope_sender").unwrap_or_else(|| from.address.clone());
        section.note("envelope_sender", Some(envelope_sender.clone()));
        let token_key_file = section.string("token_key_file").map(|path| base.written(&path));
        let token_key_file = token_key_file.unwrap_or_else(|| context.state_dir.join("token-key"));
        section.note("token_key_file", Some(token_key_file.display().to_string()));
        let bounce_maildir = section.string("bounce_maildir").map(|path| base.written(&path));
        section.note(
            "bounce_maildir",
            bounce_maildir.as_ref().map(|path| path.display().to_string()),
        );

        let mail = Self {
            reply_to: read_mailbox(&section, "reply_to"),
            transport,
            verp: section.bool("verp", false),
            retry_delay: section.duration("retry_delay", MINUTE, Duration::from_millis(1)..=HOUR),
            unconfirmed: section.choice(
                "unconfirmed",
                Unconfirmed::Resend,
                &[("resend", Unconfirmed::Resend), ("hold", Unconfirmed::Hold)],
            ),
            unsubscribe_address: read_address(&section, "unsubscribe_address"),
            bounce_maildir,
            token_key_file,
            dkim: Dkim::read(section.section("dkim"), base, &from),
            from,
            envelope_sender,
        };
        section.finish(|key| match key {
            "sender" | "from_address" => Some("write from".to_owned()),
            "to" | "recipients" => Some("each recipient is a [[subscriber]]".to_owned()),
            key => relay::hint(key),
        });
        mail
    }
}

fn read_mailbox(section: &Section<'_>, key: &'static str) -> Option<Mailbox> {
    let text = section.string(key)?;
    match Mailbox::parse(&text) {
        Ok(mailbox) => Some(mailbox),
        Err(wrong) => {
            section.get(key)?.refuse(wrong.what, wrong.mend);
            None
        }
    }
}

fn read_address(section: &Section<'_>, key: &'static str) -> Option<String> {
    let text = section.string(key)?;
    if text.trim().ends_with('>') {
        let what = format!("{} holds a name", quote(&text));
        section.get(key)?.refuse(what, "write the address alone");
        return None;
    }
    match parse_address(&text) {
        Ok(address) => Some(address),
        Err(wrong) => {
            section.get(key)?.refuse(wrong.what, wrong.mend);
            None
        }
    }
}

/// The least that a limit per stage may be lowered to: less would cut off relays that are well.
pub(super) const STAGE_TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// The longest limit of any stage (RFC 5321 section 4.5.3.2: ten minutes for the reply to the final dot).
pub(super) const STAGE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10 * 60);
