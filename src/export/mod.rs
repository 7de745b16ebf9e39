//! The papers outside of mail: the Daily Papers page, and the same papers as JSON, Atom, BibTeX and RIS.
//!
//! Everything is a pure function of a [`Page`], which [`gather`] collects from the store.

mod atom;
mod bibtex;
mod file;
mod json;
mod markdown;
mod ris;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasher,
};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

pub use self::file::{FormerPage, replace};
use crate::{
    matching::Lexicon,
    model::{ArxivId, Definition, Paper, Term},
    render::line,
    roster::Roster,
    store::{Store, StoreError},
    tex,
};

/// The most papers of a section.
pub const PAPERS_MAX: usize = 100;
/// How many stored papers are read together.
const PAPERS_TOGETHER: usize = 1_000;

/// What papers can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The Daily Papers page: a table per keyword.
    Markdown,
    /// Everything that is known of each paper.
    Json,
    /// A feed (RFC 4287).
    Atom,
    /// References for LaTeX.
    Bibtex,
    /// References for reference managers.
    Ris,
}

/// The newest papers of each keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// When it was made.
    pub updated: DateTime<Utc>,
    /// One section per heading, in the order in which people ask for them.
    pub sections: Vec<Section>,
}

/// One keyword's newest papers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The keyword as its readers know it.
    pub keyword: String,
    /// The papers, most recent first, at most [`PAPERS_MAX`].
    pub papers: Vec<Paper>,
    /// Whether the keyword's last fetch was not complete: a page that is rewritten keeps what it had.
    pub is_incomplete: bool,
}

/// The page in one of the formats.
pub fn write(page: &Page, format: Format) -> String {
    match format {
        Format::Markdown => markdown::write(page, &FormerPage::default()),
        Format::Json => json::write(page, &FormerPage::default()),
        Format::Atom => atom::write(page),
        Format::Bibtex => bibtex::write(page),
        Format::Ris => ris::write(page),
    }
}

/// The papers as a feed of its own (RFC 4287).
pub fn feed(page: &Page, name: &FeedName) -> String {
    atom::write_named(page, name)
}

/// What tells one feed from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedName {
    /// What never changes about it (RFC 4287, 4.2.6: an IRI).
    pub id: String,
    /// What readers' programs call it.
    pub title: String,
}

/// Which papers are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Only this keyword's.
    pub keyword: Option<String>,
    /// Only those submitted on this day, in UTC.
    pub day: Option<NaiveDate>,
}

/// Collects the newest stored papers of every keyword that somebody subscribes to.
///
/// A keyword that several people restrict in different ways shows what any of them gets. Withdrawn papers are left out.
pub async fn gather<S: BuildHasher>(
    store: &dyn Store,
    roster: &Roster,
    incomplete: &HashMap<Term, (DateTime<Utc>, String), S>,
    now: DateTime<Utc>,
) -> Result<Page, StoreError> {
    search(store, roster, &Wanted::default(), incomplete, now).await
}

/// [`gather`], of the wanted papers only.
pub async fn search<S: BuildHasher>(
    store: &dyn Store,
    roster: &Roster,
    wanted: &Wanted,
    incomplete: &HashMap<Term, (DateTime<Utc>, String), S>,
    now: DateTime<Utc>,
) -> Result<Page, StoreError> {
    let mut headings: Vec<(&str, BTreeSet<&Definition>)> = Vec::new();
    let mut positions: HashMap<&str, usize> = HashMap::new();
    let keywords = roster.people().iter().flat_map(|person| person.keywords());
    for (heading, definition) in
        keywords.filter(|(heading, _)| wanted.keyword.as_ref().is_none_or(|wanted| wanted == heading))
    {
        let position = *positions.entry(heading).or_insert_with(|| {
            headings.push((heading, BTreeSet::new()));
            headings.len() - 1
        });
        headings[position].1.insert(definition);
    }
    let mut sections: Vec<Section> = headings
        .iter()
        .map(|(heading, definitions)| Section {
            keyword: (*heading).to_owned(),
            papers: Vec::new(),
            is_incomplete: definitions
                .iter()
                .any(|definition| incomplete.contains_key(&definition.term)),
        })
        .collect();
    let (lexicon, _) = Lexicon::new(headings.iter().flat_map(|(_, definitions)| definitions.iter().copied()));
    let mut below: Option<ArxivId> = None;
    loop {
        let stored = store.newest_papers(below.as_ref(), PAPERS_TOGETHER).await?;
        let Some(last) = stored.last() else { break };
        below = Some(last.paper.id.clone());
        let is_wanted = |paper: &Paper| {
            !paper.withdrawn
                && wanted
                    .day
                    .is_none_or(|day| submitted(paper).is_some_and(|date| date == day))
        };
        for stored in stored.iter().filter(|stored| is_wanted(&stored.paper)) {
            let reading = lexicon.read(&stored.paper);
            if reading.is_empty() {
                continue;
            }
            for (section, (_, definitions)) in sections.iter_mut().zip(&headings) {
                if definitions.iter().any(|definition| reading.accepts(definition)) {
                    section.papers.push(stored.paper.clone());
                }
            }
        }
        // Cut after each read, so that memory does not grow with the store.
        sections.iter_mut().for_each(Section::keep_newest);
    }
    Ok(Page { updated: now, sections })
}

impl Section {
    /// Orders the papers, most recent first, and keeps the first [`PAPERS_MAX`].
    fn keep_newest(&mut self) {
        self.papers
            .sort_unstable_by(|a, b| (date(b), &b.id).cmp(&(date(a), &a.id)));
        self.papers.truncate(PAPERS_MAX);
    }
}

impl Page {
    /// Each paper once, most recent first, with the keywords that brought it.
    fn papers(&self) -> Vec<(&Paper, Vec<&str>)> {
        let mut by_id: BTreeMap<&ArxivId, (&Paper, Vec<&str>)> = BTreeMap::new();
        for section in &self.sections {
            for paper in &section.papers {
                let (_, keywords) = by_id.entry(&paper.id).or_insert_with(|| (paper, Vec::new()));
                keywords.push(&section.keyword);
            }
        }
        let mut papers: Vec<(&Paper, Vec<&str>)> = by_id.into_values().collect();
        papers.sort_by(|(a, _), (b, _)| (date(b), &b.id).cmp(&(date(a), &a.id)));
        papers
    }
}

/// The day of the version that is shown, in UTC.
fn date(paper: &Paper) -> Option<NaiveDate> {
    paper.updated.or(paper.submitted).map(|at| at.date_naive())
}

/// The day on which its first version was submitted, in UTC.
fn submitted(paper: &Paper) -> Option<NaiveDate> {
    paper.submitted.or(paper.updated).map(|at| at.date_naive())
}

/// TeX as one readable line without control characters.
fn readable(source: &str) -> String {
    line(&tex::to_text(source))
}

fn abstract_page(paper: &Paper) -> String {
    format!("https://arxiv.org/abs/{}", paper.id)
}

fn pdf(paper: &Paper) -> String {
    format!("https://arxiv.org/pdf/{}v{}", paper.id, paper.version)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        matching::fixture::paper,
        model::SubscriberId,
        roster::Person,
        store::{Batch, memory::MemoryStore},
    };

    pub(super) fn at(day: u32) -> DateTime<Utc> {
        NaiveDate::from_ymd_opt(2026, 2, day)
            .unwrap()
            .and_hms_opt(7, 0, 0)
            .unwrap()
            .and_utc()
    }

    pub(super) fn numbered(number: u32, title: &str) -> Paper {
        Paper {
            id: ArxivId::from_parts(2026, 2, number).unwrap(),
            updated: Some(at(1) + TimeDelta::hours(i64::from(number))),
            ..paper(title, "An abstract.")
        }
    }

    fn person(address: &str, keywords: &[(&str, Definition)]) -> Person {
        Person {
            id: SubscriberId(address.into()),
            address: address.to_owned(),
            name: None,
            schedule: crate::schedule::Schedule::parse("0 7 * * *", "UTC").unwrap(),
            paused_until: None,
            shared: false,
            keywords: keywords
                .iter()
                .map(|(heading, definition)| ((*heading).to_owned(), definition.clone()).into())
                .collect(),
        }
    }

    #[tokio::test]
    async fn each_keyword_shows_its_newest_papers_for_anyone_who_asks_for_it() {
        let store = MemoryStore::new();
        let mut papers: Vec<(Paper, DateTime<Utc>)> =
            (1..=120).map(|number| (numbered(number, "A graph"), at(9))).collect();
        papers.push((
            Paper {
                withdrawn: true,
                ..numbered(200, "A withdrawn graph")
            },
            at(9),
        ));
        papers.push((numbered(201, "A survey of graphs"), at(9)));
        store
            .commit(Batch {
                papers,
                ..Batch::default()
            })
            .await
            .unwrap();
        let graph = Definition::unrestricted(Term::phrase("graph"));
        let without = Definition {
            exclude: vec![Term::phrase("survey")],
            ..graph.clone()
        };
        let survey = Definition::unrestricted(Term::phrase("survey"));
        let roster = Roster::new(vec![
            person("ana@example.net", &[("graph", without.clone())]),
            person("bo@example.net", &[("survey", survey.clone()), ("graph", graph)]),
        ]);
        let incomplete = HashMap::from([(survey.term.clone(), (at(8), "no answer".to_owned()))]);
        let page = gather(&store, &roster, &incomplete, at(9)).await.unwrap();
        let shown: Vec<(&str, usize, bool)> = page
            .sections
            .iter()
            .map(|section| (section.keyword.as_str(), section.papers.len(), section.is_incomplete))
            .collect();
        assert_eq!(shown, [("graph", PAPERS_MAX, false), ("survey", 1, true)]);
        let numbers: Vec<u32> = page.sections[0]
            .papers
            .iter()
            .take(3)
            .map(|paper| paper.id.number())
            .collect();
        assert_eq!(numbers, [201, 120, 119]);
        let (first, keywords) = &page.papers()[0];
        assert_eq!(
            (first.id.number(), keywords.as_slice()),
            (201, &["graph", "survey"][..])
        );
    }
}
