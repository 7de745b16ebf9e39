//! Notices that the configuration has changed on the disk, once it has been still for a while.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use crate::config::Config;

/// A file that is being written is left alone until it has been still this long.
pub(super) const STILL: Duration = Duration::from_secs(5);

/// What identifies the state of the files: times and sizes. An editor that replaces the file changes both.
type Fingerprint = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Watches the files of a configuration by looking at them.
#[derive(Debug)]
pub(super) struct Watch {
    loaded: Fingerprint,
    latest: Fingerprint,
    still_since: tokio::time::Instant,
}

impl Watch {
    /// Watches the files that `config` was read from.
    pub(super) fn new(config: &Config) -> Self {
        let now = fingerprint(config);
        Self {
            loaded: now.clone(),
            latest: now,
            still_since: tokio::time::Instant::now(),
        }
    }

    /// Whether the files differ from what was loaded and have been still for [`STILL`]. Says so once per change.
    pub(super) fn has_changed(&mut self, config: &Config) -> bool {
        let now = fingerprint(config);
        if now != self.latest {
            self.latest = now;
            self.still_since = tokio::time::Instant::now();
            return false;
        }
        let is_still = self.still_since.elapsed() >= STILL;
        if self.latest != self.loaded && is_still {
            self.loaded.clone_from(&self.latest);
            return true;
        }
        false
    }
}

fn fingerprint(config: &Config) -> Fingerprint {
    let mut files = config.files.clone();
    for folder in &config.include_dirs {
        // A folder's own time changes when a file comes or goes.
        files.push(folder.clone());
    }
    files
        .into_iter()
        .map(|path| {
            let state = std::fs::metadata(&path)
                .ok()
                .and_then(|file| Some((file.modified().ok()?, file.len())));
            (path, state)
        })
        .collect()
}
