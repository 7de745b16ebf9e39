//! Opens what outlives a process: the store, and the key that signs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;

use super::{App, AppError};
use crate::{
    clock::Clock,
    config::{self, Config},
    store::{
        Batch, DocumentKind, Store, StoreError, Versioned, documents, exports,
        memory::MemoryStore,
        postgres::{self, PostgresStore},
        recovery,
        sled::{FormerLife, Opened, SledStore},
    },
    token::{Keys, TokenKey},
};

pub(super) async fn open_store(config: &Config, clock: &dyn Clock, dry_run: bool) -> Result<Arc<dyn Store>, AppError> {
    match &config.store {
        config::StoreConfig::Sled => open_sled(config, clock, dry_run).await,
        config::StoreConfig::Postgres(settings) => open_postgres(settings, dry_run).await,
    }
}

async fn open_postgres(settings: &postgres::Settings, dry_run: bool) -> Result<Arc<dyn Store>, AppError> {
    let opened = PostgresStore::open(settings).await?;
    if opened.created {
        tracing::warn!(
            database = %settings.address,
            "there was no state here: everyone counts as new and starts with first_digest"
        );
    }
    if dry_run {
        return Ok(Arc::new(MemoryStore::copy_of(&opened.store).await?));
    }
    Ok(Arc::new(opened.store))
}

async fn open_sled(config: &Config, clock: &dyn Clock, dry_run: bool) -> Result<Arc<dyn Store>, AppError> {
    let opened = open_or_recover(config, clock.now(), dry_run).await?;
    if opened.created {
        tracing::warn!(
            state_dir = %config.state_dir.display(),
            "there was no state here: everyone counts as new and starts with first_digest"
        );
    }
    if let Some(repaired) = &opened.repaired {
        tracing::warn!(repaired, "the state was opened after a repair");
    }
    let FormerLife {
        unsent,
        unconfirmed,
        held,
    } = &opened.former_life;
    if !unsent.is_empty() || !unconfirmed.is_empty() || !held.is_empty() {
        tracing::warn!(
            n_unsent = unsent.len(),
            n_unconfirmed = unconfirmed.len(),
            n_held = held.len(),
            "the process before this one ended while it was sending; its digests go on"
        );
    }
    if dry_run {
        return Ok(Arc::new(MemoryStore::copy_of(&opened.store).await?));
    }
    exports::resume(&opened.store, &exports_dir(config)).await?;
    Ok(Arc::new(opened.store))
}

/// Where the daily exports lie, beside the store.
pub fn exports_dir(config: &Config) -> PathBuf {
    config.state_dir.join("exports")
}

/// Opens the store; one that is damaged or gone is restored from the latest export, if there is one.
///
/// A dry run changes nothing, so it only says what is wrong.
async fn open_or_recover(config: &Config, now: DateTime<Utc>, dry_run: bool) -> Result<Opened, AppError> {
    let (store_dir, exports_dir) = (config.state_dir.join("store"), exports_dir(config));
    let why = match SledStore::open(&store_dir, now).await {
        Ok(opened) if !opened.created || !exports::exist(&exports_dir) => return Ok(opened),
        // Closed before its folder is moved.
        Ok(opened) => {
            drop(opened);
            "there was no state, but exports of one".to_owned()
        }
        Err(StoreError::Damaged { place, what }) if dry_run => {
            let what = format!("{what}; `paperround run` or `serve` restores the latest export, if there is one");
            return Err(StoreError::Damaged { place, what }.into());
        }
        Err(StoreError::Damaged { what, .. }) => what,
        Err(error) => return Err(error.into()),
    };
    if dry_run {
        return Err(AppError::Usage(format!(
            "{why}: {} is empty, but {} is not; `paperround run` or `serve` restores it",
            store_dir.display(),
            exports_dir.display()
        )));
    }
    tracing::error!(why, "the state is unusable; the latest export takes its place");
    let Some(recovery) = recovery::recover(&store_dir, &exports_dir, &why, now).await? else {
        return Err(StoreError::Damaged {
            place: store_dir.display().to_string(),
            what: format!(
                "{why}; and in {} there is no whole export of it. Keep a copy of the folder, move it away, and read an \
                 export back with `paperround state import` if you have one: a state that begins empty does not know \
                 what was sent",
                exports_dir.display()
            ),
        }
        .into());
    };
    tracing::error!("{}", recovery.in_words());
    Ok(SledStore::open(&store_dir, now).await?)
}

/// Workers that share a state must sign with the same key: else a mail that goes again has another Message-ID, and
/// what one worker signs the others do not know.
pub(super) async fn agree_on_keys(app: &App) -> Result<(), AppError> {
    const NOTE: &str = "token-keys";
    if app.store.claim_ttl().is_none() {
        return Ok(());
    }
    let own = app.delivery.composer.keys.fingerprints();
    loop {
        let mut known: Versioned<Vec<String>> = documents::load(&*app.store, DocumentKind::Note, NOTE).await?;
        // One of the two files may be newer, with a key in front of those that both know.
        let agrees = known.value.is_empty()
            || known.value.first().is_some_and(|current| own.contains(current))
            || own.first().is_some_and(|current| known.value.contains(current));
        if !agrees {
            return Err(AppError::Setting(format!(
                "mail.token_key_file: {} is not the key of the other workers on this database; copy theirs here",
                app.config.mail.token_key_file.display()
            )));
        }
        if own.iter().all(|key| known.value.contains(key)) {
            return Ok(());
        }
        known.value = own.clone();
        let batch = Batch {
            documents: vec![documents::to_write(DocumentKind::Note, NOTE, &known)?],
            ..Batch::default()
        };
        match app.store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            done => return Ok(done?),
        }
    }
}

/// Reads the key file, or makes it on first start.
pub(super) fn load_keys(path: &Path) -> Result<Keys, AppError> {
    let unusable = |why: &dyn std::fmt::Display| {
        AppError::Setting(format!("mail.token_key_file: {} cannot be used: {why}", path.display()))
    };
    match std::fs::read_to_string(path) {
        Ok(text) => Keys::parse(&text).map_err(|error| unusable(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            #[expect(clippy::disallowed_methods, reason = "the one place where chance enters")]
            let random = SystemRandom::new();
            let key = TokenKey::generate(&random).map_err(|error| unusable(&error))?;
            let keys = Keys::new(vec![key]).map_err(|error| unusable(&error))?;
            write_secret(path, &keys.to_text()).map_err(|error| unusable(&error))?;
            tracing::info!(path = %path.display(), "made the key that signs tokens and Message-IDs; keep it with the state");
            Ok(keys)
        }
        Err(error) => Err(unusable(&error)),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}
