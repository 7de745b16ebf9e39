//! `why`: what happened to one paper, for one subscriber or for everyone.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Reply, json, moment};
use crate::{
    app::{App, AppError},
    delivery::in_words,
    matching::{self, Lexicon, Take, Verdict},
    model::{ArxivId, DigestId, EntryState, OutboxEntry, Paper, SubscriberState, VersionedId},
    roster::Person,
    store::StoreError,
};

#[derive(Debug, Serialize)]
struct Answer {
    paper: ArxivId,
    title: Option<String>,
    submitted: Option<DateTime<Utc>>,
    first_fetched: Option<DateTime<Utc>>,
    withdrawn: bool,
    subscribers: Vec<ForOne>,
}

#[derive(Debug, Serialize)]
struct ForOne {
    subscriber: String,
    /// `seen`, `queued`, `pending`, `skipped`, …, or `absent`.
    state: String,
    /// What happened, in words.
    history: Vec<String>,
    /// Per keyword: why it matched or did not.
    keywords: Vec<(String, String)>,
}

pub(super) async fn command(
    app: &App,
    identifier: &str,
    subscriber: Option<&str>,
    as_json: bool,
) -> Result<Reply, AppError> {
    let (id, _) = VersionedId::parse(identifier).map_err(|error| AppError::Usage(error.to_string()))?;
    let people: Vec<&Person> = match subscriber {
        Some(name) => vec![super::person(app, Some(name))?],
        None => app.roster.people().iter().map(|person| &**person).collect(),
    };
    let stored = app
        .store
        .latest_papers(std::slice::from_ref(&id))
        .await?
        .pop()
        .flatten();
    let (paper, first_fetched) = match stored {
        Some(stored) => (Some(stored.paper), Some(stored.first_fetched)),
        None => (app.run.fetcher.paper(&id).await.map_err(anyhow::Error::new)?, None),
    };
    let mut subscribers = Vec::new();
    for person in people {
        subscribers.push(for_one(app, person, &id, paper.as_ref()).await?);
    }
    let answer = Answer {
        paper: id,
        title: paper.as_ref().map(|paper| crate::tex::to_text(&paper.title)),
        submitted: paper.as_ref().and_then(|paper| paper.submitted),
        first_fetched,
        withdrawn: paper.as_ref().is_some_and(|paper| paper.withdrawn),
        subscribers,
    };
    Ok(Reply::done(if as_json { json(&answer)? } else { words(&answer) }))
}

async fn for_one(app: &App, person: &Person, id: &ArxivId, paper: Option<&Paper>) -> Result<ForOne, StoreError> {
    let stored = app.store.subscribers(std::slice::from_ref(&person.id)).await?.pop();
    let state = stored.map_or_else(|| SubscriberState::new(person.id.clone()), |stored| stored.value);
    let mut history = Vec::new();
    let name = if let Some(number) = state.seen.get(id) {
        history.push(digest_in_words(app, person, *number).await?);
        if let Some(later) = state.replacements.get(id) {
            history.push(format!("version {} recorded {}", later.version, moment(later.since)));
            history.push(match later.digest {
                Some(number) => digest_in_words(app, person, number).await?,
                None => "it is listed in the next digest".to_owned(),
            });
        }
        "seen"
    } else if let Some(queued) = state.queued.get(id) {
        history.push(format!("recorded {}", moment(queued.since)));
        history.push(digest_in_words(app, person, queued.digest).await?);
        "queued"
    } else if let Some(pending) = state.pending.get(id) {
        history.push(format!(
            "recorded {}; it comes in the next digest",
            moment(pending.since)
        ));
        "pending"
    } else if let Some(how) = state.settled.get(id) {
        match how {
            crate::model::Settled::Skipped => "skipped",
            crate::model::Settled::Undeliverable => "undeliverable",
            crate::model::Settled::Withdrawn => "withdrawn",
        }
    } else {
        "absent"
    };
    if state.pruned_to.as_ref().is_some_and(|floor| id <= floor) {
        history.push("it lies below what is remembered one by one: settled long ago".to_owned());
    }
    let keywords = person
        .keywords()
        .map(|(heading, definition)| {
            let words = paper.map_or_else(
                || "the paper is not known to arXiv".to_owned(),
                |paper| keyword_in_words(&state, heading, definition, paper),
            );
            (heading.clone(), words)
        })
        .collect();
    Ok(ForOne {
        subscriber: person.id.to_string(),
        state: name.to_owned(),
        history,
        keywords,
    })
}

async fn digest_in_words(app: &App, person: &Person, number: u32) -> Result<String, StoreError> {
    let id = DigestId {
        subscriber: person.id.clone(),
        number,
    };
    let Some(entry) = app.store.entry(&id).await? else {
        return Ok(format!("in digest {number}, accepted some time ago"));
    };
    let OutboxEntry {
        state,
        message_id,
        attempts,
        ..
    } = entry.value;
    Ok(match state {
        EntryState::Accepted { at, reply } => format!(
            "in digest {number} ({message_id}), accepted {} with: {reply}",
            moment(at)
        ),
        EntryState::Held => format!("in digest {number} ({message_id}), held: the relay may have it"),
        EntryState::Due | EntryState::Leased(_) => {
            let last = attempts
                .last()
                .map_or_else(|| "not tried yet".to_owned(), |attempt| in_words(&attempt.outcome));
            format!("in digest {number} ({message_id}), on its way: {last}")
        }
        EntryState::Ended { at, .. } => format!("in digest {number}, which ended {}", moment(at)),
    })
}

fn keyword_in_words(
    state: &SubscriberState,
    heading: &str,
    definition: &crate::model::Definition,
    paper: &Paper,
) -> String {
    let (lexicon, _) = Lexicon::new([definition]);
    let reading = lexicon.read(paper);
    match reading.take(definition) {
        Take::Accepted => {
            let floor = state
                .configured_pairs()
                .find(|pair| pair.keyword == heading)
                .and_then(|pair| {
                    pair.generations
                        .iter()
                        .filter_map(|generation| generation.floor.as_ref())
                        .min()
                });
            match floor {
                Some(floor) if paper.id <= *floor => {
                    format!("matches, but was announced before the subscription counts (its floor is {floor})")
                }
                Some(_) => evidence(definition, paper),
                None => format!("{}; the keyword's floor is not known yet", evidence(definition, paper)),
            }
        }
        Take::Excluded => "matches, but an exclusion keeps it out".to_owned(),
        Take::OtherCategory => format!("matches, but is in {} only", paper.categories.join(", ")),
        Take::No => evidence(definition, paper),
    }
}

fn evidence(definition: &crate::model::Definition, paper: &Paper) -> String {
    match matching::explain(&definition.term, paper) {
        Ok(Verdict::Fits(evidence)) => {
            let found: Vec<String> = evidence
                .iter()
                .map(|found| format!("{} in the {}", found.found, found.place))
                .collect();
            format!("matches: {}", found.join("; "))
        }
        Ok(Verdict::Misses(misses)) => {
            let missed: Vec<String> = misses.iter().map(ToString::to_string).collect();
            format!("does not match: {}", missed.join("; "))
        }
        Err(error) => format!("cannot be read: {error}"),
    }
}

fn words(answer: &Answer) -> String {
    let mut text = format!(
        "{}  {}\n",
        answer.paper,
        answer.title.as_deref().unwrap_or("(not known to arXiv)")
    );
    let when = |at: Option<DateTime<Utc>>| at.map_or_else(|| "never".to_owned(), moment);
    // Writing to a string cannot fail.
    let _infallible = writeln!(
        text,
        "submitted {}, first fetched {}",
        when(answer.submitted),
        when(answer.first_fetched)
    );
    if answer.withdrawn {
        text.push_str("withdrawn: such papers are not sent as new\n");
    }
    for one in &answer.subscribers {
        let _infallible = writeln!(text, "\n{}: {}", one.subscriber, one.state);
        for line in &one.history {
            let _infallible = writeln!(text, "  {line}");
        }
        for (keyword, why) in &one.keywords {
            let _infallible = writeln!(text, "  {keyword}: {why}");
        }
    }
    text
}
