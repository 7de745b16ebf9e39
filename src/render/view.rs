//! What a mail says, in the words of both its parts: the values that the templates are given.

use minijinja::Value;
use serde::Serialize;

use super::{
    PersonalLinks, Settings, Sources,
    cards::{Builder, Cuts, Section, Version},
    clean::clip,
    kept::KeptCards,
    links::{self, Link},
    notice::Block,
    sentences::{self, Strip},
    words::{Days, count},
};
use crate::model::{DigestKind, DigestRecord};

/// The length that an overriding subject is cut to.
pub(super) const SUBJECT_CHARS_LIMIT: usize = 200;
/// The longest heading of a keyword, and the longest text of a link or tag, in characters.
pub(super) const KEYWORD_CHARS_MAX: usize = 80;
pub(super) const TAG_CHARS_MAX: usize = 40;

/// One mail.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) subject: String,
    lang: &'static str,
    sender: String,
    home: Option<Action>,
    /// The first visible line: what a mailbox shows beside the subject.
    pub(super) lead: String,
    pub(super) headline: String,
    pub(super) date: String,
    stop: Option<Action>,
    strip: Vec<Strip>,
    /// What a quiet or a welcome mail says besides.
    paragraphs: Vec<String>,
    /// What a mail says that is no digest.
    pub(super) blocks: Vec<Block>,
    sections: Vec<Section>,
    versions: Vec<Version>,
    versions_count: String,
    coverage: String,
    alarms: Vec<String>,
    notes: Vec<String>,
    actions: Vec<Action>,
    help: Option<String>,
    pub(super) why: String,
}

/// A link of ours.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Action {
    label: String,
    href: Value,
}

impl Page {
    /// A page that says nothing yet.
    pub(super) fn blank(sender: String, settings: &Settings) -> Self {
        Self {
            subject: String::new(),
            lang: "en",
            home: settings.public_url.as_deref().map(|url| Action::new(&sender, url)),
            sender,
            lead: String::new(),
            headline: String::new(),
            date: String::new(),
            stop: None,
            strip: Vec::new(),
            paragraphs: Vec::new(),
            blocks: Vec::new(),
            sections: Vec::new(),
            versions: Vec::new(),
            versions_count: String::new(),
            coverage: String::new(),
            alarms: Vec::new(),
            notes: Vec::new(),
            actions: Vec::new(),
            help: None,
            why: String::new(),
        }
    }

    pub(super) fn new(
        record: &DigestRecord,
        sources: &Sources<'_>,
        personal: &PersonalLinks,
        settings: &Settings,
        kept: &KeptCards,
    ) -> Self {
        let days = Days::new(record.frozen_at, &record.zone);
        let mut cuts = Cuts::default();
        let builder = Builder::new(record, sources, settings, days, kept);
        let sections: Vec<Section> = record
            .sections
            .iter()
            .filter_map(|section| builder.section(section, &mut cuts))
            .collect();
        let versions: Vec<Version> = record
            .papers()
            .filter_map(|paper| paper.replaces.map(|got| builder.version(paper, got)))
            .collect();
        let n_new = record.papers().filter(|paper| paper.replaces.is_none()).count();
        let sender = clip(&settings.sender_name, KEYWORD_CHARS_MAX);
        let headline = sentences::headline(record.kind, n_new, versions.len());
        let stop = stop(record, personal, settings);
        let (actions, help) = actions(record, personal, settings, stop.as_ref());
        Self {
            subject: match record.kind {
                DigestKind::Welcome => sentences::subject(record, &format!("Welcome to {sender}")),
                DigestKind::Digest | DigestKind::Quiet => sentences::subject(record, &headline),
            },
            lead: builder.lead(n_new + versions.len()),
            headline,
            date: days.whole(record.frozen_at),
            stop,
            strip: sentences::strip(record, versions.len()),
            paragraphs: sentences::paragraphs(record, n_new > 0),
            versions_count: count(versions.len(), "paper"),
            sections,
            versions,
            coverage: sentences::coverage(&record.coverage, days),
            alarms: sentences::alarms(&record.coverage, days),
            notes: sentences::notes(record, &cuts, n_new),
            actions,
            help,
            why: format!(
                "{sender} sends you this because {} is subscribed to {}. \
                 Thank you to arXiv for use of its open access interoperability.",
                clip(&record.address, KEYWORD_CHARS_MAX * 2),
                count(record.keywords.len(), "keyword"),
            ),
            ..Self::blank(sender, settings)
        }
    }
}

impl Action {
    /// The address must have been checked: by how it was made, or by [`links::is_own`].
    pub(super) fn new(label: &str, href: &str) -> Self {
        Self {
            label: clip(label, TAG_CHARS_MAX),
            href: Value::from_safe_string(href.replace('&', "&amp;")),
        }
    }
}

impl From<Link> for Action {
    fn from(link: Link) -> Self {
        Self::new(&link.label, &link.href)
    }
}

/// How to stop: the recipient's own link, else a mail. A list's address has none of its own, since one reader would
/// stop it for all.
fn stop(record: &DigestRecord, personal: &PersonalLinks, settings: &Settings) -> Option<Action> {
    let own = [&personal.unsubscribe_url, &personal.unsubscribe_mailto]
        .into_iter()
        .filter(|_| !record.shared)
        .find_map(|href| href.as_deref().filter(|href| links::is_own(href)).map(str::to_owned));
    own.or_else(|| links::mail_to(settings.contact.as_deref()?, "Stop these mails"))
        .map(|href| Action::new("Stop these mails", &href))
}

fn actions(
    record: &DigestRecord,
    personal: &PersonalLinks,
    settings: &Settings,
    stop: Option<&Action>,
) -> (Vec<Action>, Option<String>) {
    let mail = |label: &str, subject: &str| {
        links::mail_to(settings.contact.as_deref()?, subject).map(|href| Action::new(label, &href))
    };
    let view = personal
        .view_url
        .as_deref()
        .filter(|href| !record.shared && links::is_own(href))
        .map(|href| Action::new("Read on the web", href));
    let change = mail("Change keywords", "Change keywords");
    // The reader's own page offers both; the part about pausing is named in the address.
    let pause = personal
        .unsubscribe_url
        .as_deref()
        .filter(|href| !record.shared && links::is_own(href))
        .map(|href| Action::new("Pause for a while", &format!("{href}#pause")))
        .or_else(|| mail("Pause for a while", "Pause for a while"));
    let help = match (&change, stop) {
        (Some(_), _) => None,
        (None, Some(_)) => Some("To change keywords or to pause, reply to this mail.".to_owned()),
        (None, None) => Some("To change keywords, to pause or to stop, reply to this mail.".to_owned()),
    };
    let actions = view
        .into_iter()
        .chain(change)
        .chain(pause)
        .chain(stop.map(|stop| Action {
            label: "Stop for good".to_owned(),
            href: stop.href.clone(),
        }))
        .collect();
    (actions, help)
}
