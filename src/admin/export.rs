//! `export`, and the page's files after each run.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::Reply;
use crate::{
    app::{App, AppError},
    export::{self, Format},
    model::Term,
    store::StoreError,
};

pub(super) async fn command(app: &App, format: Format) -> Result<Reply, AppError> {
    let page = export::gather(&*app.store, &app.roster, &HashMap::<Term, _>::new(), app.clock.now()).await?;
    Ok(Reply::done(export::write(&page, format)))
}

/// Rewrites the configured page files. A file that cannot be written costs nobody their digest: it is logged.
pub(super) async fn publish(app: &App, incomplete: &HashMap<Term, (DateTime<Utc>, String)>) -> Result<(), StoreError> {
    let files = [
        (&app.config.page.markdown, Format::Markdown),
        (&app.config.page.json, Format::Json),
    ];
    if files.iter().all(|(path, _)| path.is_none()) {
        return Ok(());
    }
    let page = export::gather(&*app.store, &app.roster, incomplete, app.clock.now()).await?;
    let files: Vec<(PathBuf, Format)> = files
        .into_iter()
        .filter_map(|(path, format)| Some((path.clone()?, format)))
        .collect();
    // Rendering and the disk's word that all is written take long enough to keep other tasks waiting.
    let written = tokio::task::spawn_blocking(move || {
        for (path, format) in files {
            log(&path, export::replace(&path, &page, format));
        }
    });
    if let Err(error) = written.await {
        tracing::error!(%error, "the page was not written");
    }
    Ok(())
}

fn log(path: &Path, written: std::io::Result<()>) {
    match written {
        Ok(()) => tracing::debug!(path = %path.display(), "the page was rewritten"),
        Err(error) => tracing::error!(path = %path.display(), %error, "the page was not written; look at [page]"),
    }
}
