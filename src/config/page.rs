//! `[page]`: files that show the papers, rewritten after each run.

use std::path::PathBuf;

use super::{environment::Base, section::Section};

/// The settings of `[page]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The Daily Papers page in Markdown.
    pub markdown: Option<PathBuf>,
    /// The papers as JSON.
    pub json: Option<PathBuf>,
}

impl Page {
    pub(super) fn read(section: Section<'_>, base: &Base) -> Self {
        let read = |key| {
            let path = section.string(key).map(|path| base.written(&path))?;
            section.note(key, Some(path.display().to_string()));
            if path.is_dir() {
                section
                    .get(key)?
                    .refuse(format!("{} is a folder", path.display()), "name a file in it");
            }
            Some(path)
        };
        let page = Self {
            markdown: read("markdown"),
            json: read("json"),
        };
        section.finish(|_| None);
        page
    }
}
