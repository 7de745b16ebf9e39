//! What the tests of the operator's commands work on.

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    model::{
        ArxivId, CoverageNote, DigestKind, DigestRecord, OutboxEntry, PaperRecord, SectionRecord, Shown, SubscriberId,
        SubscriberState, Term,
    },
    store::{Batch, Store, Versioned},
};

/// Seven in the morning of a day of February 2026.
pub(crate) fn at(day: u32) -> DateTime<Utc> {
    let date = NaiveDate::from_ymd_opt(2026, 2, day).unwrap();
    date.and_hms_opt(7, 0, 0).unwrap().and_utc()
}

/// A first digest that is due, of papers of February 2026, and its subscriber's state.
pub(crate) fn entry(subscriber: &str, numbers: &[u32]) -> (OutboxEntry, SubscriberState) {
    let id = SubscriberId(subscriber.into());
    let mut state = SubscriberState::new(id.clone());
    let ids: Vec<ArxivId> = numbers
        .iter()
        .map(|number| ArxivId::from_parts(2026, 2, *number).unwrap())
        .collect();
    for paper in &ids {
        state.record(paper, at(1));
    }
    let number = state.enqueue(&ids, at(1));
    let papers = ids.into_iter().map(|id| PaperRecord {
        id,
        version: 1,
        shown: Shown::Full,
        also: Vec::new(),
        replaces: None,
        changes: None,
    });
    let digest = DigestRecord {
        id: crate::model::DigestId { subscriber: id, number },
        kind: DigestKind::Digest,
        address: format!("{subscriber}@example.net"),
        name: None,
        frozen_at: at(1),
        zone: "UTC".to_owned(),
        keywords: vec![("graph".to_owned(), Term::phrase("graph"))],
        sections: vec![SectionRecord {
            keyword: 0,
            papers: papers.collect(),
            n_waiting: 0,
            n_skipped: 0,
        }],
        coverage: CoverageNote::default(),
        shared: false,
    };
    (
        OutboxEntry::new(digest, format!("<pr1.{subscriber}@example.org>")),
        state,
    )
}

/// Writes what is not stored yet.
pub(super) async fn put(store: &dyn Store, entry: OutboxEntry, state: SubscriberState) {
    let batch = Batch {
        entries: vec![Versioned::new(entry)],
        subscribers: vec![Versioned::new(state)],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
}

/// Someone with one keyword.
pub(crate) fn person(id: &str) -> crate::roster::Person {
    crate::roster::Person {
        id: SubscriberId(id.into()),
        address: format!("{id}@example.net"),
        name: None,
        schedule: crate::schedule::Schedule::parse("0 7 * * *", "UTC").unwrap(),
        paused_until: None,
        shared: false,
        keywords: vec![
            (
                "graph".to_owned(),
                crate::model::Definition::unrestricted(Term::phrase("graph")),
            )
                .into(),
        ],
    }
}
