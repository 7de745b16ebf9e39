//! What a mail says, in the words of both its parts: the values that the templates are given.

use std::sync::Arc;

use minijinja::Value;
use serde::Serialize;

use super::{
    Marks, PersonalLinks, Settings, Sources, authors,
    clean::{clip, fitting, isolate, line},
    excerpt,
    links::{self, Link},
    prose::{Place, Prose},
    venue::{self, Comment},
    words::{Days, count, list, thousands},
};
use crate::model::{
    ArxivId, CoverageNote, DigestKind, DigestRecord, Paper, PaperRecord, SectionRecord, Shown, VersionedId,
};

/// The length that the built-in subjects keep to, in characters.
const SUBJECT_CHARS_MAX: usize = 60;
/// The length that an overriding subject is cut to.
pub(super) const SUBJECT_CHARS_LIMIT: usize = 200;
/// Bounds of single texts, in characters: nothing that a feed says can fill a mail.
const TITLE_CHARS_MAX: usize = 400;
const LEAD_CHARS_MAX: usize = 60;
const ABSTRACT_CHARS_MAX: usize = 6_000;
const KEYWORD_CHARS_MAX: usize = 80;
const TAG_CHARS_MAX: usize = 40;
const CATEGORY_CHARS_MAX: usize = 20;
const WHY_CHARS_MAX: usize = 160;
const JOURNAL_CHARS_MAX: usize = 160;
/// Bounds of lists, in entries; the rest is counted.
const ALSO_MAX: usize = 3;
const CATEGORIES_MAX: usize = 8;
const STRIP_MAX: usize = 12;
const KEYWORDS_MAX: usize = 40;
const INCOMPLETE_MAX: usize = 10;

/// One mail.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) subject: String,
    lang: &'static str,
    sender: String,
    home: Option<Action>,
    /// The first visible line: what a mailbox shows beside the subject.
    lead: String,
    headline: String,
    date: String,
    stop: Option<Action>,
    strip: Vec<Strip>,
    /// What a quiet or a welcome mail says besides.
    paragraphs: Vec<String>,
    sections: Vec<Section>,
    versions: Vec<Version>,
    versions_count: String,
    coverage: String,
    alarms: Vec<String>,
    notes: Vec<String>,
    actions: Vec<Action>,
    help: Option<String>,
    why: String,
}

/// A link of ours.
#[derive(Debug, Clone, Serialize)]
struct Action {
    label: String,
    href: Value,
}

/// One entry of the line of counts; joined so that it does not break inside.
#[derive(Debug, Serialize)]
struct Strip {
    n: String,
    label: String,
    is_alarm: bool,
    is_short: bool,
}

#[derive(Debug, Serialize)]
struct Section {
    name: String,
    count: String,
    cards: Vec<Card>,
}

/// One paper.
#[derive(Debug, Serialize)]
struct Card {
    id: String,
    href: Value,
    title: String,
    title_html: Value,
    title_only: bool,
    withdrawn: bool,
    venue: Option<String>,
    authors: String,
    abstract_text: Option<String>,
    abstract_html: Value,
    links: Vec<Action>,
    primary: Option<String>,
    cross_lists: Vec<String>,
    /// Date, comment, journal: what follows the categories.
    facts: Vec<String>,
    also: Option<String>,
}

/// A replacement of a paper that the subscriber has.
#[derive(Debug, Serialize)]
struct Version {
    id: String,
    href: Value,
    title: String,
    title_html: Value,
    withdrawn: bool,
    facts: Vec<String>,
}

/// What the governor made of the papers, counted for the notes.
#[derive(Debug, Default)]
struct Cuts {
    n_shortened: usize,
    n_title_only: usize,
}

impl Page {
    pub(super) fn new(
        record: &DigestRecord,
        sources: &Sources<'_>,
        personal: &PersonalLinks,
        settings: &Settings,
    ) -> Self {
        let days = Days::new(record.frozen_at, &record.zone);
        let mut cuts = Cuts::default();
        let builder = Builder {
            record,
            sources,
            settings,
            days,
        };
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
        let headline = headline(record.kind, n_new, versions.len());
        let stop = stop(record, personal, settings);
        let (actions, help) = actions(record, personal, settings, stop.as_ref());
        let home = settings.public_url.as_deref().map(|url| Action::new(&sender, url));
        Self {
            subject: match record.kind {
                DigestKind::Welcome => subject(record, &format!("Welcome to {sender}")),
                DigestKind::Digest | DigestKind::Quiet => subject(record, &headline),
            },
            lang: "en",
            lead: builder.lead(n_new + versions.len()),
            headline,
            date: days.whole(record.frozen_at),
            stop,
            strip: strip(record, versions.len()),
            paragraphs: paragraphs(record, n_new > 0),
            versions_count: count(versions.len(), "paper"),
            sections,
            versions,
            coverage: coverage(&record.coverage, days),
            alarms: alarms(&record.coverage, days),
            notes: notes(record, &cuts, n_new),
            actions,
            help,
            why: format!(
                "{sender} sends you this because {} is subscribed to {}. \
                 Thank you to arXiv for use of its open access interoperability.",
                clip(&record.address, KEYWORD_CHARS_MAX * 2),
                count(record.keywords.len(), "keyword"),
            ),
            sender,
            home,
        }
    }
}

impl Action {
    /// The address must have been checked: by how it was made, or by [`links::is_own`].
    fn new(label: &str, href: &str) -> Self {
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

struct Builder<'a> {
    record: &'a DigestRecord,
    sources: &'a Sources<'a>,
    settings: &'a Settings,
    days: Days,
}

impl Builder<'_> {
    fn paper(&self, paper: &PaperRecord) -> Arc<Paper> {
        let id = VersionedId {
            id: paper.id.clone(),
            version: paper.version,
        };
        (self.sources.papers)(&id).unwrap_or_else(|| Arc::new(textless(&paper.id, paper.version)))
    }

    /// The line that a mailbox shows beside the subject: the first paper, since the subject has the count.
    fn lead(&self, n_papers: usize) -> String {
        let Some(first) = self.record.papers().next() else {
            return match self.record.kind {
                DigestKind::Welcome => format!(
                    "From now on: new papers on {}",
                    count(self.record.keywords.len(), "keyword")
                ),
                DigestKind::Digest | DigestKind::Quiet => coverage(&self.record.coverage, self.days),
            };
        };
        let title = Prose::read(&self.paper(first).title, &[]).in_one_line();
        let title = isolate(clip(&title.to_text(), LEAD_CHARS_MAX));
        match n_papers {
            1 => format!("Only paper: {title}"),
            n => format!("First: {title}, and {} more", thousands(n - 1)),
        }
    }

    /// The section's cards; `None` where all its papers are replacements, which stand together at the end, or wait.
    fn section(&self, section: &SectionRecord, cuts: &mut Cuts) -> Option<Section> {
        let cards: Vec<Card> = section
            .papers
            .iter()
            .filter(|paper| paper.replaces.is_none())
            .map(|paper| self.card(paper, cuts))
            .collect();
        if cards.is_empty() {
            return None;
        }
        let mut parts = vec![count(cards.len(), "paper")];
        let n_title_only = cards.iter().filter(|card| card.title_only).count();
        if n_title_only > 0 && n_title_only < cards.len() {
            parts.push(format!("{} by title only", thousands(n_title_only)));
        } else if n_title_only > 0 {
            parts.push("by title only".to_owned());
        }
        if section.n_waiting > 0 {
            parts.push(format!("{} more waiting", thousands(section.n_waiting)));
        }
        Some(Section {
            name: self.keyword(section.keyword, KEYWORD_CHARS_MAX),
            count: parts.join(", "),
            cards,
        })
    }

    fn card(&self, record: &PaperRecord, cuts: &mut Cuts) -> Card {
        let paper = self.paper(record);
        let marks = (self.sources.marks)(&paper);
        let title_only = record.shown == Shown::Title;
        let (title, title_is_marked) = title(&paper.title, &marks);
        let body = match record.shown {
            Shown::Title => None,
            Shown::Short | Shown::Full => self.body(&paper, record.shown, &marks, title_is_marked, cuts),
        };
        if title_only && self.settings.abstracts != Shown::Title {
            cuts.n_title_only += 1;
        }
        let links = match (title_only, paper.withdrawn) {
            (false, _) => links::of_paper(&paper, self.settings),
            (true, false) => vec![links::pdf(&paper.id)],
            (true, true) => Vec::new(),
        };
        let Comment { venue, rest } = paper.comment.as_deref().map(venue::read).unwrap_or_default();
        let mut facts = Vec::new();
        facts.extend(paper.submitted.map(|at| self.days.short(at)));
        if !title_only {
            if venue.is_none() {
                facts.extend(
                    paper
                        .journal_ref
                        .as_deref()
                        .map(|text| isolate(clip(text, JOURNAL_CHARS_MAX))),
                );
            }
            // The comment goes without an address that stands among the links.
            let rest = links
                .iter()
                .fold(rest, |rest, link| venue::without_address(&rest?, &link.href));
            facts.extend(rest.map(isolate));
            facts.retain(|fact| !fact.is_empty());
        }
        let mut categories = paper
            .categories
            .iter()
            .take(CATEGORIES_MAX)
            .map(|category| clip(category, CATEGORY_CHARS_MAX));
        Card {
            id: record.id.to_string(),
            href: Value::from_safe_string(links::abstract_page(&record.id)),
            title: title.to_text(),
            title_html: Value::from_safe_string(title.to_html(Place::Title)),
            title_only,
            withdrawn: paper.withdrawn,
            venue: venue.filter(|_| !title_only),
            authors: authors::line(&paper.authors, if title_only { 1 } else { self.settings.authors_max }),
            abstract_text: body.as_ref().map(Prose::to_text),
            abstract_html: body.map_or_else(
                || Value::from_safe_string(String::new()),
                |body| Value::from_safe_string(body.to_html(Place::Body)),
            ),
            links: links.into_iter().map(Action::from).collect(),
            primary: categories.next(),
            cross_lists: if title_only { Vec::new() } else { categories.collect() },
            facts,
            also: self.also(&record.also),
        }
    }

    fn body(
        &self,
        paper: &Paper,
        shown: Shown,
        marks: &Marks,
        title_is_marked: bool,
        cuts: &mut Cuts,
    ) -> Option<Prose> {
        let prose = Prose::read(paper.abstract_text.trim_end(), &marks.abstract_text);
        if prose.plain().trim().is_empty() {
            return None;
        }
        let (prose, is_cut) = if shown == Shown::Full {
            prose.clipped(ABSTRACT_CHARS_MAX)
        } else {
            excerpt::shorten(prose, title_is_marked)
        };
        if is_cut && self.settings.abstracts == Shown::Full {
            cuts.n_shortened += 1;
        }
        Some(prose)
    }

    fn version(&self, record: &PaperRecord, (got, at): (u16, chrono::DateTime<chrono::Utc>)) -> Version {
        let paper = self.paper(record);
        let marks = (self.sources.marks)(&paper);
        let (title, _) = title(&paper.title, &marks);
        let mut facts = vec![format!(
            "v{} of a paper you got as v{got} on {}",
            record.version,
            self.days.long(at)
        )];
        facts.extend(paper.updated.map(|at| self.days.short(at)));
        facts.extend(
            paper
                .comment
                .as_deref()
                .map(|comment| isolate(clip(comment, JOURNAL_CHARS_MAX)))
                .filter(|comment| !comment.is_empty()),
        );
        Version {
            id: record.id.to_string(),
            href: Value::from_safe_string(links::abstract_page(&record.id)),
            title: title.to_text(),
            title_html: Value::from_safe_string(title.to_html(Place::Title)),
            withdrawn: paper.withdrawn,
            facts,
        }
    }

    fn keyword(&self, index: u16, chars_max: usize) -> String {
        self.record
            .keywords
            .get(usize::from(index))
            .map_or_else(|| "other".to_owned(), |(heading, _)| isolate(clip(heading, chars_max)))
    }

    fn also(&self, indexes: &[u16]) -> Option<String> {
        let named = if indexes.len() <= ALSO_MAX + 1 {
            indexes.len()
        } else {
            ALSO_MAX
        };
        let mut names: Vec<String> = indexes[..named]
            .iter()
            .map(|index| self.keyword(*index, TAG_CHARS_MAX))
            .collect();
        if indexes.len() > named {
            names.push(format!("{} more", thousands(indexes.len() - named)));
        }
        let tag = format!("also: {}", names.join(", "));
        // A short tag stays in one line.
        let is_short = tag.chars().count() <= TAG_CHARS_MAX;
        (!names.is_empty()).then(|| if is_short { tag.replace(' ', "\u{a0}") } else { tag })
    }
}

fn title(source: &str, marks: &Marks) -> (Prose, bool) {
    let title = Prose::read(source, &marks.title).in_one_line();
    let is_marked = title.first_mark().is_some();
    (title.clipped(TITLE_CHARS_MAX).0, is_marked)
}

/// Stands for a paper whose text the store does not give: the identifier alone still leads to it.
fn textless(id: &ArxivId, version: u16) -> Paper {
    Paper {
        id: id.clone(),
        version,
        title: format!("arXiv:{id}"),
        authors: Vec::new(),
        abstract_text: String::new(),
        submitted: None,
        updated: None,
        categories: Vec::new(),
        comment: None,
        journal_ref: None,
        doi: None,
        withdrawn: false,
    }
}

fn headline(kind: DigestKind, n_new: usize, n_versions: usize) -> String {
    match kind {
        DigestKind::Welcome => "Welcome".to_owned(),
        DigestKind::Quiet => "No new papers".to_owned(),
        DigestKind::Digest if n_new == 0 && n_versions > 0 => count(n_versions, "new version"),
        DigestKind::Digest => count(n_new, "new paper"),
    }
}

/// The headline and as many keywords as fit, those with the most papers first.
fn subject(record: &DigestRecord, headline: &str) -> String {
    let mut names: Vec<(usize, String)> = match record.kind {
        DigestKind::Digest => record
            .sections
            .iter()
            .filter(|section| !section.papers.is_empty())
            .filter_map(|section| {
                let (heading, _) = record.keywords.get(usize::from(section.keyword))?;
                Some((section.papers.len(), clip(heading, KEYWORD_CHARS_MAX)))
            })
            .collect(),
        DigestKind::Quiet | DigestKind::Welcome => record
            .keywords
            .iter()
            .map(|(heading, _)| (0, clip(heading, KEYWORD_CHARS_MAX)))
            .collect(),
    };
    names.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let mut subject = line(headline);
    for (index, (_, name)) in names.iter().enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        let n_left = SUBJECT_CHARS_MAX.saturating_sub(subject.chars().count() + separator.len());
        if fitting(name, n_left) == name.len() {
            subject.push_str(separator);
            subject.push_str(name);
        } else {
            if index == 0 && n_left > 2 {
                subject.push_str(separator);
                subject.push_str(&clip(name, n_left));
            }
            break;
        }
    }
    subject
}

fn strip(record: &DigestRecord, n_versions: usize) -> Vec<Strip> {
    let entry = |n: String, label: String, is_alarm: bool| Strip {
        is_short: label.chars().count() <= TAG_CHARS_MAX - 4,
        n,
        label,
        is_alarm,
    };
    let mut strip: Vec<Strip> = Vec::new();
    let sections: Vec<(usize, &SectionRecord)> = record
        .sections
        .iter()
        .map(|section| {
            let n_new = section.papers.iter().filter(|paper| paper.replaces.is_none()).count();
            (n_new, section)
        })
        .filter(|(n_new, _)| *n_new > 0)
        .collect();
    for (n, section) in sections.iter().take(STRIP_MAX) {
        let name = record
            .keywords
            .get(usize::from(section.keyword))
            .map_or("other", |(heading, _)| heading.as_str());
        strip.push(entry(thousands(*n), isolate(clip(name, KEYWORD_CHARS_MAX)), false));
    }
    let rest: usize = sections.iter().skip(STRIP_MAX).map(|(n, _)| n).sum();
    if rest > 0 {
        let n_more = sections.len() - STRIP_MAX;
        strip.push(entry(
            thousands(rest),
            format!("on {}", count(n_more, "further keyword")),
            false,
        ));
    }
    if n_versions > 0 {
        let label = if n_versions == 1 { "new version" } else { "new versions" };
        strip.push(entry(thousands(n_versions), label.to_owned(), false));
    }
    match record.coverage.incomplete.as_slice() {
        [] => {}
        few @ ([_] | [_, _] | [_, _, _]) => {
            for keyword in few {
                let name = isolate(clip(&keyword.keyword, TAG_CHARS_MAX));
                strip.push(entry("!".to_owned(), format!("{name} incomplete"), true));
            }
        }
        many => strip.push(entry(
            "!".to_owned(),
            format!("{} incomplete", count(many.len(), "keyword")),
            true,
        )),
    }
    strip
}

fn paragraphs(record: &DigestRecord, has_papers: bool) -> Vec<String> {
    let keywords = || {
        let mut names: Vec<String> = record
            .keywords
            .iter()
            .take(KEYWORDS_MAX)
            .map(|(heading, _)| isolate(clip(heading, KEYWORD_CHARS_MAX)))
            .collect();
        if record.keywords.len() > KEYWORDS_MAX {
            names.push(format!("{} more", thousands(record.keywords.len() - KEYWORDS_MAX)));
        }
        list(&names)
    };
    match record.kind {
        DigestKind::Digest => Vec::new(),
        DigestKind::Quiet => vec![
            "Nothing new has matched your keywords since the last mail. This one says only that the watch goes on."
                .to_owned(),
            format!("Your keywords: {}.", keywords()),
        ],
        DigestKind::Welcome => {
            let mut paragraphs = vec![
                format!("You are subscribed to: {}.", keywords()),
                "You get one mail with the new arXiv papers on them, each paper once, and none while there is nothing \
                 new. The line under the papers says what was covered."
                    .to_owned(),
            ];
            paragraphs.push(if has_papers {
                "This is what matched lately:".to_owned()
            } else {
                "Nothing has matched in the last days.".to_owned()
            });
            paragraphs
        }
    }
}

/// `Announcement of Tue 10 Feb; 3 of 3 keywords complete; 41 fetched, 12 new, 27 already sent, 2 excluded.`
fn coverage(note: &CoverageNote, days: Days) -> String {
    let announcement = match (note.announcement, note.current) {
        (Some(day), true) => format!("Announcement of {}", days.evening(day)),
        (Some(day), false) => format!(
            "Announcement of {}, a later one has not been seen yet",
            days.evening(day)
        ),
        (None, _) => "No announcement has been seen for sure yet".to_owned(),
    };
    format!(
        "{announcement}; {} of {} complete; {} fetched, {} new, {} already sent, {} excluded.",
        thousands(note.n_complete),
        count(note.n_keywords, "keyword"),
        thousands(note.n_fetched),
        thousands(note.n_new),
        thousands(note.n_already_sent),
        thousands(note.n_excluded),
    )
}

fn alarms(note: &CoverageNote, days: Days) -> Vec<String> {
    let mut alarms: Vec<String> = note
        .incomplete
        .iter()
        .take(INCOMPLETE_MAX)
        .map(|incomplete| {
            format!(
                "Not complete: {}, since {}: {}.",
                isolate(clip(&incomplete.keyword, KEYWORD_CHARS_MAX)),
                days.minute(incomplete.since),
                clip(incomplete.why.trim_end_matches('.'), WHY_CHARS_MAX),
            )
        })
        .collect();
    let n_more = note.incomplete.len().saturating_sub(INCOMPLETE_MAX);
    if n_more > 0 {
        alarms.push(format!("Not complete: {} besides.", count(n_more, "keyword")));
    }
    if !alarms.is_empty() {
        alarms.push("What is missing is asked for again and comes in a later digest.".to_owned());
    }
    alarms
}

fn notes(record: &DigestRecord, cuts: &Cuts, n_new: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let mut cut = Vec::new();
    if cuts.n_title_only > 0 {
        let verb = if cuts.n_title_only == 1 { "is" } else { "are" };
        cut.push(if cuts.n_title_only == n_new {
            format!(
                "{} {verb} shown by title only",
                if n_new == 1 {
                    "the paper".to_owned()
                } else {
                    format!("all {}", count(n_new, "paper"))
                }
            )
        } else {
            format!(
                "{} of the {} {verb} shown by title only",
                thousands(cuts.n_title_only),
                thousands(n_new)
            )
        });
    }
    if cuts.n_shortened > 0 {
        cut.push(format!(
            "{} {} shortened",
            count(cuts.n_shortened, "abstract"),
            if cuts.n_shortened == 1 { "is" } else { "are" }
        ));
    }
    if !cut.is_empty() {
        notes.push(format!("To keep this mail small, {}.", list(&cut)));
    }
    let n_waiting: usize = record.sections.iter().map(|section| section.n_waiting).sum();
    if n_waiting > 0 {
        let verb = if n_waiting == 1 { "waits" } else { "wait" };
        notes.push(format!(
            "{} {verb} for the next digest.",
            count(n_waiting, "more paper")
        ));
    }
    let n_skipped: usize = record.sections.iter().map(|section| section.n_skipped).sum();
    if n_skipped > 0 {
        notes.push(format!(
            "{} will not be sent, the oldest of more than 1,000 that waited; a narrower keyword helps.",
            count(n_skipped, "paper")
        ));
    }
    notes
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
    let help = match (&change, stop) {
        (Some(_), _) => None,
        (None, Some(_)) => Some("To change keywords or to pause, reply to this mail.".to_owned()),
        (None, None) => Some("To change keywords, to pause or to stop, reply to this mail.".to_owned()),
    };
    let actions = view
        .into_iter()
        .chain(change)
        .chain(mail("Pause for a while", "Pause for a while"))
        .chain(stop.map(|stop| Action {
            label: "Stop for good".to_owned(),
            href: stop.href.clone(),
        }))
        .collect();
    (actions, help)
}
