//! What a running daemon knows of itself and the store does not: that it serves, and why it does not do what its
//! configuration file says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How the daemon of this process stands. Shared by everything in the process, through all reloads; empty in a process
/// that carries out one command.
#[derive(Debug, Default)]
pub struct Standing(Mutex<Option<Daemon>>);

/// A running daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// Since when it serves.
    pub since: DateTime<Utc>,
    /// Why the configuration on the disk is not the one in force; `None` where it is, as far as is known.
    pub refused: Option<Refused>,
    /// Why no runs are made although the daemon is there.
    pub halted: Option<&'static str>,
}

/// A configuration that was read and not put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// When it was read.
    pub at: DateTime<Utc>,
    /// What kept it out.
    pub why: String,
    /// What the operator can do.
    pub mend: &'static str,
}

impl Standing {
    /// A daemon serves from now on.
    pub fn begin(&self, now: DateTime<Utc>) {
        *self.lock() = Some(Daemon {
            since: now,
            refused: None,
            halted: None,
        });
    }

    /// The configuration on the disk was put in force, or kept out.
    pub fn reloaded(&self, refused: Option<Refused>) {
        if let Some(daemon) = self.lock().as_mut() {
            daemon.refused = refused;
        }
    }

    /// Runs are made, or not for this reason.
    pub fn halted(&self, why: Option<&'static str>) {
        if let Some(daemon) = self.lock().as_mut() {
            daemon.halted = why;
        }
    }

    /// The daemon, if this process is one.
    pub fn daemon(&self) -> Option<Daemon> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Daemon>> {
        // Each field is set whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
