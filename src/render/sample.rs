//! Invented mails with every feature in them, on which overriding templates are tried before they are used.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Block, Marks, Notice, PersonalLinks, Settings, Sources, kept::KeptCards, notice, view::Page};
use crate::model::{
    ArxivId, Author, Changes, CoverageNote, DigestId, DigestKind, DigestRecord, IncompleteKeyword, Paper, PaperRecord,
    SectionRecord, Shown, SubscriberId, Term, VersionedId,
};

/// How the papers of each section are shown; the last one is listed as a new version.
const SHOWN: [Shown; 5] = [Shown::Full, Shown::Short, Shown::Title, Shown::Line, Shown::Title];

/// The page of one invented mail.
pub(super) fn page(kind: DigestKind, settings: &Settings) -> Page {
    let links = PersonalLinks {
        unsubscribe_url: Some("https://papers.example.org/u/token".to_owned()),
        ..PersonalLinks::default()
    };
    with(kind, |record, sources| {
        Page::new(record, sources, &links, settings, &KeptCards::default())
    })
}

/// Calls `then` with an invented digest.
pub(super) fn with_record<T>(then: impl FnOnce(&DigestRecord, &Sources<'_>) -> T) -> T {
    with(DigestKind::Digest, then)
}

fn with<T>(kind: DigestKind, then: impl FnOnce(&DigestRecord, &Sources<'_>) -> T) -> T {
    let frozen_at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
    let keywords: Vec<(String, Term)> = ["graph neural network", "causal inference"]
        .iter()
        .map(|name| ((*name).to_owned(), Term::phrase(*name)))
        .collect();
    let sections = (0_u16..2)
        .map(|keyword| SectionRecord {
            keyword,
            papers: (1_u32..=5)
                .filter_map(|number| {
                    Some(PaperRecord {
                        id: ArxivId::from_parts(2024, 10, number + 5 * u32::from(keyword))?,
                        version: 2,
                        shown: SHOWN[number as usize - 1],
                        also: vec![1 - keyword],
                        replaces: (number == 5).then_some((1, frozen_at)),
                        changes: (number == 5).then(|| Changes {
                            title_before: Some("An invented title".to_owned()),
                            abstract_text: true,
                            comment: true,
                        }),
                    })
                })
                .collect(),
            n_waiting: 3,
            n_skipped: 1,
        })
        .filter(|_| kind != DigestKind::Quiet)
        .collect();
    let record = DigestRecord {
        id: DigestId {
            subscriber: SubscriberId("ana".into()),
            number: 1,
        },
        kind,
        address: "ana@example.net".to_owned(),
        name: Some("Ana".to_owned()),
        frozen_at,
        zone: "UTC".to_owned(),
        keywords,
        sections,
        coverage: CoverageNote {
            announcement: Some(frozen_at.date_naive()),
            n_complete: 1,
            n_keywords: 2,
            incomplete: vec![IncompleteKeyword {
                keyword: "causal inference".to_owned(),
                since: frozen_at,
                why: "invented".to_owned(),
            }],
            ..CoverageNote::default()
        },
        shared: false,
    };
    let sources = Sources {
        papers: &|id| Some(Arc::new(paper(id, frozen_at))),
        marks: &|_| Marks {
            title: std::iter::once(0..3).collect(),
            abstract_text: std::iter::once(0..3).collect(),
        },
    };
    then(&record, &sources)
}

/// A mail that is no digest.
pub(super) fn notice(settings: &Settings) -> Page {
    let notice = Notice {
        subject: "A notice".to_owned(),
        lead: "Something happened".to_owned(),
        headline: "A notice".to_owned(),
        blocks: vec![
            Block {
                heading: None,
                paragraphs: vec!["It is invented.".to_owned(), "It has two paragraphs.".to_owned()],
            },
            Block {
                heading: Some(("In trouble".to_owned(), "1 trouble".to_owned())),
                paragraphs: vec!["Something is wrong.".to_owned()],
            },
        ],
        why: "Nobody gets this.".to_owned(),
    };
    notice::page(&notice, DateTime::UNIX_EPOCH, settings)
}

fn paper(id: &VersionedId, submitted: DateTime<Utc>) -> Paper {
    Paper {
        id: id.id.clone(),
        version: id.version,
        title: format!("An invented paper, number {}", id.id.number()),
        authors: (1..=9)
            .map(|number| Author::named(format!("Author {number}")))
            .collect(),
        abstract_text: "It says what such papers say. ".repeat(30),
        submitted: Some(submitted),
        updated: Some(submitted),
        categories: vec!["cs.LG".to_owned(), "stat.ML".to_owned()],
        comment: Some("9 pages, ICLR 2026".to_owned()),
        journal_ref: None,
        doi: Some("10.1000/182".to_owned()),
        withdrawn: id.id.number() == 9,
    }
}
