//! The papers of a mail: sections, cards and new versions.

use std::{borrow::Cow, sync::Arc};

use chrono::{DateTime, Utc};
use minijinja::{Value, value::Serde};
use serde::Serialize;

use super::{
    Marks, Settings, Sources, authors,
    clean::{clip, clip_at_word, isolate},
    excerpt,
    kept::{CardKey, KeptCards, MadeCard},
    links,
    prose::{Place, Prose},
    sentences,
    venue::{self, Comment},
    view::{Action, KEYWORD_CHARS_MAX, TAG_CHARS_MAX},
    words::{Days, count, thousands},
};
use crate::model::{ArxivId, Changes, DigestKind, DigestRecord, Paper, PaperRecord, SectionRecord, Shown};

/// Bounds of single texts, in characters: nothing that a feed says can fill a mail.
const TITLE_CHARS_MAX: usize = 400;
const LEAD_CHARS_MAX: usize = 60;
const ABSTRACT_CHARS_MAX: usize = 6_000;
const CATEGORY_CHARS_MAX: usize = 20;
const JOURNAL_CHARS_MAX: usize = 160;
/// Bounds of lists, in entries; the rest is counted.
const ALSO_MAX: usize = 3;
const CATEGORIES_MAX: usize = 8;
/// What a keyword is called that the record does not name.
const OTHER: &str = "other";

#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) count: String,
    /// Each a [`Card`].
    pub(super) cards: Vec<Value>,
}

/// One paper.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    /// Cards of one number are the same.
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) href: Value,
    pub(super) title: String,
    pub(super) title_html: Value,
    /// Without an abstract.
    pub(super) title_only: bool,
    /// Title and link, and nothing else: then all fields below it but `withdrawn` are empty.
    pub(super) line_only: bool,
    pub(super) withdrawn: bool,
    pub(super) venue: Option<String>,
    pub(super) authors: String,
    pub(super) abstract_text: Option<String>,
    pub(super) abstract_html: Value,
    pub(super) links: Vec<Action>,
    pub(super) primary: Option<String>,
    pub(super) cross_lists: Vec<String>,
    /// Date, comment, journal: what follows the categories.
    pub(super) facts: Vec<String>,
    pub(super) also: Option<String>,
}

/// A replacement of a paper that the subscriber has.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) href: Value,
    pub(super) title: String,
    pub(super) title_html: Value,
    pub(super) withdrawn: bool,
    pub(super) facts: Vec<String>,
}

/// What the governor made of the papers, counted for the notes.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    pub(super) n_shortened: usize,
    pub(super) n_title_only: usize,
}

/// Makes the cards of one mail.
pub(super) struct Builder<'a> {
    record: &'a DigestRecord,
    sources: &'a Sources<'a>,
    settings: &'a Settings,
    days: Days,
    kept: &'a KeptCards,
    /// The record's keywords as they are named beside a paper of another one.
    tags: Vec<String>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        record: &'a DigestRecord,
        sources: &'a Sources<'a>,
        settings: &'a Settings,
        days: Days,
        kept: &'a KeptCards,
    ) -> Self {
        let tags = record.keywords.iter().map(|(heading, _)| named(heading, TAG_CHARS_MAX));
        Self {
            record,
            sources,
            settings,
            days,
            kept,
            tags: tags.collect(),
        }
    }

    fn paper(&self, paper: &PaperRecord) -> Arc<Paper> {
        (self.sources.papers)(&paper.versioned_id()).unwrap_or_else(|| Arc::new(textless(&paper.id, paper.version)))
    }

    /// The line that a mailbox shows beside the subject: the first paper, since the subject has the count.
    pub(super) fn lead(&self, n_papers: usize) -> String {
        let new = self.record.papers().find(|paper| paper.replaces.is_none());
        let Some(first) = new.or_else(|| self.record.papers().next()) else {
            return match self.record.kind {
                DigestKind::Welcome => format!(
                    "From now on: new papers on {}",
                    count(self.record.keywords.len(), "keyword")
                ),
                DigestKind::Digest | DigestKind::Quiet => sentences::quiet_lead(&self.record.coverage),
            };
        };
        let title = Prose::read(&self.paper(first).title, &[]).in_one_line();
        let title = isolate(clip_at_word(&title.to_text(), LEAD_CHARS_MAX));
        match n_papers {
            1 if new.is_none() => format!("New version: {title}"),
            1 => format!("Only paper: {title}"),
            n => format!("First: {title}, and {} more", thousands(n - 1)),
        }
    }

    /// The section's cards; `None` where all its papers are replacements, which stand together at the end, or wait.
    pub(super) fn section(&self, section: &SectionRecord, cuts: &mut Cuts) -> Option<Section> {
        let cards: Vec<Arc<MadeCard>> = section
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
            parts.push(format!("{} waiting", thousands(section.n_waiting)));
        }
        Some(Section {
            name: self.keyword(section.keyword),
            count: unbroken(parts.join(", ")),
            cards: cards.iter().map(|card| card.value.clone()).collect(),
        })
    }

    /// The card of a paper; what was cut to make it is counted.
    fn card(&self, record: &PaperRecord, cuts: &mut Cuts) -> Arc<MadeCard> {
        let paper = self.paper(record);
        // A line has no marks, since each takes as much as half a title.
        let marks = if record.shown == Shown::Line {
            Marks::default()
        } else {
            (self.sources.marks)(&paper)
        };
        let key = CardKey {
            id: paper.versioned_id(),
            shown: record.shown,
            marks,
            day: paper.submitted.map(|at| unbroken(self.days.short(at))),
            also: self.also(&record.also),
        };
        let made = self.kept.get(key, &paper, |number, key| self.make(number, key, &paper));
        cuts.n_title_only += usize::from(made.title_only && self.settings.abstracts > record.shown);
        cuts.n_shortened += usize::from(made.is_shortened && self.settings.abstracts == Shown::Full);
        made
    }

    fn make(&self, number: u64, key: &CardKey, paper: &Paper) -> MadeCard {
        let (card, is_shortened) = if key.shown == Shown::Line {
            (line(number, paper), false)
        } else {
            self.full(number, key, paper)
        };
        MadeCard {
            title_only: card.title_only,
            is_shortened,
            value: Value::from(Serde(card)),
        }
    }

    /// A card with more than a line, and whether its abstract was cut.
    fn full(&self, number: u64, key: &CardKey, paper: &Paper) -> (Card, bool) {
        let marks = &key.marks;
        let title_only = key.shown == Shown::Title;
        let (title, title_is_marked) = title(&paper.title, marks);
        let (body, is_shortened) = match key.shown {
            Shown::Line | Shown::Title => (None, false),
            Shown::Short | Shown::Full => body(paper, key.shown, marks, title_is_marked),
        };
        let links = match (title_only, paper.withdrawn) {
            (false, _) => links::of_paper(paper, self.settings),
            (true, false) => vec![links::pdf(&paper.id)],
            (true, true) => Vec::new(),
        };
        let Comment { venue, rest } = paper.comment.as_deref().map(venue::read).unwrap_or_default();
        let mut facts = Vec::new();
        facts.extend(key.day.clone());
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
        let card = Card {
            number,
            id: paper.id.to_string(),
            href: Value::from_safe_string(links::abstract_page(&paper.id)),
            title: title.to_text(),
            title_html: Value::from_safe_string(title.to_html(Place::Title)),
            title_only,
            line_only: false,
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
            also: key.also.clone(),
        };
        (card, is_shortened)
    }

    pub(super) fn version(&self, record: &PaperRecord, (got, at): (u16, DateTime<Utc>)) -> Version {
        let paper = self.paper(record);
        let marks = (self.sources.marks)(&paper);
        let (title, _) = title(&paper.title, &marks);
        let mut facts = vec![format!(
            "v{} of a paper you got as v{got} on {}",
            record.version,
            self.days.long(at)
        )];
        facts.extend(paper.updated.map(|at| unbroken(self.days.short(at))));
        let comment = paper
            .comment
            .as_deref()
            .map(|comment| isolate(clip(comment, JOURNAL_CHARS_MAX)))
            .filter(|comment| !comment.is_empty());
        match &record.changes {
            Some(changes) => facts.extend(changed(changes, comment)),
            None => facts.extend(comment),
        }
        Version {
            id: record.id.to_string(),
            href: Value::from_safe_string(links::abstract_page(&record.id)),
            title: title.to_text(),
            title_html: Value::from_safe_string(title.to_html(Place::Title)),
            withdrawn: paper.withdrawn,
            facts,
        }
    }

    fn keyword(&self, index: u16) -> String {
        let keyword = self.record.keywords.get(usize::from(index));
        keyword.map_or_else(|| OTHER.to_owned(), |(heading, _)| named(heading, KEYWORD_CHARS_MAX))
    }

    fn also(&self, indexes: &[u16]) -> Option<String> {
        let named = if indexes.len() <= ALSO_MAX + 1 {
            indexes.len()
        } else {
            ALSO_MAX
        };
        let tag = |index: &u16| self.tags.get(usize::from(*index)).map_or(OTHER, String::as_str);
        let mut names: Vec<Cow<'_, str>> = indexes[..named].iter().map(|index| tag(index).into()).collect();
        if indexes.len() > named {
            names.push(format!("{} more", thousands(indexes.len() - named)).into());
        }
        let tag = format!("also: {}", names.join(", "));
        (!names.is_empty()).then(|| unbroken(tag))
    }
}

/// A keyword as a mail names it.
fn named(heading: &str, chars_max: usize) -> String {
    isolate(clip(heading, chars_max))
}

/// What a new version changed, in words.
fn changed(changes: &Changes, comment: Option<String>) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(before) = &changes.title_before {
        let before = Prose::read(before, &[]).in_one_line();
        let before = isolate(clip(&before.to_text(), JOURNAL_CHARS_MAX));
        facts.push(format!("new title, before: “{before}”"));
    }
    if changes.abstract_text {
        facts.push("new abstract".to_owned());
    }
    if changes.comment {
        facts.push(match comment {
            Some(comment) => format!("now: {comment}"),
            None => "no comment any more".to_owned(),
        });
    }
    if facts.is_empty() {
        facts.push("title, abstract and comment as before".to_owned());
    }
    facts
}

/// The least there is of a paper.
fn line(number: u64, paper: &Paper) -> Card {
    let (title, _) = title(&paper.title, &Marks::default());
    Card {
        number,
        id: paper.id.to_string(),
        href: Value::from_safe_string(links::abstract_page(&paper.id)),
        title: title.to_text(),
        title_html: Value::from_safe_string(title.to_html(Place::Title)),
        title_only: true,
        line_only: true,
        withdrawn: paper.withdrawn,
        venue: None,
        authors: String::new(),
        abstract_text: None,
        abstract_html: Value::from_safe_string(String::new()),
        links: Vec::new(),
        primary: None,
        cross_lists: Vec::new(),
        facts: Vec::new(),
        also: None,
    }
}

/// The abstract, if there is one, and whether it was cut.
fn body(paper: &Paper, shown: Shown, marks: &Marks, title_is_marked: bool) -> (Option<Prose>, bool) {
    let prose = Prose::read(paper.abstract_text.trim_end(), &marks.abstract_text);
    if prose.plain().trim().is_empty() {
        return (None, false);
    }
    let (prose, is_cut) = if shown == Shown::Full {
        prose.clipped(ABSTRACT_CHARS_MAX)
    } else {
        excerpt::shorten(prose, title_is_marked)
    };
    (Some(prose), is_cut)
}

/// A short text stays in one line.
fn unbroken(text: String) -> String {
    /// As much as fits beside something else on a phone.
    const CHARS_MAX: usize = 30;
    if text.chars().count() <= CHARS_MAX {
        text.replace(' ', "\u{a0}")
    } else {
        text
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
