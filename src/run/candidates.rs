//! What may come into a subscriber's next digest: pending papers, and later versions of papers that they got.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::shelf::{ReadPaper, Shelf};
use crate::{
    digest,
    matching::Reading,
    model::{ArxivId, Changes, Paper, SubscriberState, VersionedId},
    roster::Person,
    store::StoreError,
};

/// How many earlier versions of a pending paper are looked at for one that matches.
const FORMER_VERSIONS_MAX: usize = 10;

/// One paper that may come.
pub(super) struct Candidate {
    pub(super) paper: Arc<Paper>,
    keywords: Vec<u16>,
    in_title: bool,
    waiting_since: DateTime<Utc>,
    pub(super) replaces: Option<(u16, DateTime<Utc>)>,
    changes: Option<Changes>,
}

impl Candidate {
    pub(super) fn as_pending(&self) -> digest::Pending<'_> {
        digest::Pending {
            paper: &self.paper,
            keywords: self.keywords.clone(),
            waiting_since: self.waiting_since,
            in_title: self.in_title,
            replaces: self.replaces,
            changes: self.changes.clone(),
        }
    }
}

/// The pending papers with the present keywords that match each. One that no present keyword matches is left out,
/// unless it was withdrawn and is to be settled.
pub(super) async fn pending(
    person: &Person,
    state: &SubscriberState,
    shelf: &mut Shelf<'_>,
) -> Result<Vec<Candidate>, StoreError> {
    let ids: Vec<ArxivId> = state.pending.keys().cloned().collect();
    let mut candidates = Vec::with_capacity(ids.len());
    for read in shelf.newest(&ids).await? {
        let id = read.paper.id.clone();
        let (chosen, keywords) = as_it_matched(person, read, shelf).await?;
        if keywords.is_empty() && !chosen.paper.withdrawn {
            continue;
        }
        candidates.push(Candidate {
            in_title: in_title(person, &chosen.reading(shelf.lexicon)),
            waiting_since: state
                .pending
                .get(&id)
                .map_or(DateTime::UNIX_EPOCH, |pending| pending.since),
            keywords,
            paper: chosen.paper,
            replaces: None,
            changes: None,
        });
    }
    Ok(candidates)
}

/// A pending paper in its newest version that a present keyword matches. It was announced in words that matched: that
/// it was reworded while it waited must not lose it.
async fn as_it_matched(
    person: &Person,
    newest: ReadPaper,
    shelf: &mut Shelf<'_>,
) -> Result<(ReadPaper, Vec<u16>), StoreError> {
    let keywords = accepting(person, &newest.reading(shelf.lexicon));
    if keywords.is_empty() && !newest.paper.withdrawn {
        let VersionedId { id, version } = newest.paper.versioned_id();
        for version in (1..version).rev().take(FORMER_VERSIONS_MAX) {
            let id = id.clone();
            let Some(former) = shelf.version(VersionedId { id, version }).await? else {
                continue;
            };
            let keywords = accepting(person, &former.reading(shelf.lexicon));
            if !keywords.is_empty() {
                return Ok((former, keywords));
            }
        }
    }
    Ok((newest, keywords))
}

/// The later versions that wait to be listed, and those that nobody wants to hear of any more.
///
/// A present keyword must match the later text or the text that the subscriber got: a paper that was reworded, or
/// withdrawn and emptied, is still one of theirs; one of a keyword that they gave up is not. Where the text they got
/// is not stored any more, a withdrawal is told nevertheless.
pub(super) async fn replacements(
    person: &Person,
    state: &SubscriberState,
    shelf: &mut Shelf<'_>,
) -> Result<(Vec<Candidate>, Vec<ArxivId>), StoreError> {
    let mut listed = Vec::new();
    let mut dropped = Vec::new();
    let ids: Vec<ArxivId> = state.waiting_replacements().map(|(id, _)| id.clone()).collect();
    for read in shelf.newest(&ids).await? {
        let id = read.paper.id.clone();
        let (Some((got, at)), Some(replacement)) = (state.versions.get(&id), state.replacements.get(&id)) else {
            continue;
        };
        if read.paper.version <= *got {
            continue;
        }
        let former = VersionedId {
            id: id.clone(),
            version: *got,
        };
        let former = shelf.version(former).await?;
        let reading = read.reading(shelf.lexicon);
        let mut keywords = accepting(person, &reading);
        match &former {
            Some(former) if keywords.is_empty() => keywords = accepting(person, &former.reading(shelf.lexicon)),
            None if keywords.is_empty() && read.paper.withdrawn && !person.keywords.is_empty() => keywords.push(0),
            Some(_) | None => {}
        }
        if keywords.is_empty() {
            dropped.push(id);
            continue;
        }
        listed.push(Candidate {
            in_title: in_title(person, &reading),
            keywords,
            waiting_since: replacement.since,
            replaces: Some((*got, *at)),
            changes: former.map(|former| digest::changes(&former.paper, &read.paper)),
            paper: Arc::clone(&read.paper),
        });
    }
    Ok((listed, dropped))
}

/// The person's keywords that accept a paper, by their place.
fn accepting(person: &Person, reading: &Reading<'_>) -> Vec<u16> {
    (0_u16..)
        .zip(person.keywords())
        .filter(|(_, (_, definition))| reading.accepts(definition))
        .map(|(index, _)| index)
        .collect()
}

fn in_title(person: &Person, reading: &Reading<'_>) -> bool {
    person.keywords().any(|(_, definition)| {
        reading
            .found(&definition.term)
            .is_some_and(|found| !found.title.is_empty())
    })
}
