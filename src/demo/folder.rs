//! The folder of one demonstration: made fresh, and never at the cost of anyone's files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Marks a folder as a demonstration's. It holds the configuration as it was written, to tell whether it was edited since.
const MARKER: &str = ".paperround-demo";

/// The folder and what lies in it.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// It holds something else.
    #[error("{0} holds files that no demo has written; name an empty or a new folder with --out")]
    Foreign(PathBuf),
    /// The last demonstration's configuration was edited.
    #[error(
        "{0} was edited since the last demo, which would write it anew; move it away, or name another folder with --out"
    )]
    Edited(PathBuf),
    /// The system refuses.
    #[error("{0} cannot be read or written")]
    Io(PathBuf, #[source] io::Error),
}

impl Folder {
    /// Makes the folder, or empties that of a former demonstration. Only what a demonstration writes is removed.
    ///
    /// # Errors
    /// If the folder holds anything else, or a configuration that was edited since.
    pub(super) fn fresh(root: &Path) -> Result<Self, FolderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |error| FolderError::Io(path, error)
        };
        fs::create_dir_all(root).map_err(failed(root))?;
        // Absolute, so that what is printed can be opened from anywhere.
        let root = fs::canonicalize(root).map_err(failed(root))?;
        let folder = Self { root };
        let marker = folder.root.join(MARKER);
        match fs::read(&marker) {
            Ok(written) => {
                let config = folder.config();
                if fs::read(&config).is_ok_and(|text| text != written) {
                    return Err(FolderError::Edited(config));
                }
                for path in [folder.index(), config, marker] {
                    gone(fs::remove_file(&path)).map_err(failed(&path))?;
                }
                for path in [folder.mails(), folder.root.join("state")] {
                    gone(fs::remove_dir_all(&path)).map_err(failed(&path))?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::read_dir(&folder.root)
                    .map_err(failed(&folder.root))?
                    .next()
                    .is_some()
                {
                    return Err(FolderError::Foreign(folder.root));
                }
            }
            Err(error) => return Err(FolderError::Io(marker, error)),
        }
        Ok(folder)
    }

    /// Writes the configuration, and the mark beside it.
    pub(super) fn write_config(&self, text: &str) -> Result<(), FolderError> {
        // The mark first: a demonstration that is cut off between the two leaves a folder that the next one takes.
        self.write(&self.root.join(MARKER), text)?;
        self.write(&self.config(), text)
    }

    /// Writes one file, with the folders that lead to it.
    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), FolderError> {
        let folders = path.parent().map_or(Ok(()), fs::create_dir_all);
        folders
            .and_then(|()| fs::write(path, text))
            .map_err(|error| FolderError::Io(path.to_owned(), error))
    }

    /// The configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The page that opens the mails.
    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.html")
    }

    /// Where received mails lie, one folder per day.
    pub(super) fn mails(&self) -> PathBuf {
        self.root.join("mails")
    }

    /// A path as a link in the index names it.
    pub(super) fn link(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

/// What was not there is gone too.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_demonstration_is_replaced_and_other_files_in_its_folder_stay() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("new/demo");
        for _ in 0..2 {
            let folder = Folder::fresh(&root).unwrap();
            assert!(!folder.config().exists() && !folder.mails().exists());
            folder.write_config("a = 1\n").unwrap();
            folder.write(&folder.mails().join("2026-02-11/a.eml"), "x").unwrap();
            fs::write(root.join("notes.txt"), "mine").unwrap();
        }
        assert_eq!(fs::read_to_string(root.join("notes.txt")).unwrap(), "mine");
    }

    #[test]
    fn a_folder_with_other_files_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), "mine").unwrap();
        let error = Folder::fresh(folder.path()).unwrap_err();
        assert!(matches!(error, FolderError::Foreign(_)), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("config.toml")).unwrap(), "mine");
    }

    #[test]
    fn an_edited_configuration_is_not_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::fresh(root.path()).unwrap();
        folder.write_config("a = 1\n").unwrap();
        fs::write(folder.config(), "a = 2\n").unwrap();
        assert!(matches!(Folder::fresh(root.path()), Err(FolderError::Edited(_))));
        assert_eq!(fs::read_to_string(folder.config()).unwrap(), "a = 2\n");
        fs::remove_file(folder.config()).unwrap();
        Folder::fresh(root.path()).unwrap();
    }
}
