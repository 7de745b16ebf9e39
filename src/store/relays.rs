//! Which relays are in trouble, where mail can go through several: kept so that a restart, another worker and `status`
//! know of it.

use std::collections::BTreeMap;

use super::{Batch, DocumentKind, Store, StoreError, Versioned, documents};
use crate::model::RelayTrouble;

/// The document that keeps it.
const NOTE: &str = "relays";
/// How often a write that another worker overtook is tried again.
const CONFLICTS_MAX: usize = 20;

/// What is wrong with each relay by its name; one that is not named is well as far as is known.
///
/// # Errors
/// Those of the store.
pub async fn troubles(store: &dyn Store) -> Result<BTreeMap<String, RelayTrouble>, StoreError> {
    Ok(documents::load(store, DocumentKind::Note, NOTE).await?.value)
}

/// Notes what is wrong with the relay `name`, or that it is well. Relays that are not among the `configured` ones are
/// forgotten.
///
/// # Errors
/// Those of the store.
pub async fn note(
    store: &dyn Store,
    configured: &[String],
    name: &str,
    trouble: Option<&RelayTrouble>,
) -> Result<(), StoreError> {
    for _ in 0..CONFLICTS_MAX {
        let mut known: Versioned<BTreeMap<String, RelayTrouble>> =
            documents::load(store, DocumentKind::Note, NOTE).await?;
        known.value.retain(|name, _| configured.contains(name));
        match trouble {
            Some(trouble) => _ = known.value.insert(name.to_owned(), trouble.clone()),
            None => _ = known.value.remove(name),
        }
        let batch = Batch {
            documents: vec![documents::to_write(DocumentKind::Note, NOTE, &known)?],
            ..Batch::default()
        };
        match store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            done => return done,
        }
    }
    Err(StoreError::Conflict("what is known of the relays".to_owned()))
}
