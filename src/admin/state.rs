//! `state`: everything that is remembered as JSON lines, for backup and for moves between stores.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::Reply;
use crate::{
    app::AppError,
    store::{
        Store,
        archive::{self, ArchiveError, Imported},
    },
};

pub(super) async fn export(store: &dyn Store, now: DateTime<Utc>) -> Result<Reply, AppError> {
    let mut text = Vec::new();
    archive::export(store, now, &mut text).await.map_err(in_words)?;
    Ok(Reply::done(String::from_utf8_lossy(&text).into_owned()))
}

pub(super) async fn import(store: &dyn Store, path: &Path, now: DateTime<Utc>) -> Result<Reply, AppError> {
    let Imported {
        n_subscribers,
        n_entries,
        n_papers,
    } = archive::import(store, path, now).await.map_err(in_words)?;
    Ok(Reply::done(format!(
        "{n_subscribers} subscribers, {n_entries} digests and {n_papers} papers are imported; let nothing run on the \
         former state any more, or its digests come twice\n"
    )))
}

fn in_words(error: ArchiveError) -> AppError {
    match error {
        ArchiveError::Store(error) => error.into(),
        ArchiveError::Unusable(_) | ArchiveError::NotEmpty => AppError::Usage(error.to_string()),
        ArchiveError::Unwritten(error) => AppError::Other(error.into()),
    }
}
