//! What the process environment contributes, gathered in one place so that tests can replace it.

use std::path::{Path, PathBuf};

/// The environment variables that the configuration looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `$STATE_DIRECTORY`: set by systemd for units with `StateDirectory=`; the first of several.
    pub state_directory: Option<PathBuf>,
    /// `$RUNTIME_DIRECTORY`: set by systemd for units with `RuntimeDirectory=`; the first of several.
    pub runtime_directory: Option<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY`: set by systemd for units with `LoadCredential=`.
    pub credentials_directory: Option<PathBuf>,
}

impl Environment {
    /// Reads the variables of this process; empty ones count as unset.
    pub fn from_process() -> Self {
        let read = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let first = |name| read(name).and_then(|value| std::env::split_paths(&value).next());
        Self {
            state_directory: first("STATE_DIRECTORY"),
            runtime_directory: first("RUNTIME_DIRECTORY"),
            credentials_directory: read("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }
}

/// The folders to which relative paths of the configuration refer.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// The configuration file's: for what is read.
    pub(super) config_dir: PathBuf,
    /// The state directory under systemd, else the configuration file's: for what is written.
    pub(super) written_dir: PathBuf,
}

impl Base {
    /// The folders for the configuration file at `path`.
    pub(super) fn of(path: &Path, environment: &Environment) -> Self {
        let config_dir = path.parent().unwrap_or(Path::new("/")).to_owned();
        let written_dir = environment.state_directory.clone();
        Self {
            written_dir: written_dir.unwrap_or_else(|| config_dir.clone()),
            config_dir,
        }
    }

    /// Where the state is kept, where the file names `named`.
    pub(super) fn state_dir(&self, named: Option<&str>, environment: &Environment) -> PathBuf {
        let named = named.map(|dir| self.read(dir));
        named
            .or_else(|| environment.state_directory.clone())
            .unwrap_or_else(|| self.read("state"))
    }

    /// The path of something that is read.
    pub(super) fn read(&self, path: &str) -> PathBuf {
        self.config_dir.join(path)
    }

    /// The path of something that is written.
    pub(super) fn written(&self, path: &str) -> PathBuf {
        self.written_dir.join(path)
    }
}
