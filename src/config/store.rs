//! `[store]`: where the state is kept.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

use super::{secret::is_open_to_others, section::Section};

/// The settings of `[store]`.
#[derive(Debug, Clone)]
pub enum StoreConfig {
    /// A sled database in the state directory: one machine.
    Sled,
    /// A PostgreSQL database at that address: any number of machines.
    Postgres {
        /// The address, with a password perhaps.
        url: SecretString,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Backend {
    Sled,
    Postgres,
}

impl StoreConfig {
    pub(super) fn read(section: Section<'_>, config_file: &std::path::Path) -> Self {
        let backend = section.choice(
            "backend",
            Backend::Sled,
            &[("sled", Backend::Sled), ("postgres", Backend::Postgres)],
        );
        let url_entry = section.get("url");
        let url = url_entry.as_ref().and_then(super::section::Entry::string);
        let example = "write \"postgres://paperround@db.example.org/paperround\"";
        if let (Some(url), Some(entry)) = (&url, &url_entry) {
            if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
                entry.refuse("is not the address of a PostgreSQL database", example);
            }
            if backend == Backend::Sled {
                section.sink().warn(
                    &entry.place,
                    "is not used",
                    "sled keeps its files in state_dir: set backend = \"postgres\"",
                );
            }
            if holds_password(url) && is_open_to_others(config_file) {
                section.sink().warn(
                    &entry.place,
                    "holds a password in a file that others may read",
                    format!("chmod 600 {}", config_file.display()),
                );
            }
        }
        if backend == Backend::Postgres && url_entry.is_none() {
            section.sink().refuse(
                &section.place_of("url"),
                "is missing for backend = \"postgres\"",
                example,
            );
        }
        section.finish(|key| (key == "path").then(|| "sled keeps its files in state_dir".to_owned()));
        match (backend, url) {
            (Backend::Postgres, Some(url)) => Self::Postgres { url: url.into() },
            _ => Self::Sled,
        }
    }
}

impl PartialEq for StoreConfig {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sled, Self::Sled) => true,
            (Self::Postgres { url: a }, Self::Postgres { url: b }) => a.expose_secret() == b.expose_secret(),
            _ => false,
        }
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sled => "sled",
            Self::Postgres { .. } => "postgres",
        })
    }
}

/// Whether the part before the host holds a password, or a parameter does.
fn holds_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let user = authority.split(['/', '?']).next().unwrap_or_default().rsplit_once('@');
    user.is_some_and(|(user, _)| user.contains(':')) || url.contains("password=")
}
