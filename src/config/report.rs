//! `[report]`: who is told when something stays broken.

use std::time::Duration;

use secrecy::SecretString;

use super::{
    mailbox::Mailbox,
    section::Section,
    units::{DAY, HOUR, MINUTE},
    url::parse_url,
};

/// The settings of `[report]`.
#[derive(Debug, Clone)]
pub struct Report {
    /// Who is told, once when something stays broken and once when it is well again.
    pub to: Vec<Mailbox>,
    /// How long it must have been broken.
    pub after: Duration,
    /// The address that is called after each good run, for a dead-man switch. It works like a password.
    pub ping: Option<SecretString>,
}

impl Report {
    pub(super) fn read(section: Section<'_>) -> Self {
        let to = section.strings("to").unwrap_or_default();
        let to = to.into_iter().filter_map(|(text, place)| {
            Mailbox::parse(&text)
                .map_err(|wrong| section.sink().refuse(&place, wrong.what, wrong.mend))
                .ok()
        });
        let to = to.collect();
        let after = section.duration("after", 48 * HOUR, MINUTE..=30 * DAY);
        let ping = section.get("ping").and_then(|entry| {
            let text = entry.string()?;
            if let Err(what) = parse_url(&text) {
                entry.refuse(what, "write the address that the monitoring service gave you");
                return None;
            }
            Some(SecretString::from(text.trim().to_owned()))
        });
        section.finish(|_| None);
        Self { to, after, ping }
    }
}
