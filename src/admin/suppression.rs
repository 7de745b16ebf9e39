//! `suppression`: addresses that are not mailed.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{Reply, json, moment};
use crate::{
    app::AppError,
    config::parse_address,
    model::{Suppression, SuppressionReason},
    roster::{self, Roster, suppression_key},
    store::{Batch, Document, DocumentKind, Store, StoreError, Versioned, documents},
};

/// How often a decision that somebody else overtook is made again.
const CONFLICTS_MAX: usize = 20;

pub(super) async fn list(store: &dyn Store, as_json: bool) -> Result<Reply, AppError> {
    let mut all: Vec<Suppression> = roster::suppressions(store).await?.into_values().collect();
    all.sort_by(|a, b| a.address.cmp(&b.address));
    if as_json {
        return Ok(Reply::done(json(&all)?));
    }
    let mut text = String::new();
    for suppression in &all {
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            text,
            "{}  {} since {}: {}",
            suppression.address,
            in_words(suppression.reason),
            moment(suppression.since),
            suppression.evidence
        );
    }
    if all.is_empty() {
        text.push_str("no address is suppressed\n");
    }
    Ok(Reply::done(text))
}

pub(super) async fn add(
    store: &dyn Store,
    address: &str,
    evidence: &str,
    now: DateTime<Utc>,
) -> Result<Reply, AppError> {
    let address = parse_address(address).map_err(AppError::Usage)?;
    let suppression = Suppression {
        address: suppression_key(&address),
        reason: SuppressionReason::Operator,
        evidence: evidence.to_owned(),
        since: now,
    };
    let is_new = put(store, suppression).await?;
    Ok(Reply::done(format!(
        "{address} is {}\n",
        if is_new {
            "suppressed: it is not mailed until `suppression remove`"
        } else {
            "suppressed already"
        }
    )))
}

pub(super) async fn remove(store: &dyn Store, roster: &Roster, address: &str) -> Result<Reply, AppError> {
    let address = parse_address(address).map_err(AppError::Usage)?;
    let key = suppression_key(&address);
    let stored = store.document(DocumentKind::Suppression, &key).await?;
    if stored.value.value.is_none() {
        return Err(AppError::Usage(format!(
            "{address} is not suppressed; `suppression list` shows who is"
        )));
    }
    let deleted = Versioned {
        value: Document {
            value: None,
            ..stored.value
        },
        revision: stored.revision,
    };
    store
        .commit(Batch {
            documents: vec![deleted],
            ..Batch::default()
        })
        .await?;
    // Else the evidence of before would suppress the address again at the first refusal.
    if let Some(person) = roster.find(&address) {
        roster::update(store, std::slice::from_ref(&person.id), |state| {
            !std::mem::take(&mut state.value.refused_on).is_empty()
        })
        .await?;
    }
    Ok(Reply::done(format!(
        "{address} is mailed again; what waited comes in the next digest\n"
    )))
}

/// Suppresses an address unless it is suppressed already: the first reason stays. Returns whether it is new.
pub(super) async fn put(store: &dyn Store, suppression: Suppression) -> Result<bool, StoreError> {
    let key = suppression_key(&suppression.address);
    for _ in 0..CONFLICTS_MAX {
        let stored = store.document(DocumentKind::Suppression, &key).await?;
        if stored.value.value.is_some() {
            return Ok(false);
        }
        let written = Versioned {
            value: suppression.clone(),
            revision: stored.revision,
        };
        let batch = Batch {
            documents: vec![documents::to_write(DocumentKind::Suppression, &key, &written)?],
            ..Batch::default()
        };
        match store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(true),
        }
    }
    Err(StoreError::Conflict("a suppression".to_owned()))
}

pub(super) fn in_words(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::Unsubscribed => "unsubscribed",
        SuppressionReason::HardBounce => "no such mailbox",
        SuppressionReason::SoftBounces => "mail kept coming back",
        SuppressionReason::Complaint => "complained",
        SuppressionReason::Operator => "by the operator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admin::fixture::{at, person},
        store::memory::MemoryStore,
    };

    #[tokio::test]
    async fn an_address_is_suppressed_once_and_mailed_again_after_removal() {
        let store = MemoryStore::new();
        let ana = person("ana");
        let roster = Roster::new(vec![ana.clone()]);
        roster::update(&store, std::slice::from_ref(&ana.id), |state| {
            state.value.refused_on = vec![at(1).date_naive(), at(2).date_naive()];
            true
        })
        .await
        .unwrap();
        let first = add(&store, "Ana@Example.net", "asked by phone", at(3)).await.unwrap();
        let second = add(&store, "ana@example.net", "again", at(4)).await.unwrap();
        assert!(first.output.contains("until") && second.output.contains("already"));
        let listed = list(&store, false).await.unwrap().output;
        assert_eq!(
            listed,
            "ana@example.net  by the operator since 2026-02-03 07:00 UTC: asked by phone\n"
        );
        remove(&store, &roster, "ANA@example.net").await.unwrap();
        assert_eq!(list(&store, true).await.unwrap().output, "[]\n");
        let state = store.subscribers(&[ana.id]).await.unwrap().remove(0).value;
        assert!(state.refused_on.is_empty());
        let error = remove(&store, &roster, "ana@example.net").await.unwrap_err();
        assert_eq!(error.exit().code(), 2);
        assert!(add(&store, "no address", "", at(1)).await.is_err());
    }
}
